from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mrharm.evaluation.predictions import Predictions
from mrharm.plugins import Table
from mrharm.probes.run import FILE, Probing, run_probes
from mrharm.progress import Progress, no_progress
from mrharm.records import Record
from tests.audit.helpers import meme
from tests.evaluation.runs import predictions

HEARD: list[Any] = []


class Heard(Record):
    words: tuple[str, ...]


def listens(
    predictions: Predictions,
    *,
    seed: int = 0,
    memes: int = 500,
    to: Path | int | None = None,
    progress: Progress = no_progress,
) -> Heard:
    """A probe with an option of its own."""
    HEARD.append(to)
    return Heard(words=(f"heard {to}",))


@pytest.fixture
def predicted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Predictions:
    rows = {"listens": f"{__name__}:listens", "finds": "tests.probes.made_probes:finds"}
    monkeypatch.setattr("mrharm.probes.run.PROBES", Table("probes", rows))
    HEARD.clear()
    memes = [meme(str(n), f"you {n}", n % 2 == 0, "test") for n in range(4)]
    return predictions(tmp_path / "d", memes, [True] * 4)


def test_a_probe_is_told_its_own_options_and_the_others_are_not(predicted: Predictions) -> None:
    records, skipped = run_probes(
        predicted, predicted.detector, Probing(["listens", "finds"], options={"listens": {"to": 3}})
    )
    assert (HEARD, skipped) == ([3], {})
    assert records["listens"]["words"] == ["heard 3"] and records["finds"]["memes"] == 4


def test_what_was_found_with_other_options_is_not_taken_for_it(
    predicted: Predictions, tmp_path: Path
) -> None:
    for options in (None, {"listens": {"to": 3}}, {"listens": {"to": 4}}, {"listens": {"to": 3}}, None):
        run_probes(predicted, predicted.detector, Probing(["listens"], options=options), folder=tmp_path)
    assert HEARD == [None, 3, 4]
    assert len((tmp_path / FILE).read_text().splitlines()) == 3


def test_a_folder_is_known_by_what_lies_in_it_wherever_it_is(predicted: Predictions, tmp_path: Path) -> None:
    for place in ("a/model", "b/model"):
        (tmp_path / place).mkdir(parents=True)
        (tmp_path / place / "config.json").write_text("{}")

    def run(place: str) -> None:
        options = {"listens": {"to": tmp_path / place}}
        run_probes(predicted, predicted.detector, Probing(["listens"], options=options), folder=tmp_path)

    run("a/model")
    run("b/model")
    assert len(HEARD) == 1
    (tmp_path / "b/model/config.json").write_text('{"layers": 2}')
    run("b/model")
    assert len(HEARD) == 2


def test_a_saved_row_that_is_no_record_of_the_probe_is_probed_again(
    predicted: Predictions, tmp_path: Path
) -> None:
    first, _ = run_probes(predicted, predicted.detector, Probing(["listens"]), folder=tmp_path)
    rows = (tmp_path / FILE).read_text()
    (tmp_path / FILE).write_text(rows.replace('"words"', '"wrods"'))
    again, _ = run_probes(predicted, predicted.detector, Probing(["listens"]), folder=tmp_path)
    assert again == first == {"listens": {"words": ["heard None"]}}
    assert run_probes(predicted, predicted.detector, Probing(["listens"]), folder=tmp_path)[0] == first
    assert len(HEARD) == 2
