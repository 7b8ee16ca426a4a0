"""The batch service: half the price, within the budget, found again after a kill, and never paid twice."""

from __future__ import annotations

import json
import logging
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import openai
import pytest

from mrharm.errors import InputError, ModelUnavailableError
from mrharm.llm import (
    AuthorizationError,
    CallError,
    Completion,
    HostedClient,
    Picture,
    Request,
)
from mrharm.llm.cache import WINDOW_S, Ledger
from mrharm.llm.requests import NANO
from tests.llm.conftest import (
    HALF,
    KEY,
    MODEL,
    NAMES,
    answers,
    ask,
    ask_batch,
    client,
    question,
    serve,
    sql,
    words,
    worst,
)
from tests.stub_batches import Plan
from tests.stub_server import Reply


def leave(asking: HostedClient, *texts: str) -> None:
    """Send a batch, and go away once it is under way."""

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    pause, asking._pause = asking._pause, stop
    with pytest.raises(KeyboardInterrupt):
        ask_batch(asking, *texts)
    asking._pause = pause


def let_windows_pass(path: Path) -> None:
    sql(path, "UPDATE batches SET made = made - ?", 2 * WINDOW_S)


def states(path: Path) -> list[str]:
    return [state for (state,) in sql(path, "SELECT state FROM batches ORDER BY made")]


def test_a_batch_answers_each_question_at_half_the_price() -> None:
    with serve(Plan(looks=2)) as server, client(server.url) as asking:
        results = ask_batch(asking, *NAMES)
        spent = asking.spent
    assert words(results) == answers(*NAMES)
    assert all(isinstance(got, Completion) and got.usd == HALF and not got.cached for got in results.values())
    assert spent == pytest.approx(len(NAMES) * HALF)
    assert sql(asking.ledger.path, "SELECT DISTINCT status, nano_usd, reserved FROM calls") == [
        ("answered", HALF * NANO, 0)
    ]
    (lines,) = server.desk.sent
    assert [line["custom_id"] for line in lines] == [question(name).key for name in NAMES]
    assert {(line["method"], line["url"]) for line in lines} == {("POST", "/v1/chat/completions")}
    assert lines[0]["body"] == {
        "model": MODEL,
        "messages": [{"role": "user", "content": NAMES[0]}],
        "temperature": 0,
        "max_tokens": 50,
    }
    assert states(asking.ledger.path) == ["ended"]


def test_what_is_answered_already_is_not_sent_and_a_question_asked_twice_is_sent_once() -> None:
    with serve() as server, client(server.url) as asking:
        ask(asking, question("known"))
        requests = [question(text) for text in ("known", "new", "new")]
        results = dict(asking.complete_batch(requests))
    with client(server.url) as asking:  # whose server is gone
        again = dict(asking.complete_batch(requests))
    assert [getattr(results[index], "cached", None) for index in range(3)] == [True, False, True]
    assert all(getattr(result, "cached", False) for result in again.values())
    assert server.paid == {"known": 1, "new": 1}
    assert len(server.desk.sent) == 1 and len(server.desk.sent[0]) == 1


@pytest.mark.parametrize(
    ("plan", "unreadable"),
    [
        (Plan(seed=3), 0),
        (Plan(repeat=True), 0),
        (Plan(extra=(b"no JSON", b"[]", b"{}", b"[" * 99_999, b'{"custom_id": 7}')), 5),
        (Plan(extra=(b'{"custom_id": "x", "response": {"status_code": "200"}}',)), 1),
        (Plan(extra=(b'{"custom_id": "stranger", "error": {"code": "x"}}',)), 0),
        (Plan(extra=(b'{"custom_id": "s", "response": {"status_code": 200, "body": {}}}',)), 0),
        (Plan(cut=2), 0),
    ],
)
def test_lines_in_any_order_repeated_garbled_strange_or_cut_off_spoil_no_answer(
    plan: Plan, unreadable: int, caplog: pytest.LogCaptureFixture
) -> None:
    with serve(plan) as server, client(server.url) as asking:
        assert words(ask_batch(asking, *NAMES)) == answers(*NAMES)
        assert asking.spent == pytest.approx(len(NAMES) * HALF)
    assert (f"{unreadable} lines or files cannot be read" in caplog.text) == bool(unreadable)
    assert server.desk.downloads == 1 + plan.cut


