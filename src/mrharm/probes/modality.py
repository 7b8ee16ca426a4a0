"""Test whether a detector uses both words and picture: take each away or swap it, and watch the verdicts.

Accuracy is by the label of the meme as it was: a detector of one modality keeps it when the other is swapped.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from mrharm.errors import InputError
from mrharm.evaluation.predictions import Predictions
from mrharm.images import image_sha256, place_in
from mrharm.probes.changed_memes import (
    PICTURE_PARTS,
    Case,
    DecisionScores,
    VerdictChange,
    compare_verdicts,
    has_input,
    judge_cases,
    make_cases,
    score_decisions,
    shown_picture,
)
from mrharm.probes.run import ProbeRecord
from mrharm.progress import Progress, no_progress

# What shows whether a modality is used: a blank picture only where none can be swapped, as it may show no more than
# that the detector minds whether there is a picture.
SHOWING = {"text": ("text_blanked",), "image": ("image_swapped", "image_blanked")}
IGNORED = 0.02  # of decisions flipped, and of P(harmful) moved: a modality that does less counts as ignored


class ModalityProbe(ProbeRecord):
    """What each modality does to verdicts.

    Attributes:
        before: scores of the same memes unchanged.
        conditions: change -> what moved.
        ignores: ``text``, ``image`` where taking the words away, or swapping the picture, flips fewer than 2 % of the
            decisions and moves P(harmful) by less than 0.02 on average.
        uses: the same where the interval of either figure is above that.
        skipped: condition -> why it cannot be tested.
    """

    memes: int
    before: DecisionScores
    conditions: dict[str, VerdictChange]
    ignores: tuple[str, ...]
    uses: tuple[str, ...]
    skipped: dict[str, str]


def probe(
    predictions: Predictions, *, seed: int = 0, memes: int = 500, progress: Progress = no_progress
) -> ModalityProbe:
    """Take away and swap each modality of ``memes`` memes at most; each is judged up to five times.

    Words drawn on a picture that is shown as posted stay; what describes a picture in the text goes with it.

    Raises:
        InputError: the detector is given only one modality.
    """
    card, takes_picture = predictions.detector.card, predictions.detector.takes_picture
    if "text" not in card.reads or not (takes_picture or {*PICTURE_PARTS} & {*card.reads}):
        raise InputError(
            f"the detector reads {', '.join(card.reads)} and {'a' if takes_picture else 'no'} picture, which are not "
            "two modalities to compare; train one that reads words and sees a picture or a caption"
        )
    predictions = predictions.sample(memes, seed)
    cases = make_cases(predictions)
    before = judge_cases(predictions, cases, progress=progress, what="modality: unchanged")
    skipped: dict[str, str] = {}
    conditions: dict[str, VerdictChange] = {}
    for name, all_changed in _change_cases(predictions, cases, seed).items():
        changed = [case for case in all_changed if has_input(predictions, case)]
        if not changed:
            skipped[name] = _why_skipped(predictions, name)
            continue
        what = f"modality: {name.replace('_', ' ')}"
        after = judge_cases(predictions, changed, progress=progress, what=what)
        conditions[name] = compare_verdicts(predictions, changed, before, after, seed=seed)
    effects = _measure_effects(conditions)
    return ModalityProbe(
        memes=len(cases),
        before=score_decisions(predictions, before, seed=seed),
        conditions=conditions,
        ignores=tuple(modality for modality, (value, _) in effects.items() if value < IGNORED),
        uses=tuple(modality for modality, (_, low) in effects.items() if low > IGNORED),
        skipped=skipped,
    )


def _measure_effects(conditions: dict[str, VerdictChange]) -> dict[str, tuple[float, float]]:
    """Return modality -> the larger effect, and its larger lower end, of the first of its conditions tested."""
    effects = {}
    for modality, names in SHOWING.items():
        for change in [conditions[name] for name in names if name in conditions][:1]:
            figures = change.flipped, change.moved
            value, low = (max(getattr(figure, end) or 0.0 for figure in figures) for end in ("value", "low"))
            effects[modality] = value, low
    return effects


def _change_cases(predictions: Predictions, cases: Sequence[Case], seed: int) -> dict[str, list[Case]]:
    """Return condition -> the memes it applies to, changed."""
    pictures = [_picture_identity(predictions, case) for case in cases]
    reads_caption = "caption" in predictions.detector.card.reads
    captions = [case.evidence.caption or None for case in cases] if reads_caption else [None] * len(cases)
    return {
        "text_blanked": [case.with_text("") for case in cases if case.text],
        "image_blanked": [
            case.with_picture_of(None)
            for case, picture in zip(cases, pictures, strict=True)
            if picture is not None
        ],
        "image_swapped": [case.with_picture_of(donor) for case, donor in _draw_donors(cases, pictures, seed)],
        "caption_swapped": [
            replace(case, evidence=case.evidence.model_copy(update={"caption": donor.evidence.caption}))
            for case, donor in _draw_donors(cases, captions, seed)
        ],
    }


def _picture_identity(predictions: Predictions, case: Case) -> str | None:
    """Return what tells a meme's picture from another's to the detector: the file's hash, else its description."""
    path = shown_picture(predictions, case)
    if path is not None:
        return image_sha256(place_in(predictions.dataset.root, path))
    parts = [
        getattr(case.evidence, part) for part in PICTURE_PARTS if part in predictions.detector.card.reads
    ]
    return "\n".join(part or "" for part in parts) if any(parts) else None


def _draw_donors(
    cases: Sequence[Case], identities: Sequence[str | None], seed: int
) -> list[tuple[Case, Case]]:
    """Pair each meme that has an identity with a random one of another identity, where there is one."""
    rng = np.random.default_rng(seed)
    identified = [(case, name) for case, name in zip(cases, identities, strict=True) if name is not None]
    pairs = []
    for case, identity in identified:
        order = rng.permutation(len(identified))
        donor = next((identified[place][0] for place in order if identified[place][1] != identity), None)
        if donor is not None:
            pairs.append((case, donor))
    return pairs


def _why_skipped(predictions: Predictions, name: str) -> str:
    card = predictions.detector.card
    if name == "caption_swapped":
        if "caption" not in card.reads:
            return "the detector reads no caption"
        return "fewer than two different captions are known; `mrharm gather --captions` makes them"
    if name == "text_blanked":
        return "no meme has words, or nothing is left without them"
    picture = "picture without its words" if card.picture_shown == "clean" else "picture"
    mend = "; `mrharm gather` makes them" if card.picture_shown == "clean" else ""
    return f"no meme has a {picture} to take away, two different ones to swap, or anything left{mend}"
