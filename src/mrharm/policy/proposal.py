"""What a policy shall do, and a policy to store: the detector's new card with the figures it stands on."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mrharm.metrics import Estimate
from mrharm.metrics.thresholds import Band, Traffic
from mrharm.policy.bands import BandChoice, BandCriterion
from mrharm.policy.choose import Criterion
from mrharm.policy.stale import stale_reports
from mrharm.policy.targets import TargetCheck
from mrharm.records import Failure
from mrharm.runs import results_folder
from mrharm.verdicts.card import DetectorCard, write_card


@dataclass(frozen=True)
class Wanted:
    """What a policy shall do: a ``criterion``, or a ``threshold`` of one's own; a ``band_criterion``, a ``band`` of
    one's own, or neither; and what will come in.
    """

    traffic: Traffic
    criterion: Criterion | None = None
    threshold: float | None = None
    band_criterion: BandCriterion | None = None
    band: Band | None = None


@dataclass(frozen=True)
class Row:
    """A line of the menu: what a threshold would do, or ``why`` it cannot be had."""

    words: str
    promise: str | None = None
    threshold: Estimate = field(default_factory=Estimate)
    figures: dict[str, Estimate] = field(default_factory=dict)
    why: str | None = None


@dataclass
class Proposal:
    """A policy that is not stored yet: the new ``card``, the one ``before``, and the figures it stands on.

    ``figures`` are of the split it was chosen on, ``checked`` of another one, ``promises`` how what was wanted stands
    on either; ``elsewhere`` and ``found_in`` as `Choice` has them.
    """

    wanted: Wanted
    folder: Path
    card: DetectorCard
    before: DetectorCard
    threshold: Estimate
    criterion_words: str
    band: BandChoice | None = None
    band_words: str | None = None
    split: str | None = None
    memes: int = 0
    figures: dict[str, Estimate] = field(default_factory=dict)
    elsewhere: float | None = None
    found_in: float | None = None
    notes: list[str] = field(default_factory=list)
    menu: list[Row] = field(default_factory=list)
    check_split: str | None = None
    check_memes: int = 0
    checked: dict[str, Estimate] = field(default_factory=dict)
    promises: list[TargetCheck] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)

    def store(self) -> None:
        """Write the policy into the detector's card and README; no other file changes."""
        write_card(self.folder, self.card)

    @property
    def broken(self) -> bool:
        """Whether a promise is not kept on the split the choice is checked on."""
        return any(one.state == "broken" for one in self.promises if one.split == self.check_split)

    def kept_on(self) -> dict[str, bool]:
        """Split -> whether every promise is kept there by the pessimistic end of its interval, too."""
        splits = dict.fromkeys(one.split for one in self.promises)
        return {
            split: all(one.state == "kept" for one in self.promises if one.split == split) for split in splits
        }

    def stale(self) -> list[Path]:
        """The pages and model cards in the run that show a policy older than this one, where it is another one."""
        same = (self.card.threshold, self.card.band) == (self.before.threshold, self.before.band)
        return [] if same else stale_reports(results_folder(self.folder), self.card.key())

    def weighed(self) -> str:
        """Of which prevalence the figures are, where one was stated."""
        share = self.wanted.traffic.prevalence
        return f", re-weighted to {100 * share:g} % harmful" if share is not None else ""

    def summary(self) -> dict[str, Any]:
        """JSON-able values."""

        def numbers(figures: dict[str, Estimate]) -> dict[str, Any]:
            return {name: figure.model_dump() for name, figure in figures.items()}

        return {
            "detector": self.card.key(),
            "folder": str(self.folder),
            "threshold": self.card.threshold,
            "threshold_interval": [self.threshold.low, self.threshold.high],
            "band": list(self.card.band) if self.card.band else None,
            "band_bounds": {"low": self.band.low.model_dump(), "high": self.band.high.model_dump()}
            if self.band
            else None,
            "criterion": self.criterion_words,
            "band_criterion": self.band_words,
            "split": self.split,
            "memes": self.memes,
            "prevalence": self.wanted.traffic.prevalence,
            "per_day": self.wanted.traffic.per_day,
            "figures": numbers(self.figures),
            "elsewhere": self.elsewhere,
            "found_in": self.found_in,
            "check_split": self.check_split,
            "check_memes": self.check_memes,
            "checked": numbers(self.checked),
            "kept_on": self.kept_on(),
            "promises": [one.model_dump() for one in self.promises],
            "choices": [
                {
                    "criterion": row.words,
                    "threshold": row.threshold.model_dump(),
                    "figures": numbers(row.figures),
                    "why_not": row.why,
                }
                for row in self.menu
            ],
            "before": {
                "threshold": self.before.threshold,
                "band": list(self.before.band) if self.before.band else None,
            },
            "notes": [*self.notes, *(one.words() for one in self.promises)],
            "stale": [str(path) for path in self.stale()],
            "failures": [failure.model_dump(mode="json") for failure in self.failures],
        }
