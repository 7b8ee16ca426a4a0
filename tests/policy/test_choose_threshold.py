from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import f1_score

from mrharm.errors import InputError
from mrharm.metrics import Estimate
from mrharm.metrics.bootstrap import draw_counts
from mrharm.metrics.thresholds import LabelledScores, Traffic, metrics_at_threshold, sweep_thresholds
from mrharm.policy.bands import choose_band
from mrharm.policy.choose_threshold import Criterion, ThresholdChoice, choose_threshold

# By hand. Flagged at each cut, from the highest: 1 hit; 2; 2 and 1 false alarm; 3 and 1; 3 and 2; 3 and 3.
GOLD = np.array([True, True, False, True, False, False])
SCORES = np.array([0.9, 0.8, 0.7, 0.6, 0.4, 0.2])
HERE = Traffic()
RARE = Traffic(prevalence=0.1, per_day=1000)


MEMES = LabelledScores(GOLD, SCORES)


def limit(promise: str, value: float | None = None) -> Criterion:
    return Criterion.model_validate({"promise": promise, "limit": value})


def choose(
    promise: str, wanted: float | None = None, traffic: Traffic = HERE, memes: LabelledScores = MEMES
) -> ThresholdChoice:
    return choose_threshold(memes, limit(promise, wanted), traffic, n_resamples=200)


def figure(
    name: str, threshold: float, traffic: Traffic = HERE, memes: LabelledScores = MEMES
) -> float | None:
    return metrics_at_threshold(memes, threshold, traffic, n_resamples=20)[name].value


@pytest.mark.parametrize(
    ("promise", "wanted", "threshold", "value"),
    [
        # hit 2, miss 1, rest 3: (4/5 + 6/7) / 2; hit 3, false alarm 1, rest 2 makes the same and flags more.
        ("macro_f1", None, 0.75, (4 / 5 + 6 / 7) / 2),
        ("precision", 0.75, 0.5, 0.75),
        ("precision", 0.76, 0.75, 1.0),
        ("precision", 0.5, 0.5, 0.75),  # of equal recall, what flags fewer
        ("recall", 2 / 3, 0.75, 2 / 3),
        ("recall", 0.7, 0.5, 1.0),
        ("recall", 1.0, 0.5, 1.0),
    ],
)
def test_the_threshold_is_the_one_found_by_hand(
    promise: str, wanted: float | None, threshold: float, value: float
) -> None:
    choice = choose(promise, wanted)
    assert choice.at == pytest.approx(threshold)
    assert figure(promise, choice.at) == pytest.approx(value)


@pytest.mark.parametrize(
    ("wanted", "threshold", "reviews"),
    # A hit is 1000 x 0.1 / 3 a day, a false alarm 1000 x 0.9 / 3.
    [(34, 0.85, 100 / 3), (67, 0.75, 200 / 3), (399, 0.65, 1100 / 3), (400, 0.5, 400), (1000, 0.1, 1000)],
)
def test_reviews_a_day_are_those_of_the_stated_prevalence(
    wanted: float, threshold: float, reviews: float
) -> None:
    choice = choose("reviews", wanted, RARE)
    assert choice.at == pytest.approx(threshold)
    assert figure("reviews", choice.at, RARE) == pytest.approx(reviews)


def test_reweighing_is_repeating_memes() -> None:
    """2 harmful of 8 harmless each four times: the split at a prevalence of 2 / 34."""
    rng = np.random.default_rng(1)
    gold, scores = np.arange(10) < 2, rng.random(10)
    stated = metrics_at_threshold(
        LabelledScores(gold, scores), 0.5, Traffic(prevalence=2 / 34), n_resamples=10
    )
    often = np.where(gold, 1, 4)
    repeated = metrics_at_threshold(
        LabelledScores(np.repeat(gold, often), np.repeat(scores, often)), 0.5, HERE, n_resamples=10
    )
    assert {name: figure.value for name, figure in stated.items()} == pytest.approx(
        {name: figure.value for name, figure in repeated.items()}
    )


