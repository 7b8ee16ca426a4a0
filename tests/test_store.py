import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable
from pathlib import Path

import pytest

from mrharm import store
from mrharm.errors import DataError, InputError
from mrharm.images import image_sha256
from mrharm.records import Failure, Meme, Record, read_records, to_line
from mrharm.store import (
    FAILURES,
    JsonlStore,
    content_key,
    exclusive_lock,
    folder_aside,
    read_appended,
    read_json_record,
    sha256_bytes,
    sha256_file,
    write_bytes,
    write_failures,
    write_text,
)

APPEND_FOR_EVER = """
import sys
from pathlib import Path
from mrharm.records import Meme
from mrharm.store import JsonlStore
store = JsonlStore(Path(sys.argv[1]), Meme, "id")
number = len(store.done)
while True:
    store.append(Meme(id=str(number), text="é" * (number * 37 % 30_000)))
    number += 1
"""


def append_until_killed(path: Path, lines: int) -> None:
    """Append in another process until there are more than ``lines`` lines, then SIGKILL it."""
    worker = subprocess.Popen([sys.executable, "-c", APPEND_FOR_EVER, str(path)])
    try:
        deadline = time.monotonic() + 20
        while not path.exists() or path.read_bytes().count(b"\n") <= lines:
            assert time.monotonic() < deadline
            time.sleep(0.005)
    finally:
        worker.send_signal(signal.SIGKILL)
        worker.wait()


def test_a_kill_while_appending_loses_nothing_but_the_cut_line(tmp_path: Path) -> None:
    path = tmp_path / "evidence.jsonl"
    for lines in (50, 300, 600):
        append_until_killed(path, lines)
        whole = path.read_bytes().count(b"\n")
        store = JsonlStore(path, Meme, "id")
        assert store.done == {str(number) for number in range(whole)}
        assert [meme.id for meme in read_records(path, Meme)] == [str(number) for number in range(whole)]


def test_a_cut_line_is_dropped_and_done_again(tmp_path: Path) -> None:
    path = tmp_path / "memes.jsonl"
    path.write_bytes('{"id": "a"}\n{"id": "b", "text": "é'.encode()[:-1])
    store = JsonlStore(path, Meme, "id")
    assert store.done == {"a"}
    store.append(Meme(id="b", text="é"))
    assert [meme.id for meme in read_records(path, Meme)] == ["a", "b"]


def test_a_whole_line_that_is_no_record_is_an_error_not_a_cut(tmp_path: Path) -> None:
    path = tmp_path / "memes.jsonl"
    path.write_text('{"id": "a"}\n{"id":\n', encoding="utf-8")
    with pytest.raises(DataError, match="line 2"):
        JsonlStore(path, Meme, "id")


