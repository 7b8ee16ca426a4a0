"""A detector's predictions on a split of a dataset: what every score and probe starts from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from mrharm.errors import InputError
from mrharm.evaluation.clusters import cluster_ids
from mrharm.memes.dataset import Dataset
from mrharm.metrics.thresholds import LabelledScores
from mrharm.progress import Progress, no_progress
from mrharm.records import Evidence, Failure, Meme, Verdict
from mrharm.verdicts.batch import judge_all, judge_to_file, read_verdicts
from mrharm.verdicts.inputs import JudgeOptions

if TYPE_CHECKING:
    from mrharm.verdicts.detector import Detector

BATCH = 64  # memes


class NothingPredicted(InputError):
    """No meme of a split could be judged; ``failures`` says why of each."""

    def __init__(self, message: str, failures: Sequence[Failure]) -> None:
        super().__init__(message)
        self.failures = tuple(failures)


@dataclass(frozen=True)
class LabelledVerdicts:
    """Labelled memes of one split, the verdict on each, and the memes that could not be judged.

    ``memes`` and ``verdicts`` go together, in file order.
    """

    dataset: Dataset
    split: str
    memes: tuple[Meme, ...]
    verdicts: tuple[Verdict, ...]
    failures: tuple[Failure, ...] = ()

    @cached_property
    def gold(self) -> NDArray[np.bool_]:
        """People's labels: True is harmful. *Shape:* (memes,)"""
        return np.array([bool(meme.label and meme.label.harmful) for meme in self.memes], dtype=bool)

    @cached_property
    def predicted(self) -> NDArray[Any]:
        """The detector's labels: True, False, or None for no label. *Shape:* (memes,)"""
        return np.array([verdict.harmful for verdict in self.verdicts], dtype=object)

    @cached_property
    def scores(self) -> NDArray[np.float64]:
        """Calibrated P(harmful). *Shape:* (memes,)"""
        return np.array([verdict.score for verdict in self.verdicts], dtype=np.float64)

    @property
    def labelled_scores(self) -> LabelledScores:
        """Labels, scores and clusters, as thresholds and areas need them."""
        return LabelledScores(self.gold, self.scores, self.clusters)

    @cached_property
    def clusters(self) -> NDArray[np.int64]:
        """Number the clusters of memes that depend on one another (`cluster_ids`). *Shape:* (memes,)"""
        return cluster_ids(self.memes, [verdict.evidence for verdict in self.verdicts])

    def sample(self, count: int, seed: int = 0) -> Self:
        """Return at most ``count`` memes drawn at random, in file order, for probes that judge memes again."""
        if count >= len(self.memes):
            return self
        return self.select(np.sort(np.random.default_rng(seed).permutation(len(self.memes))[:count]).tolist())

    def select(self, places: Sequence[int]) -> Self:
        """Return the memes in these places, in the given order, with their verdicts."""
        return replace(
            self,
            memes=tuple(self.memes[place] for place in places),
            verdicts=tuple(self.verdicts[place] for place in places),
        )


@dataclass(frozen=True, kw_only=True)
class Predictions(LabelledVerdicts):
    """Labelled verdicts with the detector that gave them, for probes that have it judge changed memes."""

    detector: Detector

    def judge_again(
        self,
        memes: Sequence[Meme],
        *,
        evidence: Mapping[str, Evidence] | None = None,
        root: Path | None = None,
        rationales: bool = False,
        given_rationales: Mapping[str, str] | None = None,
    ) -> list[Verdict]:
        """Judge changed memes, in order, without storing the verdicts.

        Args:
            memes: changed copies of ``self.memes``, or of some of them.
            evidence: by meme id; None for the dataset's.
            root: the folder their image paths start from; None for the dataset's.
            rationales: write them, too.
            given_rationales: meme id -> the rationale that a student which reads one reads in place of its own.
        """
        return self.detector.judge(
            list(memes),
            evidence=self.dataset.evidence if evidence is None else evidence,
            root=root or self.dataset.root,
            batch_size=BATCH,
            rationales=rationales,
            gather=False,
            given_rationales=given_rationales,
        )


def judge_split(
    detector: Detector,
    dataset: Dataset,
    split: str,
    *,
    out: Path | None = None,
    rationales: bool = True,
    progress: Progress = no_progress,
) -> Predictions:
    """Judge a split's labelled memes; with ``out``, verdicts already in that JSONL file are not made again.

    Memes that cannot be judged (a broken picture, neither text nor picture) become failures.

    Raises:
        InputError: no such split, no labelled meme in it; or ``out`` holds verdicts of another detector.
        NothingPredicted: none of its memes can be judged.
    """
    memes = [meme for meme in dataset.split(split) if meme.label]
    if not memes:
        raise InputError(f"{dataset.root}: no meme of {split} has a label; nothing to hold verdicts against")
    verdicts, failures = judge_memes(
        detector,
        dataset,
        memes,
        out=out,
        rationales=rationales,
        progress=progress,
    )
    judged = [meme for meme in memes if meme.id in verdicts]
    if not judged:
        why = f": {failures[0].item}: {failures[0].reason}" if failures else ""
        raise NothingPredicted(f"{dataset.root}: no meme of {split} could be judged{why}", failures)
    return Predictions(
        detector=detector,
        dataset=dataset,
        split=split,
        memes=tuple(judged),
        verdicts=tuple(verdicts[meme.id] for meme in judged),
        failures=tuple(failures),
    )


def judge_memes(
    detector: Detector,
    dataset: Dataset,
    memes: Sequence[Meme],
    *,
    out: Path | None = None,
    rationales: bool = True,
    progress: Progress = no_progress,
) -> tuple[dict[str, Verdict], list[Failure]]:
    """Judge a dataset's memes, labelled or not; return meme id -> verdict, and the failures. ``out`` as `judge_split`.

    Raises:
        InputError: ``out`` holds verdicts of another detector.
    """
    options = JudgeOptions(
        evidence=dataset.evidence, root=dataset.root, batch_size=BATCH, rationales=rationales
    )
    failures: list[Failure] = []
    show = partial(progress, "judging")
    if out is None:
        verdicts = judge_all(detector, memes, options, failures, show)
        return {verdict.meme_id: verdict for verdict in verdicts}, failures
    tally = judge_to_file(detector, memes, out, options, failures, show)
    return read_verdicts(out, tally), failures
