"""The ledger under bad weather: corrupt rows, damaged pages, a full disk, a lock, claims of the dead and the living."""

from __future__ import annotations

import logging
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mrharm.errors import exit_code
from mrharm.llm import CallError, Completion, Ledger, LedgerError
from mrharm.llm.database import Database
from mrharm.llm.owners import let_go, lives, new_owner
from tests.llm.conftest import client, question
from tests.llm.test_budget import disown
from tests.llm.zygote import DEAD
from tests.stub_server import Reply, StubServer

NAMES = [f"question {number}" for number in range(40)]


def echo(text: str) -> Reply:
    return Reply(f"answer to {text} " + "x" * 500)


def fill(server: StubServer) -> Path:
    """A ledger with an answer to each of NAMES, closed."""
    with client(server.url) as asking:
        assert all(isinstance(answer, Completion) for _, answer in asking.complete_many(map(question, NAMES)))
        return asking.ledger.path


def sql(path: Path, statement: str, *values: object) -> list[tuple[object, ...]]:
    db = sqlite3.connect(path)
    try:
        with db:
            return db.execute(statement, values).fetchall()
    finally:
        db.close()


@pytest.mark.parametrize(
    "damage",
    [
        "raw = replace(raw, 'answer', 'insult')",
        "raw = NULL",
        "raw = CAST(x'fffe00ff' AS TEXT)",
        "digest = NULL",
        "nano_usd = 0",
        "status = 'nonsense'",
    ],
)
def test_a_corrupt_row_is_set_apart_and_the_rest_is_read(
    damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    with StubServer(echo) as server:
        path = fill(server)
        key = question(NAMES[7]).key
        sql(path, f"UPDATE calls SET {damage} WHERE key = ?", key)
        with client(server.url) as asking:
            answers = dict(asking.complete_many(map(question, NAMES)))
    asked_again = [index for index, answer in answers.items() if not getattr(answer, "cached", True)]
    assert asked_again == [7]
    assert server.paid[NAMES[7]] == 2 and server.paid.total() == len(NAMES) + 1
    assert sql(path, "SELECT key FROM quarantine") == [(key,)]
    assert f"ledger row {key} is corrupt" in caplog.text


def test_reading_all_rows_sets_the_corrupt_ones_apart() -> None:
    with StubServer(echo) as server:
        path = fill(server)
    sql(path, "UPDATE calls SET raw = 'x' WHERE key = ?", question(NAMES[3]).key)
    assert {row.key for row in Ledger().rows()} == {question(name).key for name in NAMES if name != NAMES[3]}
    assert sql(path, "SELECT count(*) FROM quarantine") == [(1,)]


def page_of(path: Path, words: str) -> int:
    """Where the page that holds ``words`` begins."""
    return path.read_bytes().index(words.encode()) // 4096 * 4096


@pytest.mark.parametrize("part", ["rows", "sqlite_autoindex_calls_1", "claimed0", "runs"])
def test_a_damaged_page_takes_only_its_own_rows(part: str, caplog: pytest.LogCaptureFixture) -> None:
    with StubServer(echo) as server:
        path = fill(server)
        sql(path, "PRAGMA wal_checkpoint(TRUNCATE)")
        if part == "rows":
            page = page_of(path, f"answer to {NAMES[20]}")
        else:
            ((root,),) = sql(path, "SELECT rootpage FROM sqlite_master WHERE name = ?", part)
            page = (int(str(root)) - 1) * 4096
        with path.open("r+b") as file:
            file.seek(page)
            file.write(b"\xa5" * 4096)
        with client(server.url) as asking:
            answers = [answer for _, answer in asking.complete_many(map(question, NAMES))]
            asking.complete(question("one more"))
            assert len(list(asking.ledger.rows())) == len(NAMES) + 1
        lost = sum(not answer.cached for answer in answers if isinstance(answer, Completion))
        with client(server.url) as asking:
            assert all(asking.complete(question(name)).cached for name in NAMES)
    assert len(answers) == len(NAMES)
    assert (1 <= lost <= 4) if part == "rows" else lost == 0
    assert server.paid.total() == len(NAMES) + 1 + lost
    assert "is damaged" in caplog.text


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda path: path.write_bytes(b"this is not a database, by any means " * 200), "some other file"),
        (lambda path: sql(path, "CREATE TABLE mine (a)"), "a database of something else"),
        (lambda path: sql(path, "PRAGMA user_version = 9"), "update mrharm"),
        (lambda path: path.mkdir(), "cannot be opened"),
    ],
)
def test_a_file_that_is_no_ledger_is_refused_and_left_alone(
    tmp_path: Path, spoil: Callable[[Path], object], says: str
) -> None:
    path = tmp_path / "ledger.sqlite"
    spoil(path)
    before = path.read_bytes() if path.is_file() else b""
    with StubServer(echo) as server, client(server.url) as asking:
        with pytest.raises(LedgerError, match=says) as caught:
            list(asking.complete_many(map(question, NAMES)))
        assert server.calls.total() == 0
    assert exit_code(caught.value) == 2
    assert not path.is_file() or path.read_bytes() == before