def test_an_answer_to_a_question_of_another_batch_is_ignored() -> None:
    stolen = {
        "custom_id": question("other").key,
        "response": {"status_code": 200, "body": {"choices": [{"message": {"content": "stolen"}}]}},
    }
    held = threading.Event()
    plans = [Plan(hold=held), Plan(extra=(json.dumps(stolen).encode(),))]
    with serve(*plans) as server, client(server.url) as asking:
        leave(asking, "other")
        assert words(ask_batch(asking, "mine")) == answers("mine")
        held.set()
        assert words(ask_batch(asking, "other")) == answers("other")


@pytest.mark.parametrize(
    ("status", "kind", "silent"),
    [("expired", "server_error", False), ("expired", "timed_out", True), ("cancelled", "stopped", True)],
)
def test_a_batch_that_ends_early_brings_what_was_finished_and_the_rest_is_asked_by_the_next_run(
    status: str, kind: str, silent: bool
) -> None:
    with serve(Plan(status=status, answered=2, silent=silent, seed=1), Plan()) as server:
        with client(server.url) as asking:
            assert words(ask_batch(asking, *NAMES)) == answers(*NAMES[:2]) | dict.fromkeys(NAMES[2:], kind)
            assert asking.spent == pytest.approx(2 * HALF)
        with client(server.url) as asking:
            assert words(ask_batch(asking, *NAMES)) == answers(*NAMES)
    assert [len(lines) for lines in server.desk.sent] == [6, 4]
    assert server.paid == dict.fromkeys(NAMES, 1)


def test_error_rows_are_failures_by_their_kind_and_are_not_paid() -> None:
    replies = {
        "rate_limited": Reply(status=429, error={"code": "rate_limit_exceeded"}),
        "bad_request": Reply(status=401),
        "refused": Reply(status=400, error={"code": "content_filter", "message": "flagged"}),
        "empty": Reply(text=" "),
        "answer": Reply("answer"),
    }
    with serve(script=lambda text: replies[text]) as server, client(server.url) as asking:
        assert words(ask_batch(asking, *replies)) == {kind: kind for kind in replies}
        assert asking.spent == pytest.approx(2 * HALF)


TIMED_OUT = {"custom_id": question("b").key, "error": {"code": "request_timeout"}}


@pytest.mark.parametrize(
    ("plan", "kind", "maybe_paid"),
    [
        (Plan(answered=1, silent=True), "malformed", True),
        (Plan(status="expired", answered=1, silent=True, extra=(b'{"custom_id": "',)), "malformed", True),
        (Plan(answered=1, silent=True, extra=(json.dumps(TIMED_OUT).encode(),)), "server_error", False),
    ],
)
def test_a_question_without_a_line_may_have_been_paid_and_one_with_an_error_has_not(
    plan: Plan, kind: str, maybe_paid: bool
) -> None:
    with serve(plan) as server, client(server.url) as asking:
        assert words(ask_batch(asking, "a", "b")) == answers("a") | {"b": kind}
        assert asking.spent == pytest.approx(HALF + worst("b", batch=True) * maybe_paid)


def test_a_batch_that_is_refused_costs_nothing_and_says_why() -> None:
    plans = [Plan(status="failed", errors=(("token_limit_exceeded", "such and such"),)), Plan()]
    with serve(*plans) as server, client(server.url) as asking:
        results = ask_batch(asking, "a", "b")
        assert words(results) == {"a": "bad_request", "b": "bad_request"}
        assert "token_limit_exceeded: such and such" in str(results["a"])
        assert asking.spent == 0
        assert words(ask_batch(asking, "a", "b")) == answers("a", "b")


