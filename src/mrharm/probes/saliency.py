"""Saliency: do the words and patches that are said to matter move the decision more than others do?

Deletion and insertion (Petsiuk, Das and Saenko, "RISE", BMVC 2018): take the weightiest away first, or give them
first, and watch P(decision). A saliency that means something beats an order drawn by lot; the same memes with the same
shares masked stand on both sides, so that what masking itself does to a student is in both.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from mrharm.errors import InputError
from mrharm.evaluation.predictions import BATCH, Predictions
from mrharm.metrics import Estimate
from mrharm.metrics.bootstrap import mean_of
from mrharm.probes.saliency_report import SHARES, Order, Part, SaliencyProbe
from mrharm.progress import Progress, no_progress
from mrharm.records import Saliency
from mrharm.student.attribution import blank
from mrharm.student.interface import Frame, Pixels, StudentInput
from mrharm.verdicts.calibration import harm_probability, score_answers
from mrharm.verdicts.detector import Detector
from mrharm.verdicts.inputs import JudgeOptions, SaliencyKind

N_RESAMPLES = 5
Floats = NDArray[np.float64]
Kept = NDArray[np.bool_]
# Deletion and insertion curves of one order. *Shape:* (2, shares)
Curves = dict[str, Floats]


def probe(
    predictions: Predictions, *, seed: int = 0, memes: int = 100, progress: Progress = no_progress
) -> SaliencyProbe:
    """Test the attention and the gradients of a detector's label student on a split.

    A word is masked by leaving it out, a patch by the mean colour of the fitted picture. Memes with a single word have
    no order of words, and those without a picture none of patches, nor attention.

    Args:
        judged: memes and verdicts.
        seed: of what is drawn by lot, and of the intervals.
        memes: how many memes at most; each is scored some 170 times.
        progress: told how many memes are done.

    Raises:
        InputError: no meme has words or patches to put in order.
    """
    predictions = predictions.sample(memes, seed)
    detector, frame = predictions.detector, predictions.detector.frame
    evidence = dict(predictions.dataset.evidence)
    evidence |= {verdict.meme_id: verdict.evidence for verdict in predictions.verdicts if verdict.evidence}
    inputs = [
        detector.prepare(meme, JudgeOptions(evidence=evidence, root=predictions.dataset.root)).shown
        for meme in predictions.memes
    ]
    kinds: tuple[SaliencyKind, ...] = ("attention", "gradient") if frame else ("gradient",)
    said = [_saliencies(detector, inputs, kind) for kind in kinds]
    rng = np.random.default_rng(seed)
    found: dict[str, list[Curves]] = {"text": [], "picture": []}
    clusters: dict[str, list[int]] = {"text": [], "picture": []}
    for index, (shown, verdict) in enumerate(zip(inputs, predictions.verdicts, strict=True)):
        own = {kind: some[index] for kind, some in zip(kinds, said, strict=True)}

        def decided(
            some: Sequence[StudentInput], flagged: bool = verdict.score >= verdict.threshold
        ) -> Floats:
            return _probabilities(detector, some, flagged)

        words = {kind: np.array([weight for _, weight in one.words]) for kind, one in own.items()}
        if all(len(weights) > 1 for weights in words.values()):
            clusters["text"].append(int(predictions.clusters[index]))
            found["text"].append(curves(words, _words_kept(shown, own["gradient"]), decided, rng))
        patches = {kind: np.array(one.patches).ravel() for kind, one in own.items()}
        if frame and shown.pixels is not None and all(len(weights) > 1 for weights in patches.values()):
            grid = np.array(own["gradient"].patches).shape
            clusters["picture"].append(int(predictions.clusters[index]))
            found["picture"].append(curves(patches, _patches_kept(shown, frame, grid), decided, rng))
        progress("probing saliency", index + 1, len(inputs))
    if not found["text"] and not found["picture"]:
        raise InputError(
            f"no meme of {predictions.split} has a picture this detector looks at, or two words to order"
        )
    return SaliencyProbe(
        memes=len(inputs),
        text=_part(found["text"], clusters["text"], seed),
        picture=_part(found["picture"], clusters["picture"], seed),
        skipped=_skipped(found, frame),
    )


def curves(
    weights: dict[SaliencyKind, Floats],
    keep: Callable[[Kept], StudentInput],
    decided: Callable[[Sequence[StudentInput]], Floats],
    rng: np.random.Generator,
) -> Curves:
    """The curves of one meme, by each kind of saliency and by `DRAWS` orders drawn by lot, of which the mean is given.

    Args:
        weights: of the words or patches, a kind each. *Shape:* (units,)
        keep: the meme with only some of its units. *Shape of what it takes:* (units,)
        decided: P(decision) of changed memes.
        rng: draws the random orders, and breaks ties.

    Returns:
        ``attention`` and ``gradient`` where given, and ``random``.
    """
    count = len(next(iter(weights.values())))
    by_lot = [rng.permutation(count) for _ in range(N_RESAMPLES)]
    # A lot drawn backwards is a lot, and meets the same changed memes again: half the scoring.
    sets = {"random": [kept for order in by_lot for kept in _kept(order, order[::-1])]}
    for kind, values in weights.items():
        ties = rng.permutation(count)  # ties must not stand in the order of reading
        order = ties[np.argsort(-values[ties], kind="stable")]
        sets[kind] = _kept(order, order)
    changed = {kept.tobytes(): kept for some in sets.values() for kept in some}
    of_set = dict(zip(changed, decided([keep(kept) for kept in changed.values()]), strict=True))
    return {
        kind: np.array([of_set[kept.tobytes()] for kept in some]).reshape(-1, 2, len(SHARES)).mean(0)
        for kind, some in sets.items()
    }


def area(curve: Floats) -> Floats:
    """The area under curves over `SHARES`, by trapezoids: the mean P(decision) as the share goes from 0 to 1.

    *Shape:* (..., shares) -> (...)
    """
    found: Floats = np.asarray(np.trapezoid(curve, SHARES))
    return found


def mask_patches(pixels: Pixels, frame: Frame, kept: Kept) -> Pixels:
    """A fitted picture whose other patches have its mean colour.

    *Shapes:* pixels (side, side, 3); kept (rows, columns)
    """
    masked, colour = pixels.copy(), blank(pixels)
    down, across = (frame.edges(count) for count in kept.shape)
    for row, column in np.argwhere(~kept):
        there = slice(down[row], down[row + 1]), slice(across[column], across[column + 1])
        masked[there] = colour[there]
    return masked


def _kept(taken_first: NDArray[np.intp], given_first: NDArray[np.intp]) -> list[Kept]:
    """What is left at each share by deletion, then what is there at each by insertion."""
    count = len(taken_first)
    first = [int(share * count + 0.5) for share in SHARES]
    left = [~np.isin(np.arange(count), taken_first[:some]) for some in first]
    return left + [np.isin(np.arange(count), given_first[:some]) for some in first]


def _words_kept(shown: StudentInput, said: Saliency) -> Callable[[Kept], StudentInput]:
    def keep(kept: Kept) -> StudentInput:
        words = [word for (word, _), there in zip(said.words, kept, strict=True) if there]
        return replace(shown, text=" ".join(words))

    return keep


def _patches_kept(shown: StudentInput, frame: Frame, grid: tuple[int, ...]) -> Callable[[Kept], StudentInput]:
    def keep(kept: Kept) -> StudentInput:
        assert shown.pixels is not None
        return replace(shown, pixels=mask_patches(shown.pixels, frame, kept.reshape(grid)))

    return keep


def _saliencies(detector: Detector, inputs: Sequence[StudentInput], kind: SaliencyKind) -> list[Saliency]:
    size = BATCH // 2  # gradients hold on to what they pass through
    starts = range(0, len(inputs), size)
    return [one for start in starts for one in detector.saliency(inputs[start : start + size], kind)]


def _probabilities(detector: Detector, inputs: Sequence[StudentInput], flagged: bool) -> Floats:
    card = detector.card
    scores = score_answers(detector.label_student, inputs, card.label_texts(), BATCH)
    harmful = harm_probability(scores, card.answers, card.temperature)
    return harmful if flagged else 1 - harmful


def _part(found: Sequence[Curves], clusters: Sequence[int], seed: int) -> Part | None:
    if not found:
        return None
    by_kind = {kind: np.stack([one[kind] for one in found]) for kind in found[0]}  # (memes, 2, shares)
    areas = {kind: area(some) for kind, some in by_kind.items()}

    def mean(values: Floats) -> Estimate:
        return mean_of(values, seed=seed, clusters=np.array(clusters))

    def order(kind: str) -> Order:
        deletion, insertion = areas[kind].T
        beside = None if kind == "random" else areas["random"].T
        curve = by_kind[kind].mean(0)
        return Order(
            deletion=mean(deletion),
            insertion=mean(insertion),
            deletion_gain=None if beside is None else mean(beside[0] - deletion),
            insertion_gain=None if beside is None else mean(insertion - beside[1]),
            deletion_curve=tuple(curve[0].tolist()),
            insertion_curve=tuple(curve[1].tolist()),
        )

    names = [kind for kind in ("attention", "gradient", "random") if kind in by_kind]
    return Part(memes=len(found), orders={kind: order(kind) for kind in names})


def _skipped(found: dict[str, list[Curves]], frame: Frame | None) -> dict[str, str]:
    if frame is None:
        reason = "this detector looks at no picture"
        return {"attention": reason, "picture": reason} | (
            {} if found["text"] else {"text": "no meme has two words or more"}
        )
    reasons = {
        "text": "no meme has a picture, for its words to look at, and two words or more",
        "picture": "no meme has a picture",
    }
    return {part: reason for part, reason in reasons.items() if not found[part]}
