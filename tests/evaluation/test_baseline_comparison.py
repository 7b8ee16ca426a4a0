from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from mrharm.evaluation import baseline_comparison
from mrharm.evaluation.baseline_comparison import accuracy_by_baseline, compare_baselines, select_train_memes
from mrharm.evaluation.predictions import Predictions
from mrharm.records import Evidence, Meme
from tests.audit.helpers import club, meme, paint, write_dataset
from tests.probes.stubs import Stub, judged_by, picture_alone, words_alone

SIZES = {"train": 40, "test": 20}


def memes(folder: Path, harmful: Callable[[int], bool]) -> list[Meme]:
    """Every second meme says "smell", every second pair has a reddish picture, all equally often in either split."""
    return [
        meme(
            f"{split}-{number}",
            f"you {('smell', 'shine')[number % 2]} like the {club(number + 100 * place)} club",
            harmful(number),
            split,
            image=paint(
                folder / f"{split}-{number}.png", ("#a03020", "#2030a0")[number // 2 % 2], (16, 16)
            ).name,
        )
        for place, (split, size) in enumerate(SIZES.items())
        for number in range(size)
    ]


def judge(folder: Path, harmful: Callable[[int], bool], *, captions: bool = False) -> Predictions:
    some = memes(folder, harmful)
    known = [Evidence(meme_id=one.id, text=one.text, caption="a patch") for one in some] if captions else []
    return judged_by(Stub(words_alone), write_dataset(folder, some, known))


def by_words(number: int) -> bool:
    return number % 2 == 0


def by_picture(number: int) -> bool:
    return number // 2 % 2 == 0


def test_words_alone_and_pixels_alone_tell_which_modality_gives_the_labels_away(tmp_path: Path) -> None:
    for name, harmful in (("words alone", by_words), ("pixels alone", by_picture)):
        rows = {row.name: row for row in compare_baselines(judge(tmp_path / name, harmful), n_resamples=50)}
        assert list(rows) == ["majority", "words alone", "pixels alone"]
        assert {row.learnt for row in rows.values()} == {40}
        right = {row.name for row in rows.values() if row.accuracy.value == 1.0}
        assert right == {name}
    # The stub reads words alone: right on half of the memes here, where pixels are right on all.
    assert rows["pixels alone"].gains["accuracy"].value == pytest.approx(-0.5)


def test_words_and_caption_stand_where_every_meme_has_a_caption(tmp_path: Path) -> None:
    rows = compare_baselines(judge(tmp_path, by_words, captions=True), n_resamples=50)
    assert "words and caption" in {row.name for row in rows}


def test_pixels_alone_learn_from_so_many_pictures_and_say_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(baseline_comparison, "MOST_PICTURES", 12)
    rows = {row.name: row.learnt for row in compare_baselines(judge(tmp_path, by_picture), n_resamples=50)}
    assert rows == {"majority": 40, "words alone": 40, "pixels alone": 12}


def test_a_meme_without_a_picture_gets_the_share_of_harmful_ones(tmp_path: Path) -> None:
    predictions = judge(tmp_path, lambda number: number % 4 != 0)  # three in four
    for number in range(10):
        (tmp_path / f"train-{number}.png").unlink()
        (tmp_path / f"test-{number}.png").write_bytes(b"no picture")
    found = baseline_comparison._score_by_pixels(predictions, select_train_memes(predictions), 0)
    assert found is not None
    learnt, scores = found
    left = [one.label.harmful for one in predictions.dataset.split("train")[10:] if one.label]
    assert learnt == 30 and scores[:10] == pytest.approx([sum(left) / 30] * 10)


def test_without_pictures_words_alone_stand_alone(tmp_path: Path) -> None:
    plain = [one.model_copy(update={"image": None}) for one in memes(tmp_path, by_words)]
    rows = compare_baselines(judged_by(Stub(words_alone), write_dataset(tmp_path, plain)), n_resamples=50)
    assert {row.name for row in rows} == {"majority", "words alone"}
    wordless = [one.model_copy(update={"text": None}) for one in memes(tmp_path, by_picture)]
    rows = compare_baselines(
        judged_by(Stub(picture_alone), write_dataset(tmp_path, wordless)), n_resamples=50
    )
    assert {row.name for row in rows} == {"majority", "pixels alone"}


def test_nothing_stands_beside_the_train_split_or_one_of_a_single_label(tmp_path: Path) -> None:
    assert compare_baselines(judge(tmp_path / "a", lambda number: True), n_resamples=50) == ()
    whole = judge(tmp_path / "b", by_words)
    assert compare_baselines(judged_by(Stub(words_alone), whole.dataset, "train"), n_resamples=50) == ()


def test_accuracy_is_told_where_words_alone_are_wrong_and_where_they_are_right(tmp_path: Path) -> None:
    # Half of the test memes have the label that their word does not have in train; the stub decides by that word.
    some = [
        one.model_copy(update={"label": one.label.model_copy(update={"harmful": not one.label.harmful})})
        if one.label and one.split == "test" and number % 4 < 2
        else one
        for number, one in enumerate(memes(tmp_path, by_words))
    ]
    found = accuracy_by_baseline(judged_by(Stub(words_alone), write_dataset(tmp_path, some)))
    assert found == {"words_wrong_n": 10, "words_wrong": 0.0, "words_right": 1.0}
    assert accuracy_by_baseline(judge(tmp_path / "b", lambda number: True)) == {}
