from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mrharm.audit.findings import Finding
from mrharm.audit.rationales import audit_rationales, find_near_identical
from mrharm.recipe import load_recipe
from mrharm.records import Label, Meme, Rationale
from tests.audit.helpers import club, meme, only, read, shown, write_dataset

NONE, SOME = Label(harmful=False, severity="none"), Label(harmful=True, severity="somewhat")


def why(meme_id: str, text: str, **fields: Any) -> Rationale:
    return Rationale(**{"meme_id": meme_id, "text": text, "teacher": "made up", **fields})


def found(
    folder: Path, memes: Sequence[Meme], rationales: Sequence[Rationale], recipe: str = "mr-harm"
) -> tuple[list[Finding], dict[str, Any]]:
    dataset = write_dataset(folder, memes, rationales=rationales)
    return audit_rationales(read(dataset), load_recipe(recipe))


def explained(folder: Path, texts: Sequence[str], **fields: Any) -> tuple[list[Finding], dict[str, Any]]:
    """What is said of these rationales, of memes called 0, 1, 2 ... of which every second one is harmful."""
    memes = [meme(str(n), f"you {club(n)}", label=SOME if n % 2 else NONE) for n in range(len(texts))]
    return found(folder, memes, [why(str(n), text) for n, text in enumerate(texts)], **fields)


def test_a_dataset_without_rationales_is_one_note(tmp_path: Path) -> None:
    findings, table = found(tmp_path, [meme("a", "you", True)], [])
    assert [(finding.code, finding.level) for finding in findings] == [("rationales-none", "note")]
    assert table == {}
    # Where none may teach, what they say is not looked at.
    leaking = why("a", "it is harmful", status="leaks_label")
    findings, table = found(tmp_path, [meme("a", "you", True)], [leaking])
    assert [finding.code for finding in findings] == ["rationales-missing"]
    assert table["teaching"] == 0


@pytest.mark.parametrize(("missing", "level"), [(1, "note"), (2, "warning")])
def test_coverage_counts_the_labelled_memes_of_train_and_validation(
    tmp_path: Path, missing: int, level: str
) -> None:
    memes = [meme(f"t{n}", "you", n % 2 == 0) for n in range(20)] + [meme("unlabelled", "you")]
    memes += [meme(f"v{n}", "you", True, "validation") for n in range(2)] + [meme("x", "you", True, "test")]
    names = [*(f"t{n}" for n in range(20 - missing)), "v0", "unlabelled"]
    findings, table = found(tmp_path, memes, [why(name, f"a {name} kettle") for name in names])
    assert table["coverage"] == {
        "train": {"count": 20 - missing, "of": 20},
        "validation": {"count": 1, "of": 2},
    }
    finding = only(findings, "rationales-missing")
    assert (finding.level, finding.where, finding.count, finding.of) == (level, "train", missing, 20)


def test_only_rationales_that_may_teach_are_looked_at(tmp_path: Path) -> None:
    memes = [meme(str(n), "you", n % 2 == 0) for n in range(8)]
    statuses = ["unchecked", "ok", "deleaked", "leaks_label", "refused", "empty", "truncated"]
    rows = [why(str(n), f"a kettle {club(n)}", status=status) for n, status in enumerate(statuses)]
    _, table = found(tmp_path, memes, [*rows, why("7", "  ")])
    assert (table["rationales"], table["teaching"], table["stated"]["of"]) == (8, 3, 3)
    assert table["statuses"] == dict.fromkeys(statuses, 1) | {"unchecked": 2}
    assert table["coverage"]["train"] == {"count": 3, "of": 8}


def test_a_later_line_stands_in_for_an_earlier_one(tmp_path: Path) -> None:
    memes = [meme("a", "you", label=SOME), meme("b", "me", label=SOME)]
    rows = [
        why("a", "this is somewhat harmful", status="unchecked"),
        why("b", "a kettle"),
        why("a", "this is somewhat harmful", status="leaks_label"),
        why("b", "this is somewhat harmful"),
    ]
    _, table = found(tmp_path, memes, rows)
    assert (table["rationales"], table["stated"]["severity"], table["stated"]["of"]) == (2, 1, 1)


