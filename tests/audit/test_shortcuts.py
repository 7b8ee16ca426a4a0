from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, f1_score, roc_auc_score
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import make_pipeline

from mrharm.audit.findings import Finding, Shortcut
from mrharm.audit.shortcuts import FAR, find_shortcuts, make_signals, score_shortcuts
from mrharm.memes.dataset import Dataset
from mrharm.progress import no_progress
from mrharm.records import Evidence, Meme
from tests.audit.helpers import club, copies_in, meme, only, write_dataset

SIZES = {"train": 60, "test": 40}


def mixed(word: Callable[[bool, random.Random], str] | None = None, seed: int = 1) -> list[Meme]:
    """100 memes of which half are harmful, alike in all but what ``word`` adds by label.

    Ids are numbers drawn by lot, texts are five words drawn by lot, equally long and not the same twice.
    """
    rng = random.Random(seed)
    numbers = rng.sample(range(100, 1000), sum(SIZES.values()))
    splits = [split for split, size in SIZES.items() for _ in range(size)]
    rows = []
    for place, (number, split) in enumerate(zip(numbers, splits, strict=True)):
        harmful = place % 2 == 0
        words = [club(rng.randrange(30)) for _ in range(5)] + ([word(harmful, rng)] if word else [])
        rows.append(meme(f"m{number}", " ".join(words), harmful, split))
    return rows


def table_of(dataset: Dataset) -> dict[str, Shortcut]:
    contents, facts, copies = copies_in(dataset)
    table = score_shortcuts(contents, copies, make_signals(contents.items, facts), no_progress)
    return {row.signal: row for row in table}


def macro_f1(table: dict[str, Shortcut], protocol: str) -> dict[str, float]:
    return {signal: row.scores[protocol].macro_f1 for signal, row in table.items()}


def findings_of(table: dict[str, Shortcut]) -> list[Finding]:
    return list(find_shortcuts(list(table.values())))


def with_pictures(
    folder: Path, memes: Sequence[Meme], colour: Callable[[bool, random.Random], int]
) -> Dataset:
    """The memes, each with a picture of random patches in which ``colour`` says how much red there is."""
    rng = random.Random(2)
    rows = []
    for place, row in enumerate(memes):
        patches = np.random.default_rng(place).integers(0, 256, (8, 8, 3), dtype=np.uint8)
        patches[:, :, 0] = colour(bool(row.label and row.label.harmful), rng)
        # Without compression every file is equally large: the number of bytes tells nothing.
        Image.fromarray(patches).resize((64, 64), Image.Resampling.NEAREST).save(folder / f"{place}.bmp")
        rows.append(row.model_copy(update={"image": f"{place}.bmp"}))
    return write_dataset(folder, rows)


def test_words_that_tell_the_label_are_found_by_words_and_not_by_metadata(tmp_path: Path) -> None:
    table = table_of(write_dataset(tmp_path, mixed(lambda harmful, _: "kettle" if harmful else "teapot")))
    reached = macro_f1(table, "split")
    assert reached["text"] == 1.0
    assert reached["metadata"] < FAR
    levels = {finding.code: finding.level for finding in findings_of(table)}
    assert levels == {"shortcut-text": "warning", "shortcut-metadata": "note"}


def test_a_colour_that_tells_the_label_is_found_by_pixels_alone(tmp_path: Path) -> None:
    table = table_of(with_pictures(tmp_path, mixed(), lambda harmful, _: 220 if harmful else 30))
    reached = macro_f1(table, "split")
    assert reached["pixels"] == 1.0
    assert max(reached["text"], reached["metadata"]) < FAR
    assert only(findings_of(table), "shortcut-pixels").level == "warning"


def test_a_number_in_the_id_that_tells_the_label_is_found_by_metadata_alone(tmp_path: Path) -> None:
    rows = [
        row.model_copy(
            update={"id": f"covid_memes_{place + (500 if row.label and row.label.harmful else 0)}"}
        )
        for place, row in enumerate(mixed())
    ]
    table = table_of(write_dataset(tmp_path, rows))
    reached = macro_f1(table, "cross_validated")
    assert reached["metadata"] == 1.0
    assert reached["text"] < FAR
    assert only(findings_of(table), "shortcut-metadata").level == "warning"


def test_where_nothing_tells_the_label_every_signal_is_within_chance(tmp_path: Path) -> None:
    table = table_of(with_pictures(tmp_path, mixed(), lambda _, rng: rng.choice([30, 220])))
    for signal in ("text", "metadata", "pixels"):
        for score in table[signal].scores.values():
            assert score.auroc_ci is not None and score.auroc_ci[0] < 0.5 < score.auroc_ci[1]
            assert score.accuracy_ci[0] < 0.5 < score.accuracy_ci[1]
    assert {finding.level for finding in findings_of(table)} == {"note"}