@pytest.mark.parametrize(
    ("promise", "wanted"), [("macro_f1", None), ("precision", 0.6), ("recall", 0.8), ("reviews", 45.0)]
)
def test_the_choice_and_its_interval_are_those_of_trying_every_score(
    promise: str, wanted: float | None
) -> None:
    rng = np.random.default_rng(3)
    traffic = Traffic(prevalence=0.3, per_day=100) if promise == "reviews" else HERE
    gold = rng.random(40) < 0.5
    scores = np.round(np.clip(rng.normal(0.4 + 0.2 * gold, 0.2), 0, 1), 1)  # with ties
    thresholds = sweep_thresholds(gold, scores).thresholds

    def tried(counts: np.ndarray) -> float | None:
        """The best threshold, by the definitions, one after another."""
        truth, own = np.repeat(gold, counts), np.repeat(scores, counts)
        best: tuple[float, float] | None = None
        for at in thresholds:
            said = own >= at
            if not said.any():
                continue
            recall, alarms = said[truth].mean(), said[~truth].mean()
            precision = truth[said].mean()
            flagged = 0.3 * recall + 0.7 * alarms
            if promise == "macro_f1":
                kept, gain = True, f1_score(truth, said, average="macro", zero_division=0)
            elif promise == "precision":
                kept, gain = precision >= 0.6 - 1e-9, recall
            elif promise == "recall":
                kept, gain = recall >= 0.8 - 1e-9, -said.mean()
            else:
                kept, gain = 100 * flagged <= 45 + 1e-6, said.mean()
            if kept and (best is None or gain > best[0] + 1e-12):
                best = (float(gain), float(at))
        return best[1] if best else None

    choice = choose_threshold(LabelledScores(gold, scores), limit(promise, wanted), traffic, n_resamples=30)
    assert choice.at == tried(np.ones(40, int))
    drawn = [tried(row.astype(int)) for rows in draw_counts(40, 30, 0) for row in rows]
    found = [one for one in drawn if one is not None]
    assert choice.feasible_share == len(found) / 30
    assert [choice.threshold.low, choice.threshold.high] == pytest.approx(np.percentile(found, [2.5, 97.5]))


@pytest.mark.parametrize(
    ("promise", "wanted", "traffic", "says"),
    [
        ("precision", 0.9, HERE, r"most that can be had is 60\.0 %, at threshold 0\.25.* finds 100\.0 %"),
        ("reviews", 99, Traffic(0.5, 100), r"fewest with anything flagged at all are 100\.0 a day"),
        ("reviews", 0, Traffic(0.5, 100), "cannot be kept"),
        ("macro_f1", None, HERE, "all 5 memes have the same score"),
    ],
)
def test_a_promise_that_cannot_be_kept_says_what_can(
    promise: str, wanted: float | None, traffic: Traffic, says: str
) -> None:
    gold = np.array([True, True, True, False, False])
    with pytest.raises(InputError, match=says):
        choose(promise, wanted, traffic, LabelledScores(gold, np.full(5, 0.5)))


def test_equal_scores_are_flagged_together_or_not_at_all() -> None:
    gold, scores = np.array([True, True, False, False]), np.array([0.6, 0.6, 0.6, 0.2])
    memes, same = LabelledScores(gold, scores), LabelledScores(gold, np.full(4, 0.7))
    assert choose("precision", 0.66, memes=memes).at == pytest.approx(0.4)
    with pytest.raises(InputError, match=r"66\.7 %"):
        choose("precision", 0.7, memes=memes)
    at = choose("recall", 0.1, memes=same).at
    assert (figure("flagged", at, memes=same), figure("recall", at, memes=same)) == (1.0, 1.0)


