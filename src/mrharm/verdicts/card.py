"""The detector's card: its inputs, its answers, how it decides, and the README that describes it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from pydantic import ValidationError

from mrharm._version import __version__
from mrharm.errors import DataError, InputError
from mrharm.metrics import Estimate, format_figure, name_figure
from mrharm.metrics.estimate import Floats
from mrharm.recipe import Answer, Part
from mrharm.records import Decision, Doubt, Record, Verdict
from mrharm.runs import CARD, find_detector
from mrharm.store import content_key, write_json, write_text
from mrharm.verdicts.calibration import Calibration
from mrharm.verdicts.familiarity import is_unfamiliar
from mrharm.verdicts.scoring import harm_log_odds

FORMAT = 1
README = "README.md"
BY_HAND = "set by hand"
WRITTEN = "-written"  # ends the key of a verdict whose label the student wrote
JOINT = "joint"  # the model of a detector trained in one stage, which explains and answers
_POLICY = {"threshold", "band", "chosen"}


class Chosen(Record):
    """How a threshold was chosen, and on which memes.

    Fields:
        criterion: in words, ``precision >= 0.9``.
        band_criterion: the band's, in words.
        dataset, dataset_sha256, split, memes: the split it was chosen on, and how many memes it has.
        prevalence: the stated share of harmful memes that ``figures`` are re-weighted to.
        per_day: the stated number of memes a day.
        figures: of the split, by name.
    """

    criterion: str
    band_criterion: str | None = None
    dataset: str | None = None
    dataset_sha256: str | None = None
    split: str | None = None
    memes: int | None = None
    prevalence: float | None = None
    per_day: float | None = None
    figures: dict[str, Estimate] = {}

    @property
    def by_hand(self) -> bool:
        """Whether a person named the threshold, so that the memes it was measured on had no part in the choice."""
        return self.criterion in (BY_HAND, "said")  # as versions before this one wrote it


class DetectorCard(Record):
    """Everything a Detector is besides its weights: ``detector.json``.

    Fields:
        recipe: the recipe's name.
        reads, picture_shown, odd_text: what the students are shown, as the recipe says.
        answers, label_template, rationale_template: what they answer.
        rationale_tokens: limit of a rationale.
        decoding: ``score`` or ``greedy``, as the recipe says.
        students: the models: ``label`` and perhaps ``rationale``, or ``joint`` alone, which explains and answers.
        seed: of the training.
        temperature: divides log-probabilities; 1 but in cards from before there was a calibration.
        calibration: of log-odds, fitted on validation.
        threshold, band, chosen: the policy: it turns scores into decisions and changes no score.
        files: name -> SHA-256 of every file in the folder but this one and the README.
    """

    recipe: str
    reads: tuple[Part, ...]
    picture_shown: str
    answers: tuple[Answer, ...]
    label_template: str
    rationale_template: str
    rationale_tokens: int
    decoding: str
    students: tuple[str, ...]
    seed: int
    odd_text: str = "plain"
    # `int | float` keeps a whole number as it was written, and so the keys of cards that hold one.
    temperature: int | float = 1.0
    calibration: Calibration = Calibration()
    threshold: int | float = 0.5
    band: tuple[float, float] | None = None
    chosen: Chosen | None = None
    files: dict[str, str] = {}

    @property
    def explains(self) -> bool:
        """Whether one of its models writes rationales."""
        return bool({"rationale", JOINT} & set(self.students))

    def label_texts(self) -> list[str]:
        """Return the label strings that a student is scored on, one an answer."""
        return [self.label_template.format(label=answer.word) for answer in self.answers]

    def key(self) -> str:
        """Return a short hash of the card, which names all files: same key, same verdicts.

        Its first half is `scorer`, its second the policy.
        """
        return f"{self.scorer()}-{content_key(self.model_dump(mode='json', include=_POLICY))[:8]}"

    def scorer(self) -> str:
        """Return a short hash of all but the policy: same scorer, same scores and rationales."""
        return content_key({"format": FORMAT, **self._dump(exclude=_POLICY)})

    def _dump(self, **options: Any) -> dict[str, Any]:
        values = self.model_dump(mode="json", **options)
        if self.calibration == Calibration():
            del values["calibration"]  # so that cards from before there was one keep their keys
        return values

    def harm_probability(self, scores: Floats) -> Floats:
        """Compute calibrated P(harmful) of the answers' log-probabilities. *Shape:* (memes, answers) -> (memes,)"""
        return self.calibration.probability(harm_log_odds(scores, self.answers, self.temperature))

    def decide(self, score: float, harmful: bool | None, doubts: Sequence[Doubt] = ()) -> Decision:
        """Return what is done about a meme of this score and label, never against the label; see `Verdict`."""
        in_band = self.band is not None and self.band[0] <= score < self.band[1]
        if doubts or in_band or harmful is None:
            return "review"
        return "flag" if harmful else "allow"

    def decide_verdict(self, verdict: Verdict) -> Verdict:
        """Return a verdict as this policy decides it; its score stays, and so does a label that the student wrote."""
        written = (verdict.key or "").endswith(WRITTEN)
        harmful = verdict.harmful if written else verdict.score >= self.threshold
        # The label may be another one now, and its rationale speaks for the side it spoke for.
        holds: dict[Doubt, bool] = {
            "text_cut": verdict.text_cut,
            "unfamiliar": is_unfamiliar(verdict.familiarity),
            "rationale_disagrees": harmful is not None and verdict.rationale_side is (not harmful),
        }
        doubts = tuple(doubt for doubt, reason in holds.items() if reason)
        return verdict.model_copy(
            update={
                "harmful": harmful,
                "threshold": self.threshold,
                "band": self.band,
                "doubts": doubts,
                "decision": self.decide(verdict.score, harmful, doubts),
                "detector": self.key(),
            }
        )

    def with_policy(
        self, threshold: float, band: tuple[float, float] | None = None, chosen: Chosen | None = None
    ) -> DetectorCard:
        """Return the card with another policy.

        Raises:
            InputError: a threshold outside of 0 to 1, or a band that does not hold it.
        """
        if not 0 <= threshold <= 1:
            raise InputError(f"threshold {threshold:g}: expected a number from 0 to 1, as scores are")
        if band and not 0 <= band[0] <= threshold <= band[1] <= 1:
            raise InputError(
                f"band {band[0]:g} to {band[1]:g}: expected 0 <= low <= threshold ({threshold:g}) <= high <= 1"
            )
        if band and band[0] == band[1]:
            band = None  # no score falls into it
        return self.model_copy(update={"threshold": threshold, "band": band, "chosen": chosen})

    def with_calibration(self, calibration: Calibration) -> DetectorCard:
        """Return the card calibrated anew; its policy is carried to the new scores, so that no decision changes."""

        def carry(threshold: float) -> float:
            return float(calibration.probability(self.calibration.log_odds(threshold)))

        band = (carry(self.band[0]), carry(self.band[1])) if self.band else None
        card = self.model_copy(update={"calibration": calibration})
        return card.with_policy(carry(self.threshold), band, self.chosen)

    def to_json(self) -> dict[str, Any]:
        """Return JSON-able values, read back by `from_json`."""
        return {"format": FORMAT, "mrharm": __version__, **self._dump()}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> DetectorCard:
        """Read the values of `to_json`; cards from before there were bands lack ``band`` and ``chosen``, those
        that were not calibrated ``calibration``.

        Raises:
            ValueError: another format, or a field is missing, unknown or wrong; the message names it.
        """
        if not isinstance(values, dict) or values.get("format") != FORMAT:
            raise ValueError(f"expected an object with format {FORMAT}, which this mrharm reads")
        fields = {key: value for key, value in values.items() if key not in ("format", "mrharm")}
        try:
            return cls.model_validate(fields)
        except ValidationError as error:
            first = error.errors()[0]
            raise ValueError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None


