"""The ledger: what is committed is never paid for again, whatever becomes of the process, the file or the disk."""

from __future__ import annotations

import multiprocessing
import os
import random
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest

from mrharm.errors import FileError, exit_code
from mrharm.llm import CallError, Completion, HostedClient, LedgerError
from mrharm.llm.cache import Ledger
from tests.llm.conftest import NAMES, answers, ask, ask_many, client, echo, question, sql, words
from tests.stub_server import Reply, StubServer

FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["openai", "tests.llm.conftest"])
OLD_LEDGER = Path(__file__).parent / "ledger_form2.sql"  # written by mrharm before the ledger had one process


def fill(server: StubServer, *texts: str) -> Path:
    """A ledger with answers, closed."""
    with client(server.url) as asking:
        assert words(ask_many(asking, *texts)) == answers(*texts)
        return asking.ledger.path


def ask_in_process(url: str, texts: Sequence[str], ledger: Path) -> None:
    os.environ["NO_PROXY"] = "127.0.0.1"
    with HostedClient(base_url=url, ledger=ledger) as asking:
        for _ in asking.complete_many(map(question, texts), 4):
            pass


def kill_often(kills: int, questions: int, path: Path) -> None:
    """Kill a client again and again, and check what was promised after each kill and at the end."""
    rng, texts = random.Random(0), [f"question {number}" for number in range(questions)]
    in_flight, committed = Counter[str](), dict[str, object]()
    rows = "SELECT json_extract(request, '$.messages[0].content'), status, raw FROM calls"
    with StubServer(echo) as server:
        for kill in range(kills + 1):
            more = server.calls.total() + rng.randrange(1, 2 * questions // kills)
            process = FORKS.Process(target=ask_in_process, args=(server.url, texts, path))
            process.start()
            if kill < kills:
                server.wait_for_calls(more, lambda process=process: not process.is_alive())  # type: ignore[misc]
                time.sleep(rng.choice([0, 0, 0.001, 0.004]))
                process.kill()
            process.join()
            answered = {text: raw for text, status, raw in sql(path, rows) if status == "answered"}
            assert committed.items() <= answered.items()  # whole, and never asked again
            committed = dict(answered)
            in_flight.update(text for text, status, _ in sql(path, rows) if status == "claimed")
        assert process.exitcode == 0
    assert set(committed) == set(texts)
    assert in_flight  # kills did meet questions in flight
    # A question is paid again only for a kill that met it in flight.
    assert all(1 <= server.paid[text] <= 1 + in_flight[text] for text in texts)


def test_kills_at_any_moment_lose_no_answer_and_repay_only_what_was_in_flight(tmp_path: Path) -> None:
    kill_often(3, 20, tmp_path / "ledger.sqlite")


@pytest.mark.slow
def test_two_hundred_kills_lose_no_answer_and_repay_only_what_was_in_flight(tmp_path: Path) -> None:
    kill_often(200, 1200, tmp_path / "ledger.sqlite")


def test_a_second_process_is_refused_by_name_and_the_first_goes_on() -> None:
    with StubServer(echo) as server, client(server.url) as asking:
        ask(asking, question("a"))
        code = (
            "import sys\nfrom mrharm.llm import LedgerError\nfrom mrharm.llm.cache import Ledger\n"
            "try: Ledger().find_row('')\nexcept LedgerError as error: sys.exit(str(error))"
        )
        refused = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
        assert refused.returncode == 1
        assert f"{asking.ledger.path}: process {os.getpid()} is using this ledger" in refused.stderr
        assert "wait for it or stop it, or name another file in MRHARM_LEDGER" in refused.stderr
        ask(asking, question("b"))
        asking.close()
        assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0


def test_clients_of_one_process_share_a_ledger_and_pay_once() -> None:
    with StubServer(echo) as server, client(server.url) as first, client(server.url) as second:
        ask(first, question("a"))
        assert ask(second, question("a")).cached
        first.close()
        assert ask(second, question("b")).text == "answer to b"
        ask(first, question("c"))
    assert dict(server.paid) == {"a": 1, "b": 1, "c": 1}


def test_a_ledger_of_an_older_mrharm_serves_its_answers_without_a_call(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    db = sqlite3.connect(path)
    db.executescript(OLD_LEDGER.read_text(encoding="utf-8"))
    db.close()
    with StubServer(echo) as server, client(server.url) as asking:
        assert ask(asking, question("answered")).cached
        assert ask(asking, question("uncounted", max_tokens=None)).usd is None
        assert server.calls.total() == 0
        results = ask_many(asking, "failed", "claimed", "batched")
    assert words(results) == answers("failed", "claimed") | {"batched": "busy"}
    assert server.paid == {"failed": 1, "claimed": 1}


def corrupt_page(path: Path, page: int) -> None:
    with path.open("r+b") as file:
        file.seek((page - 1) * 4096)
        file.write(b"\xa5" * 4096)


def root_page(path: Path, name: str) -> int:
    ((page,),) = sql(path, "SELECT rootpage FROM sqlite_master WHERE name = ?", name)
    return int(page)


DAMAGES: dict[str, Callable[[Path], object]] = {
    "a table's page": lambda path: corrupt_page(path, root_page(path, "calls")),
    "an index's page": lambda path: corrupt_page(path, root_page(path, "sqlite_autoindex_calls_1")),
    "a page of rows": lambda path: corrupt_page(path, path.stat().st_size // 4096 - 1),
    "the first page": lambda path: path.write_bytes(path.read_bytes()[:100] + b"\xa5" * 4000),
    "cut off": lambda path: os.truncate(path, path.stat().st_size // 2 // 4096 * 4096 + 77),
    "cut to a page": lambda path: os.truncate(path, 4096),
    "cut within the header": lambda path: os.truncate(path, 50),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_ledger_is_named_with_the_mend_and_nothing_is_asked(damage: str) -> None:
    with StubServer(lambda text: Reply(f"answer to {text}" + " x" * 999)) as server:
        with client(server.url) as asking:
            ask_many(asking, *NAMES, *"abcdefghijklmnop")
            path = asking.ledger.path
        sql(path, "PRAGMA wal_checkpoint(TRUNCATE)")
        DAMAGES[damage](path)
        paid, before = server.paid.total(), path.read_bytes()
        with client(server.url) as asking, pytest.raises(LedgerError) as caught:
            ask(asking, question("new"))
        assert server.paid.total() == paid
    assert str(caught.value).startswith(f"{path}: expected a ledger, got a")
    assert "move it away or" in str(caught.value) and "MRHARM_LEDGER" in str(caught.value)
    assert path.read_bytes() == before


def test_whatever_is_damaged_an_answer_is_served_as_committed_or_the_ledger_is_named(tmp_path: Path) -> None:
    with StubServer(echo) as server:
        path = fill(server, *NAMES)
    sql(path, "PRAGMA wal_checkpoint(TRUNCATE)")
    whole, rng = path.read_bytes(), random.Random(0)
    for number in range(60):
        data, damaged = bytearray(whole), tmp_path / f"{number}.sqlite"
        for _ in range(rng.randrange(1, 100)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        damaged.write_bytes(data[: rng.randrange(len(data))] if number % 3 == 0 else data)
        ledger = Ledger(damaged)
        try:
            rows = {name: ledger.find_row(question(name).key) for name in NAMES}
        except LedgerError as error:
            assert str(error).startswith(f"{damaged}: expected a ledger, got a")
        else:
            assert all(
                f"answer to {name}" in str(row.raw) for name, row in rows.items() if row and row.is_sound
            )
        ledger.close()


def test_a_page_damaged_while_the_ledger_is_open_is_named_too() -> None:
    with (
        StubServer(lambda text: Reply(f"answer to {text}" + " x" * 999)) as server,
        client(server.url) as asking,
    ):
        ask_many(asking, *NAMES)
        sql(asking.ledger.path, "PRAGMA wal_checkpoint(TRUNCATE)")
        corrupt_page(asking.ledger.path, root_page(asking.ledger.path, "sqlite_autoindex_calls_1"))
        asking.ledger._db.execute("PRAGMA shrink_memory")  # type: ignore[union-attr]
        with pytest.raises(LedgerError, match="damaged file"):
            ask_many(asking, *NAMES, "new")


@pytest.mark.parametrize(
    ("spoil", "mend"),
    [
        (
            lambda path: path.write_bytes(b"this is not a database, by any means " * 200),
            "another kind of file",
        ),
        (lambda path: sql(path, "CREATE TABLE mine (a)"), "another program's database"),
        (lambda path: sql(path, "PRAGMA user_version = 9"), "update mrharm"),
        (lambda path: path.mkdir(), "it cannot be used; mend that or name another file"),
        (lambda path: path.with_name("ledger.sqlite.lock").mkdir(), "cannot be written"),
    ],
)
def test_a_file_that_is_no_ledger_is_refused_and_left_alone(
    tmp_path: Path, spoil: Callable[[Path], object], mend: str
) -> None:
    path = tmp_path / "ledger.sqlite"
    spoil(path)
    before = path.read_bytes() if path.is_file() else b""
    with StubServer(echo) as server, client(server.url) as asking:
        with pytest.raises(LedgerError, match=mend) as caught:
            ask_many(asking, *NAMES)
        assert server.calls.total() == 0
    assert exit_code(caught.value) == 2 and str(path) in str(caught.value)
    assert not path.is_file() or path.read_bytes() == before


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
def test_a_damaged_answer_counts_as_not_there_and_the_others_are_served(damage: str) -> None:
    with StubServer(echo) as server:
        path = fill(server, *NAMES)
        sql(path, f"UPDATE calls SET {damage} WHERE key = ?", question(NAMES[2]).key)
        with client(server.url) as asking:
            results = ask_many(asking, *NAMES)
    fresh = [text for text, result in results.items() if isinstance(result, Completion) and not result.cached]
    assert fresh == [NAMES[2]] and words(results) == answers(*NAMES)
    assert server.paid.total() == len(NAMES) + 1


def test_nothing_is_asked_while_the_disk_has_no_room_for_answers_that_are_paid_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    texts, got = [f"question {number}" for number in range(40)], {}
    with StubServer(echo) as server:
        free = {True: SimpleNamespace(free=2**40), False: SimpleNamespace(free=2**20)}
        with monkeypatch.context() as patch, client(server.url) as asking:
            patch.setattr("shutil.disk_usage", lambda path: free[server.paid.total() < 10])
            with pytest.raises(LedgerError, match=r"ledger\.sqlite: the disk is full; free some space"):
                for index, answer in asking.complete_many(map(question, texts), concurrency=4):
                    got[index] = answer
            assert 10 <= server.paid.total() == len(got) < len(texts)  # nothing in flight is lost
        with client(server.url) as asking:
            assert words(ask_many(asking, *texts)) == answers(*texts)
    assert server.paid == dict.fromkeys(texts, 1)


def test_a_file_that_can_grow_no_further_is_named_with_the_mend_and_serves_what_it_holds() -> None:
    texts = [f"question {number}" for number in range(40)]
    with StubServer(lambda text: Reply(f"answer to {text}" + " x" * 500)) as server:
        with client(server.url) as asking:
            asking.ledger.find_row("")
            asking.ledger._db.execute("PRAGMA max_page_count = 14")  # type: ignore[union-attr]
            with pytest.raises(FileError, match=r"ledger\.sqlite: the disk is full; free some space"):
                ask_many(asking, *texts, concurrency=4)
        with client(server.url) as asking:
            results = ask_many(asking, *texts)
    assert sum(result.cached for result in results.values() if isinstance(result, Completion)) > 0
    assert len(texts) <= server.paid.total() <= len(texts) + 4  # only those in flight are paid again


def test_a_program_that_writes_the_ledger_for_long_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mrharm.llm.cache._PATIENCE_S", 0.05)
    with StubServer(echo) as server:
        path = fill(server, "a")
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with client(server.url) as asking, pytest.raises(LedgerError, match="another program is writing it"):
            ask(asking, question("new"))
        other.close()
    assert server.calls["new"] == 0


def test_a_failure_keeps_its_reason_and_is_asked_again_by_the_next_run() -> None:
    replies = [Reply(status=500, error={"message": "out of order"})] * 2 + [Reply("a cat")]
    with StubServer(replies) as server, client(server.url, attempts=2) as asking:
        with pytest.raises(CallError, match="out of order"):
            ask(asking, question("what?"))
        row = asking.ledger.find_row(question("what?").key)
        assert row and (row.status, row.failure_kind) == ("failed", "server_error")
        assert row.failure and "500: out of order" in row.failure
        assert ask(asking, question("what?")).text == "a cat"
        row = asking.ledger.find_row(question("what?").key)
        assert row and (row.status, row.failure) == ("answered", None)


def test_a_row_says_what_was_asked_where_and_what_it_cost() -> None:
    with StubServer(echo) as server, client(server.url) as asking:
        key = ask(asking, question("what?", parts={"prompt": "caption.v1@abc"})).key
    columns = "request, endpoint, model, usage, nano_usd"
    ((request, *rest),) = sql(asking.ledger.path, f"SELECT {columns} FROM calls WHERE key = ?", key)
    assert '"what?"' in request and "caption.v1@abc" in request
    usage = '{"prompt_tokens": 50, "completion_tokens": 20, "total_tokens": 70}'
    assert rest == [server.url, "stub-model", usage, 250_000]
