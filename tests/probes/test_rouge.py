from __future__ import annotations

import pytest

from mrharm.probes.reference_overlap import rouge_l

POLICE = "police killed the gunman"  # the example of Lin 2004, section 3.2


@pytest.mark.parametrize(
    ("candidate", "reference", "expected"),
    [
        ("police kill the gunman", POLICE, 3 / 4),  # police, the, gunman
        ("the gunman kill police", POLICE, 2 / 4),  # the, gunman
        ("the gunman", POLICE, 2 * 1.0 * 0.5 / 1.5),  # precision 1, recall 1/2
        ("the cat sat on the mat", "the cat was on the mat", 5 / 6),
        ("Police, killed: THE gunman!", POLICE, 1.0),
        ("ein Kätzchen, ja", "das kätzchen", 2 * 1 / 5),
        ("a kettle", POLICE, 0.0),
        ("", POLICE, 0.0),
        ("!", "?", 0.0),
    ],
)
def test_rouge_l_is_as_computed_by_hand(candidate: str, reference: str, expected: float) -> None:
    assert rouge_l(candidate, [reference]) == pytest.approx(expected)
    assert rouge_l(reference, [candidate]) == pytest.approx(expected)  # with beta = 1 both ways are one


def test_the_likest_of_several_references_counts_and_without_one_it_is_nothing() -> None:
    assert rouge_l("you sing like a kettle", ["a spoon", "you sing like a kettle", "you"]) == 1.0
    assert rouge_l("you sing like a kettle", []) == 0.0
