"""Test whether the words and patches that saliency weights most move the decision more than others do.

A saliency that means something beats a random order, which masks the same shares of the same memes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mrharm.errors import InputError
from mrharm.evaluation.predictions import BATCH, Predictions
from mrharm.metrics import Estimate
from mrharm.metrics.bootstrap import bootstrap, mean_of_values
from mrharm.probes.changed_memes import make_cases
from mrharm.probes.run import ProbeRecord
from mrharm.progress import Progress, no_progress
from mrharm.records import Record, Saliency
from mrharm.student.attribution import blank
from mrharm.student.interface import Frame, Pixels, StudentInput
from mrharm.verdicts.inputs import JudgeOptions, SaliencyKind
from mrharm.verdicts.scoring import score_answers

if TYPE_CHECKING:
    from mrharm.verdicts.detector import Detector

SHARES = tuple(step / 10 for step in range(11))  # of the words or patches that are taken away, or given
UNITS = {"text": "words", "picture": "patches"}
RANDOM_ORDERS = 5

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]  # which units a meme keeps. *Shape:* (units,)
# Kind of order -> its deletion and insertion curves. *Shape of each:* (2, shares)
Curves = dict[str, Floats]


class Order(Record):
    """Words or patches taken away (deletion), or given (insertion), in one order.

    Attributes:
        deletion, insertion: area under the curve; low is good of deletion, high of insertion.
        deletion_gain, insertion_gain: how much better than a random order, meme by meme, above 0 is better; None for
            the random order.
        deletion_curve, insertion_curve: mean P(decision) at each of `SHARES`.
    """

    deletion: Estimate
    insertion: Estimate
    deletion_gain: Estimate | None = None
    insertion_gain: Estimate | None = None
    deletion_curve: tuple[float, ...]
    insertion_curve: tuple[float, ...]


class Part(Record):
    """Words or patches of ``memes`` memes, in the orders ``attention``, ``gradient`` and ``random``."""

    memes: int
    orders: dict[str, Order]


class SaliencyProbe(ProbeRecord):
    """Whether saliency shows what a decision rests on.

    Attributes:
        text: words; None where no meme has two.
        picture: patches; None where no meme has a picture.
        skipped: what cannot be measured -> why.
    """

    memes: int
    text: Part | None = None
    picture: Part | None = None
    skipped: dict[str, str]
    shares: tuple[float, ...] = SHARES


def probe(
    predictions: Predictions, *, seed: int = 0, memes: int = 100, progress: Progress = no_progress
) -> SaliencyProbe:
    """Test the attention and the gradients of a detector's label student; each meme is scored some 170 times.

    Deletion and insertion (Petsiuk, Das and Saenko, "RISE", BMVC 2018): the weightiest units are taken away first, or
    given first, and P(decision) is followed. A word is masked by leaving it out, a patch by the mean colour of the
    fitted picture. A single word has no order; without a picture there are neither patches nor attention.

    Raises:
        InputError: no meme has two words or patches.
    """
    predictions = predictions.sample(memes, seed)
    detector = predictions.detector
    evidence = {case.meme.id: case.evidence for case in make_cases(predictions)}
    options = JudgeOptions(evidence=evidence, root=predictions.dataset.root)
    inputs = [detector.prepare(meme, options).shown for meme in predictions.memes]
    kinds: tuple[SaliencyKind, ...] = ("attention", "gradient") if detector.frame else ("gradient",)
    saliencies: dict[SaliencyKind, list[Saliency]] = {kind: [] for kind in kinds}
    size = BATCH // 2  # gradients hold on to what they pass through
    for kind, of_kind in saliencies.items():
        for start in range(0, len(inputs), size):
            of_kind += detector.saliency(inputs[start : start + size], kind)
    rng = np.random.default_rng(seed)
    parts: dict[str, dict[int, Curves]] = {"text": {}, "picture": {}}  # place of each meme -> its curves
    for place, (shown, verdict) in enumerate(zip(inputs, predictions.verdicts, strict=True)):
        reaches = verdict.score >= verdict.threshold
        follow = partial(_follow_decision, detector, reaches if verdict.harmful is None else verdict.harmful)
        of_meme = {kind: rows[place] for kind, rows in saliencies.items()}
        for name, curves in _meme_curves(shown, of_meme, detector.frame, follow, rng).items():
            parts[name][place] = curves
        progress("probing saliency", place + 1, len(inputs))
    if not any(parts.values()):
        raise InputError(
            f"no meme of {predictions.split} has a picture this detector looks at, or two words to order"
        )
    return SaliencyProbe(
        memes=len(inputs),
        text=_summarise_part(parts["text"], predictions.clusters, seed),
        picture=_summarise_part(parts["picture"], predictions.clusters, seed),
        skipped=_list_skipped(detector, parts),
    )


def _follow_decision(detector: Detector, flagged: bool, inputs: Sequence[StudentInput]) -> Floats:
    """Score changed copies of one meme: P(harmful) where it was flagged, else P(harmless)."""
    card = detector.card
    scores = score_answers(detector.label_student, inputs, card.label_texts(), BATCH)
    harmful = card.harm_probability(scores)
    return harmful if flagged else 1 - harmful


def _meme_curves(
    shown: StudentInput,
    saliencies: Mapping[SaliencyKind, Saliency],
    frame: Frame | None,
    follow: Callable[[Sequence[StudentInput]], Floats],
    rng: np.random.Generator,
) -> dict[str, Curves]:
    """Return the curves of a meme's words (``text``) and of its patches (``picture``), where it has two or more."""
    curves: dict[str, Curves] = {}
    gradient = saliencies["gradient"]
    words = {kind: np.array([weight for _, weight in row.words]) for kind, row in saliencies.items()}
    if all(len(weights) > 1 for weights in words.values()):

        def keep_words(mask: Mask) -> StudentInput:
            names = [word for word, _ in gradient.words]
            return replace(shown, text=" ".join(np.array(names, dtype=object)[mask]))

        curves["text"] = trace_curves(words, keep_words, follow, rng)
    patches = {kind: np.array(row.patches).ravel() for kind, row in saliencies.items()}
    if frame and shown.pixels is not None and all(len(weights) > 1 for weights in patches.values()):
        pixels, grid = shown.pixels, np.array(gradient.patches).shape

        def keep_patches(mask: Mask) -> StudentInput:
            return replace(shown, pixels=mask_patches(pixels, frame, mask.reshape(grid)))

        curves["picture"] = trace_curves(patches, keep_patches, follow, rng)
    return curves


