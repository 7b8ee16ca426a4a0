"""The surroundings of the hosted client's tests (key, ledger, prices), and a dataset to explain."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from PIL import Image

from mrharm.memes.dataset import Dataset, DatasetInfo
from mrharm.records import Evidence, Label, Meme
from mrharm.store import write_json, write_records
from tests.llm.conftest import surroundings

__all__ = ["make_dataset", "surroundings"]

MakeDataset = Callable[..., Dataset]


@pytest.fixture
def make_dataset(tmp_path: Path) -> MakeDataset:
    def make(texts: Sequence[str], *, captions: Sequence[str] = (), pictures: bool = False) -> Dataset:
        """Memes m0, m1 ... with these words; even ones are harmful, and aimed at an individual."""
        root = tmp_path / "data"
        (root / "images").mkdir(parents=True)
        memes, evidence = [], []
        for number, text in enumerate(texts):
            name = f"m{number}"
            image = f"images/{name}.png" if pictures else None
            if image:
                Image.new("RGB", (24, 16), (number % 250, 90, 30)).save(root / image)
            harmful = number % 2 == 0
            label = Label(
                harmful=harmful,
                severity="very" if harmful else "none",
                targets=("individual",) if harmful else (),
            )
            memes.append(Meme(id=name, image=image, text=text, label=label, split="train"))
            caption = captions[number] if captions else f"a skunk with the number {number}"
            evidence.append(Evidence(meme_id=name, text=text, text_source="given", caption=caption))
        write_records(root / "memes.jsonl", memes)
        write_records(root / "evidence.jsonl", evidence)
        info = DatasetInfo(
            name="made-up",
            kind="test",
            source="made up",
            licence="CC0",
            label_scheme="harmful",
            splits={"train": len(memes)},
        )
        write_json(root / "dataset.json", info.model_dump())
        return Dataset(root)

    return make
