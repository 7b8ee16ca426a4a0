"""Published figures of a dataset, each flagged where it was not measured on the same memes as ours."""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import Any

import yaml

from mrharm.records import Record, make_record

FILE = "published.yaml"


class Published(Record):
    """A figure of the literature, shares from 0 to 1, and where and on what it was measured.

    ``apart``: why it cannot be compared with ours; None where name and size of the split suggest the same memes, which
    no paper proves. ``ours``: measured with this project.
    """

    system: str
    source: str
    split: str
    memes: int
    accuracy: float | None = None
    macro_f1: float | None = None
    auroc: float | None = None
    apart: str | None = None
    ours: bool = False

    @property
    def comparable(self) -> bool:
        """Whether it can be compared with a figure of ours on this split."""
        return self.apart is None


class _Row(Published):
    datasets: tuple[str, ...]


def list_published(
    dataset: str, split: str, memes: int, unjudged: int = 0, *, role: str | None = None
) -> tuple[Published, ...]:
    """List the published figures of a dataset, comparable ones first.

    ``memes`` of its split were judged, ``unjudged`` could not be; ``role`` is ``train`` or ``validation`` where the
    split is learnt from or chosen on here.
    """
    rows = [_compare_split(row, split, memes, unjudged, role) for row in _rows() if dataset in row.datasets]
    return tuple(sorted(rows, key=lambda row: not row.comparable))


def _compare_split(row: _Row, split: str, memes: int, unjudged: int, role: str | None) -> Published:
    apart = row.apart
    if row.split == split and role is not None:
        does = "learns from" if role == "train" else "is chosen on"
        apart = f"a detector {does} this split here, so that its own figure is too kind"
    elif row.split != split:
        apart = f"measured on {row.split} ({row.memes:,} memes), this is {split}"
    elif row.memes != memes + unjudged and apart is None:
        apart = f"measured on {row.memes:,} memes, this {split} holds {memes + unjudged:,}"
    elif unjudged and apart is None:
        apart = f"{unjudged:,} of the {row.memes:,} memes it was measured on could not be judged here"
    values = row.model_dump(exclude={"datasets"})
    return Published(**{**values, "apart": apart})


@cache
def _rows() -> tuple[_Row, ...]:
    text = (resources.files("mrharm") / "evaluation" / FILE).read_text(encoding="utf-8")
    return tuple(_row(number, values) for number, values in enumerate(yaml.safe_load(text), 1))


def _row(number: int, values: dict[str, Any]) -> _Row:
    shares = {
        name: values[name] / 100 for name in ("accuracy", "macro_f1", "auroc") if values.get(name) is not None
    }
    return make_record({**values, **shares}, _Row, file=FILE, number=number)
