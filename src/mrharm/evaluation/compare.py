"""Compare runs on the same memes by their saved predictions: paired tests, and mean and spread over seeds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import yaml

from mrharm.errors import InputError
from mrharm.evaluation.evaluate import predict_split
from mrharm.evaluation.groups import FEWEST
from mrharm.evaluation.saved_predictions import (
    SavedPredictions,
    evaluation_folder,
    list_manifests,
    manifest_file,
    read_manifest,
    read_saved,
)
from mrharm.evaluation.scores import HEADLINE
from mrharm.memes.dataset import Dataset
from mrharm.metrics import Estimate
from mrharm.metrics.bootstrap import Statistic, average, bootstrap
from mrharm.metrics.classification import accuracy_of, headline, settle
from mrharm.metrics.estimate import Floats, difference_of_means
from mrharm.metrics.significance import McNemar, mcnemar
from mrharm.progress import Progress, no_progress
from mrharm.records import Record
from mrharm.runs import CARD, DETECTOR, RECIPE, find_run, read_run
from mrharm.store import content_key
from mrharm.verdicts.card import read_card


class Spread(Record):
    """A figure over seeds: mean and standard deviation, the lowest and the highest."""

    mean: float
    sd: float
    low: float
    high: float


class Side(Record):
    """One side of a comparison: its runs and their figures, the mean over runs with its interval over memes.

    thresholds: of each run's decisions; ``spread``: over the runs, where there are several.
    """

    name: str
    runs: tuple[str, ...]
    recipe: str
    seeds: tuple[int, ...]
    thresholds: tuple[float, ...]
    figures: dict[str, Estimate]
    spread: dict[str, Spread]


class BaselineGroup(Record):
    """Both sides' accuracy, the mean over runs, on the memes that words alone get ``wrong``, or ``right``."""

    name: str
    memes: int
    first: Estimate
    second: Estimate
    difference: Estimate


class Comparison(Record):
    """The second side compared with the first on the same memes.

    dataset_sha256: the dataset as the runs judged it; several where it was changed in between.
    left_out: memes that not all runs judged.
    differences: second minus first, by the paired bootstrap over memes (which memes were drawn for the test).
    over_seeds: the same by Welch's t interval over runs (which seeds were drawn), where both sides have several.
    mcnemar: of one run on each side; ``differ``: memes that these decide differently.
    by_baseline: where words alone are wrong, and where they are right; empty where that is not known.
    """

    dataset: str
    dataset_sha256: tuple[str, ...]
    split: str
    memes: int
    left_out: int
    first: Side
    second: Side
    differences: dict[str, Estimate]
    over_seeds: dict[str, Estimate]
    mcnemar: McNemar | None = None
    differ: int | None = None
    by_baseline: tuple[BaselineGroup, ...] = ()
    words: tuple[str, ...] = ()


def compare(
    sides: Sequence[Sequence[Path]],
    *,
    dataset: Path | None = None,
    split: str | None = None,
    device: str = "auto",
    seed: int = 0,
    progress: Progress = no_progress,
) -> tuple[Comparison, ...]:
    """Compare every later side with the first.

    Args:
        sides: the runs of each side; several runs of a side differ in their seed only.
        dataset: judged with the runs that have no verdicts on it yet. None: what all runs have judged already.
        split: of the dataset; None for ``test``, or without a dataset for the one split that all runs have judged.
        device: for judging.
        seed: of the bootstrap.
        progress: called as memes are judged.

    Raises:
        InputError: fewer than two sides, runs of a side that differ in more than their seed, or no split that all have
            judged.
        DataError: stored verdicts are missing or broken.
    """
    if len(sides) < 2 or not all(sides):
        raise InputError("expected at least two runs to compare")
    folders = [[find_run(run) for run in side] for side in sides]
    if dataset is not None:
        data = Dataset(dataset)
        name = data.split_name(split or "test")
        saved = [[_read_or_judge(run, data, name, device, progress) for run in side] for side in folders]
    else:
        files = _find_common_split([run for side in folders for run in side], split)
        saved = [[_read_present(run, files[run]) for run in side] for side in folders]
    for side in saved:
        _check_side(side)
    aligned, left_out = _select_common_memes(saved)
    return tuple(_compare_sides(aligned[0], side, left_out, seed) for side in aligned[1:])