def trace_curves(
    weights: Mapping[SaliencyKind, Floats],
    keep: Callable[[Mask], StudentInput],
    follow: Callable[[Sequence[StudentInput]], Floats],
    rng: np.random.Generator,
) -> Curves:
    """Trace deletion and insertion curves of one meme, by each kind of saliency and by random orders.

    ``keep`` returns the meme with only some of its units, ``follow`` P(decision) of such memes. The curves ``random``
    are the mean over `RANDOM_ORDERS` orders. *Shape of the weights:* (units,)
    """
    count = len(next(iter(weights.values())))
    orders = [rng.permutation(count) for _ in range(RANDOM_ORDERS)]
    # A random order backwards is a random order, and meets the same masks again: half the scoring.
    masks = {"random": [mask for order in orders for mask in _make_masks(order, order[::-1])]}
    for kind, values in weights.items():
        ties = rng.permutation(count)  # equal weights must not stay in reading order
        order = ties[np.argsort(-values[ties], kind="stable")]
        masks[kind] = _make_masks(order, order)
    unique = {mask.tobytes(): mask for some in masks.values() for mask in some}
    scores = dict(zip(unique, follow([keep(mask) for mask in unique.values()]), strict=True))
    return {
        kind: np.array([scores[mask.tobytes()] for mask in some]).reshape(-1, 2, len(SHARES)).mean(0)
        for kind, some in masks.items()
    }


def _make_masks(deletion: NDArray[np.intp], insertion: NDArray[np.intp]) -> list[Mask]:
    """Return the mask at each share of a deletion order, then at each share of an insertion order."""
    units = np.arange(len(deletion))
    counts = [int(share * len(units) + 0.5) for share in SHARES]
    deleted = [~np.isin(units, deletion[:count]) for count in counts]
    return deleted + [np.isin(units, insertion[:count]) for count in counts]


def mask_patches(pixels: Pixels, frame: Frame, mask: Mask) -> Pixels:
    """Paint the patches of a fitted picture outside the mask with its mean colour.

    *Shapes:* pixels (side, side, 3); mask (rows, columns)
    """
    masked, colour = pixels.copy(), blank(pixels)
    down, across = (frame.edges(count) for count in mask.shape)
    for row, column in np.argwhere(~mask):
        patch = slice(down[row], down[row + 1]), slice(across[column], across[column + 1])
        masked[patch] = colour[patch]
    return masked


def _summarise_part(part: Mapping[int, Curves], clusters: NDArray[np.int64], seed: int) -> Part | None:
    if not part:
        return None
    orders: dict[str, Order] = {}
    random: Floats | None = None  # areas of the random order, which comes first
    for kind in next(iter(part.values())):
        curves = np.stack([of_meme[kind] for of_meme in part.values()])  # (memes, 2, shares)
        areas = np.asarray(np.trapezoid(curves, SHARES)).T
        deletion, insertion = areas
        figures = {"deletion": deletion, "insertion": insertion}
        if random is None:
            random = areas
        else:
            figures |= {"deletion_gain": random[0] - deletion, "insertion_gain": insertion - random[1]}
        statistics = {name: mean_of_values(values) for name, values in figures.items()}
        deletion_curve, insertion_curve = curves.mean(0).tolist()
        orders[kind] = Order(
            **bootstrap(statistics, len(part), seed=seed, clusters=clusters[list(part)]),
            deletion_curve=deletion_curve,
            insertion_curve=insertion_curve,
        )
    return Part(memes=len(part), orders={kind: orders[kind] for kind in sorted(orders)})


def _list_skipped(detector: Detector, parts: Mapping[str, Mapping[int, Curves]]) -> dict[str, str]:
    if detector.frame is None:
        reason = "this detector looks at no picture"
        skipped = {"attention": reason, "picture": reason}
        return skipped if parts["text"] else skipped | {"text": "no meme has two words or more"}
    reasons = {
        "text": "no meme has a picture, for its words to look at, and two words or more",
        "picture": "no meme has a picture",
    }
    return {part: reason for part, reason in reasons.items() if not parts[part]}
