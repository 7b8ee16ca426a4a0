"""A small dataset of coloured squares: the words name a colour, the picture shows one; harm is where they differ."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest
from PIL import Image

from mrharm.memes.dataset import DatasetInfo
from mrharm.records import Evidence, Label, Meme, Rationale
from mrharm.store import write_json, write_records
from tests.stand_ins import stand_ins

__all__ = ["make_squares", "stand_ins"]  # a fixture is found where it is named

# Tiny tensors gain nothing from threads; under xdist they get in each other's way.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

COLOURS = {"red": (220, 30, 30), "blue": (30, 40, 220)}
SIZES = {"train": 48, "validation": 16, "test": 16}


def make_squares(
    folder: Path, *, pictures: bool = True, rationales: bool = True, captions: bool = True, seed: int = 0
) -> Path:
    """Write the dataset of coloured squares into ``folder`` and return it."""
    rng = random.Random(seed)
    memes, evidence, why = [], [], []
    (folder / "images").mkdir(parents=True)
    for split, size in SIZES.items():
        for number in range(size):
            meme_id = f"{split}-{number}"
            said, shown = rng.choice(sorted(COLOURS)), rng.choice(sorted(COLOURS))
            image = None
            if pictures:
                image = f"images/{meme_id}.png"
                square = Image.new("RGB", (40, 30), (200 + rng.randrange(50),) * 3)
                square.paste(COLOURS[shown], (10, 5, 30, 25))
                square.save(folder / image)
            harmful = said != shown
            memes.append(
                Meme(
                    id=meme_id,
                    image=image,
                    text=f"you are {said} {'today' * rng.randrange(2)}".strip(),
                    label=Label(harmful=harmful, severity="very" if harmful else "none"),
                    split=split,
                )
            )
            if captions:
                evidence.append(Evidence(meme_id=meme_id, caption=f"a {shown} square"))
            if rationales and split != "test":
                text = f"the words say {said} and the square is {shown}."
                why.append(Rationale(meme_id=meme_id, text=text, status="ok", teacher="test"))
    write_records(folder / "memes.jsonl", memes)
    write_records(folder / "evidence.jsonl", evidence)
    write_records(folder / "rationales.jsonl", why)
    info = DatasetInfo(
        name="squares",
        kind="test",
        source="made up",
        licence="CC0",
        label_scheme="harmful",
        splits=dict(SIZES),
    )
    write_json(folder / "dataset.json", info.model_dump())
    return folder


@pytest.fixture(scope="session")
def squares(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_squares(tmp_path_factory.mktemp("squares") / "data")
