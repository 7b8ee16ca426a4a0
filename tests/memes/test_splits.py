from collections import Counter

import pytest

from mrharm.errors import InputError
from mrharm.memes.splits import add_validation
from mrharm.records import Label, Meme, Severity


def meme(number: int, *, harmful: bool = False, severity: Severity | None = None, text: str = "") -> Meme:
    label = Label(harmful=harmful, severity=severity)
    return Meme(id=f"m{number}", text=text or f"text {number}", label=label, split="train")


def moved(memes: list[Meme]) -> set[str]:
    return {row.id for row in memes if row.split == "validation"}


def test_each_severity_gives_its_share() -> None:
    severities: list[Severity] = [*["none"] * 6, *["somewhat"] * 3, "very"]  # type: ignore[list-item]
    memes = [meme(n, harmful=n % 10 > 5, severity=severities[n % 10]) for n in range(300)]
    validation = [row for row in add_validation(memes, 0.2, 0) if row.split == "validation"]
    assert Counter(row.label.severity for row in validation if row.label) == {
        "none": 36,
        "somewhat": 18,
        "very": 6,
    }


def test_copies_by_text_or_picture_stay_together_through_any_chain() -> None:
    memes = [meme(number, harmful=number % 2 == 0) for number in range(60)]
    memes[0] = meme(0, harmful=True, text="You  SMELL\nnice")
    memes[1] = meme(1, text="you smell nice ")
    hashes = {"m1": "same", "m2": "same", "m3": "other"}
    for seed in range(30):
        chosen = moved(add_validation(memes, 0.3, seed, hashes=hashes))
        assert len(chosen & {"m0", "m1", "m2"}) in (0, 3)


def test_memes_without_text_are_not_copies_of_one_another() -> None:
    memes = [
        Meme(id=str(n), text=None if n % 2 else " ", label=Label(harmful=n % 3 == 0), split="train")
        for n in range(30)
    ]
    assert len(moved(add_validation(memes, 0.2, 0))) == 6


def test_the_same_seed_chooses_the_same_memes_in_any_order_and_another_seed_others() -> None:
    memes = [meme(number, harmful=number % 2 == 0) for number in range(100)]
    chosen = moved(add_validation(memes, 0.1, 0))
    assert chosen == moved(add_validation(memes[::-1], 0.1, 0))
    assert chosen != moved(add_validation(memes, 0.1, 1))


def test_test_and_unlabelled_memes_are_never_touched() -> None:
    test = [meme(number).model_copy(update={"split": "test"}) for number in range(100, 150)]
    unlabelled = [Meme(id=f"u{number}", text=f"u {number}", split="train") for number in range(50)]
    memes = [meme(number, harmful=number % 2 == 0) for number in range(100)]
    after = add_validation([*test, *unlabelled, *memes], 0.5, 0)
    assert after[:100] == [*test, *unlabelled]
    assert [row.id for row in after] == [row.id for row in [*test, *unlabelled, *memes]]


def test_a_small_dataset_still_validates_on_both_labels() -> None:
    memes = [meme(number, harmful=number % 2 == 0) for number in range(4)]
    after = add_validation(memes, 0.1, 0)
    assert {row.label.harmful for row in after if row.split == "validation" and row.label} == {True, False}
    assert {row.label.harmful for row in after if row.split == "train" and row.label} == {True, False}


def test_a_label_that_is_one_group_of_copies_stays_in_train() -> None:
    memes = [meme(number, harmful=True, text="the same") for number in range(10)]
    assert moved(add_validation(memes, 0.1, 0)) == set()


def test_a_share_of_nothing_adds_nothing_and_a_wild_one_is_refused() -> None:
    memes = [meme(number) for number in range(10)]
    assert add_validation(memes, 0, 0) == memes
    for share in (-0.1, 0.6, float("nan")):
        with pytest.raises(InputError, match=r"expected 0 to 0\.5"):
            add_validation(memes, share, 0)