def pages(ledger: Ledger, most: int) -> None:
    """Let the file grow to ``most`` pages and no further: what SQLite meets on a full disk."""
    ledger._database.do(lambda db: db.execute(f"PRAGMA max_page_count = {most}"), write=False)


def test_a_full_disk_stops_the_work_and_loses_nothing() -> None:
    with StubServer(echo) as server:
        with client(server.url) as asking:
            asking.ledger.row("")
            pages(asking.ledger, 12)
            got: dict[int, Completion | CallError] = {}
            with pytest.raises(LedgerError, match="the disk is full; free some"):
                for index, answer in asking.complete_many(map(question, NAMES), concurrency=4):
                    got[index] = answer
            assert 0 < len(got) < len(NAMES)
            assert server.paid.total() == len(got)  # every answer that was paid for has been handed over
            with pytest.raises(LedgerError):
                list(asking.complete_many(map(question, NAMES)))
            assert server.paid.total() == len(got)
            pages(asking.ledger, 10_000)
            answers = dict(asking.complete_many(map(question, NAMES)))
        assert len(answers) == len(NAMES)
        # And what there was no room for was kept as soon as there was.
        assert server.paid == dict.fromkeys(NAMES, 1)


def test_room_is_kept_for_answers_that_come_when_the_disk_is_full(monkeypatch: pytest.MonkeyPatch) -> None:
    room = Ledger().path.with_name("ledger.sqlite.room")
    transact, full = Database._transact, threading.Event()

    def on_a_full_disk(self: Database, work: Any, write: bool) -> Any:
        if write and full.is_set() and room.exists():
            error = sqlite3.OperationalError("database or disk is full")
            error.sqlite_errorcode = sqlite3.SQLITE_FULL
            raise error
        return transact(self, work, write)

    def script(text: str) -> Reply:
        if text == "a":
            full.set()  # while the answer is on its way
        return echo(text)

    monkeypatch.setattr(Database, "_transact", on_a_full_disk)
    with StubServer(script) as server:
        with client(server.url) as asking:
            asking.complete(question("a"))
            assert not room.exists()
            full.clear()
            asking.complete(question("b"))
            assert room.exists()
        with client(server.url) as asking:
            assert asking.complete(question("a")).cached
            room.unlink()
            monkeypatch.setattr("mrharm.llm.database.write_bytes", no_room)
            with pytest.raises(LedgerError, match="no room for the ledger"):
                asking.complete(question("c"))
    assert dict(server.paid) == {"a": 1, "b": 1}


def no_room(path: Path, data: bytes) -> None:
    raise OSError(28, "No space left on device")


def test_an_answer_the_ledger_has_no_room_for_is_still_handed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    with StubServer(echo) as server, client(server.url) as asking:

        def full(*_: object, **__: object) -> None:
            raise LedgerError("the disk is full")

        monkeypatch.setattr(asking.ledger, "answer", full)
        assert asking.complete(question("a")).text.startswith("answer to a")
        with pytest.raises(LedgerError):
            asking.complete(question("b"))
        monkeypatch.undo()
        asking.complete(question("b"))
    assert dict(server.paid) == {"a": 1, "b": 1}


