from collections.abc import Iterator
from itertools import chain, combinations, product
from typing import Any

import pytest

from mrharm.errors import DataError
from mrharm.memes.labels import AS_GIVEN, SEVERITIES, LabelScheme, read_flag
from mrharm.memes.sources import (
    harmeme,
    hateful_memes,
    hatred,
    mami,
    memotion,
    multioff,
    pridemm,
    prompthate,
)

Values = dict[str, Any]


def subsets(words: tuple[str, ...]) -> Iterator[list[str]]:
    every = chain.from_iterable(combinations(words, size) for size in range(len(words) + 1))
    return (list(words) for words in every)


def table(**columns: Any) -> list[Values]:
    """Every combination of the values that columns may have."""
    return [dict(zip(columns, values, strict=True)) for values in product(*columns.values())]


BINARY: list[Values] = [{"label": 0}, {"label": 1}]
ODD_BINARY: list[Values] = [{"label": "0"}, {"label": "1"}, {"label": " 1"}, {"label": 1.0}, {"label": "1.0"}]
FINE = table(
    gold_hate=[["hateful"], ["not_hateful"]],
    gold_pc=[words or ["pc_empty"] for words in subsets(hateful_memes.CATEGORIES)],
    gold_attack=[words or ["attack_empty"] for words in subsets(hateful_memes.ATTACKS)],
)
ODD_FINE = [
    *table(
        gold_hate=[["hateful"], ["not_hateful"]],
        gold_pc=[[], None, ["race", "pc_empty"], ["race", "race"], ["race"]],
        gold_attack=[[], None, ["attack_empty", "mocking"], ["mocking"]],
    ),
    {"gold_hate": ["hateful"]},
]

# Family -> its scheme, what its files say as a rule, and what they say now and then.
FAMILIES: dict[str, tuple[LabelScheme, list[Values], list[Values]]] = {
    "harmeme": (
        harmeme.SCHEME,
        [
            {"labels": [severity, *targets]}
            for severity in SEVERITIES
            for targets in subsets(("individual", "organization", "community", "society"))
        ],
        [
            {"labels": "not harmful"},
            {"labels": ["Very  Harmful", "society"]},
            {"labels": ["very harmful", ""]},
            {"labels": ["very harmful", "Society", "society"]},
        ],
    ),
    "hateful-memes": (hateful_memes.CHALLENGE.scheme, BINARY, ODD_BINARY),
    "prompthate": (prompthate.PROMPTHATE.scheme, BINARY, ODD_BINARY),
    "fine-grained": (hateful_memes.FINE_GRAINED.scheme, FINE, ODD_FINE),
    "hatred": (
        hatred.add_targets(hateful_memes.CHALLENGE.scheme),
        [*BINARY, *table(label=[0, 1], target=[["the kettles"], ["the owls", "the kettles"]])],
        table(label=[0, 1, "1"], target=[[], [None], None, ["the owls", None], ["the owls", "the owls"], [""]]),
    ),
    "hatred on fine-grained": (
        hatred.add_targets(hateful_memes.FINE_GRAINED.scheme),
        [{**values, "target": ["the owls"]} for values in FINE[::97]],
        [{**values, "target": ["the owls", None]} for values in ODD_FINE],
    ),
    "mami": (
        mami.SCHEME,
        table(**{column: ["0", "1"] for column in mami.SCHEME.columns}),
        [
            *table(misogynous=["1.0", "0"], shaming=["", "1"], stereotype=["0"], objectification=["1.0"]),
            {"misogynous": "1"},
        ],
    ),
    "pridemm": (
        pridemm.PRIDEMM.scheme,
        [{"hate": "0", "target": ""}, *table(hate=["1"], target=["0", "1", "2", "3"])],
        [
            *table(hate=["0", "1", "1.0"], target=["", "0", "1", "0.0", "1.0", "2.0", "3.0", "NA", "nan"]),
            {"hate": "1"},
        ],
    ),
    "multioff": (
        multioff.MULTIOFF.scheme,
        [{"label": "offensive"}, {"label": "Non-offensiv"}],
        [{"label": word} for word in ("Offensive", "non-offensive", "Non offensive", "not_offensive ")],
    ),
    "memotion": (
        memotion.MEMOTION.scheme,
        [{"offensive": word} for word in ("not_offensive", "slight", "very_offensive")],
        [{"offensive": "hateful_offensive"}, {"offensive": "Slight"}],
    ),
}  # fmt: skip
EVERY = pytest.mark.parametrize("family", FAMILIES)


