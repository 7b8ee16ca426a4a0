from __future__ import annotations

import pytest

from mrharm.metrics import Estimate
from mrharm.metrics.thresholds import FlagCounts, Traffic
from mrharm.policy.choose_threshold import Criterion, Promise
from mrharm.policy.targets import TargetCheck, check_target
from mrharm.reports.policy import describe_target

RARE = Traffic(prevalence=0.001, per_day=10_000)
PRECISE = Criterion(promise="precision", limit=0.9)
CLEAN = FlagCounts(hits=85, harmful=100, alarms=0, harmless=100)


def stands(
    name: Promise, wanted: float, figure: tuple[float, float, float], counted: FlagCounts = CLEAN
) -> TargetCheck:
    value, low, high = figure
    criterion = Criterion(promise=name, limit=wanted)
    return check_target("test", criterion, Estimate(value=value, low=low, high=high), counted, RARE)


@pytest.mark.parametrize(
    ("name", "wanted", "figure", "state"),
    [
        ("precision", 0.9, (0.95, 0.9, 0.99), "met"),
        ("precision", 0.9, (0.95, 0.89, 0.99), "uncertain"),
        ("precision", 0.9, (0.89, 0.8, 0.99), "missed"),
        ("reviews", 100, (80, 60, 100), "met"),
        ("reviews", 100, (80, 60, 101), "uncertain"),
        ("reviews", 100, (101, 60, 190), "missed"),
    ],
)
def test_a_promise_is_kept_only_where_the_pessimistic_end_keeps_it(
    name: Promise, wanted: float, figure: tuple[float, float, float], state: str
) -> None:
    one = stands(name, wanted, figure)
    assert one.state == state
    assert one.bound == (figure[2] if name == "reviews" else figure[1])
    assert {"met": " met on test", "uncertain": "UNCERTAIN on test", "missed": "MISSED on test"}[
        state
    ] in describe_target(one)
    assert "the pessimistic end of the interval is" in describe_target(one)
    # The words of --json stay those of versions before.
    assert one.to_json()["state"] == {"met": "kept", "uncertain": "open", "missed": "broken"}[state]


def test_a_figure_that_cannot_be_had_keeps_nothing() -> None:
    one = check_target("test", PRECISE, Estimate(), FlagCounts(0, 9, 0, 9), RARE)
    assert one.state == "uncertain" and "UNKNOWN on test" in describe_target(one)


@pytest.mark.parametrize(
    ("name", "wanted", "kind", "needed"),
    [
        # False alarms may be 0.001 x 0.85 / 9 / 0.999 = 9.454e-5: ln 0.025 / ln(1 - that)
        ("precision", 0.9, "harmless", 39_018),
        # (0.01 - 0.00085) / 0.999 = 0.009159
        ("reviews", 100, "harmless", 401),
        ("recall", 0.8, "harmful", 17),
        ("recall", 1.0, "harmful", None),  # one may always be missed
        # Misses may be 0.999 x 0.0001 / 0.9999 / 0.001 = 0.0999
        ("allow_precision", 0.9999, "harmful", 36),
        ("flag_precision", 1.0, "harmless", None),
    ],
)
def test_how_many_memes_it_takes_is_said(name: Promise, wanted: float, kind: str, needed: int | None) -> None:
    one = stands(name, wanted, (wanted, wanted / 2, wanted * 2))
    assert (one.kind, one.needed, one.memes) == (kind, needed, 100)
    said = f"has too few {kind} memes to tell: 100; it takes at least {needed:,}" if needed else "too few"
    assert (said in describe_target(one)) == (needed is not None and needed > 100)


def test_without_a_prevalence_the_splits_own_counts() -> None:
    one = check_target(
        "test", PRECISE, Estimate(value=1, low=0.8, high=1), FlagCounts(5, 10, 0, 10), Traffic()
    )
    assert one.needed == 65  # 0.5 / 9 = 0.0556 false alarms at most
    assert check_target("test", PRECISE, Estimate(value=1), FlagCounts(5, 5, 0, 0), Traffic()).needed is None
