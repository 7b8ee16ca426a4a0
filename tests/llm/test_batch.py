"""The batch service: half the price, within the budget, and whatever comes back taken in once."""

from __future__ import annotations

import json
import logging
import sqlite3
import threading
from collections import Counter
from pathlib import Path

import pytest

from mrharm.errors import InputError, ModelUnavailableError
from mrharm.llm import (
    AuthorizationError,
    CallError,
    Completion,
    Picture,
    Request,
)
from mrharm.llm.client import Tally
from mrharm.llm.pricing import NANO
from tests.llm.batching import (
    HALF,
    NAMES,
    answers,
    ask,
    batches,
    half_worst,
    leave,
    serve,
    words,
)
from tests.llm.conftest import KEY, MODEL, client, question
from tests.llm.test_ledger import sql
from tests.stub_batches import Plan
from tests.stub_server import Reply


def test_a_batch_answers_each_question_at_half_the_price() -> None:
    with serve(Plan(looks=2)) as server, client(server.url) as asking:
        results = ask(asking, *NAMES)
        row = asking.ledger.row(question(NAMES[0]).key)
        spent, (batch,) = asking.spent, batches(asking.ledger.path)
    assert words(results) == answers(*NAMES)
    assert all(isinstance(got, Completion) and got.usd == HALF and not got.cached for got in results.values())
    assert spent == pytest.approx(len(NAMES) * HALF)
    assert row and row.nano_usd == HALF * NANO and row.price
    assert json.loads(row.price) == {"input": "0.5", "output": "5.0", "picture": 50, "batch": True}
    (lines,) = server.desk.sent
    assert [line["custom_id"] for line in lines] == [question(name).key for name in NAMES]
    assert {(line["method"], line["url"]) for line in lines} == {("POST", "/v1/chat/completions")}
    assert lines[0]["body"] == {
        "model": MODEL,
        "messages": [{"role": "user", "content": NAMES[0]}],
        "temperature": 0,
        "max_tokens": 50,
    }
    assert (batch["state"], batch["id"], batch["status"], batch["answered"]) == (
        "ended",
        "batch_1",
        "completed",
        6,
    )


def test_what_is_answered_already_is_not_sent_and_a_question_asked_twice_is_sent_once() -> None:
    with serve() as server, client(server.url) as asking:
        asking.complete(question("known"))
        requests = [question(text) for text in ("known", "new", "new")]
        results = dict(asking.complete_batch(requests))
        again = dict(asking.complete_batch(requests))
    assert [getattr(results[index], "cached", None) for index in range(3)] == [True, False, True]
    assert all(getattr(result, "cached", False) for result in again.values())
    assert server.paid == {"known": 1, "new": 1}
    assert len(server.desk.sent) == 1 and len(server.desk.sent[0]) == 1


def test_what_is_answered_already_needs_no_server() -> None:
    with serve() as server, client(server.url) as asking:
        ask(asking, "a")
    with client(server.url) as asking:
        assert words(ask(asking, "a")) == answers("a")


@pytest.mark.parametrize(
    ("plan", "counts"),
    [
        (Plan(seed=3), {}),
        (Plan(repeat=True), {"repeated": 6}),
        (Plan(extra=(b"no JSON", b"[]", b"{}", b"[" * 99_999, b'{"custom_id": 7}')), {"garbled": 5}),
        (Plan(extra=(b'{"custom_id": "x", "response": {"status_code": "200"}}',)), {"garbled": 1}),
        (Plan(extra=(b'{"custom_id": "stranger", "error": {"code": "x"}}',)), {"strange": 1, "failed": 1}),
        (
            Plan(extra=(b'{"custom_id": "s", "response": {"status_code": 200, "body": {}}}',)),
            {"strange": 1, "failed": 1},
        ),
        (Plan(cut=2), {}),
    ],
)
def test_lines_in_any_order_repeated_garbled_strange_or_cut_off_spoil_no_answer(
    plan: Plan, counts: dict[str, int], caplog: pytest.LogCaptureFixture
) -> None:
    with serve(plan) as server, client(server.url) as asking:
        assert words(ask(asking, *NAMES)) == answers(*NAMES)
        (batch,) = batches(asking.ledger.path)
        assert asking.spent == pytest.approx(len(NAMES) * HALF)
    none = dict.fromkeys(("repeated", "garbled", "strange", "failed"), 0)
    assert {name: batch[name] for name in none} == none | counts
    assert batch["answered"] == 6
    assert bool(caplog.records) == bool(counts)
    assert server.desk.downloads == 1 + plan.cut