@EVERY
def test_values_as_the_source_has_them_need_nothing_beside_the_label(family: str) -> None:
    scheme, regular, _ = FAMILIES[family]
    assert all(scheme.parse(values)[1] == {} for values in regular)


@EVERY
def test_values_that_the_label_cannot_say_are_kept_as_they_came(family: str) -> None:
    scheme, regular, odd = FAMILIES[family]
    assert any(scheme.parse(values)[1] for values in odd)
    spelling: dict[str, Values] = {}
    for values in [*regular, *odd]:
        label, extra = scheme.parse(values)
        assert label is not None
        assert extra in ({}, {AS_GIVEN: values})
        if not extra:  # the label alone tells which values they were
            assert spelling.setdefault(str(label), values) == values


@pytest.mark.parametrize(
    ("family", "values"),
    [
        ("hateful-memes", {}),
        ("hateful-memes", {"label": None}),
        ("mami", {}),
        ("memotion", {"offensive": ""}),
        ("pridemm", {"hate": "", "target": ""}),
    ],
)
def test_no_label_is_no_label_and_no_values(family: str, values: Values) -> None:
    assert FAMILIES[family][0].parse(values) == (None, {})


@pytest.mark.parametrize(
    ("family", "values"),
    [
        ("pridemm", {"hate": "", "target": "1"}),
        ("harmeme", {"labels": []}),
        ("harmeme", {"labels": ["", "individual"]}),
    ],
)
def test_what_a_row_without_a_label_says_is_kept(family: str, values: Values) -> None:
    assert FAMILIES[family][0].parse(values) == (None, {AS_GIVEN: values})


@pytest.mark.parametrize(
    ("family", "values", "reason"),
    [
        ("hateful-memes", {"label": 2}, "label: expected 0 or 1, got '2'"),
        ("hateful-memes", {"label": True}, "label: expected 0 or 1, got 'True'"),
        ("harmeme", {"labels": ["odd"]}, "labels: expected one of 'not harmful'"),
        ("fine-grained", {"gold_hate": ["hateful", "not_hateful"]}, "got both"),
        ("fine-grained", {"gold_hate": "hateful"}, "gold_hate: expected a list of hateful, not_hateful"),
        ("fine-grained", {"gold_hate": ["hateful"], "gold_pc": ["hats"]}, "gold_pc: expected a list of race"),
        ("hatred", {"label": 1, "target": "owls"}, "target: expected a list of strings, got 'owls'"),
        ("mami", {"misogynous": "1", "violence": "2"}, "violence: expected 0 or 1, got '2'"),
        ("pridemm", {"hate": "1", "target": "4"}, "target: expected one of 0, 1, 2, 3"),
        ("multioff", {"label": "rude"}, "label: expected 'offensive' or 'Non-offensiv', got 'rude'"),
        ("memotion", {"offensive": "rude"}, "offensive: expected one of not_offensive, slight"),
    ],
)
def test_values_that_a_source_does_not_have_are_refused(family: str, values: Values, reason: str) -> None:
    with pytest.raises(DataError) as error:
        FAMILIES[family][0].parse(values)
    assert reason in str(error.value)


def test_a_flag_is_read_as_pandas_writes_it() -> None:
    cells = {"a": 0, "b": "1", "c": "1.0", "d": 0.0, "e": " ", "f": None}
    assert [read_flag(cells, column) for column in "abcdefg"] == [False, True, True, False, None, None, None]
