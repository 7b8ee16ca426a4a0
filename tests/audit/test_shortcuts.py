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

from mrharm.audit.findings import Finding, Score, Shortcut
from mrharm.audit.shortcuts import FAR, find_shortcuts, make_signals, score_shortcuts
from mrharm.memes.dataset import Dataset
from mrharm.progress import no_progress
from mrharm.records import Evidence, Meme
from tests.audit.helpers import club, codes, copies_in, meme, only, paint, write_dataset

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


def test_captions_are_a_signal_of_their_own_and_annotations_in_extra_are_none(tmp_path: Path) -> None:
    rows = [
        row.model_copy(update={"extra": {"votes": int(bool(row.label and row.label.harmful))}})
        for row in mixed()
    ]
    captions = [
        Evidence(meme_id=row.id, caption="a kettle" if row.extra["votes"] else "a teapot") for row in rows
    ]
    table = table_of(write_dataset(tmp_path, rows, captions))
    assert set(table) == {"majority", "text", "caption", "text_caption", "metadata"}
    reached = macro_f1(table, "split")
    assert (reached["caption"], reached["text_caption"]) == (1.0, 1.0)
    assert max(reached["text"], reached["metadata"]) < FAR


def test_a_missing_picture_looks_like_the_average_one(tmp_path: Path) -> None:
    for name, colour in (("a", "black"), ("b", "white"), ("c", "#808080")):
        paint(tmp_path / f"{name}.png", colour)
    rows = [meme(name, f"you {name}", image=f"{name}.png") for name in ("a", "b", "c", "gone")]
    contents, facts, _ = copies_in(write_dataset(tmp_path, rows))
    features = make_signals(contents.items, facts)["pixels"].features
    assert features[3] == pytest.approx(features[2], abs=0.5)
    assert abs(features[0] - features[1]).max() > 50


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


def renamed(memes: Sequence[Meme], split: str) -> list[Meme]:
    """The same memes once more, in another split."""
    return [row.model_copy(update={"id": f"{row.id} again", "split": split}) for row in memes]


TRAIN, TEST = ([row for row in mixed() if row.split == split] for split in SIZES)
UNLABELLED = [meme(f"t{n}", f"you {club(n)}", split="test") for n in range(9)]
NEW = meme("new", "you and new", True, "test")


@pytest.mark.parametrize(
    ("memes", "expected"),
    [
        ([*TRAIN, *UNLABELLED], {"cross_validated": 60}),
        # The validation split takes the place of one held out.
        ([*TRAIN, *renamed(TEST, "validation")], {"cross_validated": 60, "split": 40}),
        (
            [*TRAIN, *renamed(TRAIN[:1], "train"), *TEST],
            {"cross_validated": 61, "copies_apart": 61, "split": 40},
        ),
        (
            [*TRAIN, *TEST, *renamed(TRAIN[:6], "test")],
            {"cross_validated": 60, "split": 46, "overlap_removed": 46, "unseen": 40},
        ),
        # Every train meme is in test: nothing is left to learn from, and one new meme is no test.
        ([*TRAIN, *renamed(TRAIN, "test"), NEW], {"cross_validated": 60, "split": 61}),
    ],
)
def test_each_protocol_is_tried_where_it_tells_something_new(
    tmp_path: Path, memes: list[Meme], expected: dict[str, int]
) -> None:
    majority = table_of(write_dataset(tmp_path, memes))["majority"]
    assert {protocol: score.n for protocol, score in majority.scores.items()} == expected


def test_copies_kept_apart_show_what_was_memory(tmp_path: Path) -> None:
    labels = random.Random(0).sample([True, False] * 20, 40)
    rows = [
        meme(f"{n} {again}", f"{club(n)} {club(n + 500)}", labels[n]) for again in "ab" for n in range(40)
    ]
    scores = table_of(write_dataset(tmp_path, rows))["text"].scores
    assert scores["cross_validated"].accuracy > scores["copies_apart"].accuracy + 0.2


@pytest.mark.parametrize(
    ("removed", "unseen", "falls"), [(0.72, 0.71, False), (0.69, 0.75, True), (0.75, 0.69, True)]
)
def test_words_that_lose_five_points_without_the_overlap_are_an_error(
    removed: float, unseen: float, falls: bool
) -> None:
    def row(signal: str, **values: float) -> Shortcut:
        scores = {
            protocol: Score(
                accuracy=value, accuracy_ci=(value, value), macro_f1=value, macro_f1_ci=(value, value),
                auroc=None, auroc_ci=None, n=100,
            )
            for protocol, value in values.items()
        }  # fmt: skip
        return Shortcut(signal=signal, scores=scores)

    table = [row("majority", split=0.4), row("text", split=0.75, overlap_removed=removed, unseen=unseen)]
    assert ("shortcut-collapse" in codes(find_shortcuts(table))) == falls