def test_severities_labels_and_phrases_are_counted(tmp_path: Path) -> None:
    texts = {
        "a kettle, so it is Not  Harmful": NONE,  # its severity, by a phrase
        "such a meme is harmless": NONE,  # its label in other words
        "a kettle does not sing": NONE,  # a phrase alone
        "you are compared with a kettle": NONE,  # nothing; four phrases guess harmful
        "it is somewhat harmful to you": SOME,
        "it is harmful to you": SOME,  # not the severity
        "it is not harmful": SOME,  # the opposite
        "they call you a kettle": SOME,
    }
    memes = [meme(str(n), "you", label=label) for n, label in enumerate(texts.values())]
    findings, table = found(tmp_path, memes, [why(str(n), text) for n, text in enumerate(texts)])
    assert (table["stated"]["severity"], table["stated"]["label"]) == (2, 4)
    assert (table["stated"]["phrases_right"], table["stated"]["of"]) == (6, 8)
    stated = only(findings, "rationale-states-label")
    assert (stated.level, stated.bars, stated.of) == ("error", ("training",), 8)
    assert "50.0 % in its own words, 25.0 % by their severity" in stated.message
    assert "four phrases recover the binary label of 75.0 %" in stated.message
    assert "2" not in [name for names in shown(stated) for name in names]
    assert stated.examples[0].text == "a kettle, so it is Not Harmful"


@pytest.mark.parametrize(("stating", "level"), [(1, "warning"), (2, "error")])
def test_five_percent_that_state_their_label_bar_training(tmp_path: Path, stating: int, level: str) -> None:
    rows = [f"a kettle {club(n)} sings" if n >= stating else f"{club(n)}: very offensive" for n in range(40)]
    finding = only(explained(tmp_path, rows)[0], "rationale-states-label")
    assert (finding.level, finding.count, finding.bars) == (
        level,
        stating,
        ("training",) if level == "error" else (),
    )


def test_the_label_that_the_teacher_was_given_counts_before_the_memes_own(tmp_path: Path) -> None:
    memes = [meme("a", "you", label=NONE)]
    row = why("a", "it is somewhat harmful", label_given=SOME)
    assert found(tmp_path, memes, [row])[1]["stated"]["severity"] == 1
    assert found(tmp_path, memes, [why("a", row.text)])[1]["stated"]["severity"] == 0


def test_refusals_are_a_warning_with_the_sides_they_fall_on(tmp_path: Path) -> None:
    texts = ["I’m sorry, but I cannot assist.", "As an AI, I have no club.", "I am unable to say", "a kettle"]
    findings, table = explained(tmp_path, texts)
    finding = only(findings, "rationale-refused")
    assert (finding.level, finding.count, finding.of) == ("warning", 3, 4)
    assert "2 harmless" in finding.message and "1 harmful" in finding.message
    assert shown(finding) == [("0",), ("1",), ("2",)]
    assert table["refused"] == {"count": 3, "of": 4}


@pytest.mark.parametrize(("speaking", "level"), [(1, "note"), (2, "warning")])
def test_rationales_that_speak_of_a_caption_are_counted(tmp_path: Path, speaking: int, level: str) -> None:
    rows = [f"{'the caption' if n < speaking else 'the club'} says {club(n)}" for n in range(40)]
    finding = only(explained(tmp_path, rows)[0], "rationale-speaks-of-caption")
    assert (finding.level, finding.count, finding.of) == (level, speaking, 40)


def test_rationales_nearly_identical_to_another_are_counted_with_their_partner(tmp_path: Path) -> None:
    words = [club(number) for number in range(60)]
    texts = [" ".join(words[:30]), " ".join(words[30:]), " ".join([*words[:29], "end"]), "you sing"]
    findings, table = explained(tmp_path, texts)
    finding = only(findings, "rationale-copies")
    assert (finding.level, finding.count, finding.of) == ("warning", 2, 4)
    assert shown(finding) == [("0", "2"), ("2", "0")]
    assert table["copies"] == {"count": 2, "of": 4}