def test_captions_are_a_signal_of_their_own_where_there_are_some(tmp_path: Path) -> None:
    rows = mixed()
    captions = [
        Evidence(meme_id=row.id, caption="a kettle" if row.label and row.label.harmful else "a teapot")
        for row in rows
    ]
    table = table_of(write_dataset(tmp_path, rows, captions))
    assert set(table) == {"majority", "text", "caption", "text_caption", "metadata"}
    reached = macro_f1(table, "split")
    assert (reached["caption"], reached["text_caption"]) == (1.0, 1.0)
    assert reached["text"] < FAR


def test_the_majority_is_the_commoner_label_of_train(tmp_path: Path) -> None:
    rows = [meme(str(n), f"you {club(n)}", n % 3 > 0, "test" if n % 5 == 0 else "train") for n in range(100)]
    score = table_of(write_dataset(tmp_path, rows))["majority"].scores["split"]
    # 13 of the 20 test memes are harmful: F1 is 26 / 33 for harmful, 0 for harmless.
    assert (score.accuracy, score.n, score.auroc) == (13 / 20, 20, None)
    assert score.macro_f1 == pytest.approx(13 / 33)


def test_scores_are_those_of_scikit_learn_computed_directly(tmp_path: Path) -> None:
    def word(harmful: bool, rng: random.Random) -> str:
        return "kettle" if harmful == (rng.random() < 0.8) else "teapot"

    rows = mixed(word)
    score = table_of(write_dataset(tmp_path, rows))["text"].scores
    train, test = ([row for row in rows if row.split == split] for split in SIZES)

    def texts(memes: Sequence[Meme]) -> list[str]:
        return [row.text or "" for row in memes]

    def gold(memes: Sequence[Meme]) -> np.ndarray:
        return np.array([bool(row.label and row.label.harmful) for row in memes])

    model = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(texts(train), gold(train))
    predicted = model.predict_proba(texts(test))[:, 1]
    assert score["split"].macro_f1 == pytest.approx(f1_score(gold(test), predicted >= 0.5, average="macro"))
    assert score["split"].accuracy == pytest.approx(accuracy_score(gold(test), predicted >= 0.5))
    assert score["split"].auroc == pytest.approx(roc_auc_score(gold(test), predicted))
    out = np.zeros(len(train))
    for learnt, tried in StratifiedKFold(5, shuffle=True, random_state=0).split(train, gold(train)):
        model.fit([texts(train)[index] for index in learnt], gold(train)[learnt])
        out[tried] = model.predict_proba([texts(train)[index] for index in tried])[:, 1]
    assert score["cross_validated"].accuracy == pytest.approx(accuracy_score(gold(train), out >= 0.5))
    assert score["cross_validated"].auroc == pytest.approx(roc_auc_score(gold(train), out))
    low, high = score["split"].macro_f1_ci
    assert low < score["split"].macro_f1 < high


@pytest.mark.parametrize(("count", "harmful"), [(49, 24), (60, 4), (60, 60), (0, 0)])
def test_too_few_train_memes_are_left_untried_and_that_is_said(
    tmp_path: Path, count: int, harmful: int
) -> None:
    rows = [meme(str(n), f"you {club(n)}", n < harmful) for n in range(count)]
    table = table_of(
        write_dataset(tmp_path, [*rows, meme("t", "me", True, "test"), meme("u", "us", split="x")])
    )
    assert table == {}
    assert [(finding.code, finding.level) for finding in findings_of(table)] == [("shortcut-untried", "note")]


def protocols(folder: Path, memes: Sequence[Meme]) -> dict[str, int]:
    """Protocol -> memes it was tried on."""
    return {
        name: score.n for name, score in table_of(write_dataset(folder, memes))["majority"].scores.items()
    }


def test_without_a_labelled_held_out_split_there_is_train_alone(tmp_path: Path) -> None:
    train = [row for row in mixed() if row.split == "train"]
    unlabelled = [meme(f"t{n}", f"you {club(n)}", split="test") for n in range(9)]
    assert protocols(tmp_path, [*train, *unlabelled]) == {"cross_validated": 60}


def test_the_validation_split_stands_in_where_no_other_is_labelled(tmp_path: Path) -> None:
    rows = [
        row.model_copy(update={"split": "validation" if row.split == "test" else "train"}) for row in mixed()
    ]
    assert protocols(tmp_path, rows) == {"cross_validated": 60, "split": 40}


def test_copies_within_train_alone_add_folds_that_keep_them_apart(tmp_path: Path) -> None:
    rows = mixed()
    again = rows[0].model_copy(update={"id": "again"})
    assert protocols(tmp_path, [*rows, again]) == {"cross_validated": 61, "copies_apart": 61, "split": 40}


def test_overlap_adds_what_is_left_without_it(tmp_path: Path) -> None:
    rows = mixed()
    train, test = ([row for row in rows if row.split == split] for split in SIZES)
    shared = [row.model_copy(update={"id": f"{row.id} again", "split": "test"}) for row in train[:6]]
    assert protocols(tmp_path, [*train, *test, *shared]) == {
        "cross_validated": 60,
        "split": 46,
        "overlap_removed": 46,
        "unseen": 40,
    }