def test_a_batch_never_passes_the_budget() -> None:
    held, most = threading.Event(), worst(NAMES[0], batch=True)
    with serve(Plan(hold=held), Plan()) as server:
        with client(server.url, budget=3.5 * most) as asking:
            leave(asking, *NAMES)
            assert asking.spent == pytest.approx(
                3 * most
            )  # until the answers are there, and their cost known
            with pytest.raises(CallError) as caught:
                ask(asking, question("more"))
            assert caught.value.kind == "over_budget"
        held.set()
        with client(server.url, budget=2.5 * most) as asking:
            results = ask_batch(asking, *NAMES)
            assert Counter(words(results).values())["over_budget"] == 1
            assert asking.spent == pytest.approx(2 * HALF)  # the others' money was another process's
    assert [len(lines) for lines in server.desk.sent] == [3, 2]


def test_a_caller_who_goes_away_while_a_batch_is_being_filled_keeps_his_budget() -> None:
    with serve() as server, client(server.url, budget=1.5 * worst("a", batch=True)) as asking:
        results = asking.complete_batch(map(question, "ab"))
        assert next(results)[0] == 1  # "b", which is over the budget
        results.close()  # type: ignore[attr-defined]
        assert asking.spent == 0
        assert words(ask_batch(asking, "a", "b")) == answers("a") | {"b": "over_budget"}
    assert len(server.desk.batches) == 1


def test_a_budget_without_a_price_is_an_error_before_anything_is_sent() -> None:
    requests = [question("a"), Request(question("b").messages, "unheard-of", {"max_tokens": 5})]
    with serve() as server, client(server.url, budget=1) as asking:
        with pytest.raises(InputError, match="needs the price"):
            list(asking.complete_batch(requests))
        assert server.hits == 0


def test_questions_are_split_into_batches_by_number_and_by_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mrharm.llm.batch.MOST_QUESTIONS", 4)
    with serve() as server, client(server.url) as asking:
        assert words(ask_batch(asking, *NAMES)) == answers(*NAMES)
        monkeypatch.setattr("mrharm.llm.batch.MOST_BYTES", 1000)
        big = ["x" * 400 + str(number) for number in range(3)]
        huge = "y" * 1000
        assert words(ask_batch(asking, *big, huge)) == answers(*big) | {huge: "bad_request"}
    assert [len(lines) for lines in server.desk.sent] == [4, 2, 1, 1, 1]


def test_no_letter_of_a_question_is_taken_for_the_end_of_its_line_and_pictures_go_as_data_urls() -> None:
    odd = "one\u2028two\u0085three\nfour \N{GRINNING FACE} café"
    picture = Picture("1" * 64, lambda: "data:x,Zm9v")
    asked = Request([{"role": "user", "content": [{"type": "text", "text": odd}, picture]}], MODEL)
    with serve(script=lambda text: Reply(text.upper())) as server, client(server.url) as asking:
        ((_, answer),) = asking.complete_batch([asked])
    assert isinstance(answer, Completion) and answer.text == odd.upper()
    (data,) = [data for name, data in server.desk.files.items() if "-in-" in name]
    assert len(data.decode().splitlines()) == 1 and b"data:x,Zm9v" in data


def test_an_estimate_is_half_as_high_and_counts_what_is_in_a_batch_as_paid() -> None:
    with serve(Plan(hold=threading.Event())) as server, client(server.url) as asking:
        whole, half = (asking.estimate(map(question, "abc"), batch=batch) for batch in (False, True))
        assert whole.usd_at_most and half.usd_at_most == pytest.approx(whole.usd_at_most / 2, abs=1e-8)
        assert whole.usd_likely and half.usd_likely == pytest.approx(whole.usd_likely / 2, abs=1e-8)
        leave(asking, "a")
        assert (asking.estimate(map(question, "abc"), batch=True).calls, server.desk.uploads) == (2, 1)


