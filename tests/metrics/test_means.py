from __future__ import annotations

import numpy as np
import pytest

from mrharm.metrics import Estimate
from mrharm.metrics.means import mean_of, share_of


def test_a_mean_has_a_bootstrap_interval_and_a_share_a_wilson_one() -> None:
    mean = mean_of(np.array([1.0, 2.0, 6.0]))
    assert mean.value == 3.0
    assert mean.low is not None and mean.high is not None and 1.0 <= mean.low < 3.0 < mean.high <= 6.0
    share = share_of(np.array([True, False, False, False]))
    # Wilson 1927 with z = 1.96: (0.25 + z^2 / 8 -+ z sqrt(0.1875 / 4 + z^2 / 64)) / (1 + z^2 / 4)
    assert (share.low, share.value, share.high) == (
        pytest.approx(0.0456, abs=5e-4),
        0.25,
        pytest.approx(0.6994, abs=5e-4),
    )


def test_a_share_of_all_or_none_is_not_certain_and_of_nothing_is_none() -> None:
    everything, nothing = share_of(np.ones(20, dtype=bool)), share_of(np.zeros(20, dtype=bool))
    assert everything.low is not None and everything.low < 0.9 and everything.value == 1.0
    assert nothing.high is not None and nothing.high > 0.1 and nothing.value == 0.0
    assert share_of(np.array([], dtype=bool)) == mean_of(np.array([])) == Estimate()
