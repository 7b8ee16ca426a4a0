"""A figure with its 95 % interval, how it is named and prints, and the intervals that need no resampling."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest, ttest_ind
from scipy.stats import t as student_t

from mrharm.records import Record

Booleans = NDArray[np.bool_]
Floats = NDArray[np.float64]
Sign = Literal["more", "less", "open"]
Decisions = NDArray[Any]  # True, False, or None where no label was answered

N_RESAMPLES = 2000  # of every interval, so that the same verdicts have the same one everywhere
FEWEST = 30  # memes; below, the bootstrap's interval of a difference leaves out too much

SCORES = {
    "accuracy": "accuracy",
    "macro_f1": "macro-F1",
    "precision": "precision",
    "recall": "recall",
    "false_alarms": "false alarms (harmless memes flagged)",
    "auroc": "AUROC",
    "auprc": "AUPRC",
    "brier": "Brier score",
    "ece": "class-wise ECE, 15 bins",
    "aurc": "AURC (risk-coverage)",
}
# Names of fields in report.json as people read them; the rest are their words.
NAMES = {
    **SCORES,
    "false_alarms": "false alarms",
    "reviewed": "reviewed by a person",
    "flag_precision": "flagged that is harmful",
    "harmful_of_allowed": "allowed that is harmful",
    "allowed_of_harmful": "harmful that is allowed",
    "before": "unchanged",
    "clean": "unchanged",
    "conditions": "one modality changed",
    "settings": "every change at every strength (kind, change, strength, its number, unit)",
    "written": "form of the rationales",
}


class Estimate(Record):
    """A figure with its 95 % interval; None where it is undefined (one class only, no memes)."""

    value: float | None = None
    low: float | None = None
    high: float | None = None

    def scale(self, factor: float) -> Estimate:
        """Return the figure and its interval multiplied by a positive number."""
        scaled = {name: None if end is None else end * factor for name, end in self.model_dump().items()}
        return Estimate(**scaled)


def name_figure(name: str) -> str:
    """Return a field's name as people read it."""
    return NAMES.get(name) or name.replace("_", " ").replace("macro f1", "macro-F1").replace("auroc", "AUROC")


def format_figure(name: str, figure: Estimate, *, cell: bool = False) -> str:
    """Format a figure of a policy: memes a day for ``reviews``, else per cent; small shares have two digits.

    With ``cell`` for a table, whose heading has the unit; for a sentence without.
    """
    is_small = figure.value is not None and 0 < figure.value < 0.01
    times, digits, unit = (1, 0, " a day") if name == "reviews" else (100, 2 if is_small else 1, " %")
    if cell:
        return format_cell(figure, times=times, digits=digits)
    return format_sentence(figure, unit=unit, times=times, digits=digits)


def format_sentence(
    figure: Estimate, *, unit: str = "", times: float = 100, digits: int = 1, sign: bool = False
) -> str:
    """Format a figure for a sentence: ``81.1 % (77.1 to 85.0)``; ``not known`` without a value.

    Args:
        figure: what to format.
        unit: follows the value, once.
        times: 100 for a share in percent, 1 for a plain number.
        digits: after the decimal point.
        sign: write a plus, too: for differences.
    """
    numbers = _format_numbers(figure, times, digits, sign)
    if not numbers:
        return "not known"
    value, *bounds = numbers
    return value + unit + (f" ({' to '.join(bounds)})" if bounds else "")


def format_cell(figure: Estimate, *, times: float = 100, digits: int = 1, sign: bool = False) -> str:
    """Format a figure for a table: ``81.1 (77.1-85.0)``; a dash without a value. Arguments as `format_sentence`."""
    numbers = _format_numbers(figure, times, digits, sign)
    if not numbers:
        return "-"
    value, *bounds = numbers
    # A hyphen between numbers with signs reads as one of the signs.
    joint = " to " if sign or any(bound.startswith("-") for bound in bounds) else "-"
    return value + (f" ({joint.join(bounds)})" if bounds else "")