def _compare_sides(
    first: list[SavedPredictions], second: list[SavedPredictions], left_out: int, seed: int
) -> Comparison:
    gold, clusters = first[0].gold, first[0].clusters
    # The figures of each side and their differences, all of the same resampled memes.
    statistics: dict[str, Statistic] = {}
    by_run = _headline_by_run(first), _headline_by_run(second)
    for name in HEADLINE:
        mean_first, mean_second = (average(statistics_of_runs[name]) for statistics_of_runs in by_run)
        statistics[f"first {name}"], statistics[f"second {name}"] = mean_first, mean_second
        statistics[name] = mean_second - mean_first
    figures = bootstrap(statistics, len(gold), seed=seed, clusters=clusters)
    # What depends on the runs rather than the memes: spread over seeds, or a test of two single runs.
    over_seeds, test, differ = {}, None, None
    if min(len(first), len(second)) > 1:
        values = _values_by_run(first), _values_by_run(second)
        over_seeds = {name: difference_of_means(values[0][name], values[1][name]) for name in HEADLINE}
    if len(first) == len(second) == 1:
        right = [settle(gold, side[0].predicted) == gold for side in (first, second)]
        test = mcnemar(right[0], right[1], clusters=clusters)
        differ = int(np.sum(first[0].predicted != second[0].predicted))
    return Comparison(
        dataset=first[0].manifest.dataset,
        dataset_sha256=tuple(dict.fromkeys(run.manifest.dataset_sha256 for run in (*first, *second))),
        split=first[0].manifest.split,
        memes=len(gold),
        left_out=left_out,
        first=_describe_side(first, {name: figures[f"first {name}"] for name in HEADLINE}),
        second=_describe_side(second, {name: figures[f"second {name}"] for name in HEADLINE}),
        differences={name: figures[name] for name in HEADLINE},
        over_seeds=over_seeds,
        mcnemar=test,
        differ=differ,
        by_baseline=_compare_by_baseline(first, second, seed),
    )


def _compare_by_baseline(
    first: list[SavedPredictions], second: list[SavedPredictions], seed: int
) -> tuple[BaselineGroup, ...]:
    """Compare accuracy where words alone are wrong, and where they are right."""
    errors = first[0].manifest.baseline_errors
    if errors is None:
        return ()
    wrong = set(errors)
    groups = []
    for name in ("wrong", "right"):
        ids = [meme_id for meme_id in first[0].ids if (meme_id in wrong) == (name == "wrong")]
        if len(ids) < FEWEST:
            continue
        means = []
        for side in (first, second):
            runs = [run.select(ids) for run in side]
            means.append(average([accuracy_of(run.gold, run.predicted) for run in runs]))
        figures = bootstrap(
            {"first": means[0], "second": means[1], "difference": means[1] - means[0]},
            len(ids),
            seed=seed,
            clusters=first[0].select(ids).clusters,
        )
        groups.append(BaselineGroup(name=name, memes=len(ids), **figures))
    return tuple(groups)


def _describe_side(runs: list[SavedPredictions], figures: dict[str, Estimate]) -> Side:
    paths = [str(saved.run) for saved in runs]
    spread = {}
    if len(runs) > 1:
        spread = {
            name: Spread(
                mean=float(values.mean()),
                sd=float(values.std(ddof=1)),
                low=float(values.min()),
                high=float(values.max()),
            )
            for name, values in _values_by_run(runs).items()
            if np.isfinite(values).all()
        }
    return Side(
        name=paths[0] if len(runs) == 1 else f"{Path(paths[0]).name} and {len(runs) - 1} more",
        runs=tuple(paths),
        recipe=runs[0].manifest.recipe,
        seeds=tuple(saved.manifest.seed for saved in runs),
        thresholds=tuple(saved.threshold for saved in runs),
        figures=figures,
        spread=spread,
    )


def _headline_by_run(runs: list[SavedPredictions]) -> dict[str, list[Statistic]]:
    """Return figure -> it of each run."""
    by_run = [headline(saved.gold, saved.predicted, saved.scores) for saved in runs]
    return {name: [statistics[name] for statistics in by_run] for name in HEADLINE}


def _values_by_run(runs: list[SavedPredictions]) -> dict[str, Floats]:
    """Compute figure -> its value of each run. *Shape:* (runs,)"""
    memes = len(runs[0].gold)
    return {
        name: np.array([statistic.value(memes) for statistic in statistics])
        for name, statistics in _headline_by_run(runs).items()
    }


def _check_side(side: Sequence[SavedPredictions]) -> None:
    """Refuse a side whose runs differ in more than their seed."""
    runs = ", ".join(str(saved.run) for saved in side)
    recipes = sorted({saved.manifest.recipe for saved in side})
    seeds = {saved.manifest.seed for saved in side}
    if len(recipes) > 1:
        raise InputError(
            f"one side holds runs of several recipes ({', '.join(recipes)}); expected runs of one recipe that differ "
            "in their seed; give other recipes as sides of their own"
        )
    if len({_settings_key(saved.run) for saved in side}) > 1:
        raise InputError(
            f"one side holds runs of recipe {recipes[0]} with other settings than the seed, or trained on other "
            f"datasets ({runs}); give them as sides of their own"
        )
    if len(seeds) < len(side):
        raise InputError(f"one side holds runs of one seed twice ({runs}); expected one each")


