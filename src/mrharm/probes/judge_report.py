"""What a judge of rationales answered, and what it amounts to: marks, their spread, and whether they mean anything."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, Field, StringConstraints

from mrharm.evaluation.predictions import Predictions
from mrharm.metrics import Estimate
from mrharm.metrics.bootstrap import bootstrap, mean_of, mean_of_values
from mrharm.metrics.significance import intraclass_of, within_sd_of
from mrharm.records import Record
from mrharm.synthetic import truth

CAP = 2.0  # what the overall mark cannot pass where the decision is wrong: a good case for a wrong thing is no merit
_ASKS = re.compile(
    r"\brubric\b|\bfull marks\b|\b(?:give|assign|award|deserve|score|rate|grade|mark)\w*\b.{0,30}"
    r"\b(?:[1-5]|one|two|three|four|five|top|highest|maximum)\b",
    re.IGNORECASE,
)
Status = Literal["ok", "off_schema", "refused", "truncated", "injected", "unanswered"]


class Mark(Record):
    """One point of the rubric: a whole number from 1 to 5, and why."""

    reason: Annotated[
        str,
        StringConstraints(strict=True, strip_whitespace=True, min_length=1, max_length=1000),
        AfterValidator(lambda text: " ".join(text.split())),
    ]
    score: Annotated[int, Field(strict=True, ge=1, le=5)]


class Marks(Record):
    """A judge's marks by the rubric of ``prompts/judge.v1.jinja``."""

    grounded: Mark
    sound: Mark
    specific: Mark
    concise: Mark

    def each(self) -> dict[str, Mark]:
        """The points by name."""
        return {name: getattr(self, name) for name in type(self).model_fields}


class Answered(Record):
    """One answer of the judge, as it came (``raw``) and as it was classed.

    ``place`` is the meme's place among those judged, ``sample`` the number of the repeat. Only ``ok`` has marks.
    """

    meme_id: str
    place: int
    sample: int
    status: Status
    why: str = ""
    marks: Marks | None = None
    raw: str | None = None


class Point(Record):
    """One mark, 1 to 5: ``mean`` over memes of each meme's mean; ``within_sd``, how far repeats on one meme differ;
    ``intraclass``, the share of the variance that is between memes (`mrharm.metrics.significance`).
    """

    mean: Estimate
    within_sd: Estimate
    intraclass: Estimate


class JudgeReport(Record):
    """What the judge made of the rationales.

    ``memes``: with a rationale that was asked about; ``judged``: with at least one valid answer; ``blank``: without
    a rationale. ``asking``: rationales that ask for a mark, which no student has a reason to write: read what the judge
    made of them. ``statuses`` count the answers; only ``ok`` ones have marks. ``shown``: by what stood for the picture.
    ``points``: the rubric's, and ``overall``, their mean. ``capped``: overall, held at 2 where the detector's decision
    is wrong; the judge does not know which. ``wrong``: how many of those judged. ``when_right`` ... ``when_false``:
    the uncapped overall where the decision is right or wrong, and on generated memes where the rationale is true in
    all its parts or not: a judge worth its price marks what is true higher.
    """

    judge: str
    prompt: str
    repeats: int
    memes: int
    judged: int
    blank: int
    asking: int
    asked: int
    statuses: dict[str, int]
    shown: dict[str, int]
    points: dict[str, Point]
    capped: Estimate
    wrong: int
    when_right: Estimate
    when_wrong: Estimate
    when_true: Estimate | None = None
    when_false: Estimate | None = None
    answers: tuple[Answered, ...]
    words: tuple[str, ...] = ()


def summarise(
    predictions: Predictions,
    answers: Sequence[Answered],
    *,
    judge: str,
    prompt: str,
    repeats: int,
    asked: int,
    shown: dict[str, int],
    seed: int,
) -> JudgeReport:
    """Answers on a split's rationales -> the report; figures rest on valid answers alone."""
    marked: dict[int, list[Marks]] = {}
    for answer in answers:
        if answer.marks:
            marked.setdefault(answer.place, []).append(answer.marks)
    places = sorted(marked)
    values = {
        name: [[float(marks.each()[name].score) for marks in marked[place]] for place in places]
        for name in Marks.model_fields
    }
    values["overall"] = [[overall(marks) for marks in marked[place]] for place in places]
    means = np.array([np.mean(repeated) for repeated in values["overall"]])
    right = np.array(
        [predictions.predicted[place] == predictions.gold[place] for place in places], dtype=bool
    )
    true = _true(predictions, places)
    clusters = predictions.clusters[places]

    def mean_where(chosen: NDArray[np.bool_]) -> Estimate:
        return mean_of(means[chosen], seed=seed, clusters=clusters[chosen])

    return JudgeReport(
        judge=judge,
        prompt=prompt,
        repeats=repeats,
        memes=sum(shown.values()),
        judged=len(places),
        asking=sum(_ASKS.search(verdict.rationale or "") is not None for verdict in predictions.verdicts),
        blank=len(predictions.memes) - sum(shown.values()),
        asked=asked,
        statuses=dict(Counter(answer.status for answer in answers)),
        shown=shown,
        points={name: _point(repeated, clusters, seed) for name, repeated in values.items()},
        capped=mean_of(capped(means, right), seed=seed, clusters=clusters),
        wrong=int((~right).sum()),
        when_right=mean_where(right),
        when_wrong=mean_where(~right),
        when_true=None if true is None else mean_where(true),
        when_false=None if true is None else mean_where(~true),
        answers=tuple(answers),
    )


def overall(marks: Marks) -> float:
    """The mean of the rubric's points, 1 to 5."""
    return float(np.mean([mark.score for mark in marks.each().values()]))


def capped(overalls: NDArray[np.float64], right: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Overall marks, none above 2 where the decision is wrong. *Shape of all:* (memes,)"""
    return np.where(right, overalls, np.minimum(overalls, CAP))


def _point(repeats: Sequence[Sequence[float]], clusters: NDArray[np.int64], seed: int) -> Point:
    statistics = {
        "mean": mean_of_values(np.array([np.mean(repeated) for repeated in repeats])),
        "within_sd": within_sd_of(repeats),
        "intraclass": intraclass_of(repeats),
    }
    return Point(**bootstrap(statistics, len(repeats), seed=seed, clusters=clusters))


def _true(predictions: Predictions, places: Sequence[int]) -> NDArray[np.bool_] | None:
    """Whether each rationale is true in all its parts; None where not all of their memes were generated."""
    if not all(truth.is_known(predictions.memes[place]) for place in places):
        return None
    checks = [
        truth.check(predictions.verdicts[place].rationale or "", predictions.memes[place].extra["truth"])
        for place in places
    ]
    return np.array([check.all for check in checks], dtype=bool)