def test_eighty_percent_of_the_runs_of_five_words_are_near_enough() -> None:
    words = [club(number) for number in range(50)]
    text = " ".join(words[:24])  # 20 runs
    # With n words cut at the end, 20 - n of 20 runs are shared.
    assert find_near_identical([text, " ".join(words[:20])]) == {0: 1, 1: 0}
    assert find_near_identical([text, " ".join(words[:19])]) == {}
    assert find_near_identical([text.upper(), text]) == {0: 1, 1: 0}
    for short in ([], [""], ["you", "you"], ["a", ""]):  # no run at all
        assert find_near_identical(short) == {}


def test_resemblance_is_that_computed_pair_by_pair() -> None:
    rng = np.random.default_rng(0)
    texts = []
    for number in range(300):  # more than are compared at a time
        words = [club(int(word)) for word in np.random.default_rng(number % 100).integers(0, 999, 30)]
        for at in rng.integers(0, 30, number // 100):
            words[at] = "kettle"
        texts.append(" ".join(words))
    words = [text.split() for text in texts]
    shingles = [{tuple(row[at : at + 5]) for at in range(len(row) - 4)} for row in words]
    partners = find_near_identical(texts)
    for index, shingle in enumerate(shingles):
        likeness = [len(shingle & other) / len(shingle | other) for other in shingles]
        likeness[index] = 0
        assert (index in partners) == (max(likeness) >= 0.8)
        if index in partners:
            assert likeness[partners[index]] == max(likeness)


def test_what_a_recipe_would_cut_is_counted_from_its_own_length(tmp_path: Path) -> None:
    texts = [" ".join(["kettle"] * count) for count in (10, 37, 38, 39, 60, 100)]
    findings, table = explained(tmp_path, texts, recipe="paper")
    # "Output:" before and an end token behind: 38 words fill 40 tokens.
    assert table["cut"]["at_least"] == {
        "published": {"limit": 40, "count": 3},
        "paper": {"limit": 40, "count": 3},
    }
    assert table["cut"]["words"]["longest"] == 102
    finding = only(findings, "rationale-cut")
    assert (finding.level, finding.count, finding.of, finding.mend) == (
        "warning",
        3,
        6,
        "--set lengths.rationale=auto",
    )
    assert "'paper' cuts at least 50.0 % of the rationales at 40 tokens" in finding.message


def test_a_recipe_that_takes_its_length_from_the_data_cuts_nothing(tmp_path: Path) -> None:
    findings, table = explained(tmp_path, ["kettle " * 10, "kettle " * 60])
    finding = only(findings, "rationale-cut")
    assert (finding.level, finding.count) == ("note", 0)
    assert "would cut at least 50.0 %" in finding.message
    assert set(table["cut"]["at_least"]) == {"published"}
    short, _ = explained(tmp_path, ["a kettle", "a teapot"], recipe="paper")
    assert all(finding.code != "rationale-cut" for finding in short)


def test_a_word_that_gives_the_label_away_is_read_by_words(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)

    def text(number: int) -> str:
        words = [club(int(word)) for word in rng.integers(0, 20, 6)]
        return f"{' '.join(words)}. {'A kettle' if number % 2 else 'A teapot'} is shown, which may harm."

    findings, table = explained(tmp_path, [text(number) for number in range(80)])
    assert table["readable"]["whole"]["count"] >= 78
    # The word stands in a sentence that speaks of harm; without it, the label is anybody's guess.
    low, high = table["readable"]["without_harm"]["interval"]
    assert low < 0.5 < high
    assert (only(findings, "rationale-tells-label").level, table["readable"]["whole"]["of"]) == ("note", 80)
    assert explained(tmp_path, [text(number) for number in range(49)])[1]["readable"] == {}  # too few