def _format_numbers(figure: Estimate, times: float, digits: int, sign: bool) -> tuple[str, ...]:
    """Format the value and, where there are two, its bounds; empty without a value."""
    if figure.value is None:
        return ()
    bounds = () if figure.low is None or figure.high is None else (figure.low, figure.high)
    form = f"{'+' if sign else ''}z,.{digits}f"
    return tuple(f"{times * number:{form}}" for number in (figure.value, *bounds))


def sign_of(difference: Estimate) -> Sign:
    """Tell whether a difference is above 0, below, or open because its interval holds 0 or there is none."""
    if difference.low is not None and difference.low > 0:
        return "more"
    if difference.high is not None and difference.high < 0:
        return "less"
    return "open"


def counted(count: int, noun: str) -> str:
    """Format a count with its noun: ``1 meme``, ``1,200 memes``."""
    return f"{count:,} {noun}" + ("" if count == 1 else "s")


def wilson_interval(successes: int, trials: int) -> tuple[float, float]:
    """Return the 95 % Wilson score interval of a share (Wilson 1927), sound near 0 and 1 too."""
    if trials == 0:
        return 0.0, 1.0
    interval = binomtest(successes, trials).proportion_ci(method="wilson")
    return float(interval.low), float(interval.high)


def newcombe_interval(first: Floats, second: Floats, trials: int) -> Estimate:
    """Return the share of ``first`` minus that of ``second`` with its 95 % interval, as of so many independent pairs.

    The hybrid score interval of Newcombe ("Improved confidence intervals for the difference between binomial
    proportions based on paired data", 1998, method 10). *Shape of both:* (memes,)
    """
    a, b = float(first.mean()), float(second.mean())
    (a_low, a_high), (b_low, b_high) = (wilson_interval(round(rate * trials), trials) for rate in (a, b))
    # The correlation of the two shares, with a correction for continuity where it is positive.
    covariance = trials**2 * (float((first * second).mean()) - a * b)
    if covariance > 0:
        covariance = max(0.0, covariance - trials / 2)
    margins = trials**2 * float(np.sqrt(a * (1 - a) * b * (1 - b)))
    correlation = covariance / margins if margins else 0.0

    def distance(of_first: float, of_second: float) -> float:
        return float(np.sqrt(of_first**2 - 2 * correlation * of_first * of_second + of_second**2))

    low, high = a - b - distance(a - a_low, b_high - b), a - b + distance(a_high - a, b - b_low)
    return Estimate(value=a - b, low=low, high=high)


def share(successes: int, trials: int) -> Estimate:
    """Return a share of independent trials with its 95 % Wilson interval; no value without trials."""
    if not trials:
        return Estimate()
    low, high = wilson_interval(successes, trials)
    return Estimate(value=successes / trials, low=low, high=high)


def mean_with_interval(values: Sequence[float]) -> Estimate:
    """Return the mean of values, one a seed, with its 95 % interval by Student's t; no interval for a single value."""
    numbers = np.asarray(values, dtype=np.float64)
    if not len(numbers):
        return Estimate()
    mean = float(numbers.mean())
    if len(numbers) == 1:
        return Estimate(value=mean)
    half = float(student_t.ppf(0.975, len(numbers) - 1) * numbers.std(ddof=1) / np.sqrt(len(numbers)))
    return Estimate(value=mean, low=mean - half, high=mean + half)


def difference_of_means(first: Floats, second: Floats) -> Estimate:
    """Return mean(second) - mean(first) with its 95 % interval (Welch 1947); no interval without any spread.

    *Shape:* (seeds,) each, two values or more.
    """
    difference = float(second.mean() - first.mean())
    if not np.isfinite(difference):
        return Estimate()
    if np.ptp(first) == np.ptp(second) == 0:
        return Estimate(value=difference)
    interval = ttest_ind(second, first, equal_var=False).confidence_interval(0.95)
    return Estimate(value=difference, low=float(interval.low), high=float(interval.high))
