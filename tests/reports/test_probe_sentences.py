from __future__ import annotations

from mrharm.probes.run import PROBES
from mrharm.reports.probe_sentences import DESCRIBE, describe_probe


def test_every_probe_and_the_judge_is_described() -> None:
    assert {*PROBES.names(), "judge"} == set(DESCRIBE)


def test_a_probe_of_another_package_keeps_its_sentences() -> None:
    assert describe_probe("elsewhere", {"memes": 3, "words": ["3 memes were probed."]}) == (
        "3 memes were probed.",
    )
    assert describe_probe("elsewhere", {"memes": 3}) == ()
