from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from mrharm.audit import fix as module
from mrharm.audit.fix import Fixed, write_fixed
from mrharm.audit.run import audit
from mrharm.errors import InputError
from mrharm.memes.dataset import Dataset
from mrharm.recipe import load_recipe
from mrharm.records import Evidence, Failure, Meme, Rationale, read_records
from mrharm.store import sha256_file, write_records
from tests.audit.helpers import bytes_of, club, draw, meme, sound, write_dataset

RECIPE = load_recipe("mr-harm")


def mended(dataset: Dataset, folder: Path) -> tuple[Fixed, Dataset]:
    """The cleaned copy and what was said of it."""
    fixed = write_fixed(audit(dataset, RECIPE, workers=1), folder)
    return fixed, Dataset(folder)


def reasons(dataset: Dataset) -> list[tuple[str, str]]:
    """(item, reason) of everything left out, in order."""
    path = dataset.root / "failures.jsonl"
    return [(row.item, row.reason) for row in read_records(path, Failure)] if path.exists() else []


def ids(memes: Sequence[Meme]) -> list[str]:
    return [row.id for row in memes]


def test_a_sound_dataset_comes_out_as_it_went_in(tmp_path: Path) -> None:
    why = [Rationale(meme_id="train-0", text="a kettle", teacher="made up")]
    seen = [Evidence(meme_id="train-0", caption="a kettle")]
    dataset = write_dataset(tmp_path / "d", sound(), seen, why)
    fixed, copy = mended(dataset, tmp_path / "fixed")
    assert fixed.summary() == {"folder": str(tmp_path / "fixed"), "memes": 16, "dropped": {}, "marked": {}}
    assert (copy.memes, copy.evidence, copy.rationales) == (
        dataset.memes,
        dataset.evidence,
        dataset.rationales,
    )
    assert not (copy.root / "failures.jsonl").exists()


def test_train_gives_way_to_every_other_split_and_none_of_these_to_another(tmp_path: Path) -> None:
    rows = [
        *sound(),
        meme("of-validation", sound()[8].text, True),
        meme("of-test", sound()[12].text, True),
        meme("of-extra", "you alone", True),
        meme("extra", "YOU  alone", True, "extra"),
        meme("of-none", "me alone", True),
        meme("none", "me alone", True, None),
        meme("test-again", sound()[8].text, True, "test"),
        meme("of-validation-alone", sound()[9].text, True),
        meme("again-in-train", sound()[0].text, True),
    ]
    fixed, copy = mended(write_dataset(tmp_path / "d", rows), tmp_path / "fixed")
    assert reasons(copy) == [
        ("of-validation", "in test too: removed from train"),
        ("of-test", "in test too: removed from train"),
        ("of-extra", "in extra too: removed from train"),
        ("of-validation-alone", "in validation too: removed from train"),
    ]
    assert ids(copy.memes) == [row.id for row in rows if row.id not in dict(reasons(copy))]
    assert fixed.dropped == {
        "in test too: removed from train": 2,
        "in extra too: removed from train": 1,
        "in validation too: removed from train": 1,
    }


def test_of_a_repeated_id_the_evaluation_row_stays_or_else_the_first(tmp_path: Path) -> None:
    test, first, second = (f"you and {club(number)}" for number in (90, 91, 92))
    rows = [meme("test-0", test, True), *sound(), meme("one", first, True), meme("one", second, False)]
    why = [
        Rationale(meme_id="one", text=text, teacher="t") for text in ("you and the harmful club", "a kettle")
    ]
    copy = mended(write_dataset(tmp_path / "d", rows, rationales=why), tmp_path / "fixed")[1]
    assert reasons(copy) == [("test-0", "in test too: removed from train"), ("one", "id repeated")]
    kept = {row.id: row for row in copy.memes}
    assert (kept["test-0"].split, kept["one"].text) == ("test", first)
    # Each line is checked against the label of the row that stays.
    marked = read_records(copy.root / "rationales.jsonl", Rationale)
    assert [row.status for row in marked] == ["leaks_label", "unchecked"]