def test_writing_aside_leaves_the_old_file_when_it_fails(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_text(path, "old")
    with pytest.raises(TypeError):
        write_bytes(path, "not bytes")  # type: ignore[arg-type]
    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.txt"]


def test_a_folder_appears_whole_and_replaces_the_old(tmp_path: Path) -> None:
    path = tmp_path / "dataset"
    path.mkdir()
    (path / "old").touch()
    with folder_aside(path) as aside:
        (aside / "new").touch()
        assert (path / "old").exists()
    assert [entry.name for entry in tmp_path.rglob("*")] == ["dataset", "new"]


def test_an_error_leaves_the_old_folder_and_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "dataset"
    path.mkdir()
    with pytest.raises(RuntimeError), folder_aside(path) as aside:
        (aside / "new").touch()
        raise RuntimeError
    assert list(tmp_path.rglob("*")) == [path]


def test_what_a_kill_left_beside_a_folder_is_cleared_or_put_back(tmp_path: Path) -> None:
    path = tmp_path / "dataset"
    for left in (".dataset.aside", ".dataset.old"):
        (tmp_path / left).mkdir()
    (tmp_path / ".dataset.old" / "mine").touch()
    with pytest.raises(RuntimeError), folder_aside(path) as aside:
        assert not list(aside.iterdir())
        raise RuntimeError
    assert (path / "mine").exists()


def test_failures_of_other_stages_are_kept(tmp_path: Path) -> None:
    write_failures(tmp_path, [Failure(item="a", stage="import", reason="r")], stage="import")
    write_failures(tmp_path, [Failure(item="b", stage="gather", reason="r")], stage="gather")
    write_failures(tmp_path, [], stage="import")
    assert [row.item for row in read_records(tmp_path / FAILURES, Failure)] == ["b"]


def test_no_failures_make_no_file(tmp_path: Path) -> None:
    write_failures(tmp_path, [], stage="import")
    assert not (tmp_path / FAILURES).exists()


def test_hashes_of_files_are_their_sha256_as_datasets_and_verdicts_store_it(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    hashes = {sha256_bytes(b"abc"), sha256_file(tmp_path / "a"), image_sha256(tmp_path / "a")}
    assert hashes == {"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"}


def test_a_content_key_depends_on_content_not_on_key_order(tmp_path: Path) -> None:
    assert content_key({"a": 1, "b": 2}) == content_key({"b": 2, "a": 1}) != content_key({"a": 1, "b": 3})
    assert len(content_key("x")) == 16


def test_a_last_line_that_was_cut_is_not_there_and_any_other_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "f.jsonl"
    assert read_appended(path, Failure) == []
    whole = to_line(Failure(item="a", stage="s", reason="r"))
    path.write_bytes(f"{whole}\n{whole[:-5]}".encode() + b"\xc3")
    assert [row.item for row in read_appended(path, Failure)] == ["a"]
    path.write_text(f"{whole[:-5]}\n{whole}\n", encoding="utf-8")
    with pytest.raises(DataError, match="line 1"):
        read_appended(path, Failure)


def test_two_stages_that_write_failures_at_once_both_keep_theirs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reading, write = threading.Event(), store.write_records

    def write_late(path: Path, records: Iterable[Record]) -> None:
        reading.set()
        time.sleep(0.2)  # the other stage, unless it waits, reads the file as it was
        write(path, records)

    monkeypatch.setattr(store, "write_records", write_late)
    failures = {stage: [Failure(item="a", stage=stage, reason="r")] for stage in ("gather", "abduce")}
    first = threading.Thread(target=lambda: write_failures(tmp_path, failures["gather"], stage="gather"))
    first.start()
    reading.wait()
    write_failures(tmp_path, failures["abduce"], stage="abduce")
    first.join()
    assert [row.stage for row in read_appended(tmp_path / "failures.jsonl", Failure)] == ["gather", "abduce"]


def test_a_second_process_is_refused_by_the_file_and_the_process_id(tmp_path: Path) -> None:
    with exclusive_lock(tmp_path / "out.jsonl"):
        says = re.escape(
            f"another process is writing {tmp_path / 'out.jsonl'} (process {os.getpid()}); wait for it or stop it"
        )
        with pytest.raises(InputError, match=says), exclusive_lock(tmp_path / "out.jsonl"):
            pass
        with exclusive_lock(tmp_path / "another.jsonl"), exclusive_lock(tmp_path, "gather"):
            (tmp_path / ".gather.lock").write_text("")  # as an older version leaves it
            says = re.escape(f"another process is writing {tmp_path}; wait")
            with pytest.raises(InputError, match=says), exclusive_lock(tmp_path, "gather"):
                pass


def test_json_that_is_damaged_or_something_else_is_one_line_with_the_mend(tmp_path: Path) -> None:
    file = tmp_path / "failure.json"
    for text, says in (
        (None, "cannot be read (No such file or directory); expected a JSON file; fetch it"),
        ("{", "not JSON"),
        ("[" * 100_000, "not JSON (nested too deep)"),
        ("[]", "Failure.(row): "),
        ('{"item": "a"}', "Failure.stage: Field required"),
    ):
        if text is not None:
            file.write_text(text)
        with pytest.raises(DataError, match=re.escape(f"{file}: {says}")) as raised:
            read_json_record(file, Failure, "fetch it again")
        assert str(raised.value).endswith("; fetch it again") and "\n" not in str(raised.value)


def test_a_run_over_some_items_leaves_the_failures_of_others(tmp_path: Path) -> None:
    def failure(item: str, reason: str) -> Failure:
        return Failure(item=item, stage="s", reason=reason)

    write_failures(tmp_path, [failure("a", "old"), failure("b", "old")], stage="s")
    write_failures(tmp_path, [failure("a", "new")], stage="s", items={"a", "c"})
    rows = read_appended(tmp_path / "failures.jsonl", Failure)
    assert [(row.item, row.reason) for row in rows] == [("b", "old"), ("a", "new")]
