"""Batches left at the provider: held, found again after a kill at any moment, never paid twice."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from contextlib import suppress
from typing import Any

import pytest

from mrharm.errors import ModelUnavailableError
from mrharm.llm import (
    CallError,
    Ledger,
    LedgerError,
)
from mrharm.llm.batch_rows import BatchRows
from mrharm.llm.batch_service import BatchService
from mrharm.llm.client import Tally
from mrharm.llm.endpoint import Endpoint
from mrharm.llm.pricing import NANO
from tests.llm.batching import (
    HALF,
    NAMES,
    Result,
    answers,
    ask,
    batches,
    half_worst,
    leave,
    overdue,
    serve,
    words,
)
from tests.llm.conftest import client, question
from tests.llm.test_ledger import sql
from tests.llm.zygote import Zygote
from tests.stub_batches import Plan


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