def _settings_key(run: Path) -> str:
    """Return a hash of all that made a run but its seed."""
    recipe = (run / RECIPE).read_text(encoding="utf-8") if (run / RECIPE).exists() else "{}"
    settings = {name: value for name, value in yaml.safe_load(recipe).items() if name != "seed"}
    trained = read_run(run)
    return content_key(settings, trained.get("dataset_sha256"), trained.get("stages"))


def _find_common_split(runs: Sequence[Path], split: str | None) -> dict[Path, Path]:
    """Return run -> its manifest of the split that all runs have judged."""
    judged = {run: _manifests_by_split(run) for run in runs}
    common = set.intersection(*(set(manifests) for manifests in judged.values()))
    keys = [key for key in judged[runs[0]] if key in common and split in (None, key[1])]
    if not keys:
        lists = [f"{run}: {_join_names(manifests) or 'nothing'}" for run, manifests in judged.items()]
        raise InputError(
            f"no split that all runs have judged ({'; '.join(lists)}); judge what is missing with --dataset DATASET"
        )
    # Of several, the test split of the dataset that the runs were trained on.
    at_home = [key for key in keys if all(judged[run][key][0].parent == run for run in runs)]
    if len(at_home) == 1:
        keys = at_home
    if len(keys) > 1:
        raise InputError(
            f"all runs have judged several splits ({_join_names(keys)}); say which with --dataset and --split"
        )
    return {run: _single_manifest(run, keys[0], judged[run][keys[0]]) for run in runs}


def _single_manifest(run: Path, key: tuple[str, str], files: Sequence[Path]) -> Path:
    """Return the one manifest of a split; raises InputError where there are several, of other memes or labels."""
    if len(files) > 1:
        raise InputError(
            f"{run} has judged {'.'.join(key)} with other memes or labels, too "
            f"({', '.join(str(file.parent) for file in files)}); say which with --dataset DATASET"
        )
    return files[0]


def _manifests_by_split(run: Path) -> dict[tuple[str, str], list[Path]]:
    """Return (dataset, split) -> a run's manifests, one for each dataset of that name, its test split first."""
    manifests: dict[tuple[str, str], list[Path]] = {}
    for file in list_manifests(run):
        manifest = read_manifest(file)
        manifests.setdefault((manifest.dataset, manifest.split), []).append(file)
    return manifests


def _join_names(keys: Iterable[tuple[str, str]]) -> str:
    return ", ".join(f"{dataset}.{split}" for dataset, split in keys)


def _read_present(run: Path, file: Path) -> SavedPredictions:
    """Read saved predictions; raises InputError where the run's detector is another one by now."""
    saved, present = read_saved(run, file), _detector_key(run)
    if present not in (None, saved.manifest.detector):
        raise InputError(
            f"{run}: its verdicts on {saved.manifest.dataset} were given before its detector was changed (a new "
            "threshold or calibration); evaluate it again, or say --dataset DATASET"
        )
    return saved


def _detector_key(run: Path) -> str | None:
    """Return the key of the detector a run holds now; None where there are only verdicts."""
    return read_card(run)[1].key() if (run / DETECTOR / CARD).exists() else None


def _read_or_judge(
    run: Path, dataset: Dataset, split: str, device: str, progress: Progress
) -> SavedPredictions:
    """Read a run's predictions on a split, or judge it where they are of another detector or dataset."""
    file = manifest_file(evaluation_folder(run, dataset, split), split)
    # No comparison reads rationales; where verdicts were written with them, they are written again.
    rationales = False
    if file.exists():
        manifest = read_manifest(file)
        rationales = manifest.rationales
        if manifest.dataset_sha256 == dataset.fingerprint() and manifest.detector == _detector_key(run):
            return read_saved(run, file)
    from mrharm.verdicts.detector import Detector  # PyTorch: refusals come first

    detector = Detector.from_pretrained(run, device=device)
    predict_split(detector, dataset, split, folder=file.parent, rationales=rationales, progress=progress)
    return read_saved(run, file)


def _select_common_memes(
    sides: list[list[SavedPredictions]],
) -> tuple[list[list[SavedPredictions]], int]:
    """Select the memes that all judged, in one order, and count the memes left out."""
    first, *rest = [saved for side in sides for saved in side]
    common = [name for name in first.ids if all(name in saved.manifest.rows for saved in rest)]
    if not common:
        raise InputError(f"{first.run} and the others have judged no meme in common")
    for saved in rest:
        for name in common:
            if saved.manifest.rows[name][0] != first.manifest.rows[name][0]:
                raise InputError(
                    f"{saved.run} and {first.run} were evaluated on other labels ({name}): not the same memes; judge "
                    "both on one dataset with --dataset DATASET"
                )
    every_name = set(first.ids).union(*(saved.ids for saved in rest))
    return [[saved.select(common) for saved in side] for side in sides], len(every_name) - len(common)