def scorer_of(detector: str) -> str:
    """Return the scorer's half of a Detector's key, as a verdict holds it."""
    return detector.partition("-")[0]


def read_card(folder: Path) -> tuple[Path, DetectorCard]:
    """Find the detector of a run folder, or the folder itself; returns the detector's folder and its card.

    Raises:
        InputError: no Detector there.
        DataError: its card is broken.
    """
    inner = find_detector(folder)
    try:
        return inner, DetectorCard.from_json(json.loads((inner / CARD).read_text(encoding="utf-8")))
    except ValueError as error:
        raise DataError(f"{inner / CARD}: not a detector's card ({error})") from None


def write_card(folder: Path, card: DetectorCard) -> None:
    """Write a detector's README and ``detector.json``, each aside and renamed, and no other file of its folder.

    ``detector.json`` comes last, as it alone is read: a kill before it leaves the old policy in force, and the same
    command again mends the README.
    """
    write_text(folder / README, model_card(card))
    write_json(folder / CARD, card.to_json())


def model_card(card: DetectorCard) -> str:
    """Render the README.md of a detector's folder, with the hub's front matter."""
    environment = Environment(
        loader=PackageLoader("mrharm", "verdicts"), undefined=StrictUndefined, keep_trailing_newline=True
    )
    environment.filters.update(name_figure=name_figure, format_figure=format_figure)
    return environment.get_template("readme.md.jinja").render(card=card, version=__version__)