def test_scores_that_touch_0_1_and_one_another_keep_a_threshold_between_them() -> None:
    near = np.nextafter(0.5, 1)
    cuts = sweep_thresholds(np.array([True, False, True, False]), np.array([1.0, near, 0.5, 0.0]))
    assert cuts.thresholds.tolist() == [(1 + near) / 2, near, 0.25, 0.0]


@pytest.mark.parametrize("gold", [[], [True, True], [False, False]])
def test_no_memes_or_one_kind_only_is_an_error(gold: list[bool]) -> None:
    with pytest.raises(InputError, match=f"{len(gold)} memes with a label, {sum(gold)} of them harmful"):
        memes = LabelledScores(np.array(gold, dtype=bool), np.linspace(0.2, 0.8, len(gold)))
        choose("recall", 0.5, memes=memes)


def test_of_one_kind_of_meme_only_what_can_be_had_is_said() -> None:
    at_home = metrics_at_threshold(LabelledScores(GOLD[~GOLD], SCORES[~GOLD]), 0.5, HERE)
    assert at_home["flagged"].value == pytest.approx(1 / 3)
    assert at_home["recall"] == Estimate()
    # A share of harmful memes comes in, and not one of them was measured.
    stated = metrics_at_threshold(LabelledScores(GOLD[~GOLD], SCORES[~GOLD]), 0.5, RARE)
    assert stated["flagged"] == stated["precision"] == stated["reviews"] == Estimate()


def test_without_a_false_alarm_among_few_memes_precision_at_a_low_prevalence_is_open_downwards() -> None:
    """0 of 100: at 1 in 1,000 harmful, 3.6 % of false alarms are still to be reckoned with."""
    gold = np.arange(200) < 100
    scores = np.where(gold, 0.9, 0.1)
    for traffic in (Traffic(0.001, 10_000), Traffic(0.001)):
        figures = metrics_at_threshold(LabelledScores(gold, scores), 0.5, traffic)
        precision = figures["precision"]
        assert precision.value == precision.high == 1
        assert precision.low is not None and 0.02 < precision.low < 0.035
        assert figures["flagged"].value == pytest.approx(0.001)
        assert figures["flagged"].high == pytest.approx(0.0371, abs=0.001)
    daily = metrics_at_threshold(LabelledScores(gold, scores), 0.5, Traffic(0.001, 10_000))
    assert daily["reviews"].high == pytest.approx(371, abs=10)


def test_elsewhere_reckons_with_false_alarms_that_these_memes_do_not_show() -> None:
    rng = np.random.default_rng(4)
    gold = np.arange(200) < 100
    normal = rng.normal(3.0 * gold, 1)
    scores = 1 / (1 + np.exp(-normal))
    memes = LabelledScores(gold, scores)
    choice = choose("precision", 0.9, Traffic(0.001), memes)
    assert figure("precision", choice.at, Traffic(0.001), memes) == 1
    # About 0.6 / 100 of the harmless memes lie above the highest of 100: 0.001 / (0.001 + 0.006) at best.
    assert choice.optimism_corrected is not None and choice.optimism_corrected < 0.25


@pytest.mark.parametrize(
    ("promise", "wanted", "traffic"),
    [
        ("precision", 0.0, HERE),
        ("precision", 1.5, HERE),
        ("recall", float("nan"), HERE),
        ("recall", None, HERE),
        ("reviews", -1, RARE),
        ("reviews", 5, HERE),
        ("reviews", 5, Traffic(per_day=9)),
    ],
)
def test_what_makes_no_sense_is_refused(promise: str, wanted: float | None, traffic: Traffic) -> None:
    with pytest.raises(InputError, match=r"expected|say how many"):
        choose(promise, wanted, traffic)


@pytest.mark.parametrize("traffic", [(-0.1,), (0,), (1,), (1.1,), (0.5, 0), (0.5, -3)])
def test_a_stream_that_cannot_be_is_refused(traffic: tuple[float, ...]) -> None:
    with pytest.raises(InputError, match="expected"):
        Traffic(*traffic)