@pytest.mark.parametrize(
    ("status", "body", "error", "mend"),
    [
        (401, {}, AuthorizationError, "set OPENAI_API_KEY"),
        (404, {}, ModelUnavailableError, "without --batch"),
        (429, {"message": "slow down"}, ModelUnavailableError, "slow down; run the same command again"),
        (500, {"message": "out of order"}, ModelUnavailableError, "run the same command again"),
    ],
)
def test_a_batch_that_is_not_taken_is_an_error_with_its_mend_and_the_next_run_sends_it(
    status: int, body: dict[str, str], error: type, mend: str
) -> None:
    with serve(Plan(create=(status, body)), Plan()) as server, client(server.url) as asking:
        with pytest.raises(error, match=mend):
            ask_batch(asking, "a")
        assert words(ask_batch(asking, "a")) == answers("a")
    assert server.paid == {"a": 1}


def test_the_key_is_nowhere_though_the_server_repeats_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    replies = {
        "answer": Reply(f"your key is {KEY}"),
        "bad": Reply(status=400, error={"message": f"Bearer {KEY} asked for nonsense"}),
    }
    strange = json.dumps({"custom_id": KEY, "error": {"code": KEY, "message": KEY}}).encode()
    plans = [
        Plan(extra=(strange, KEY.encode())),
        Plan(status="failed", errors=((KEY, f"not with {KEY}"),)),
        Plan(create=(400, {"message": f"not with {KEY}"})),
    ]
    with serve(*plans, script=lambda text: replies[text]) as server, client(server.url) as asking:
        shown = repr(ask_batch(asking, *replies)) + repr(ask_batch(asking, "x1", "x2"))
        with pytest.raises(ModelUnavailableError) as caught:
            ask_batch(asking, "x3")
        assert server.keys == {f"Bearer {KEY}"}
        written = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    for place in (shown, str(caught.value), written.decode("latin-1"), caplog.text):
        assert KEY not in place
    assert "[key]" in shown


def test_who_stops_waiting_is_told_that_the_same_command_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    held = threading.Event()
    with serve(Plan(hold=held)) as server:
        with client(server.url) as asking:
            leave(asking, *NAMES)
        assert "1 batches of questions go on at the provider; the same command picks them up" in caplog.text
        held.set()
        with client(server.url) as asking:
            results = ask_batch(asking, *NAMES, "new")
    assert words(results) == answers(*NAMES, "new")
    assert [len(lines) for lines in server.desk.sent] == [6, 1]
    assert server.paid == dict.fromkeys([*NAMES, "new"], 1)


def test_a_batch_is_taken_in_though_its_questions_are_asked_no_more_and_its_window_is_over() -> None:
    held = threading.Event()
    with serve(Plan(hold=held), Plan()) as server, client(server.url) as asking:
        leave(asking, "old")
        let_windows_pass(asking.ledger.path)
        held.set()
        assert words(ask_batch(asking, "new")) == answers("new")
        row = asking.ledger.find_row(question("old").key)
    assert row and row.status == "answered" and row.nano_usd == HALF * NANO


class Killed(BaseException):
    """What stands for a kill where a real one cannot be placed so exactly."""


MOMENTS = [
    (openai.resources.Files, "create", "before"),
    (openai.resources.Files, "create", "after"),
    (Ledger, "start_batch", "after"),
    (openai.resources.Batches, "create", "after"),
    (Ledger, "set_batch_id", "after"),
    (openai.resources.Batches, "retrieve", "after"),
    (Ledger, "end_batch", "before"),
    (Ledger, "end_batch", "after"),
]


