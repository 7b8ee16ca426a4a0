"""The detector's card: what it is, what it reads, how it decides, what it must not be used for."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mrharm._version import __version__
from mrharm.errors import DataError, InputError
from mrharm.metrics import Estimate, format_sentence
from mrharm.recipe import Answer, Part
from mrharm.records import Decision, Record
from mrharm.runs import CARD, find_detector
from mrharm.store import content_key, write_json, write_text

FORMAT = 1
README = "README.md"
_POLICY = ("threshold", "band", "chosen")


class Chosen(Record):
    """How a threshold was chosen, and on what.

    ``criterion`` and ``band_criterion`` say it in words (``precision >= 0.9``). ``figures`` are those of the split it
    was chosen on, re-weighted to ``prevalence`` where one was stated.
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

    def words(self) -> str:
        """One sentence on how it was chosen."""
        where = f" on {self.split} of {self.dataset} ({self.memes:,} memes)" if self.dataset else ""
        how = f" at a prevalence of {self.prevalence:g}" if self.prevalence is not None else ""
        return f"{self.criterion}{where}{how}" + (
            f"; band: {self.band_criterion}" if self.band_criterion else ""
        )


@dataclass(frozen=True)
class DetectorCard:
    """Everything a Detector knows besides its weights: ``detector.json``.

    ``threshold``, ``band`` and ``chosen`` are its policy: they turn scores into decisions and change no score.
    ``students`` are the models: ``label`` and perhaps ``rationale``, or ``joint`` alone, which explains and answers.
    ``files`` holds the SHA-256 of every other file but the README.
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
    temperature: float = 1.0
    threshold: float = 0.5
    band: tuple[float, float] | None = None
    chosen: Chosen | None = None
    files: tuple[tuple[str, str], ...] = ()

    def label_texts(self) -> list[str]:
        """The label strings a student is scored on, one an answer."""
        return [self.label_template.format(label=answer.word) for answer in self.answers]

    def key(self) -> str:
        """A short hash of what this Detector is, all its files included: same key, same verdicts.

        Its first half is `scorer`, its second the policy.
        """
        values = self.to_json()
        return f"{self.scorer()}-{content_key({name: values[name] for name in _POLICY})[:8]}"

    def scorer(self) -> str:
        """A short hash of all but the policy: same scorer, same scores and rationales."""
        return content_key(
            {name: value for name, value in self.to_json().items() if name not in ("mrharm", *_POLICY)}
        )

    def decide(self, score: float) -> Decision:
        """What is done about a meme of this score; see `Verdict`."""
        low, high = self.band or (self.threshold, self.threshold)
        return "flag" if score >= high else "review" if score >= low else "allow"

    def with_policy(
        self, threshold: float, band: tuple[float, float] | None = None, chosen: Chosen | None = None
    ) -> DetectorCard:
        """The same card with another policy.

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
            band = None  # nothing lies in it
        return dataclasses.replace(self, threshold=threshold, band=band, chosen=chosen)

    def to_json(self) -> dict[str, Any]:
        """JSON-able values, read back by `from_json`."""
        values = dataclasses.asdict(dataclasses.replace(self, answers=(), chosen=None))
        values["answers"] = [answer.model_dump() for answer in self.answers]
        values["chosen"] = self.chosen.model_dump(mode="json") if self.chosen else None
        values["band"] = list(self.band) if self.band else None
        values["files"] = dict(self.files)
        return {"format": FORMAT, "mrharm": __version__, **values}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> DetectorCard:
        """Read what `to_json` made; raises ValueError, KeyError or TypeError on anything else."""
        if values["format"] != FORMAT:
            raise ValueError(f"format {values['format']}, this mrharm reads format {FORMAT}")
        rest = {key: value for key, value in values.items() if key not in ("format", "mrharm")}
        rest["answers"] = tuple(Answer.model_validate(answer) for answer in rest["answers"])
        rest["files"] = tuple(sorted(rest["files"].items()))
        rest["reads"], rest["students"] = tuple(rest["reads"]), tuple(rest["students"])
        # Cards from before there were bands have neither.
        low_high, chosen = rest.get("band"), rest.get("chosen")
        rest["band"] = (float(low_high[0]), float(low_high[1])) if low_high else None
        rest["chosen"] = Chosen.model_validate(chosen) if chosen else None
        return cls(**rest)


def figure_name(name: str) -> str:
    """A figure's name for people."""
    return "macro-F1" if name == "macro_f1" else name.replace("_", " ")


def figure_words(name: str, figure: Estimate) -> str:
    """A figure of a policy for people: memes a day, or per cent, with its interval."""
    if name == "reviews":
        return format_sentence(figure, unit=" a day", times=1, digits=0)
    return format_sentence(figure, unit=" %")


def scorer_of(detector: str) -> str:
    """The scorer's half of a Detector's key, as a verdict holds it."""
    return detector.partition("-")[0]


def read_card(folder: Path) -> tuple[Path, DetectorCard]:
    """A run folder or its ``detector/`` -> the detector's folder and its card.

    Raises:
        InputError: no Detector there.
        DataError: its card is broken.
    """
    inner = find_detector(folder)
    try:
        return inner, DetectorCard.from_json(json.loads((inner / CARD).read_text(encoding="utf-8")))
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{inner / CARD}: not a detector's card ({error})") from None


def write_card(folder: Path, card: DetectorCard) -> None:
    """Write a detector's README and ``detector.json``, each whole or not at all, and nothing else of its folder.

    ``detector.json`` comes last: it alone is read, so that a kill before it leaves the old policy in force, and the
    same command again mends the README.
    """
    values = card.to_json()
    write_text(folder / README, model_card(values))
    write_json(folder / CARD, values)


def model_card(values: dict[str, Any]) -> str:
    """``detector.json``'s values -> the README.md beside it, with the hub's front matter."""
    words = ", ".join(f"“{answer['word']}”" for answer in values["answers"])
    explains = (
        "and writes the rationale behind it"
        if {"rationale", "joint"} & set(values["students"])
        else "and gives no rationale"
    )
    band = values.get("band")
    chosen = Chosen.model_validate(values["chosen"]) if values.get("chosen") else None
    policy = [f"- threshold: {values['threshold']:.4g}" + (f", chosen by {chosen.words()}" if chosen else "")]
    if band:
        policy.append(
            f"- allow below {band[0]:.4g}, review from there up to {band[1]:.4g}, flag from there up"
        )
    if chosen:
        policy += [
            f"- {figure_name(name)} there: {figure_words(name, figure)}"
            for name, figure in chosen.figures.items()
        ]
    decides = "\n".join(policy)
    return f"""---
library_name: mrharm
pipeline_tag: image-text-to-text
tags: [harmful-memes, content-moderation, mr-harm]
---
# A harmful-meme detector (recipe `{values["recipe"]}`)

Reads {", ".join(values["reads"])} and the {values["picture_shown"]} picture, scores the answers {words} {explains}.

- calibration temperature, fitted on validation: {values["temperature"]:.3f}
{decides}
- seed: {values["seed"]}; mrharm {values["mrharm"]}

```python
from mrharm import Detector, Meme
print(Detector.from_pretrained("THIS_FOLDER").judge(Meme(id="1", image="photo.jpg", text="the words on it")))
```

A score is an opinion for a person to weigh. Do not let it act alone, and measure it on memes of your own first: a
detector knows only the kind of harm, language and time its training memes came from.
"""
