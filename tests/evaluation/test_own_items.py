from __future__ import annotations

import json
from pathlib import Path

import pytest

from mrharm.errors import InputError
from mrharm.evaluation.own_items import find_items
from mrharm.memes.dataset import Dataset
from mrharm.store import write_json
from mrharm.verdicts.card import Chosen
from tests.audit.helpers import meme, sound, write_dataset
from tests.probes.written import detector as random_detector


def make_run(folder: Path, dataset: str | None, threshold: float = 0.5, chosen: Chosen | None = None) -> Path:
    """A detector, and where ``dataset`` is named the note of what it was trained on."""
    plain = random_detector()
    plain.with_card(plain.card.with_policy(threshold, chosen=chosen)).save_pretrained(folder / "detector")
    if dataset:
        write_json(folder / "run.json", {"dataset": dataset, "dataset_sha256": "0"})
    return folder


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A was trained on ``clubs``, B elsewhere."""
    folder = tmp_path_factory.mktemp("runs")
    return make_run(folder / "a", "clubs"), make_run(folder / "b", "creatures", 0.6)


@pytest.fixture
def data(tmp_path: Path) -> Dataset:
    return write_dataset(tmp_path / "data", sound())


def test_of_a_dataset_folder_its_test_split_is_taken(runs: tuple[Path, Path], data: Dataset) -> None:
    items = find_items([data.root], *runs)
    assert [one.id for one in items.found.memes] == [one.id for one in data.split("test")]
    (taken,) = items.taken
    assert (taken.dataset, taken.split, taken.memes, taken.there) == ("clubs", "test", 4, 16)
    assert items.warnings == ()


def test_a_split_is_named_by_name_or_role_and_all_are_all(runs: tuple[Path, Path], tmp_path: Path) -> None:
    memes = [meme("x", "you", None, "dev_seen"), meme("y", "you too", None, "train")]
    data = write_dataset(tmp_path / "data", memes, roles={"test": "dev_seen"})
    taken = {
        split: [one.id for one in find_items([data.root], *runs, split=split).found.memes]
        for split in (None, "test", "dev_seen", "train", "all")
    }
    assert taken == {None: ["x"], "test": ["x"], "dev_seen": ["x"], "train": ["y"], "all": ["x", "y"]}
    bare = write_dataset(tmp_path / "bare", [meme("x", "you", None, None)])
    (found,) = find_items([bare.root], *runs).taken
    assert (found.split, found.memes) == (None, 1)


def test_memes_that_a_run_learned_from_are_said(runs: tuple[Path, Path], data: Dataset) -> None:
    (warning,) = find_items([data.root], *runs, split="train").warnings
    assert warning.startswith("A learned from 8 of these 8 memes of clubs")
    (warning,) = find_items([data.root], runs[0] / "detector", runs[1], split="all").warnings
    assert warning.startswith("A learned from 8, was chosen and calibrated on 4 of these 16 memes")


def test_a_threshold_chosen_on_these_memes_is_said(
    runs: tuple[Path, Path], data: Dataset, tmp_path: Path
) -> None:
    chosen = Chosen(criterion="macro-F1", dataset="clubs", split="test", memes=4)
    alone = make_run(tmp_path / "alone", None, chosen=chosen)
    (warning,) = find_items([data.root], alone, runs[1]).warnings
    assert warning.startswith("A has a threshold chosen on 4 of these 4 memes of clubs")


def test_one_detector_on_both_sides_is_said(runs: tuple[Path, Path], tmp_path: Path) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_text(json.dumps({"id": "1", "text": "you"}) + "\n")
    (warning,) = find_items([rows], runs[0], runs[0] / "detector").warnings
    assert "A and B are the same detector" in warning
    assert find_items([rows], *runs).warnings == ()


def test_a_split_that_cannot_be_is_refused(runs: tuple[Path, Path], data: Dataset, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no split called 'moon'"):
        find_items([data.root], *runs, split="moon")
    (tmp_path / "rows.jsonl").write_text('{"id": "1", "text": "you"}\n')
    with pytest.raises(InputError, match="goes with a dataset folder"):
        find_items([tmp_path / "rows.jsonl"], *runs, split="test")


def test_a_file_of_another_kind_is_refused_at_once_with_the_mend(
    runs: tuple[Path, Path], tmp_path: Path
) -> None:
    table = tmp_path / "posts.csv"
    table.write_text("id,text\n1,you\n")
    with pytest.raises(InputError, match=r"posts\.csv: expected a picture .*\.jsonl .*`mrharm import folder"):
        find_items([table], *runs)
    # A picture's name is not trusted, neither for it nor against it.
    (tmp_path / "3f2a").write_bytes(b"\x89PNG\r\n\x1a\n...")
    (tmp_path / "torn.png").write_bytes(b"")
    assert len(find_items([tmp_path / "3f2a", tmp_path / "torn.png"], *runs).found.memes) == 2


def test_a_row_that_is_no_meme_says_its_place_once(runs: tuple[Path, Path], tmp_path: Path) -> None:
    rows = tmp_path / "bad.jsonl"
    rows.write_text('{"id": "1", "text": "you"}\n{"text": "you"}\n{"id": "8", "colour": "red"}\n')
    nameless, odd = find_items([rows], *runs).found.failures
    assert (nameless.item, nameless.line) == (f"{rows}:2", 2)
    assert nameless.reason.startswith("Meme.id: ")
    assert (odd.item, odd.reason.partition(";")[0]) == ("8", "Meme.colour: unknown key")
