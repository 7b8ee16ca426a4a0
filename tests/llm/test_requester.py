"""Every kind of answer over real HTTP: what becomes of it, and how often it is asked for."""

from __future__ import annotations

import sys
import threading

import pytest

from mrharm.errors import InputError, ModelUnavailableError, exit_code
from mrharm.llm import AuthorizationError, CallError, Completion, Picture, Request
from tests.llm.conftest import COST, MODEL, ask, client, question, sql
from tests.stub_server import Reply, StubServer, rate_limited

FILTER = {"message": "flagged", "code": "content_filter"}
OK = Reply("a cat")


def test_an_answer_comes_with_its_words_usage_cost_and_raw_body() -> None:
    with StubServer([OK]) as server, client(server.url) as asking:
        answer = ask(asking, question("what?"))
    assert (answer.text, answer.finish_reason, answer.cached) == ("a cat", "stop", False)
    assert answer.usage and answer.usage["prompt_tokens"] == 50
    assert answer.usd == pytest.approx(COST)
    assert '"a cat"' in answer.raw
    assert server.requests[0] == {
        "model": MODEL,
        "messages": [{"role": "user", "content": "what?"}],
        "temperature": 0,
        "max_tokens": 50,
    }


def test_the_same_question_is_never_paid_twice_at_any_endpoint() -> None:
    with StubServer([OK]) as first, StubServer([Reply("a dog")]) as second:
        for url in (first.url, first.url, second.url):
            with client(url) as asking:
                assert ask(asking, question("what?")).text == "a cat"
    assert (first.paid.total(), second.calls.total()) == (1, 0)


def test_the_same_question_many_times_in_one_batch_is_paid_once() -> None:
    with StubServer([OK]) as server, client(server.url) as asking:
        answers = dict(asking.complete_many([question("what?")] * 20, concurrency=8))
    assert server.paid.total() == 1
    assert sorted(answers) == list(range(20))
    assert sum(not answer.cached for answer in answers.values() if isinstance(answer, Completion)) == 1


def test_whatever_tells_questions_apart_makes_another_question() -> None:
    def see(sha256: str) -> Request:
        picture = Picture(sha256, lambda: "data:image/png;base64,AAAA")
        return Request([{"role": "user", "content": [picture]}], MODEL)

    questions = [
        question("a"),
        question("b"),
        question("a", max_tokens=60),
        question("a", parts={"prompt": "p.v1@12"}),
        question("a", parts={"prompt": "p.v2@34"}),
        Request(question("a").messages, "another-model", question("a").settings),
        see("1" * 64),
        see("2" * 64),
    ]
    assert len({each.key for each in questions}) == len(questions)
    assert see("1" * 64).key == see("1" * 64).key


def test_pictures_are_sent_as_data_urls_and_kept_as_hashes() -> None:
    asked = Request(
        [
            {
                "role": "user",
                "content": [{"type": "text", "text": "what?"}, Picture("ab" * 32, lambda: "data:x,Zm9v")],
            }
        ],
        MODEL,
        {"max_tokens": 5},
    )
    with StubServer([OK]) as server, client(server.url) as asking:
        key = ask(asking, asked).key
        ((kept,),) = sql(asking.ledger.path, "SELECT request FROM calls WHERE key = ?", key)
    assert server.requests[0]["messages"][0]["content"][1] == {
        "type": "image_url",
        "image_url": {"url": "data:x,Zm9v"},
    }
    assert "ab" * 32 in kept and "Zm9v" not in kept


@pytest.mark.parametrize(
    ("replies", "calls"),
    [
        ([rate_limited(), rate_limited("0.01"), OK], 3),
        ([Reply(status=500), Reply(status=503), OK], 3),
        ([Reply(status=408), Reply(status=409), Reply(status=529), OK], 4),
        ([Reply(body=b"<html>oops"), Reply(body=b'{"choices": []}'), OK], 3),
        ([Reply(body=b'{"choices": [{"message": {"content": 7}}]}'), OK], 2),
        ([Reply(body=b"[" * 100_000), OK], 2),
        ([Reply(cut=True), Reply(cut=True), OK], 3),
    ],
)
def test_what_may_pass_is_tried_again(replies: list[Reply], calls: int) -> None:
    with StubServer(replies) as server, client(server.url) as asking:
        answer = ask(asking, question("what?"))
        assert (answer.text, server.calls.total()) == ("a cat", calls)


@pytest.mark.parametrize(
    ("reply", "kind", "calls"),
    [
        (rate_limited(), "rate_limited", 3),
        (Reply(status=500), "server_error", 3),
        (Reply(cut=True), "cut", 3),
        (Reply(body=b"{}"), "malformed", 3),
        (Reply(status=400, error=FILTER), "refused", 1),
        (Reply(status=403, error=FILTER), "refused", 1),
        (Reply(status=400, error={"message": "no such thing as temperature -1"}), "bad_request", 1),
        (Reply(status=422, body=b"no JSON"), "bad_request", 1),
        (Reply(text=None, finish="content_filter"), "refused", 1),
        (Reply(text="", refusal="I would rather not."), "refused", 1),
        (Reply(text=" \n"), "empty", 1),
        (Reply(text=None, finish="length"), "empty", 1),
    ],
)
def test_what_has_no_answer_is_a_failure_by_its_kind(reply: Reply, kind: str, calls: int) -> None:
    with (
        StubServer([reply]) as server,
        client(server.url, attempts=3) as asking,
        pytest.raises(CallError) as caught,
    ):
        ask(asking, question("what?"))
    assert (caught.value.kind, server.calls.total()) == (kind, calls)
    assert exit_code(caught.value) == 2


