"""A figure and its 95 % interval: by the percentile bootstrap over memes, or from values over seeds."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student_t

from mrharm.records import Record

N_RESAMPLES = 1000


class Estimate(Record):
    """A figure with its 95 % interval; None where it cannot be had (one class only, no memes)."""

    value: float | None = None
    low: float | None = None
    high: float | None = None


def format_sentence(
    figure: Estimate, *, unit: str = "", times: float = 100, digits: int = 1, sign: bool = False
) -> str:
    """A figure in a sentence, ``81.1 % (77.1 to 85.0)``; ``not known`` where there is no value.

    Args:
        figure: what to say.
        unit: stands after the value, once.
        times: 100 for a share in percent, 1 for a plain number.
        digits: after the point.
        sign: write a plus, too: for differences.
    """
    numbers = _numbers(figure, times, digits, sign)
    if not numbers:
        return "not known"
    value, *bounds = numbers
    return value + unit + (f" ({' to '.join(bounds)})" if bounds else "")


def format_cell(figure: Estimate, *, times: float = 100, digits: int = 1, sign: bool = False) -> str:
    """A figure in a table, ``81.1 (77.1-85.0)``; a dash where there is no value. Arguments as `spell`."""
    numbers = _numbers(figure, times, digits, sign)
    if not numbers:
        return "-"
    value, *bounds = numbers
    # A hyphen between numbers with signs reads as one of them.
    return value + (f" ({(' to ' if sign else '-').join(bounds)})" if bounds else "")


def _numbers(figure: Estimate, times: float, digits: int, sign: bool) -> tuple[str, ...]:
    """The value and, where there are both, its bounds; nothing without a value."""
    if figure.value is None:
        return ()
    bounds = () if figure.low is None or figure.high is None else (figure.low, figure.high)
    form = f"{'+' if sign else ''}z,.{digits}f"
    return tuple(f"{times * number:{form}}" for number in (figure.value, *bounds))


def bootstrap_indexes(
    statistic: Callable[[NDArray[np.int64]], float],
    count: int,
    *,
    n_resamples: int = N_RESAMPLES,
    seed: int = 0,
) -> Estimate:
    """A statistic of memes, and its 95 % percentile bootstrap interval (Efron 1979).

    Args:
        statistic: indexes of memes, with repeats -> the figure; not a number where it cannot be had.
        count: how many memes there are.
        draws: how often memes are drawn with replacement.
        seed: of the draws.
    """
    if count == 0:
        return Estimate()
    value = statistic(np.arange(count))
    if not np.isfinite(value):
        return Estimate()
    rng = np.random.default_rng(seed)
    drawn = np.array([statistic(rng.integers(0, count, count)) for _ in range(n_resamples)])
    drawn = drawn[np.isfinite(drawn)]
    if not len(drawn):
        return Estimate(value=float(value))
    low, high = np.percentile(drawn, [2.5, 97.5])
    return Estimate(value=float(value), low=float(low), high=float(high))


def mean_with_interval(values: Sequence[float]) -> Estimate:
    """The mean of values, one a seed, and its 95 % interval by Student's t; no interval for a single value."""
    numbers = np.asarray(values, dtype=np.float64)
    if not len(numbers):
        return Estimate()
    mean = float(numbers.mean())
    if len(numbers) == 1:
        return Estimate(value=mean)
    half = float(student_t.ppf(0.975, len(numbers) - 1) * numbers.std(ddof=1) / np.sqrt(len(numbers)))
    return Estimate(value=mean, low=mean - half, high=mean + half)