def test_an_answer_to_a_question_of_another_batch_is_strange_and_ignored() -> None:
    stolen = {
        "custom_id": question("other").key,
        "response": {"status_code": 200, "body": {"choices": [{"message": {"content": "stolen"}}]}},
    }
    held = threading.Event()
    plans = [Plan(hold=held), Plan(extra=(json.dumps(stolen).encode(),))]
    with serve(*plans) as server, client(server.url) as asking:
        leave(asking, "other")
        assert words(ask(asking, "mine")) == answers("mine")
        held.set()
        assert words(ask(asking, "other")) == answers("other")


@pytest.mark.parametrize(
    ("status", "kind", "silent"),
    [("expired", "timed_out", False), ("expired", "timed_out", True), ("cancelled", "stopped", True)],
)
def test_a_batch_that_ends_early_brings_what_was_finished_and_the_rest_is_asked_by_the_next_run(
    status: str, kind: str, silent: bool
) -> None:
    with serve(Plan(status=status, answered=2, silent=silent, seed=1), Plan()) as server:
        with client(server.url) as asking:
            assert words(ask(asking, *NAMES)) == answers(*NAMES[:2]) | dict.fromkeys(NAMES[2:], kind)
            assert asking.spent == pytest.approx(2 * HALF)
            assert asking.ledger.set_aside(asking.run) == 0
        with client(server.url) as asking:
            assert words(ask(asking, *NAMES)) == answers(*NAMES)
    assert [len(lines) for lines in server.desk.sent] == [6, 4]
    assert server.paid == dict.fromkeys(NAMES, 1)


def test_error_rows_are_failures_by_their_kind_and_are_not_paid() -> None:
    replies = {
        "limit": Reply(status=429, error={"code": "rate_limit_exceeded"}),
        "server": Reply(status=500, error={"message": "out of order"}),
        "filter": Reply(status=400, error={"code": "content_filter", "message": "flagged"}),
        "bad": Reply(status=400, error={"message": "no such thing as temperature -1"}),
        "key": Reply(status=401),
        "silent": Reply(text=None, finish="content_filter"),
        "empty": Reply(text=" "),
        "good": Reply("answer to good"),
    }
    kinds = {
        "limit": "rate_limited",
        "server": "server_error",
        "filter": "refused",
        "bad": "bad_request",
        "key": "bad_request",
        "silent": "refused",
        "empty": "empty",
        "good": "answer to good",
    }
    with serve(script=lambda text: replies[text]) as server, client(server.url) as asking:
        results = ask(asking, *replies)
        row = asking.ledger.row(question("bad").key)
        assert asking.spent == pytest.approx(3 * HALF)
    assert words(results) == kinds
    assert row and (row.status, row.failure_kind, row.attempts) == ("failed", "bad_request", 1)
    assert row.failure and "temperature -1" in row.failure


def test_a_question_that_timed_out_at_the_provider_says_so() -> None:
    late = json.dumps({"custom_id": question("a").key, "error": {"code": "request_timeout", "message": "x"}})
    with serve(Plan(answered=0, silent=True, extra=(late.encode(),))) as server, client(server.url) as asking:
        assert words(ask(asking, "a", "b")) == {"a": "timed_out", "b": "malformed"}


def test_a_row_without_an_answer_that_may_have_been_paid_counts_as_spent() -> None:
    with serve(Plan(answered=1, silent=True)) as server, client(server.url) as asking:
        assert words(ask(asking, "a", "b")) == answers("a") | {"b": "malformed"}
        assert asking.spent == pytest.approx(HALF + half_worst("b"))


def test_a_line_that_cannot_be_read_may_have_been_any_answer() -> None:
    plan = Plan(status="expired", answered=1, silent=True, extra=(b'{"custom_id": "',))
    with serve(plan) as server, client(server.url) as asking:
        assert words(ask(asking, "a", "b")) == answers("a") | {"b": "malformed"}
        assert asking.spent == pytest.approx(HALF + half_worst("b"))


