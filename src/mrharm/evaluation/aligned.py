"""Stored verdicts of several runs on the same memes, judged first where they are missing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import yaml

from mrharm.errors import InputError
from mrharm.evaluation.evaluate import predict_split
from mrharm.evaluation.saved import (
    SavedPredictions,
    evaluation_folder,
    list_manifests,
    manifest_file,
    read_manifest,
    read_saved,
)
from mrharm.memes.dataset import Dataset
from mrharm.progress import Progress, no_progress
from mrharm.runs import CARD, DETECTOR, RECIPE, find_run, read_run
from mrharm.store import content_key
from mrharm.verdicts.card import read_card
from mrharm.verdicts.detector import Detector

Which = tuple[str, str]  # dataset, split


def align(
    sides: Sequence[Sequence[Path]],
    *,
    dataset: Path | None = None,
    split: str | None = None,
    device: str = "auto",
    progress: Progress = no_progress,
) -> tuple[list[list[SavedPredictions]], int]:
    """Runs by side -> their verdicts on the memes all of them judged, in one order, and how many memes were left out;
    arguments and errors are those of `mrharm.evaluation.compare.compare`.
    """
    if len(sides) < 2 or not all(sides):
        raise InputError("expected at least two runs to compare")
    folders = [[find_run(run) for run in side] for side in sides]
    if dataset is not None:
        data = Dataset(dataset)
        own_name = data.split_name(split or "test")
        stored = [[_judged(run, data, own_name, device, progress) for run in side] for side in folders]
    else:
        files = _shared([run for side in folders for run in side], split)
        stored = [[_kept(run, files[run]) for run in side] for side in folders]
    for side in stored:
        recipes = {one.manifest.recipe for one in side}
        seeds = [one.manifest.seed for one in side]
        if len({_made_by(one.run) for one in side}) > 1 and len(recipes) == 1:
            raise InputError(
                f"one side holds runs of recipe {recipes.pop()} with other settings than the seed, or trained on other "
                f"datasets ({', '.join(str(one.run) for one in side)}); give them as sides of their own"
            )
        if len(recipes) > 1:
            raise InputError(
                f"one side holds runs of several recipes ({', '.join(sorted(recipes))}); expected runs of one recipe "
                "that differ in their seed; give other recipes as sides of their own"
            )
        if len(set(seeds)) < len(seeds):
            raise InputError(
                f"one side holds runs of one seed twice ({', '.join(str(one.run) for one in side)}); expected one each"
            )
    return _same_memes(stored)


def _made_by(run: Path) -> str:
    """All that made a run but its seed."""
    recipe = (run / RECIPE).read_text(encoding="utf-8") if (run / RECIPE).exists() else "{}"
    values = yaml.safe_load(recipe)
    trained = read_run(run)
    return content_key(
        {name: value for name, value in values.items() if name != "seed"},
        trained.get("dataset_sha256"),
        trained.get("stages"),
    )


def _found(run: Path) -> dict[Which, list[Path]]:
    """What a run has judged: (dataset, split) -> files, one for each dataset of that name; its own come first."""
    found: dict[Which, list[Path]] = {}
    for file in list_manifests(run):
        judgement = read_manifest(file)
        found.setdefault((judgement.dataset, judgement.split), []).append(file)
    return found


def _shared(runs: Sequence[Path], split: str | None) -> dict[Path, Path]:
    """Run -> its file of the one split that all have judged."""
    everyone = {run: _found(run) for run in runs}
    first = everyone[runs[0]]
    shared = [
        which
        for which in first
        if all(which in found for found in everyone.values()) and split in (None, which[1])
    ]
    if len(shared) > 1:
        own = [
            which for which in shared if all(found[which][0].parent == run for run, found in everyone.items())
        ]
        shared = own if len(own) == 1 else shared
    if len(shared) == 1:
        files = {run: found[shared[0]] for run, found in everyone.items()}
        for run, some in files.items():
            if len(some) > 1:
                places = ", ".join(str(file.parent) for file in some)
                raise InputError(
                    f"{run} has judged {'.'.join(shared[0])} with other memes or labels, too ({places}); say which "
                    "with --dataset DATASET"
                )
        return {run: some[0] for run, some in files.items()}
    if shared:
        names = ", ".join(f"{name}.{part}" for name, part in shared)
        raise InputError(
            f"all runs have judged several splits ({names}); say which with --dataset and --split"
        )
    have = "; ".join(
        f"{run}: {', '.join(f'{name}.{part}' for name, part in found) or 'nothing'}"
        for run, found in everyone.items()
    )
    raise InputError(
        f"no split that all runs have judged ({have}); judge what is missing with --dataset DATASET"
    )


def _kept(run: Path, file: Path) -> SavedPredictions:
    """Verdicts as they were stored; raises InputError where the run's detector is another by now."""
    stored, present = read_saved(run, file), _present_key(run)
    if present not in (None, stored.manifest.detector):
        raise InputError(
            f"{run}: its verdicts on {stored.manifest.dataset} were given before its detector was changed (a new "
            "threshold or calibration); evaluate it again, or say --dataset DATASET"
        )
    return stored


def _present_key(run: Path) -> str | None:
    """The key of the detector a run holds now; None where there are only verdicts."""
    return read_card(run)[1].key() if (run / DETECTOR / CARD).exists() else None


def _judged(run: Path, dataset: Dataset, split: str, device: str, progress: Progress) -> SavedPredictions:
    """A run's verdicts on a split: those kept there, where they are of its present detector and the same dataset."""
    file = manifest_file(evaluation_folder(run, dataset, split), split)
    rationales = (
        False  # nobody compares them; but where they were written, verdicts with them are those to keep
    )
    if file.exists():
        there = read_manifest(file)
        rationales = there.rationales
        if there.dataset_sha256 == dataset.fingerprint() and there.detector == _present_key(run):
            return read_saved(run, file)
    detector = Detector.from_pretrained(run, device=device)
    predict_split(detector, dataset, split, folder=file.parent, rationales=rationales, progress=progress)
    return read_saved(run, file)


def _same_memes(sides: list[list[SavedPredictions]]) -> tuple[list[list[SavedPredictions]], int]:
    """The same memes in the same order everywhere, and how many were left out."""
    everyone = [one for side in sides for one in side]
    shared = [name for name in everyone[0].ids if all(name in one.manifest.rows for one in everyone[1:])]
    if not shared:
        raise InputError(f"{everyone[0].run} and the others have judged no meme in common")
    for one in everyone[1:]:
        other = [name for name in shared if one.manifest.rows[name][0] != everyone[0].manifest.rows[name][0]]
        if other:
            raise InputError(
                f"{one.run} and {everyone[0].run} were evaluated on other labels ({other[0]}): not the same memes; "
                "judge both on one dataset with --dataset DATASET"
            )
    every = {name for one in everyone for name in one.ids}
    return [[one.select(shared) for one in side] for side in sides], len(every) - len(shared)
