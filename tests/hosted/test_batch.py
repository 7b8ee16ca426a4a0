"""The batch service: half the price, whatever comes back taken in once, and found again after a kill at any moment."""

from __future__ import annotations

import json
import logging
import random
import sqlite3
import threading
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from mrharm.errors import InputError, ModelUnavailableError
from mrharm.hosted import (
    AuthorizationError,
    CallError,
    Completion,
    HostedClient,
    Ledger,
    LedgerError,
    Picture,
    Request,
)
from mrharm.hosted.batch_rows import WINDOW, BatchRows
from mrharm.hosted.batch_service import BatchService
from mrharm.hosted.client import Tally
from mrharm.hosted.endpoint import Endpoint
from mrharm.hosted.prices import NANO, load_prices, worst_case
from tests.hosted.conftest import COST, KEY, MODEL, client, question
from tests.hosted.test_ledger import sql
from tests.hosted.zygote import Zygote
from tests.stub_batches import Plan
from tests.stub_server import Reply, StubServer

NAMES = [f"question {number}" for number in range(6)]
HALF = COST / 2
Result = Completion | CallError


def echo(text: str) -> Reply:
    return Reply(f"answer to {text}")


def serve(*plans: Plan, script: Any = echo) -> StubServer:
    return StubServer(script, batches=plans or [Plan()])


def ask(asking: HostedClient, *texts: str, **options: Any) -> dict[str, Result]:
    """Text -> what became of it in a batch."""
    return {
        texts[index]: result for index, result in asking.complete_batch([*map(question, texts)], **options)
    }


def words(results: dict[str, Result]) -> dict[str, str]:
    """An answer's text, or the kind of its failure."""
    return {
        text: result.kind if isinstance(result, CallError) else result.text
        for text, result in results.items()
    }


def answers(*texts: str) -> dict[str, str]:
    return {text: f"answer to {text}" for text in texts}


def batches(path: Path) -> list[dict[str, Any]]:
    """The ledger's batches in the order they were made, each with how it ended."""
    rows = sql(path, "SELECT state, id, questions, outcome, token FROM batches ORDER BY made")
    names = ("state", "id", "questions", "outcome", "token")
    made = [dict(zip(names, row, strict=True)) for row in rows]
    return [{**row, **json.loads(str(row["outcome"] or "{}"))} for row in made]


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


def leave(asking: HostedClient, *texts: str) -> None:
    """Send a batch, and go away once it is under way."""

    def stop(tally: Tally) -> None:
        if tally.waiting:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ask(asking, *texts, progress=stop)


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


def half_worst(text: str) -> float:
    prices = {MODEL: load_prices()[MODEL].half}
    return worst_case(question(text), prices) / NANO


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
    monkeypatch.setattr("mrharm.hosted.batch_file.MOST_QUESTIONS", 4)
    with serve() as server, client(server.url) as asking:
        assert words(ask(asking, *NAMES)) == answers(*NAMES)
        monkeypatch.setattr("mrharm.hosted.batch_file.MOST_BYTES", 1000)
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


def test_who_stops_waiting_is_told_that_the_same_command_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    held = threading.Event()
    with serve(Plan(hold=held)) as server:
        with client(server.url) as asking:
            leave(asking, *NAMES)
        assert "1 batches of questions go on at the provider; the same command picks them up" in caplog.text
        held.set()
        with client(server.url) as asking:
            results = ask(asking, *NAMES, "new")
    assert words(results) == answers(*NAMES, "new")
    assert [len(lines) for lines in server.desk.sent] == [6, 1]
    assert server.paid == dict.fromkeys([*NAMES, "new"], 1)


def test_a_batch_is_taken_in_though_its_questions_are_asked_no_more() -> None:
    held = threading.Event()
    with serve(Plan(hold=held), Plan()) as server, client(server.url) as asking:
        leave(asking, "old")
        held.set()
        assert words(ask(asking, "new")) == answers("new")
        row = asking.ledger.row(question("old").key)
    assert row and row.status == "answered" and row.nano_usd == HALF * NANO


class Killed(BaseException):
    """What stands for a kill where a real one cannot be placed so exactly."""