@pytest.mark.parametrize(
    ("code", "kind"), [("token_limit_exceeded", "rate_limited"), ("invalid_json_line", "bad_request")]
)
def test_a_batch_that_is_refused_costs_nothing_and_says_why(code: str, kind: str) -> None:
    plans = [Plan(status="failed", errors=((code, "such and such"),)), Plan()]
    with serve(*plans) as server, client(server.url) as asking:
        results = ask(asking, "a", "b")
        assert words(results) == {"a": kind, "b": kind}
        assert "such and such" in str(results["a"])
        assert asking.spent == 0
        assert words(ask(asking, "a", "b")) == answers("a", "b")


def test_a_batch_never_passes_the_budget() -> None:
    budget = 3.5 * half_worst(NAMES[0])
    assert budget < 6 * half_worst(NAMES[0])
    held = threading.Event()
    with serve(Plan(hold=held), Plan()) as server:
        with client(server.url, budget=budget, run="r") as asking:
            leave(asking, *NAMES)
            assert asking.ledger.set_aside("r") / NANO == pytest.approx(3 * half_worst(NAMES[0]))
        with client(server.url, budget=budget, run="r") as asking:
            # What the batch holds is not to be had for a day, so nobody waits for it.
            with pytest.raises(CallError, match="set aside") as caught:
                asking.complete(question("more"))
            assert caught.value.kind == "over_budget"
            held.set()
            results = ask(asking, *NAMES)
            assert Counter(words(results).values())["over_budget"] == 1
            assert asking.spent == pytest.approx(5 * HALF)
        with client(server.url, budget=2 * half_worst("0")) as asking:
            results = ask(asking, "1", "2", "3")
    assert Counter(getattr(result, "kind", "answered") for result in results.values()) == {
        "answered": 2,
        "over_budget": 1,
    }
    assert [len(lines) for lines in server.desk.sent] == [3, 2, 2]


def test_a_budget_without_a_price_is_an_error_before_anything_is_sent() -> None:
    requests = [question("a"), Request(question("b").messages, "unheard-of", {"max_tokens": 5})]
    with serve() as server, client(server.url, budget=1) as asking:
        with pytest.raises(InputError, match="needs the price"):
            list(asking.complete_batch(requests))
        assert server.hits == 0


