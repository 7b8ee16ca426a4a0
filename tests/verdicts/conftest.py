"""One small run, trained once for all tests of verdicts that need one; tests copy what they change."""

from __future__ import annotations

import pytest

from mrharm import Dataset, Detector
from mrharm.training.run import train
from tests.training.helpers import tiny


@pytest.fixture(scope="session")
def trained(squares, tmp_path_factory):
    """A run, and its detector as training left it."""
    out = tmp_path_factory.mktemp("detector") / "run"
    return out, train(squares, tiny(stages__rationale__epochs=1, stages__label__epochs=1), out, device="cpu")


@pytest.fixture(scope="session")
def run(trained):
    return trained[0]


@pytest.fixture(scope="session")
def detector(run):
    return Detector.from_pretrained(run, device="cpu")


@pytest.fixture(scope="session")
def memes(squares):
    return Dataset(squares).split("test")