MOMENTS = [
    (BatchRows, "claim", "after"),
    (BatchService, "upload", "before"),
    (BatchService, "upload", "after"),
    (BatchRows, "uploaded", "after"),
    (BatchService, "create", "before"),
    (BatchService, "create", "after"),
    (BatchRows, "created", "before"),
    (BatchRows, "created", "after"),
    (BatchService, "look", "after"),
    (BatchRows, "keep", "before"),
    (BatchRows, "keep", "after"),
    (BatchRows, "end", "before"),
    (BatchRows, "end", "after"),
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
            ask(asking, *NAMES)
        with client(server.url) as asking:
            results = ask(asking, *NAMES)
    assert words(results) == answers(*NAMES)
    assert server.paid == dict.fromkeys(NAMES, 1)
    assert len(server.desk.batches) == 1
    assert sql(asking.ledger.path, "SELECT sum(reserved), sum(spent) FROM runs") == [(0, 6 * HALF * NANO)]
    assert sql(asking.ledger.path, "SELECT count(*) FROM calls WHERE status = 'claimed'") == [(0,)]


def test_a_caller_who_goes_away_while_a_batch_is_being_filled_blocks_nobody() -> None:
    def stop(tally: Tally) -> None:
        raise KeyboardInterrupt

    with serve() as server, client(server.url, budget=1.5 * half_worst("a")) as asking:
        with pytest.raises(KeyboardInterrupt):  # at "b", which is over the budget
            ask(asking, "a", "b", progress=stop)
        assert words(ask(asking, "a", "b")) == answers("a") | {"b": "over_budget"}
    assert len(server.desk.batches) == 1


def test_a_call_to_create_that_is_still_on_its_way_when_it_is_looked_for_creates_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls: list[tuple[str, str]] = []

    def die(self: BatchService, file: str, token: str) -> None:
        calls.append((file, token))
        raise Killed

    with serve() as server:
        with monkeypatch.context() as patch, client(server.url) as asking, pytest.raises(Killed):
            patch.setattr(BatchService, "create", die)
            ask(asking, "a")
        with client(server.url) as asking:
            assert words(ask(asking, "a")) == answers("a")
        endpoint = Endpoint(server.url)
        with pytest.raises(Exception, match="no such file"):
            BatchService(endpoint).create(*calls[0])
        endpoint.close()
    assert server.paid == {"a": 1}


def test_a_batch_whose_creation_was_not_heard_of_is_found_by_its_token() -> None:
    with serve(Plan(lost=True)) as server, client(server.url) as asking:
        assert words(ask(asking, *NAMES)) == answers(*NAMES)
        (batch,) = batches(asking.ledger.path)
    assert server.paid == dict.fromkeys(NAMES, 1)
    assert server.desk.batches["batch_1"]["metadata"] == {"mrharm": batch["token"]}


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


def test_one_at_a_time_waits_for_no_batch_and_takes_what_one_has_brought() -> None:
    held = threading.Event()
    with serve(Plan(hold=held)) as server:
        with client(server.url) as asking:
            leave(asking, "a", "b")
        with client(server.url) as asking:
            results = dict(asking.complete_many(map(question, "abc")))
            assert [getattr(results[index], "kind", "answered") for index in range(3)] == [
                "busy",
                "busy",
                "answered",
            ]
            assert "--batch" in str(results[0])
            held.set()
            assert asking.complete(question("a")).cached
            assert asking.complete(question("b")).usd == HALF
    assert server.paid == {"a": 1, "b": 1, "c": 1}


def overdue(path: Path) -> None:
    """Let the window of every batch have ended."""
    sql(path, "UPDATE batches SET made = made - ?, sent = sent - ?", 2 * WINDOW, 2 * WINDOW)
    sql(path, "UPDATE calls SET lease = lease - ?", 2 * WINDOW)


def test_a_batch_holds_its_questions_for_its_window_and_no_longer() -> None:
    with serve(Plan(hold=threading.Event()), Plan()) as server, serve() as elsewhere:
        with client(server.url, run="first") as asking:
            leave(asking, "a", "b", "c")
            assert words(ask(asking, "d")) == answers("d")
        with client(elsewhere.url) as asking:
            assert words(ask(asking, "a")) == {"a": "busy"}
            with pytest.raises(CallError, match="in a batch"):
                asking.complete(question("a"))
        overdue(asking.ledger.path)
        with client(elsewhere.url) as asking:
            assert asking.complete(question("a")).text == "answer to a"
            assert words(ask(asking, "b")) == answers("b")
        with client(server.url) as asking:
            assert words(ask(asking, "c")) == answers("c")
            spent = asking.ledger.spent("first") / NANO
    assert spent == pytest.approx(HALF + 3 * half_worst("a"))  # the provider may have taken it


@pytest.mark.parametrize("in_batch", [True, False])
def test_what_a_batch_brought_is_fetched_though_its_window_is_over(in_batch: bool) -> None:
    held = threading.Event()
    with serve(Plan(hold=held)) as server, client(server.url, run="r") as asking:
        leave(asking, "a")
        overdue(asking.ledger.path)
        held.set()
        if in_batch:
            assert words(ask(asking, "a")) == answers("a")
        else:
            assert asking.complete(question("a")).cached
        assert asking.spent == pytest.approx(HALF)
    assert server.paid == {"a": 1}


def test_a_batch_that_does_not_end_within_its_day_is_waited_for_no_longer() -> None:
    with serve(Plan(looks=99)) as server, client(server.url) as asking:
        results = ask(asking, "a", progress=lambda tally: overdue(asking.ledger.path))
        assert words(results) == {"a": "timed_out"}
    assert server.paid == {"a": 1}


def test_a_batch_the_provider_lost_is_sent_again_and_counts_as_spent() -> None:
    with serve(Plan(looks=1, gone_after=1), Plan()) as server, client(server.url) as asking:
        assert words(ask(asking, "a")) == {"a": "server_error"}
        assert asking.spent == pytest.approx(half_worst("a"))
        assert words(ask(asking, "a")) == answers("a")


def test_a_batch_of_another_key_is_not_taken_for_lost(caplog: pytest.LogCaptureFixture) -> None:
    with serve(Plan(looks=1, gone_after=1), Plan()) as server, client(server.url) as asking:
        leave(asking, "a")
        server.desk.files.clear()
        assert words(ask(asking, "a", "b")) == {"a": "busy", **answers("b")}
        assert "another key" in caplog.text
        overdue(asking.ledger.path)
        assert words(ask(asking, "a")) == answers("a")
        assert {batch["state"] for batch in batches(asking.ledger.path)} == {"ended"}


def test_a_download_that_never_ends_whole_keeps_what_came_and_is_taken_up_again() -> None:
    with serve(Plan(cut=21 * 2)) as server:
        with client(server.url, attempts=2) as asking:
            with pytest.raises(ModelUnavailableError, match="run the same command again"):
                ask(asking, *NAMES)
            kept = [row for row in asking.ledger.rows() if row.status == "answered"]
            assert 0 < len(kept) < len(NAMES)
        with client(server.url) as asking:
            assert words(ask(asking, *NAMES)) == answers(*NAMES)
    assert server.paid == dict.fromkeys(NAMES, 1)


def test_two_at_the_same_questions_send_and_pay_them_once() -> None:
    results: list[dict[str, Result]] = []
    with serve(Plan(looks=30)) as server:

        def work() -> None:
            with client(server.url, pause=lambda seconds: time.sleep(0.002)) as asking:
                results.append(ask(asking, *NAMES))

        threads = [threading.Thread(target=work) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    assert [words(each) for each in results] == [answers(*NAMES)] * 3
    assert server.paid == dict.fromkeys(NAMES, 1)


def test_answers_the_ledger_has_no_room_for_are_fetched_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise LedgerError("the disk is full")

    with serve() as server, client(server.url) as asking:
        with monkeypatch.context() as patch, pytest.raises(LedgerError):
            patch.setattr(BatchRows, "keep", full)
            ask(asking, *NAMES)
        assert words(ask(asking, *NAMES)) == answers(*NAMES)
    assert server.paid == dict.fromkeys(NAMES, 1)


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


def kill_often(zygote: Zygote, kills: int) -> None:
    """Kill a process that asks in batches again and again, at random requests of it and shortly after."""
    rng, texts = random.Random(0), [f"question {number}" for number in range(40)]
    ledger, moments = Ledger(), Counter[str]()
    plans = [
        Plan(looks=rng.randrange(4), **({"repeat": True} if number % 2 else {"seed": number}))
        for number in range(kills + 1)
    ]
    with serve(*plans) as server:
        committed: dict[str, object] = {}
        for number in range(kills):
            more = server.hits + rng.randrange(1, 8)
            some = texts[
                : 40 * (number + 1) // kills
            ]  # so that each process has something of its own to send
            pid = zygote.start(server.url, some, in_batch=True)
            server.wait_for_hits(more, lambda pid=pid: pid in zygote.ended)  # type: ignore[misc]
            time.sleep(rng.choice([0, 0, 0.001, 0.004]))
            with suppress(ProcessLookupError):  # it had come to its end
                zygote.kill(pid)
            rows = {row.key: row for row in ledger.rows()}
            assert all(rows[key] == row for key, row in committed.items())
            committed = {key: row for key, row in rows.items() if row.status == "answered"}
            moments.update(str(batch["state"]) for batch in batches(ledger.path) if batch["state"] != "ended")
        zygote.start(server.url, texts, in_batch=True)
        assert zygote.wait()[-1] == {"pid": zygote.wait()[-1]["pid"], "answered": 40, "failed": 0}
    assert moments  # kills did meet batches under way
    assert server.paid == dict.fromkeys(texts, 1)
    assert all(
        f"answer to {text}" in str(getattr(ledger.row(question(text).key), "raw", "")) for text in texts
    )
    assert sql(ledger.path, "SELECT sum(reserved), sum(spent) FROM runs") == [(0, 40 * HALF * NANO)]


def test_kills_around_sending_waiting_and_taking_in_lose_nothing_and_pay_nothing_twice(
    zygote: Zygote,
) -> None:
    kill_often(zygote, kills=3)


@pytest.mark.slow
def test_twenty_kills_lose_nothing_and_pay_nothing_twice(zygote: Zygote) -> None:
    kill_often(zygote, kills=20)