def test_questions_are_split_into_batches_by_number_by_size_and_by_model(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("mrharm.llm.batch_file.MOST_QUESTIONS", 4)
    with serve() as server, client(server.url) as asking:
        assert words(ask(asking, *NAMES)) == answers(*NAMES)
        monkeypatch.setattr("mrharm.llm.batch_file.MOST_BYTES", 1000)
        big = ["x" * 400 + str(number) for number in range(3)]
        huge = "y" * 1000
        assert words(ask(asking, *big, huge)) == answers(*big) | {huge: "bad_request"}
        both = [question("p"), Request(question("p").messages, "another-model"), question("q")]
        assert len(dict(asking.complete_batch(both))) == 3
    sent = [[len(lines), lines[0]["body"]["model"]] for lines in server.desk.sent]
    assert sorted(sent[:2]) == [[2, MODEL], [4, MODEL]]
    assert sent[2:5] == [[1, MODEL]] * 3
    assert sent[5:] == [[1, "another-model"], [2, MODEL]]
    assert set(server.paid.values()) == {1, 2}  # 2: one text, two models


def test_no_letter_of_a_question_is_taken_for_the_end_of_its_line() -> None:
    odd = "one\u2028two\u0085three\nfour \ud83d\ude00 café".encode("utf-16", "surrogatepass").decode("utf-16")
    with serve(script=lambda text: Reply(text.upper())) as server, client(server.url) as asking:
        assert words(ask(asking, odd)) == {odd: odd.upper()}
    (data,) = [data for name, data in server.desk.files.items() if "-in-" in name]
    assert len(data.decode().splitlines()) == 1


def test_a_question_that_cannot_be_written_fails_alone() -> None:
    def broken() -> str:
        raise InputError("no picture")

    requests = [
        question("half \ud800"),
        Request([{"role": "user", "content": [Picture("0" * 64, broken)]}], MODEL),
        Request([{"role": "user", "content": [Picture("1" * 64, lambda: "data:x,Zm9v")]}], MODEL),
    ]
    with serve() as server, client(server.url) as asking:
        results = dict(asking.complete_batch(requests))
    assert [getattr(results[index], "kind", "answered") for index in range(3)] == [
        "bad_request",
        "bad_request",
        "answered",
    ]
    assert server.desk.sent[0][0]["body"]["messages"][0]["content"][0]["image_url"] == {"url": "data:x,Zm9v"}


def test_an_estimate_is_half_as_high_and_counts_what_is_in_a_batch_as_paid() -> None:
    with serve(Plan(hold=threading.Event())) as server, client(server.url) as asking:
        whole, half = (asking.estimate(map(question, "abc"), batch=batch) for batch in (False, True))
        assert whole.usd_at_most and half.usd_at_most == pytest.approx(whole.usd_at_most / 2, abs=1e-8)
        assert whole.usd_likely and half.usd_likely == pytest.approx(whole.usd_likely / 2, abs=1e-8)
        leave(asking, "a")
        assert (asking.estimate(map(question, "abc"), batch=True).calls, server.desk.uploads) == (2, 1)


def test_a_batch_that_is_not_taken_is_tried_again_or_said_why() -> None:
    busy, bad = (
        Plan(create=(429, {"message": "slow down"})),
        Plan(create=(400, {"message": "no such endpoint"})),
    )
    broken = Plan(create=(500, {"message": "out of order"}))
    with serve(busy, broken, Plan(), bad, busy) as server, client(server.url, attempts=3) as asking:
        assert words(ask(asking, "a")) == answers("a")
        assert words(ask(asking, "b")) == {"b": "bad_request"}
        assert words(ask(asking, "b")) == {"b": "rate_limited"}
        assert asking.spent == pytest.approx(HALF)
        assert asking.ledger.set_aside(asking.run) == 0


@pytest.mark.parametrize(
    ("status", "error", "mend"),
    [(401, AuthorizationError, "set OPENAI_API_KEY"), (404, ModelUnavailableError, "without --batch")],
)
def test_what_no_batch_can_get_past_is_an_error_with_its_mend(status: int, error: type, mend: str) -> None:
    with serve(Plan(create=(status, {}))) as server, client(server.url) as asking:
        with pytest.raises(error, match=mend):
            ask(asking, "a")
        row = asking.ledger.row(question("a").key)
    assert row and row.status == "failed"


def test_an_endpoint_out_of_reach_is_said_with_the_mend() -> None:
    with serve() as server:
        url = server.url
    with client(url) as asking, pytest.raises(ModelUnavailableError, match="set OPENAI_BASE_URL"):
        ask(asking, "a")


def test_progress_tells_what_is_through_at_the_provider_and_what_is_here() -> None:
    tallies: list[Tally] = []
    with serve(Plan(looks=3)) as server, client(server.url) as asking:
        ask(asking, "a", "b", progress=tallies.append)
    assert [tally.done for tally in tallies] == [0, 0, 0, 1, 2, 2]
    assert tallies[0].waiting == 1 and tallies[-1].waiting == 0
    assert tallies[-1].usd == pytest.approx(2 * HALF)


def test_a_ledger_from_before_there_were_batches_is_taken_over_with_its_answers() -> None:
    with serve() as server:
        with client(server.url) as asking:
            asking.complete(question("a"))
            path = asking.ledger.path
        sql(path, "DROP TABLE batches")
        db = sqlite3.connect(path)
        db.execute("PRAGMA user_version = 1")
        db.close()
        with client(server.url) as asking:
            assert words(ask(asking, "a", "b")) == answers("a", "b")
    assert server.paid == {"a": 1, "b": 1}


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
        shown = repr(ask(asking, *replies)) + repr(ask(asking, "x1", "x2")) + repr(ask(asking, "x3"))
        shown += "".join(repr(row) for row in asking.ledger.rows())
        assert server.keys == {f"Bearer {KEY}"}
        written = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    for place in (shown, written.decode("latin-1"), caplog.text):
        assert KEY not in place
    assert "[key]" in shown
