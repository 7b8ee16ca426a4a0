from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace

import numpy as np
import pytest
import yaml
from scipy.special import expit

from mrharm.errors import DataError, InputError
from mrharm.memes.dataset import Dataset
from mrharm.records import Failure, read_records
from mrharm.training import pictures
from mrharm.training.run import train
from mrharm.training.trainer import train_stage
from tests.student.conftest import tiny_student
from tests.training.helpers import tiny, weights

# One step of a student that reads text alone: for promises about the run folder.
QUICK = {"student__vision_tower": "none", "stages__label__steps": 1}


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """Features go to a folder of the tests', never to the user's."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MRHARM_CACHE", str(folder))
        yield folder


def test_a_run_folder_says_what_made_it_and_a_tower_that_learns_is_never_cached(
    squares, tmp_path, monkeypatch
):
    monkeypatch.setenv("MRHARM_CACHE", str(tmp_path / "cache"))
    train(squares, tiny(), tmp_path / "run", stages="label", device="cpu")
    run = json.loads((tmp_path / "run" / "run.json").read_text())
    assert run["dataset_sha256"] == Dataset(squares).fingerprint()
    assert run["stages"] == "label" and run["seed"] == 0
    assert run["processes"] == 1 and run["effective_batch"] == {"label": 16}
    assert {"torch", "transformers", "mrharm"} <= set(run["versions"])
    assert yaml.safe_load((tmp_path / "run" / "recipe.yaml").read_text())["stages"]["label"]["epochs"] == 2
    assert {path.name for path in (tmp_path / "run" / "detector").iterdir()} == {
        *("detector.json", "README.md", "recipe.yaml", "config.json", "processor.json"),
        *("tokenizer.json", "tokenizer_config.json", "label.safetensors", "shared.safetensors"),
        "familiarity.safetensors",
    }
    card = json.loads((tmp_path / "run" / "detector" / "detector.json").read_text())
    assert card["reads"] == ["text"] and "label.safetensors" in card["files"]
    assert card["threshold"] == pytest.approx(
        expit(card["calibration"]["bias"])
    )  # where answers are as likely
    assert "recipe `test`" in (tmp_path / "run" / "detector" / "README.md").read_text()
    assert not (tmp_path / "cache").exists()


def test_a_calibration_that_the_validation_memes_do_not_determine_is_said(squares, tmp_path):
    lines: list[str] = []
    model = train(squares, tiny(**QUICK), tmp_path, stages="label", device="cpu", say=lines.append)
    assert model.card.calibration.at_bound and any("calibration ended at its bound" in line for line in lines)


def test_another_recipe_or_dataset_in_the_same_folder_is_refused_and_overwrite_begins_anew(squares, tmp_path):
    train(squares, tiny(**QUICK), tmp_path / "run", stages="label", device="cpu")
    with pytest.raises(InputError, match=r"another seed, recipe.*--overwrite"):
        train(squares, tiny(**QUICK, seed=1), tmp_path / "run", stages="label", device="cpu")
    train(squares, tiny(**QUICK, seed=1), tmp_path / "run", stages="label", device="cpu", overwrite=True)
    # The same recipe, as resolved before some of its fields came.
    recipe = yaml.safe_load((tmp_path / "run" / "recipe.yaml").read_text())
    del recipe["max_grad_norm"]
    (tmp_path / "run" / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    train(squares, tiny(**QUICK, seed=1), tmp_path / "run", stages="label", device="cpu")
    (tmp_path / "taxes").mkdir()
    (tmp_path / "taxes" / "2025.txt").write_text("dear")
    with pytest.raises(InputError, match="not empty and not a run"):
        train(squares, tiny(), tmp_path / "taxes", stages="label", device="cpu", overwrite=True)
    assert (tmp_path / "taxes" / "2025.txt").exists()


def test_a_second_training_in_the_same_folder_is_refused_with_the_process_id(squares, tmp_path):
    run, refusals = tmp_path / "run", []

    def start_second(line):
        with pytest.raises(InputError) as raised:
            train(squares, tiny(**QUICK, seed=1), run, stages="label", device="cpu", overwrite=True)
        refusals.append(str(raised.value))

    train(squares, tiny(**QUICK), run, stages="label", device="cpu", say=start_second)
    assert set(refusals) == {
        f"another process is writing {run} (process {os.getpid()}); wait for it or stop it"
    }
    assert json.loads((run / "run.json").read_text())["seed"] == 0


def test_a_kill_while_an_old_run_is_deleted_leaves_a_folder_the_same_command_goes_on_with(
    squares, tmp_path, monkeypatch
):
    run = tmp_path / "run"
    train(squares, tiny(**QUICK), run, stages="label", device="cpu")

    def killed(folder):
        (folder / "run.json").unlink()  # what is deleted first is up to the file system
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(shutil, "rmtree", killed)
        train(squares, tiny(**QUICK, seed=1), run, stages="label", device="cpu", overwrite=True)
    train(squares, tiny(**QUICK, seed=1), run, stages="label", device="cpu", overwrite=True)
    assert json.loads((run / "run.json").read_text())["seed"] == 1
    assert not (run / ".replaced").exists()


def test_a_damaged_run_file_is_a_data_error_with_the_mend(squares, tmp_path):
    run = tmp_path / "run"
    train(squares, tiny(**QUICK), run, stages="label", device="cpu")
    for text in ('{"dataset": ', "[]"):
        (run / "run.json").write_text(text)
        with pytest.raises(DataError, match=r"run\.json: .*--overwrite` trains anew"):
            train(squares, tiny(**QUICK), run, stages="label", device="cpu")
    train(squares, tiny(**QUICK), run, stages="label", device="cpu", overwrite=True)
    assert json.loads((run / "run.json").read_text())["done"]


def test_a_picture_that_cannot_be_read_is_left_out_named_and_counted(squares, tmp_path):
    shutil.copytree(squares, tmp_path / "d")
    (tmp_path / "d" / "images" / "train-3.png").write_bytes(b"\x89PNG\r\n\x1a\n cut")
    (tmp_path / "d" / "images" / "train-4.png").rename(tmp_path / "train-4.png")
    memes = (tmp_path / "d" / "memes.jsonl").read_text()
    (tmp_path / "d" / "memes.jsonl").write_text(memes.replace("images/train-4.png", "../train-4.png"))
    lines: list[str] = []
    train(tmp_path / "d", tiny(), tmp_path / "run", stages="label", device="cpu", say=lines.append)
    assert any("46 of 48" in line and "2 with a picture that cannot be read" in line for line in lines)
    failures = {row.item: row for row in read_records(tmp_path / "run" / "failures.jsonl", Failure)}
    assert failures.keys() == {"train-3.png", "train-4.png"}
    assert "leaves the dataset folder" in failures["train-4.png"].reason
    assert json.loads((tmp_path / "run" / "run.json").read_text())["failed_pictures"] == 2


def test_a_frozen_towers_features_are_computed_once_and_kept_on_disk(squares, tmp_path, cache):
    recipe = tiny(student__train_vision=False, picture__augment="none", stages__label__epochs=1)
    train(squares, recipe, tmp_path / "a", stages="label", device="cpu")
    (folder,) = (cache / "features").iterdir()
    kept = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    distinct = {meme.image for meme in Dataset(squares).memes if meme.split in ("train", "validation")}
    assert 0 < len(kept) <= len(distinct)
    assert np.load(folder / next(iter(kept))).shape == (16, 96)
    train(squares, recipe, tmp_path / "b", stages="label", device="cpu")
    assert {path.name: path.stat().st_mtime_ns for path in folder.iterdir()} == kept
    assert weights(tmp_path / "a") == weights(tmp_path / "b")


def test_the_cache_is_keyed_by_the_towers_weights_and_the_pictures_settings():
    model, processor = tiny_student(train_vision=False)
    key = pictures.tower_key(model, processor)
    assert key == pictures.tower_key(*tiny_student(train_vision=False))
    next(model.encoder.vision.parameters()).data.add_(1)
    assert pictures.tower_key(model, processor) != key
    model, processor = tiny_student(train_vision=False)
    assert processor.picture is not None
    processor.picture = replace(processor.picture, fit="crop")
    assert pictures.tower_key(model, processor) != key


def test_a_kill_before_the_run_file_or_after_it_leaves_a_folder_the_same_command_goes_on_with(
    squares, tmp_path
):
    recipe = tiny(**QUICK)
    (tmp_path / "before").mkdir()
    (tmp_path / "before" / ".run.json.x1").write_text("cut")
    train(squares, recipe, tmp_path / "before", stages="label", device="cpu")
    train(squares, recipe, tmp_path / "after", stages="label", device="cpu")
    (tmp_path / "after" / "recipe.yaml").unlink()
    lines: list[str] = []
    train(squares, recipe, tmp_path / "after", stages="label", device="cpu", say=lines.append)
    assert lines == [f"{tmp_path / 'after'}: already trained"]


def test_one_stage_has_one_target_and_memes_without_a_rationale_learn_their_label(
    squares, tmp_path, monkeypatch
):
    folder = tmp_path / "memes"
    shutil.copytree(squares, folder)
    rows = (folder / "rationales.jsonl").read_text().splitlines()
    without = json.loads(rows[0])["meme_id"]
    (folder / "rationales.jsonl").write_text("\n".join(rows[1:]) + "\n")
    targets = {}

    def remember(plan, data, *arguments):
        for example in data.train.examples:
            targets[example.meme_id] = data.processor.tokenizer.decode(example.target_ids)
        return train_stage(plan, data, *arguments)

    monkeypatch.setattr("mrharm.training.stages.train_stage", remember)
    train(folder, tiny(stages__label__epochs=1), tmp_path / "run", stages="joint", device="cpu")
    train_memes = [meme.id for meme in Dataset(folder).split("train")]
    assert without in train_memes and set(targets) == set(train_memes)
    for name, target in targets.items():
        assert target.endswith(("The answer is: harmful</s>", "The answer is: harmless</s>"))
        assert target.count("</s>") == 1 and ("Output:" in target) == (name != without)


def test_a_picture_in_both_splits_is_read_as_pixels_and_as_features(squares, tmp_path, cache):
    shutil.copytree(squares, tmp_path / "d")
    memes = (tmp_path / "d" / "memes.jsonl").read_text()
    (tmp_path / "d" / "memes.jsonl").write_text(memes.replace("validation-0.png", "train-0.png"))
    recipe = tiny(student__train_vision=False, picture__augment="light", stages__label__epochs=1)
    detector = train(tmp_path / "d", recipe, tmp_path / "run", stages="label", device="cpu")
    assert detector.takes_picture


def test_a_batch_that_the_processes_cannot_divide_is_refused_with_the_mend(squares, tmp_path, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "3")
    with pytest.raises(InputError, match=r"16 cannot be divided among 3 .*stages\.rationale\.batch_size=18"):
        train(squares, tiny(), tmp_path / "run", device="cpu")