def test_a_dataset_without_train_is_cleaned_and_one_that_would_lose_it_is_refused(tmp_path: Path) -> None:
    held_out = [row for row in sound() if row.split != "train"]
    assert mended(write_dataset(tmp_path / "d", held_out), tmp_path / "fixed")[0].memes == 8
    copies = [row.model_copy(update={"id": f"{row.id} again", "split": "train"}) for row in held_out]
    with pytest.raises(InputError, match="no train meme would be left"):
        mended(write_dataset(tmp_path / "d", [*held_out, *copies]), tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_what_fails_in_the_middle_leaves_the_copy_before_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    audited = audit(write_dataset(tmp_path / "d", sound()), RECIPE)
    write_fixed(audited, tmp_path / "fixed")
    before = bytes_of(tmp_path / "fixed")
    monkeypatch.setattr(module, "write_json", stop)
    for folder in ("fixed", "new"):
        with pytest.raises(KeyboardInterrupt):
            write_fixed(audited, tmp_path / folder, overwrite=True)
    assert bytes_of(tmp_path / "fixed") == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["d", "fixed"]


def test_memes_whose_picture_does_not_open_are_left_out_with_why(tmp_path: Path) -> None:
    folder = tmp_path / "d"
    draw(folder / "images/a.png", 1)
    (folder / "images/b.png").write_bytes(b"\x89PNG\r\n\x1a\nnot so")
    rows = [
        *sound(),
        *(meme(name, f"you and {club(ord(name))}", True, image=f"images/{name}.png") for name in "abc"),
    ]
    copy = mended(write_dataset(folder, rows), tmp_path / "fixed")[1]
    (b, b_reason), (c, c_reason) = reasons(copy)
    assert (b, c) == ("b", "c")
    assert "broken PNG" in b_reason and "No such file" in c_reason
    assert [path.name for path in (copy.root / "images").iterdir()] == ["a.png"]


def test_lines_that_cannot_be_read_are_left_out_by_file_and_line(tmp_path: Path) -> None:
    why = [Rationale(meme_id="train-0", text="a kettle", teacher="made up")]
    dataset = write_dataset(tmp_path / "d", sound(), rationales=why)
    for name in ("memes", "rationales"):
        with (dataset.root / f"{name}.jsonl").open("ab") as file:
            file.write(b'{"id": "caf\xe9"}\n')
    fixed, copy = mended(dataset, tmp_path / "fixed")
    assert fixed.dropped == {"line cannot be read": 2}
    rows = list(read_records(copy.root / "failures.jsonl", Failure))
    assert {(row.file, row.line, row.stage) for row in rows} == {
        ("memes.jsonl", 17, "audit"),
        ("rationales.jsonl", 2, "audit"),
    }
    assert len(copy.memes) == 16


def test_rationales_are_marked_and_keep_their_text(tmp_path: Path) -> None:
    texts = {
        "it is not harmful at all": (True, "unchecked", "leaks_label"),  # it pronounces a verdict
        "I’m sorry, but I can't assist.": (True, "ok", "refused"),
        "you are called a kettle": (True, "unchecked", "unchecked"),
        "it is harmful ": (True, "deleaked", "leaks_label"),
        "they are harmless": (False, "truncated", "truncated"),  # it teaches nothing as it is
        "": (True, "empty", "empty"),
    }
    rows = [
        meme(str(n), f"you and {club(n + 80)}", harmful) for n, (harmful, _, _) in enumerate(texts.values())
    ]
    why = [
        Rationale.model_validate(
            {"meme_id": str(n), "text": text, "status": status, "teacher": "t", "raw": text}
        )
        for n, (text, (_, status, _)) in enumerate(texts.items())
    ]
    fixed, copy = mended(write_dataset(tmp_path / "d", [*sound(), *rows], rationales=why), tmp_path / "fixed")
    assert [copy.rationales[str(n)].status for n in range(6)] == [after for _, _, after in texts.values()]
    assert [(row.text, row.raw) for row in copy.rationales.values()] == [(text, text) for text in texts]
    assert fixed.marked == {"leaks_label": 2, "refused": 1}
    assert "cleaned by mrharm audit: 2 rationales marked leaks_label" in copy.info.notes


def test_the_copy_is_consistent_and_says_what_was_done(tmp_path: Path) -> None:
    both = meme("both", f"you and {club(99)}", True, "dev_seen", extra={"also_in": ["dev_unseen"]})
    names = ("twin", "train-0", "nobody")
    dataset = write_dataset(
        tmp_path / "d",
        [*sound(), both, meme("twin", sound()[-1].text, True)],
        [Evidence(meme_id=name, caption="a kettle") for name in names],
        [Rationale(meme_id=name, text="a kettle", teacher="t") for name in names],
        notes=["made up"],
        sources={"train.jsonl": "0" * 64},
    )
    earlier = Failure(item="old", stage="import", reason="was so", file="train.jsonl", line=3)
    write_records(dataset.root / "failures.jsonl", [earlier])
    copy = mended(dataset, tmp_path / "fixed")[1]
    # What belongs to a meme left out goes with it; earlier failures stay.
    assert (list(copy.evidence), list(copy.rationales)) == (["train-0"], ["train-0"])
    first, second = read_records(copy.root / "failures.jsonl", Failure)
    assert (first, second.item, second.stage, second.file) == (earlier, "twin", "audit", "memes.jsonl")
    info = copy.info
    assert info.splits == {"train": 8, "validation": 4, "test": 4, "dev_seen": 1, "dev_unseen": 1}
    note = "cleaned by mrharm audit: 1 memes left out (in test too: removed from train)"
    assert info.notes == ["made up", note]
    assert info.files == {path.name: sha256_file(path) for path in copy.root.glob("*.jsonl")}
    assert (info.name, info.sources) == ("clubs", {"train.jsonl": "0" * 64})


@pytest.mark.parametrize("linked", [True, False])
def test_pictures_are_hard_linked_or_copied_where_that_cannot_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, linked: bool
) -> None:
    if not linked:
        monkeypatch.setattr(module, "link", lambda source, target: False)
    folder = tmp_path / "d"
    posted, clean = draw(folder / "images/deep/a.png", 1), draw(folder / "clean/a.png", 2)
    row = meme("a", "you and the picture", True, image="images/deep/a.png")
    dataset = write_dataset(folder, [*sound(), row], [Evidence(meme_id="a", clean_image="clean/a.png")])
    copy = mended(dataset, tmp_path / "fixed")[1]
    for original in (posted, clean):
        other = copy.root / original.relative_to(folder)
        assert other.read_bytes() == original.read_bytes()
        assert (other.stat().st_ino == original.stat().st_ino) == linked


def test_nothing_is_written_into_the_dataset_but_what_was_seen_of_its_pictures(tmp_path: Path) -> None:
    folder = tmp_path / "d"
    draw(folder / "a.png", 1)
    rows = [*sound(), meme("a", "you", True, image="a.png"), meme("twin", sound()[-1].text, True)]
    why = [Rationale(meme_id="a", text="it is harmful", teacher="t")]
    dataset = write_dataset(folder, rows, rationales=why)
    before = bytes_of(folder)
    mended(dataset, tmp_path / "fixed")
    assert bytes_of(folder) == before
    assert [path.name for path in (folder / "audit").iterdir()] == ["pictures.jsonl"]
    assert not (tmp_path / "fixed/audit").exists()


@pytest.mark.parametrize("place", [".", "inside", "images/deep"])
def test_a_folder_in_the_dataset_is_refused(tmp_path: Path, place: str) -> None:
    dataset = write_dataset(tmp_path / "d", sound())
    before = bytes_of(dataset.root)
    with pytest.raises(InputError, match="is inside the dataset itself"):
        write_fixed(audit(dataset, RECIPE), dataset.root / place, overwrite=True)
    assert bytes_of(dataset.root) == before