def test_an_answer_without_words_is_paid_for_and_not_asked_again() -> None:
    with StubServer([Reply(text=None, finish="content_filter")]) as server, client(server.url) as asking:
        for _ in range(3):
            with pytest.raises(CallError) as caught:
                ask(asking, question("what?"))
            assert caught.value.kind == "refused" and "content_filter" in str(caught.value.raw)
    assert server.paid.total() == 1


def test_a_cut_answer_says_so() -> None:
    with StubServer([Reply("a cat on", finish="length")]) as server, client(server.url) as asking:
        assert ask(asking, question("what?")).finish_reason == "length"


def test_a_question_ends_at_its_deadline() -> None:
    silent = threading.Event()
    with StubServer([Reply(wait=silent)]) as server, client(server.url, deadline=0.3) as asking:
        with pytest.raises(CallError) as caught:
            ask(asking, question("what?"))
        silent.set()
    assert (caught.value.kind, server.calls.total()) == ("timed_out", 1)


def test_the_pause_a_server_asks_for_is_kept_and_one_beyond_the_deadline_is_not_waited_for() -> None:
    pauses: list[float] = []
    with StubServer([rate_limited("7"), OK]) as server, client(server.url, pause=pauses.append) as asking:
        ask(asking, question("what?"))
        assert 7 <= pauses.pop() < 8
    with StubServer([rate_limited("500"), OK]) as server, client(server.url, pause=pauses.append) as asking:
        with pytest.raises(CallError) as caught:
            ask(asking, question("what else?"))
        assert (caught.value.kind, pauses, server.calls.total()) == ("rate_limited", [], 1)


@pytest.mark.parametrize(
    ("reply", "error", "mend"),
    [
        (Reply(status=401, error={"message": "Incorrect key"}), AuthorizationError, "set OPENAI_API_KEY"),
        (Reply(status=403), AuthorizationError, "set OPENAI_API_KEY"),
        (Reply(status=404), ModelUnavailableError, "name one it serves"),
        (Reply(status=402), ModelUnavailableError, "top it up"),
        (Reply(status=429, error={"code": "insufficient_quota"}), ModelUnavailableError, "top it up"),
    ],
)
def test_what_no_question_can_get_past_stops_all_at_once(reply: Reply, error: type, mend: str) -> None:
    with StubServer([reply]) as server, client(server.url) as asking:
        with pytest.raises(error, match=mend):
            list(asking.complete_many([question(str(number)) for number in range(100)], concurrency=4))
        assert server.calls.total() <= 4


def test_answers_in_flight_are_handed_over_before_the_error_that_stops_all() -> None:
    refused = threading.Event()

    def script(text: str) -> Reply:
        if text == "slow":
            return Reply("a cat", wait=refused)
        refused.set()
        return Reply(status=401)

    got: list[object] = []
    with StubServer(script) as server, client(server.url) as asking, pytest.raises(AuthorizationError):
        for _, result in asking.complete_many([question("slow"), question("other")], concurrency=2):
            got.append(result)
    assert [result.text for result in got if isinstance(result, Completion)] == ["a cat"]


def test_an_endpoint_out_of_reach_is_said_once_with_the_mend() -> None:
    with StubServer() as server:
        url = server.url
    with (
        client(url) as asking,
        pytest.raises(ModelUnavailableError, match=r"no connection to .* set OPENAI_BASE_URL"),
    ):
        list(asking.complete_many(map(question, "abcdefgh"), concurrency=2))
    with client("nonsense:/") as asking, pytest.raises(InputError, match="expected http"):
        ask(asking, question("what?"))


def test_a_caller_who_stops_early_loses_no_answer_that_was_paid_for() -> None:
    with StubServer([OK]) as server, client(server.url) as asking:
        answers = asking.complete_many([question(str(number)) for number in range(50)], concurrency=8)
        next(answers)
        answers.close()
        rows = sql(asking.ledger.path, "SELECT status FROM calls")
    assert rows == [("answered",)] * server.paid.total() and len(rows) <= 16


def test_what_is_answered_already_needs_no_server_no_key_and_no_package(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with StubServer([OK]) as server, client(server.url) as asking:
        ask(asking, question("what?"))
    monkeypatch.delenv("OPENAI_API_KEY")
    monkeypatch.setitem(sys.modules, "openai", None)
    with client(server.url) as asking:
        assert ask(asking, question("what?")).cached
        with pytest.raises(InputError, match=r"pip install 'mrharm\[openai\]'"):
            ask(asking, question("what else?"))


def test_without_a_key_only_a_server_of_ones_own_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    with client(None) as asking, pytest.raises(InputError, match="set OPENAI_API_KEY"):
        ask(asking, question("what?"))
    with StubServer([OK]) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        with client(None) as asking:
            assert ask(asking, question("what?")).text == "a cat"


def test_a_question_that_cannot_be_written_fails_alone() -> None:
    broken = Picture("0" * 64, lambda: (_ for _ in ()).throw(InputError("no picture")))
    asked = [
        question("half \ud800"),
        Request([{"role": "user", "content": [broken]}], MODEL),
        question("whole"),
    ]
    with StubServer([Reply("half \ud800 too")]) as server, client(server.url) as asking:
        answers = dict(asking.complete_many(asked))
    assert [getattr(answers[index], "kind", "") for index in range(3)] == ["bad_request", "bad_request", ""]
    whole = answers[2]
    assert isinstance(whole, Completion) and whole.text.encode("utf-8") == b"half ? too"


def test_a_setting_that_could_carry_a_key_or_many_answers_is_refused() -> None:
    with (
        client("http://127.0.0.1:1/v1") as asking,
        pytest.raises(InputError, match="extra_headers is not a setting"),
    ):
        ask(asking, Request([], MODEL, {"extra_headers": {"Authorization": "x"}}))