@pytest.mark.parametrize(("place", "step", "moment"), MOMENTS)
def test_a_process_that_ends_at_any_step_loses_nothing_and_nothing_is_paid_twice(
    place: type, step: str, moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = getattr(place, step)

    def die(*arguments: Any, **options: Any) -> None:
        if moment == "after":
            whole(*arguments, **options)
        raise Killed

    with serve() as server:
        with monkeypatch.context() as patch, client(server.url) as asking, pytest.raises(Killed):
            patch.setattr(place, step, die)
            ask_batch(asking, *NAMES)
        with client(server.url) as asking:
            results = ask_batch(asking, *NAMES)
    assert words(results) == answers(*NAMES)
    assert server.paid == dict.fromkeys(NAMES, 1)
    assert len(server.desk.batches) == 1
    assert sql(asking.ledger.path, "SELECT count(*) FROM calls WHERE status = 'claimed'") == [(0,)]


def test_a_batch_whose_creation_was_not_heard_of_is_found_by_its_file() -> None:
    with serve(Plan(lost=True)) as server, client(server.url) as asking:
        with pytest.raises(ModelUnavailableError, match="run the same command again"):
            ask_batch(asking, *NAMES)
        assert words(ask_batch(asking, *NAMES)) == answers(*NAMES)
    assert server.paid == dict.fromkeys(NAMES, 1)
    assert len(server.desk.batches) == 1


def test_one_at_a_time_asks_nothing_that_is_in_a_batch() -> None:
    held = threading.Event()
    with serve(Plan(hold=held)) as server, client(server.url) as asking:
        leave(asking, "a")
        with pytest.raises(CallError, match="run with --batch to wait") as caught:
            ask(asking, question("a"))
        assert ask(asking, question("b")).text == "answer to b"
        held.set()
        assert words(ask_batch(asking, "a")) == answers("a")
    assert (caught.value.kind, dict(server.paid)) == ("busy", {"a": 1, "b": 1})


def test_a_batch_holds_its_questions_for_its_window_and_no_longer() -> None:
    with serve(Plan(hold=threading.Event())) as server, serve() as elsewhere:
        with client(server.url) as asking:
            leave(asking, "a", "b")
            assert asking.spent == pytest.approx(2 * worst("a", batch=True))
        with client(elsewhere.url) as asking:
            assert words(ask_batch(asking, "a")) == {"a": "busy"}
            let_windows_pass(asking.ledger.path)
            assert words(ask_batch(asking, "a")) == answers("a")
            assert ask(asking, question("b")).text == "answer to b"


def test_a_batch_that_does_not_end_within_its_day_is_waited_for_no_longer() -> None:
    with serve(Plan(looks=99)) as server, client(server.url) as asking:
        asking._pause = lambda event, seconds: let_windows_pass(asking.ledger.path)
        assert words(ask_batch(asking, "a")) == {"a": "timed_out"}
        assert asking.spent == pytest.approx(worst("a", batch=True))


def test_a_batch_the_provider_does_not_know_is_waited_for_no_longer_and_sent_again_after_its_day(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with serve(Plan(looks=1, gone_after=1), Plan()) as server, client(server.url) as asking:
        leave(asking, "a")
        assert words(ask_batch(asking, "a", "b")) == {"a": "busy", **answers("b")}
        assert "was it sent with another key?" in caplog.text
        let_windows_pass(asking.ledger.path)
        assert words(ask_batch(asking, "a")) == answers("a")
        assert set(states(asking.ledger.path)) == {"ended"}


def test_a_download_that_never_ends_whole_is_taken_up_again_by_the_next_run() -> None:
    with serve(Plan(cut=21)) as server:
        with client(server.url) as asking, pytest.raises(ModelUnavailableError, match="the same command"):
            ask_batch(asking, *NAMES)
        with client(server.url) as asking:
            assert words(ask_batch(asking, *NAMES)) == answers(*NAMES)
    assert server.paid == dict.fromkeys(NAMES, 1)


def test_questions_whose_answers_the_provider_has_deleted_are_asked_again() -> None:
    held = threading.Event()
    with serve(Plan(hold=held), Plan()) as server, client(server.url) as asking:
        leave(asking, *NAMES)
        held.set()
        server.desk.files = {name: data for name, data in server.desk.files.items() if "-in-" in name}
        assert words(ask_batch(asking, *NAMES)) == answers(*NAMES)
    assert [len(lines) for lines in server.desk.sent] == [6, 6]
