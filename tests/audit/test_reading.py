from __future__ import annotations

from pathlib import Path

import pytest

from mrharm.audit.reading import read_contents
from mrharm.audit.run import audit
from mrharm.memes.dataset import Dataset
from mrharm.recipe import load_recipe
from mrharm.records import Evidence, Rationale, to_line
from tests.audit.helpers import codes, meme, only, read, shown, write_dataset

GOOD = to_line(meme("a", "you")).encode()
LAST = to_line(meme("b", "you too")).encode()


@pytest.mark.parametrize(
    ("odd", "reason"),
    [
        (b'{"id": "c", "text": "you are cu', "not JSON"),
        (b'{"id": "c", "text": "caf\xe9"}', "can't decode byte 0xe9"),
    ],
)
def test_a_line_that_cannot_be_read_is_named_and_the_rest_is_read(
    tmp_path: Path, odd: bytes, reason: str
) -> None:
    dataset = write_dataset(tmp_path, [meme("a")])
    (tmp_path / "memes.jsonl").write_bytes(b"\n".join([GOOD, odd, LAST]) + b"\n")
    contents = read(dataset)
    assert [item.id for item in contents.items] == ["a", "b"]
    finding = only(contents.findings, "row-unreadable")
    assert (finding.level, finding.count, finding.of) == ("error", 1, 3)
    assert finding.bars == ("training", "publishing")
    assert shown(finding) == [("memes.jsonl:2",)]
    (failure,) = contents.unreadable
    assert (failure.item, failure.file, failure.line) == ("memes.jsonl:2", "memes.jsonl", 2)
    assert reason in failure.reason and reason in finding.examples[0].what


@pytest.mark.parametrize("name", ["evidence.jsonl", "rationales.jsonl"])
def test_evidence_and_rationales_are_read_as_leniently(tmp_path: Path, name: str) -> None:
    dataset = write_dataset(
        tmp_path,
        [meme("a"), meme("b")],
        [Evidence(meme_id="a", caption="a club")],
        [Rationale(meme_id="a", text="you are mocked", teacher="t")],
    )
    with (tmp_path / name).open("ab") as file:
        file.write(b'{"meme_id": "b", "te')
    contents = read(dataset)
    assert (contents.items[0].caption, len(contents.rationales)) == ("a club", 1)
    assert only(contents.findings, "row-unreadable").count == 1
    assert [(row.file, row.line) for row in contents.unreadable] == [(name, 2)]


def test_a_line_separator_inside_a_text_does_not_end_the_line(tmp_path: Path) -> None:
    contents = read(write_dataset(tmp_path, [meme("a", "you\u2028and\u0085me")]))
    assert [item.meme.text for item in contents.items] == ["you\u2028and\u0085me"]
    assert not contents.findings


def test_evidence_and_rationales_of_no_meme_are_reported(tmp_path: Path) -> None:
    contents = read(
        write_dataset(
            tmp_path,
            [meme("a")],
            [Evidence(meme_id="a"), Evidence(meme_id="stranger")],
            [Rationale(meme_id=name, text="t", teacher="t") for name in ("lost", "a", "lost")],
        )
    )
    assert codes(contents.findings) == ["row-of-no-meme", "row-of-no-meme"]
    assert [finding.level for finding in contents.findings] == ["warning", "warning"]
    assert [shown(finding) for finding in contents.findings] == [[("stranger",)], [("lost",)]]


def test_a_meme_of_two_splits_is_in_both(tmp_path: Path) -> None:
    both = meme("b", split="dev_seen", extra={"also_in": ["dev_unseen"]})
    contents = read(write_dataset(tmp_path, [meme("a"), both]))
    assert contents.items[1].splits == ("dev_seen", "dev_unseen")
    names = {split: [item.id for item in items] for split, items in contents.by_split.items()}
    assert names == {"train": ["a"], "dev_seen": ["b"], "dev_unseen": ["b"]}


def test_splits_are_known_by_their_roles_and_train_stands_first(tmp_path: Path) -> None:
    memes = [meme(name, split=name) for name in ("test_unseen", "dev", "extra", "learn")] + [
        meme("x", split=None)
    ]
    roles = {"train": "learn", "validation": "dev", "test": "test_unseen"}
    contents = read(write_dataset(tmp_path, memes, roles=roles))
    assert list(contents.by_split) == ["learn", "dev", "test_unseen", "extra", "(none)"]
    assert contents.held_out == ["test_unseen", "extra"]


def test_the_words_of_a_meme_are_those_a_student_reads(tmp_path: Path) -> None:
    memes = [meme("a", None), meme("b", "Given  You"), meme("c", "Given"), meme("d", None)]
    sources = {"a": "ocr", "b": "given", "c": "ocr"}  # c: gathered with --ocr always
    evidence = [
        Evidence.model_validate({"meme_id": name, "text": " Read\nYOU ", "text_source": source})
        for name, source in sources.items()
    ]
    contents = read(write_dataset(tmp_path, memes, evidence))
    assert [item.text for item in contents.items] == ["read you", "given you", "read you", ""]


@pytest.mark.parametrize(
    ("lines", "code"), [(b"", "no-memes"), (b"\n \n", "no-memes"), (None, "file-missing")]
)
def test_a_dataset_without_memes_is_an_error_and_no_crash(
    tmp_path: Path, lines: bytes | None, code: str
) -> None:
    dataset = write_dataset(tmp_path, [])
    if lines is not None:
        (tmp_path / "memes.jsonl").write_bytes(lines)
    finding = only(read_contents(dataset).findings, code)
    assert (finding.level, finding.bars) == ("error", ("training", "publishing"))
    report = audit(Dataset(tmp_path), load_recipe("tiny")).report
    assert (report.memes, report.verdict.fit_to_train, report.verdict.fit_to_publish) == (0, False, False)