def test_an_answer_that_could_not_be_kept_until_the_client_closed_blocks_no_other_client(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with StubServer(echo) as server:
        with client(server.url) as asking:

            def full(*_: object, **__: object) -> None:
                raise LedgerError("the disk is full")

            monkeypatch.setattr(asking.ledger, "answer", full)
            asking.complete(question("a"))
        assert "1 answers that were handed over are not kept" in caplog.text
        with client(server.url) as asking:
            assert not asking.complete(question("a")).cached


def test_a_failure_the_ledger_has_no_room_for_blocks_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    with StubServer([Reply(status=400), Reply("a cat")]) as server, client(server.url) as asking:

        def full(*_: object, **__: object) -> None:
            raise LedgerError("the disk is full")

        monkeypatch.setattr(asking.ledger, "fail", full)
        with pytest.raises(LedgerError):
            asking.complete(question("a"))
        monkeypatch.undo()
        assert asking.complete(question("a")).text == "a cat"


def test_a_lock_that_does_not_end_is_a_named_error_and_nothing_is_asked() -> None:
    with StubServer(echo) as server:
        path = fill(server)
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with client(server.url, ledger=Ledger(path, patience=0.05)) as asking:
            with pytest.raises(LedgerError, match="locked by another process"):
                asking.complete(question("new"))
            assert asking.complete(question(NAMES[0])).cached
        other.close()
    assert server.calls["new"] == 0


def claim(ledger: Ledger, text: str, lease: float = 60) -> str:
    asked = question(text)
    ledger.claim(asked, "run", 0, None, lease=lease, endpoint="")
    return asked.key


def set_when_waited_for(ledger: Ledger, waiters: int, event: threading.Event) -> None:
    """Set ``event`` once as many threads have been told that somebody else asks."""
    waiting: set[int] = set()
    take = ledger.claim

    def claim(*arguments: Any, **options: Any) -> object:
        outcome = take(*arguments, **options)
        if outcome == "theirs":
            waiting.add(threading.get_ident())
            if len(waiting) == waiters:
                event.set()
        return outcome

    ledger.claim = claim  # type: ignore[method-assign, assignment]


def test_who_asks_a_question_already_is_waited_for() -> None:
    asked, may_answer = threading.Event(), threading.Event()

    def script(text: str) -> Reply:
        asked.set()
        return Reply("a cat", wait=may_answer)

    answers: list[Completion] = []
    with StubServer(script) as server, client(server.url) as first, client(server.url) as second:
        set_when_waited_for(second.ledger, 1, may_answer)
        asking = threading.Thread(target=lambda: answers.append(first.complete(question("what?"))))
        asking.start()
        assert asked.wait(30)
        answers.append(second.complete(question("what?")))
        asking.join(30)
    assert sorted(answer.cached for answer in answers) == [False, True]
    assert server.paid.total() == 1


def test_a_claim_of_a_process_that_lives_is_not_taken_over_and_one_of_the_dead_is() -> None:
    ledger = Ledger()
    key = claim(ledger, "what?", lease=-1)
    again = ledger.claim(question("what?"), "run", 0, None, lease=-1, endpoint="")
    assert again == "theirs"
    disown(ledger, key, DEAD)
    with StubServer(echo) as server, client(server.url, ledger=ledger) as asking:
        assert not asking.complete(question("what?")).cached


def test_a_claim_from_another_machine_is_believed_until_its_lease_ends() -> None:
    ledger = Ledger()
    for text, lease, outcome in (("a", 60.0, str), ("b", -1.0, object)):
        key = claim(ledger, text, lease)
        disown(ledger, key, "elsewhere|12|34|56")
        got = ledger.claim(question(text), "run", 0, None, lease=60, endpoint="")
        assert isinstance(got, outcome) and (got == "theirs") == (text == "a")


def test_a_process_counts_as_dead_when_gone_when_a_zombie_and_when_its_id_is_anothers() -> None:
    mine = new_owner()
    assert lives(mine)
    machine, _, _, number = mine.split("|")
    let_go(mine)
    assert lives(mine) is False
    assert lives(DEAD) is False
    assert lives(f"{machine}|what||{number}") is False
    assert lives("elsewhere|1|2|3") is None
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    owner = f"{machine}|{child.pid}||{number}"
    assert lives(owner)
    assert lives(f"{machine}|{child.pid}|1|{number}") is False  # whoever had that id before
    child.send_signal(signal.SIGKILL)
    while lives(owner):  # dead, and not yet waited for
        time.sleep(0.001)
    child.communicate()
    assert lives(owner) is False


def test_a_failure_keeps_its_reason_and_is_asked_again_by_the_next_run() -> None:
    replies = [Reply(status=500, error={"message": "out of order"})] * 2 + [Reply("a cat")]
    with StubServer(replies) as server, client(server.url, attempts=2) as asking:
        with pytest.raises(CallError, match="out of order"):
            asking.complete(question("what?"))
        row = asking.ledger.row(question("what?").key)
        assert row and (row.status, row.failure_kind, row.attempts) == ("failed", "server_error", 2)
        assert row.failure and "500: out of order" in row.failure
        assert asking.complete(question("what?")).text == "a cat"
        row = asking.ledger.row(question("what?").key)
        assert row and (row.status, row.failure, row.attempts) == ("answered", None, 3)


def test_many_at_a_question_that_fails_try_it_to_the_end_once() -> None:
    may_answer = threading.Event()
    with (
        StubServer([Reply(status=400, wait=may_answer)]) as server,
        client(server.url) as asking,
    ):
        set_when_waited_for(asking.ledger, 3, may_answer)
        results = [result for _, result in asking.complete_many([question("what?")] * 4, concurrency=4)]
    assert [result.kind for result in results if isinstance(result, CallError)] == ["bad_request"] * 4
    assert server.calls.total() == 1


def test_a_row_says_what_was_asked_where_and_what_it_cost(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    with StubServer(echo) as server, client(server.url, run="mine") as asking:
        key = asking.complete(question("what?", parts={"prompt": "caption.v1@abc"})).key
        row = asking.ledger.row(key)
    assert row and '"what?"' in row.request and "caption.v1@abc" in row.request
    assert (row.endpoint, row.run, row.model) == (server.url, "mine", "stub-model")
    assert row.usage and '"completion_tokens": 20' in row.usage
    assert row.price and '"output":"10.0"' in row.price and row.nano_usd == 250_000
    assert not caplog.records