def test_elsewhere_takes_off_what_choosing_on_noise_seems_to_gain() -> None:
    """Where scores mean nothing, the best macro-F1 of many thresholds looks good and is not."""
    seen, expected = [], []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        memes = LabelledScores(rng.random(60) < 0.5, rng.random(60))
        choice = choose("macro_f1", memes=memes)
        seen.append(figure("macro_f1", choice.at, memes=memes))
        expected.append(choice.optimism_corrected)
    # Flagging half at random has a macro-F1 of 0.5.
    assert np.mean(seen) > 0.56
    assert abs(np.mean(expected) - 0.5) < 0.5 * abs(np.mean(seen) - 0.5)


def test_a_band_is_filled_with_the_scores_nearest_in_log_odds() -> None:
    gold, scores = np.array([True, True, False, False]), np.array([0.9, 0.6, 0.45, 0.2])
    half = Traffic(prevalence=0.5, per_day=100)  # 25 a day each
    band = choose_band(LabelledScores(gold, scores), 0.5, [limit("reviews", 50)], half, n_resamples=100)
    # From 0.5, 0.6 lies ln 1.5 away and the next, 0.2, ln 4.
    reach = (np.log(1.5) + np.log(4)) / 2
    assert band.at == pytest.approx((1 / (1 + np.exp(reach)), 1 / (1 + np.exp(-reach))))
    figures = metrics_at_threshold(LabelledScores(gold, scores), 0.5, half, band.at)
    assert figures["reviews"].value == pytest.approx(50)
    assert (figures["flag_precision"].value, figures["allow_precision"].value) == (1, 1)
    assert choose_band(LabelledScores(gold, scores), 0.5, [limit("reviews", 100)], half).at[0] < 0.2
    with pytest.raises(InputError, match=r"brings 25\.0 a day"):
        choose_band(LabelledScores(gold, scores), 0.5, [limit("reviews", 24)], half)
    # As far above as below is a tie: both or none.
    with pytest.raises(InputError, match=r"brings 50\.0 a day"):
        choose_band(LabelledScores(gold, np.array([0.9, 0.6, 0.4, 0.2])), 0.5, [limit("reviews", 49)], half)


def test_a_band_never_holds_more_than_was_allowed() -> None:
    rng = np.random.default_rng(5)
    for _ in range(10):
        gold = rng.random(50) < 0.4
        scores = np.round(rng.random(50), 1)
        at, traffic = float(rng.choice([0.0, 0.31, 0.5, 1.0])), Traffic(float(rng.random()), 1000)
        most = float(rng.integers(1, 1000))
        try:
            band = choose_band(
                LabelledScores(gold, scores), at, [limit("reviews", most)], traffic, n_resamples=20
            )
        except InputError as error:
            assert "leave no room" in str(error)
            continue
        assert band.at[0] <= at <= band.at[1]
        memes = LabelledScores(gold, scores)
        reviews = metrics_at_threshold(memes, at, traffic, band.at, n_resamples=20)["reviews"].value
        assert reviews is not None and reviews <= most + 1e-6


@pytest.mark.parametrize(
    ("threshold", "flag", "allow", "band"),
    [
        (0.5, 0.9, None, (0.5, 0.75)),  # only the two highest are surely harmful
        (0.5, 0.9, 0.9, (0.5, 0.75)),  # below 0.5 all is harmless
        (0.75, None, 0.9, (0.5, 0.75)),  # below 0.75 a quarter is not
        (0.5, 0.75, 0.9, (0.5, 0.5)),  # nothing to review
        (0.3, 0.9, 1.0, (0.3, 0.75)),
    ],
)
def test_a_band_by_precision_is_the_one_found_by_hand(
    threshold: float, flag: float | None, allow: float | None, band: tuple[float, float]
) -> None:
    pairs = (("flag_precision", flag), ("allow_precision", allow))
    criteria = [limit(name, share) for name, share in pairs if share is not None]
    found = choose_band(MEMES, threshold, criteria, HERE, n_resamples=100)
    assert found.at == pytest.approx(band)
    figures = metrics_at_threshold(MEMES, threshold, HERE, found.at, n_resamples=20)
    for criterion in criteria:
        value = figures[criterion.promise].value
        assert value is not None and criterion.met_by(value)


