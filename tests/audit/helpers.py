"""Datasets for audits: made-up memes about "you" and made-up clubs, small pictures unlike each other."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from mrharm.audit.copies import Copies, find_copies
from mrharm.audit.findings import Finding
from mrharm.audit.pictures import fingerprint_pictures
from mrharm.audit.reading import Contents, read_contents
from mrharm.memes.dataset import Dataset, DatasetInfo, count_splits
from mrharm.memes.fingerprints import PictureFacts
from mrharm.progress import no_progress
from mrharm.records import Evidence, Label, Meme, Rationale
from mrharm.store import write_json, write_records

_SYLLABLES = ("ba", "de", "fi", "go", "lu", "ma", "ne", "po", "ri", "su")


def club(number: int) -> str:
    """A made-up word of its own for every number below 1,000, all equally long."""
    return "".join(_SYLLABLES[int(digit)] for digit in f"{number:03d}")


def meme(
    meme_id: str,
    text: str | None = None,
    harmful: bool | None = None,
    split: str | None = "train",
    **fields: Any,
) -> Meme:
    """A meme; ``harmful`` makes its label, unless one is given."""
    label = None if harmful is None else Label(harmful=harmful)
    return Meme(**{"id": meme_id, "text": text, "label": label, "split": split, **fields})


def sound() -> list[Meme]:
    """A dataset that nothing bars: three splits with both labels, no meme twice."""
    sizes = {"train": 8, "validation": 4, "test": 4}
    return [
        meme(f"{split}-{number}", f"you and the {club(20 * place + number)} club", number % 2 == 0, split)
        for place, (split, size) in enumerate(sizes.items())
        for number in range(size)
    ]


def write_dataset(
    folder: Path,
    memes: Sequence[Meme],
    evidence: Iterable[Evidence] = (),
    rationales: Iterable[Rationale] = (),
    **info: Any,
) -> Dataset:
    """A dataset folder of these records; files of no records are left out."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, records in (("memes", memes), ("evidence", [*evidence]), ("rationales", [*rationales])):
        if records:
            write_records(folder / f"{name}.jsonl", records)
    defaults = {
        "name": "clubs",
        "kind": "test",
        "source": "made up",
        "licence": "CC0",
        "label_scheme": "harmful",
        "splits": count_splits(memes),
    }
    write_json(folder / "dataset.json", DatasetInfo(**{**defaults, **info}).model_dump(mode="json"))
    return Dataset(folder)


def draw(path: Path, seed: int, size: tuple[int, int] = (96, 96)) -> Path:
    """A picture of soft coloured patches, unlike that of every other seed; the file's name says the format."""
    patches = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(patches).resize(size, Image.Resampling.BICUBIC).save(path)
    return path


def paint(path: Path, colour: str, size: tuple[int, int] = (96, 96)) -> Path:
    """A picture of one colour."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path)
    return path


def read(dataset: Dataset) -> Contents:
    """The folder as an audit reads it now."""
    return read_contents(Dataset(dataset.root))


def copies_in(dataset: Dataset) -> tuple[Contents, dict[str, PictureFacts], Copies]:
    """The folder read, its pictures looked at, its copies found."""
    contents = read(dataset)
    facts = fingerprint_pictures(contents, workers=1, progress=no_progress)
    return contents, facts, find_copies(contents, facts)


def codes(findings: Iterable[Finding]) -> list[str]:
    """The codes of findings."""
    return [finding.code for finding in findings]


def only(findings: Iterable[Finding], code: str, where: str | None = None) -> Finding:
    """The single finding of that code (and place)."""
    (match,) = [finding for finding in findings if finding.code == code and where in (None, finding.where)]
    return match


def shown(finding: Finding) -> list[tuple[str, ...]]:
    """The memes of a finding's examples."""
    return [example.memes for example in finding.examples]


def bytes_of(folder: Path) -> dict[str, bytes]:
    """Every file of a folder, but for what an audit keeps in ``audit/``."""
    paths = [path for path in folder.rglob("*") if path.is_file()]
    names = {path.relative_to(folder).as_posix(): path for path in paths}
    return {name: path.read_bytes() for name, path in names.items() if not name.startswith("audit/")}


def write_harm_p_v0(folder: Path) -> Path:
    """A source with the disease of the published Harm-P V0, all of it made up.

    220 train rows hold 120 memes, 44 of 60 test rows (73 %) are in train too. Every meme is about clubs of its own and
    its label is drawn by chance, so that words tell nothing of a new meme and memory tells all of an old one.
    """
    rng = random.Random(0)
    harmful = [rng.random() < 0.45 for _ in range(146)]

    def row(number: int) -> dict[str, Any]:
        return {
            "id": f"memes_{number}",
            "image": f"memes_{number}.png",
            "labels": ["somewhat harmful" if harmful[number] else "not harmful"],
            "text": f"you and the {club(number)} club join the {club(number + 500)} club",
        }

    files = {
        "train": [*range(120), *range(100)],
        "val": [*range(120, 130)],
        "test": [*range(44), *range(130, 146)],
    }
    folder.mkdir(parents=True)
    for name, numbers in files.items():
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row(number)) + "\n" for number in numbers))
    return folder
