"""What a Detector judges and how: the options, and the memes found in paths.

Imports no PyTorch, so that a wrong path is refused at once.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from PIL import Image

from mrharm.errors import ImageError, InputError, MrHarmError
from mrharm.images import SUFFIXES, encode_pixels, place_in, read_image_bytes, sniff
from mrharm.memes.dataset import INFO, Dataset
from mrharm.memes.rows import read_json_rows
from mrharm.records import Evidence, Failure, Meme, make_record
from mrharm.store import sha256_bytes
from mrharm.student.interface import StudentInput

STAGE = "predict"
SaliencyKind = Literal["attention", "gradient"]
Item = Meme | str | Path | bytes | Image.Image  # a meme; or a picture: its path, its bytes, or open
_EVIDENCE_KEYS = ("caption", "entities", "demographics", "clean_image")


@dataclass(frozen=True)
class JudgeOptions:
    """How memes are judged.

    A verdict's key holds ``rationales``, ``saliency``, ``greedy`` and ``gather`` as they were set. None is their
    default; setting the same value explicitly makes another key, as it did when older files were written.

    Fields:
        evidence: meme id -> evidence that was gathered before (captions, a clean picture).
        root: the folder that picture paths start from and must not leave; None: any path, from the current folder.
        batch_size: memes a batch.
        rationales: write them, which is the slow part. Default: yes.
        saliency: return ``attention`` (also True), or ``gradient``: what moved the decision. Default: neither.
        greedy: let the student write its label, as the paper does; an answer that is no label gives ``harmful=None``.
            Default: as the recipe says.
        strict: refuse a meme that lacks an input the recipe reads, which the verdict otherwise names.
        gather: read the words off a picture whose words are not known, and paint them over where the recipe shows the
            clean picture. Default: yes.
        pictures: a picture's name, as ``Meme.image`` has it -> the bytes of its file, where it is no file here.
        given_rationales: meme id -> the rationale that its label follows in place of the one the student would write;
            for a student that reads one (of one stage, as ``mrharm train --stages joint`` makes).
    """

    evidence: Mapping[str, Evidence] | None = None
    root: Path | None = None
    batch_size: int = 32
    rationales: bool | None = None
    saliency: SaliencyKind | bool | None = None
    greedy: bool | None = None
    strict: bool = False
    gather: bool | None = None
    pictures: Mapping[str, bytes] | None = None
    given_rationales: Mapping[str, str] | None = None

    def change(self, **changes: Any) -> JudgeOptions:
        """Return the options with some changed.

        Raises:
            InputError: there is no such option.
        """
        names = [option.name for option in dataclasses.fields(self)]
        if unknown := sorted(changes.keys() - set(names)):
            raise InputError(f"judge() has no option {', '.join(unknown)}; there are: {', '.join(names)}")
        return dataclasses.replace(self, **changes)

    def picture_path(self, name: str) -> Path:
        """Return the path of a picture that a record names.

        Raises:
            ImageError: it leaves ``root``.
        """
        return Path(name) if self.root is None else place_in(self.root, name)

    def read_picture(self, name: str) -> bytes:
        """Return the bytes of a picture that a meme names.

        Raises:
            ImageError: it leaves ``root``, is missing, or is too large.
        """
        data = (self.pictures or {}).get(name)
        return read_image_bytes(self.picture_path(name)) if data is None else data


DEFAULT_OPTIONS = JudgeOptions()


@dataclass(frozen=True)
class LoadedMeme:
    """A meme as it was handed in: everything its verdict's key is made of.

    Fields:
        evidence: of the meme, before anything was gathered here, with the SHA-256 of ``data``.
        data: the bytes of its picture file; None where this detector does not need them.
        needs_words: the detector reads the words, and they are not known.
        needs_clean: the detector is shown the clean picture, and there is none.
    """

    meme: Meme
    evidence: Evidence
    data: bytes | None
    needs_words: bool
    needs_clean: bool


@dataclass(frozen=True)
class PreparedMeme:
    """A meme ready to be judged.

    Fields:
        shown: what the students are shown.
        evidence: what the verdict holds, gathered parts included.
        key: of its verdict, see `Detector.judgement_key`.
    """

    meme_id: str
    shown: StudentInput
    evidence: Evidence
    key: str


def collect_items(items: Iterable[Item] | Dataset, options: JudgeOptions) -> tuple[list[Meme], JudgeOptions]:
    """Return the memes of what is to be judged, and the options with the pictures that are no files.

    A dataset brings its folder and its evidence, where the options name none.

    Raises:
        InputError: an item is neither a meme nor a picture.
        ImageError: the pixels of an open picture cannot be read.
    """
    if isinstance(items, Dataset):
        root, evidence = options.root or items.root, options.evidence or items.evidence
        options = dataclasses.replace(options, root=root, evidence=evidence)
    elif not isinstance(items, Iterable):
        items = [items]  # refused below, by its type
    memes, pictures = [], dict(options.pictures or {})
    for item in items:
        if isinstance(item, bytes | Image.Image):
            data = item if isinstance(item, bytes) else encode_pixels(item)
            item = f"picture-{sha256_bytes(data)[:16]}"
            pictures[item] = data
        if not isinstance(item, Item) or item == "":
            raise InputError(
                f"cannot judge {type(item).__name__} {str(item)[:40]!r}: expected a Meme, a picture (its path, the "
                "bytes of its file, a Pillow image), or a list of these"
            )
        memes.append(item if isinstance(item, Meme) else Meme(id=str(item), image=str(item)))
    return memes, dataclasses.replace(options, pictures=pictures or None)


@dataclass
class InputMemes:
    """The memes to judge, with absolute picture paths.

    ``evidence``: meme id -> evidence, where there is some. ``failures``: rows that could not be read.
    """

    memes: list[Meme] = field(default_factory=list)
    evidence: dict[str, Evidence] = field(default_factory=dict)
    failures: list[Failure] = field(default_factory=list)
    _ids: set[str] = field(default_factory=set, repr=False)

    def add(self, meme: Meme, evidence: Evidence | None = None) -> None:
        """Add a meme; a second meme with the same id is a failure."""
        if meme.id in self._ids:
            reason = f"two memes have the id {meme.id!r}; the first was judged, give the other another id"
            self.failures.append(Failure(item=meme.id, stage=STAGE, reason=reason))
            return
        self._ids.add(meme.id)
        self.memes.append(meme)
        if evidence:
            self.evidence[meme.id] = evidence


def find_memes(
    paths: Sequence[Path], text: str | None = None, *, splits: Mapping[Path, str] | None = None
) -> InputMemes:
    """Find the memes to judge in pictures, folders of pictures, dataset folders and JSONL files, in order.

    A JSONL row holds an ``id`` and an ``image`` (a path from the file's folder), a ``text``, or both, and may hold
    other parts that a recipe reads: ``caption``, ``entities``, ``demographics``, ``clean_image``. A dataset folder
    brings its evidence. The id of a picture is its path as it was typed.

    Args:
        paths: where to look.
        text: the words on the picture, for exactly one picture.
        splits: dataset folder -> the split to judge; a folder without an entry is judged whole.

    Raises:
        InputError: a path does not exist or holds no memes; ``text`` with more than one meme; or no such split.
        DataError: a JSONL file cannot be read at all.
    """
    inputs = InputMemes()
    for path in paths:
        if (path / INFO).is_file():
            _add_dataset(inputs, Dataset(path), (splits or {}).get(path))
        elif path.is_dir():
            for file in sorted(path.rglob("*")):
                if file.is_file() and file.suffix.lower() in SUFFIXES:
                    inputs.add(Meme(id=str(file), image=str(file.absolute())))
        elif path.suffix.lower() == ".jsonl":
            _add_rows(inputs, path)
        elif path.is_file():
            _check_is_picture(path)
            inputs.add(Meme(id=str(path), image=str(path.absolute())))
        else:
            raise InputError(
                f"{path}: no such file or folder; expected a picture, a folder of them, a dataset or a JSONL file"
            )
    if not inputs.memes and not inputs.failures:
        raise InputError(f"nothing to judge in {', '.join(map(str, paths))}")
    if text is not None:
        if len(inputs.memes) != 1:
            raise InputError(
                f"--text goes with one picture, and there are {len(inputs.memes)} memes; put texts in a JSONL file"
            )
        inputs.memes[0] = inputs.memes[0].model_copy(update={"text": text})
    return inputs


def _check_is_picture(path: Path) -> None:
    """Raise InputError for a file that is no picture; a broken picture, known by its suffix, fails later, alone."""
    if path.suffix.lower() in SUFFIXES:
        return
    with path.open("rb") as file:
        if sniff(file.read(16)) is None:
            raise InputError(
                f"{path}: expected a picture ({', '.join(SUFFIXES)}) or a .jsonl file of rows with an `id` and an "
                f"`image` or a `text`; `mrharm import folder {path} DATASET` takes a .csv or .tsv"
            )


def _add_dataset(inputs: InputMemes, dataset: Dataset, split: str | None) -> None:
    for meme in dataset.memes if split is None else dataset.split(split):
        evidence = dataset.evidence.get(meme.id)
        try:
            image, clean = dataset.image_path(meme), dataset.clean_path(evidence)
        except ImageError as error:
            inputs.failures.append(Failure(item=meme.id, stage=STAGE, reason=str(error), file=meme.image))
            continue
        if evidence and clean:
            evidence = evidence.model_copy(update={"clean_image": str(clean.absolute())})
        inputs.add(meme.model_copy(update={"image": str(image.absolute()) if image else None}), evidence)


def _add_rows(inputs: InputMemes, path: Path) -> None:
    unreadable: list[Failure] = []
    rows = read_json_rows(path, str(path), unreadable)
    inputs.failures += [failure.model_copy(update={"stage": STAGE}) for failure in unreadable]
    for row in rows:
        values: dict[str, Any] = dict(row.values)
        if isinstance(values.get("id"), int):
            values["id"] = str(values["id"])
        try:
            inputs.add(*_read_row(path, row.line, values))
        except MrHarmError as error:
            inputs.failures.append(
                Failure(
                    item=str(values.get("id", f"{path}:{row.line}")),
                    stage=STAGE,
                    reason=str(error).removeprefix(f"{path}, line {row.line}: "),
                    file=str(path),
                    line=row.line,
                )
            )


def _read_row(path: Path, line: int, values: dict[str, Any]) -> tuple[Meme, Evidence | None]:
    """Read a JSONL row's meme and evidence, their picture paths made absolute; raises DataError."""
    parts = {key: values.pop(key) for key in _EVIDENCE_KEYS if key in values}
    for place, key in ((values, "image"), (parts, "clean_image")):
        if place.get(key) and isinstance(place[key], str):
            place[key] = str((path.parent / place[key]).absolute())
    meme = make_record(values, Meme, file=path, number=line)
    if not parts:
        return meme, None
    parts = {"meme_id": meme.id, "text": meme.text, **parts}
    return meme, make_record(parts, Evidence, file=path, number=line)