@pytest.mark.parametrize("traffic", [HERE, Traffic(prevalence=0.1)])
def test_what_a_band_does_is_counted_by_hand(traffic: Traffic) -> None:
    # Flagged: 0.9, 0.8. Reviewed: 0.7 (harmless), 0.6. Allowed: 0.4 and 0.2, harmless; then with 0.6 among them.
    share = traffic.prevalence or 0.5
    figures = metrics_at_threshold(MEMES, 0.65, traffic, (0.65, 0.75))
    values = {name: figure.value for name, figure in figures.items()}
    allowed = share / 3 + (1 - share) * 2 / 3
    assert values == pytest.approx(
        {
            "precision": share * 2 / 3 / (share * 2 / 3 + (1 - share) / 3),
            "recall": 2 / 3,
            "macro_f1": values["macro_f1"],
            "flagged": share * 2 / 3,
            "reviewed": (1 - share) / 3,
            "flag_precision": 1,
            "allow_precision": 1 - share / 3 / allowed,
            "allowed": allowed,
            "harmful_of_allowed": share / 3 / allowed,
            "allowed_of_harmful": 1 / 3,
        }
    )
    for figure in figures.values():
        assert figure.low is not None and figure.value is not None and figure.high is not None
        assert figure.low <= figure.value <= figure.high and figure.low < figure.high


def test_a_band_that_cannot_keep_its_precision_says_what_can() -> None:
    with pytest.raises(InputError, match=r"precision of flag >= 0\.9 cannot be kept.*33\.3 %"):
        choose_band(LabelledScores(~GOLD, SCORES), 0.5, [limit("flag_precision", 0.9)], HERE)
    with pytest.raises(InputError, match=r"precision of allow >= 0\.9 cannot be kept.*40\.0 %"):
        choose_band(LabelledScores(~GOLD, SCORES), 0.85, [limit("allow_precision", 0.9)], HERE)
    with pytest.raises(InputError, match=r"nothing to flag at or above the threshold 0\.95"):
        choose_band(MEMES, 0.95, [limit("flag_precision", 0.9)], HERE)
    with pytest.raises(InputError, match=r"nothing to allow at or below the threshold 0\.05"):
        choose_band(MEMES, 0.05, [limit("allow_precision", 0.9)], HERE)


@pytest.mark.parametrize(
    ("wanted", "traffic"),
    [
        ([limit("reviews", 5)], HERE),
        ([limit("reviews", 5), limit("flag_precision", 0.9)], RARE),
        ([limit("reviews", -1)], RARE),
        ([limit("flag_precision", 0.0)], HERE),
    ],
)
def test_a_band_that_makes_no_sense_is_refused(wanted: list[Criterion], traffic: Traffic) -> None:
    with pytest.raises(InputError):
        choose_band(MEMES, 0.5, wanted, traffic)


def test_bounds_have_intervals_around_them() -> None:
    rng = np.random.default_rng(2)
    gold = rng.random(300) < 0.4
    scores = np.clip(rng.normal(0.35 + 0.3 * gold, 0.18), 0.01, 0.99)
    sure = [limit("flag_precision", 0.9), limit("allow_precision", 0.9)]
    for wanted in (sure, [limit("reviews", 200)]):
        band = choose_band(LabelledScores(gold, scores), 0.5, wanted, Traffic(0.4, 1000), n_resamples=200)
        for bound in (band.low, band.high):
            assert bound.low is not None and bound.high is not None and bound.value is not None
            assert bound.low <= bound.value <= bound.high
            assert bound.low < bound.high
