"""Does a detector use both words and picture? Each is taken away or swapped, and the verdicts are watched.

Taking the words away leaves those drawn on a picture shown as posted; taking the picture away takes with it what a text
says of it (caption, entities, demographics). Accuracy after a swap is held against the label of the meme as it was: a
detector that lives off one modality keeps it when the other is swapped.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from mrharm.errors import InputError
from mrharm.evaluation.predictions import Predictions
from mrharm.images import image_sha256, place_in
from mrharm.probes.cases import (
    SEEN_PARTS,
    Case,
    Decided,
    Moved,
    can_be_judged,
    cases_of,
    compare,
    judge_cases,
    said_by,
    scores_of,
    shown_place,
)
from mrharm.progress import Progress, no_progress
from mrharm.records import Record

CONDITIONS = ("text_blanked", "image_blanked", "image_swapped", "caption_swapped")
# What tells whether a modality is looked at: a blank picture only whether there is one, where it can be swapped.
OF_WORDS, OF_PICTURE = ("text_blanked",), ("image_swapped", "image_blanked")
IGNORED = 0.02  # of decisions flipped, and of P(harmful) moved: what does less is as good as not looked at


class ModalityProbe(Record):
    """What each modality does. ``before``: scores of the same memes unchanged; ``conditions``: change -> what moved.

    ``ignores``: ``text``, ``image`` where taking the words away or swapping the picture flips fewer than 2 % of the
    decisions and moves P(harmful) by less than 0.02 on average; ``uses``: where the whole interval of either lies above
    that; ``skipped``: condition -> why it could not be had. What one modality alone reaches is measured once, of the
    whole split: `mrharm.evaluation.baseline_comparison`.
    """

    memes: int
    before: Decided
    conditions: dict[str, Moved]
    ignores: tuple[str, ...]
    uses: tuple[str, ...]
    skipped: dict[str, str]
    words: tuple[str, ...] = ()


def probe(
    predictions: Predictions, *, seed: int = 0, memes: int = 500, progress: Progress = no_progress
) -> ModalityProbe:
    """Take away and swap each modality.

    Args:
        judged: memes and verdicts.
        seed: of whose picture or caption each meme gets, and of the intervals.
        memes: how many memes at most; each is judged up to five times.
        progress: told how many verdicts of each condition are there.

    Raises:
        InputError: the detector is given one modality alone.
    """
    card = predictions.detector.card
    sees = predictions.detector.takes_picture or any(part in card.reads for part in SEEN_PARTS)
    if "text" not in card.reads or not sees:
        raise InputError(
            f"the detector reads {', '.join(card.reads)} and {'a' if sees else 'no'} picture: there are no two "
            "modalities to tell apart; train one that reads words and sees a picture or a caption"
        )
    predictions = predictions.sample(memes, seed)
    cases = cases_of(predictions)
    before = judge_cases(predictions, cases, progress=progress, what="modality: unchanged")
    skipped: dict[str, str] = {}
    conditions: dict[str, Moved] = {}
    for name in CONDITIONS:
        changed = [
            case for case in _changed(predictions, cases, name, seed) if can_be_judged(predictions, case)
        ]
        if not changed:
            skipped[name] = _why_not(predictions, name)
            continue
        after = judge_cases(
            predictions, changed, progress=progress, what=f"modality: {name.replace('_', ' ')}"
        )
        places = [case.place for case in changed]
        conditions[name] = compare(
            predictions.gold[places],
            [before[place] for place in places],
            after,
            clusters=predictions.clusters[places],
            seed=seed,
        )
    return ModalityProbe(
        memes=len(cases),
        before=scores_of(predictions.gold, said_by(before), clusters=predictions.clusters, seed=seed),
        conditions=conditions,
        ignores=_parts(conditions, lambda moved: max(_reach(moved)) < IGNORED),
        uses=_parts(conditions, lambda moved: max(_surely(moved)) > IGNORED),
        skipped=skipped,
    )


def _changed(predictions: Predictions, cases: Sequence[Case], name: str, seed: int) -> list[Case]:
    """The memes a condition can be had of, changed."""
    if name == "text_blanked":
        return [case.with_words("") for case in cases if case.words]
    if name == "image_blanked":
        return [case.seeing(None) for case in cases if _seen(predictions, case) is not None]
    rng = np.random.default_rng(seed)
    if name == "image_swapped":
        kept = [case for case in cases if _seen(predictions, case) is not None]
        donors = _donors([_seen(predictions, case) for case in kept], rng)
        return [
            case.seeing(kept[donor]) for case, donor in zip(kept, donors, strict=True) if donor is not None
        ]
    if "caption" not in predictions.detector.card.reads:
        return []
    kept = [case for case in cases if case.evidence.caption]
    donors = _donors([case.evidence.caption for case in kept], rng)
    return [
        Case(
            case.place,
            case.meme,
            case.evidence.model_copy(update={"caption": kept[donor].evidence.caption}),
        )
        for case, donor in zip(kept, donors, strict=True)
        if donor is not None
    ]


def _seen(predictions: Predictions, case: Case) -> str | None:
    """What tells one meme's picture from another's to the detector: the file's hash, else what a text says of it."""
    place = shown_place(predictions, case)
    if place is not None:
        return image_sha256(place_in(predictions.dataset.root, place))
    parts = [getattr(case.evidence, part) for part in SEEN_PARTS if part in predictions.detector.card.reads]
    return "\n".join(part or "" for part in parts) if any(parts) else None


def _donors(looks: Sequence[str | None], rng: np.random.Generator) -> list[int | None]:
    """For each meme another that looks otherwise, drawn by lot; None where all look alike."""
    donors: list[int | None] = []
    for look in looks:
        order = rng.permutation(len(looks))
        donors.append(next((int(other) for other in order if looks[other] != look), None))
    return donors


def _why_not(predictions: Predictions, name: str) -> str:
    if name == "caption_swapped":
        if "caption" not in predictions.detector.card.reads:
            return "the detector reads no caption"
        return "fewer than two different captions are known; `mrharm gather --captions` makes them"
    if name == "text_blanked":
        return "no meme has words, or nothing is left without them"
    shown = "picture without its words" if predictions.detector.card.picture_shown == "clean" else "picture"
    mend = "; `mrharm gather` makes them" if predictions.detector.card.picture_shown == "clean" else ""
    return f"no meme has a {shown} to take away, two different ones to swap, or anything left{mend}"


def _parts(conditions: dict[str, Moved], holds: Callable[[Moved], bool]) -> tuple[str, ...]:
    """The modalities of which something holds of the first condition there is."""
    found = []
    for name, of in (("text", OF_WORDS), ("image", OF_PICTURE)):
        there = [moved for part in of if (moved := conditions.get(part))]
        if there and holds(there[0]):
            found.append(name)
    return tuple(found)


def _reach(moved: Moved) -> list[float]:
    return [figure.value or 0.0 for figure in (moved.flipped, moved.moved)]


def _surely(moved: Moved) -> list[float]:
    return [figure.low or 0.0 for figure in (moved.flipped, moved.moved)]
