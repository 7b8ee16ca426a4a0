"""From a source as it was published to a dataset folder: the table of importers, and what all of them share.

Every row of a source ends in exactly one place: ``memes.jsonl``, or ``failures.jsonl`` with its file, line and reason.
"""

from __future__ import annotations

import contextlib
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from mrharm import plugins
from mrharm.errors import DataError, ImageError, InputError
from mrharm.memes.dataset import (
    EVIDENCE,
    INFO,
    MEMES,
    RATIONALES,
    Dataset,
    DatasetInfo,
    Imported,
    ImporterInfo,
    ImportOptions,
    in_split,
)
from mrharm.memes.pictures import take_pictures
from mrharm.memes.splits import TRAIN, VALIDATION, add_validation
from mrharm.records import Evidence, Failure, Meme, Rationale, parse_json
from mrharm.store import FAILURES, folder_aside, sha256_file, write_json, write_records

STAGE = "import"

IMPORTERS = plugins.Table(
    "memes",
    {
        "harm-c": "mrharm.memes.harmeme:import_harm_c",
        "harm-p": "mrharm.memes.harmeme:import_harm_p",
        "hateful-memes": "mrharm.memes.hateful_memes:import_hateful_memes",
        "folder": "mrharm.memes.folder:import_folder",
        "generated": "mrharm.memes.generated.importer:import_generated",
    },
)

# What draws a progress bar: (what is being done, how many) -> a context that yields "one more is done".
Progress = Callable[[str, int], AbstractContextManager[Callable[[], None]]]


@contextlib.contextmanager
def no_progress(label: str, total: int) -> Iterator[Callable[[], None]]:
    """A `Progress` that shows nothing."""
    yield lambda: None


@dataclass(frozen=True)
class Row:
    """A row of a source file and where it stands."""

    file: str
    line: int
    values: dict[str, Any]

    def failure(self, reason: str, item: str | None = None) -> Failure:
        """This row as a failure of the import."""
        return Failure(
            item=item or f"{self.file}:{self.line}",
            stage=STAGE,
            reason=reason,
            file=self.file,
            line=self.line,
        )


def read_bytes(path: Path) -> bytes:
    """A source file's bytes; raises DataError where it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from None


def json_rows(path: Path, name: str, failures: list[Failure]) -> list[Row]:
    """The rows of a JSONL file; a line that is not a JSON object in UTF-8 becomes a failure and the rest goes on.

    Raises:
        DataError: the file cannot be read, is UTF-16, or is one JSON array.
    """
    data = read_bytes(path).removeprefix(b"\xef\xbb\xbf")
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise DataError(
            f"{path}: UTF-16; expected UTF-8; mend it with `iconv -f UTF-16 -t UTF-8 {path.name}`"
        )
    if data.lstrip().startswith(b"[") and _is_json(data):
        raise DataError(f"{path}: one JSON array; expected one JSON object a line (JSON lines)")
    rows = []
    for number, line in enumerate(data.split(b"\n"), 1):
        if not line.strip():
            continue
        row = Row(name, number, {})
        try:
            values = parse_json(line.decode("utf-8"))
        except UnicodeDecodeError as error:
            wrong = f"byte 0x{line[error.start]:02x} at column {error.start + 1}"
            failures.append(row.failure(f"not UTF-8 ({wrong}); save the file as UTF-8"))
        except ValueError as error:
            failures.append(row.failure(f"not JSON ({error}); the line may be cut short"))
        else:
            if isinstance(values, dict):
                rows.append(replace(row, values=values))
            else:
                failures.append(row.failure(f"expected a JSON object, got {type(values).__name__}"))
    return rows


def _is_json(data: bytes) -> bool:
    try:
        parse_json(data.decode("utf-8"))
    except ValueError:
        return False
    return True


def text_of(row: Row, key: str) -> str | None:
    """A row's text under ``key``; blank or null is None. Raises DataError where it is not a string."""
    value = row.values.get(key)
    if value is not None and not isinstance(value, str):
        raise DataError(f"{key}: expected a string, got {str(value)[:60]!r}")
    return value if value and value.strip() else None


def need_folder(source: Path | None, what: str) -> Path:
    """``source`` as a folder; raises InputError naming ``what`` was expected."""
    if source is None:
        raise InputError(f"no source given; expected {what}")
    if not source.is_dir():
        came = "a file" if source.is_file() else "nothing there"
        raise InputError(f"{source}: {came}; expected {what}")
    return source


def about(kind: str) -> ImporterInfo | None:
    """What an importer says of itself (``ABOUT`` beside it, or ``ABOUT_<KIND>`` where a file holds several).

    Raises:
        InputError: no such kind.
    """
    module = sys.modules[IMPORTERS.load(kind).__module__]
    own = "ABOUT_" + kind.upper().replace("-", "_")
    info = getattr(module, own, None) or getattr(module, "ABOUT", None)
    return info if isinstance(info, ImporterInfo) else None


def read_memes(folder: Path | str) -> list[Meme]:
    """Every meme of a dataset folder; raises InputError or DataError as `Dataset` does."""
    return Dataset(Path(folder)).memes


def import_memes(
    kind: str,
    source: Path | str | None,
    folder: Path | str,
    options: ImportOptions = ImportOptions(),  # noqa: B008 - frozen
    rationales: Callable[[Meme], Rationale] | None = None,
    *,
    overwrite: bool = False,
    progress: Progress = no_progress,
) -> Dataset:
    """Import ``source`` into a dataset folder, written whole or not at all.

    A row that fails, or whose picture is missing or broken although pictures came along, is left out and stands in
    ``failures.jsonl``: a label belongs to text and picture together, so half a meme would carry a label that nobody
    gave it. A source without any pictures goes in as texts, and ``dataset.json`` notes it once.

    Args:
        kind: a row of `IMPORTERS`.
        source: what the importer reads; None for one that draws its own memes.
        folder: the dataset folder to make.
        options: what the person said; an importer reads what concerns it.
        rationales: explains each labelled train and validation meme that came without a rationale.
        overwrite: replace an existing dataset folder, with everything later stages added to it.
        progress: draws a bar for long work.

    Raises:
        InputError: no such kind, a source that is not what the kind expects, or a folder that may not be written.
        DataError: a file is not what its format promises, or not one meme is valid.
    """
    importer = IMPORTERS.load(kind)
    target = Path(folder).resolve()
    origin = None if source is None else Path(source)
    _check_target(target, origin, overwrite)
    with folder_aside(target) as aside:
        with progress(f"{'reading' if origin else 'drawing'} {kind}", 0):
            imported: Imported = importer(origin, aside, options)
        twice = [name for name, count in Counter(meme.id for meme in imported.memes).items() if count > 1]
        if twice:
            raise DataError(f"importer {kind}: ids must be unique; these are not: {', '.join(twice[:5])}")
        _take_in_pictures(imported, aside, options, progress)
        _make_validation(imported, options)
        if not imported.memes:
            reasons = "; ".join(_where(failure) for failure in imported.failures[:3]) or "the source is empty"
            raise DataError(
                f"{source or kind}: not one valid meme ({len(imported.failures)} rows failed): {reasons}"
            )
        if rationales:
            _explain(imported, rationales, progress)
        _write(imported, aside, kind, origin, options)
    return Dataset(Path(folder))


def _check_target(target: Path, source: Path | None, overwrite: bool) -> None:
    if source is not None and source.resolve().is_relative_to(target):
        raise InputError(f"{target}: the source lies in it; choose another folder for the dataset")
    if target.exists() and not target.is_dir():
        raise InputError(f"{target}: a file is there; expected a folder to make")
    if (target / INFO).is_file():
        if not overwrite:
            raise InputError(
                f"{target}: a dataset is there already; choose another folder, or say --overwrite to replace it whole, "
                "with the evidence and rationales added since"
            )
    elif target.is_dir() and any(target.iterdir()):
        raise InputError(f"{target}: not empty and not a dataset; choose a new or empty folder")


def _take_in_pictures(imported: Imported, aside: Path, options: ImportOptions, progress: Progress) -> None:
    total = sum(1 for meme in imported.memes if meme.id in imported.pictures or meme.image)
    if not total:
        return
    with progress("checking pictures", total) as advance:
        taken = take_pictures(
            imported.memes,
            imported.pictures,
            aside,
            way=options.images,
            workers=options.workers,
            advance=advance,
        )
    evidence = {row.meme_id: row for row in imported.evidence}
    kept = []
    for meme in imported.memes:
        result = taken.get(meme.id)
        if isinstance(result, ImageError):
            picture = imported.pictures.get(meme.id)
            file = picture.name if picture else meme.image
            imported.failures.append(Failure(item=meme.id, stage=STAGE, reason=str(result), file=file))
            continue
        if result:
            place, sha256 = result
            meme = meme.model_copy(update={"image": place})
            row = evidence.get(meme.id) or Evidence(meme_id=meme.id)
            evidence[meme.id] = row.model_copy(update={"image_sha256": sha256})
        kept.append(meme)
    there = {meme.id for meme in kept}
    imported.memes = kept
    imported.evidence = [evidence[meme.id] for meme in kept if meme.id in evidence]
    imported.rationales = [row for row in imported.rationales if row.meme_id in there]


def _make_validation(imported: Imported, options: ImportOptions) -> None:
    train, validation = (imported.roles.get(role, role) for role in (TRAIN, VALIDATION))
    if any(in_split(meme, validation) for meme in imported.memes):
        return
    hashes = {row.meme_id: row.image_sha256 for row in imported.evidence if row.image_sha256}
    before = Counter(meme.split for meme in imported.memes)
    imported.memes = add_validation(
        imported.memes, options.validation_share, options.seed, hashes=hashes, train=train
    )
    moved = before[train] - Counter(meme.split for meme in imported.memes)[train]
    if moved:
        imported.options["validation_from"] = train
        imported.roles.pop(VALIDATION, None)
        imported.notes.append(
            f"no validation split came with the source: {moved:,} of {before[train]:,} {train} memes were moved to one "
            f"(seed {options.seed}, stratified by label, copies kept together)"
        )
    elif options.validation_share and any(meme.label and meme.split == train for meme in imported.memes):
        imported.notes.append(f"no validation split could be drawn from {train}: too few memes that differ")


def _explain(imported: Imported, explain: Callable[[Meme], Rationale], progress: Progress) -> None:
    splits = [imported.roles.get(role, role) for role in (TRAIN, VALIDATION)]
    done = {row.meme_id for row in imported.rationales}
    todo = [
        meme
        for meme in imported.memes
        if meme.label and meme.id not in done and any(in_split(meme, split) for split in splits)
    ]
    with progress("writing rationales", len(todo)) as advance:
        for meme in todo:
            imported.rationales.append(explain(meme))
            advance()


def _write(imported: Imported, aside: Path, kind: str, source: Path | None, options: ImportOptions) -> None:
    for name, records in (
        (MEMES, imported.memes),
        (EVIDENCE, imported.evidence),
        (RATIONALES, imported.rationales),
        (FAILURES, imported.failures),
    ):
        if records or name == MEMES:
            write_records(aside / name, records)
    splits = Counter(name for meme in imported.memes for name in _splits_of(meme))
    info = DatasetInfo(
        name=imported.name,
        kind=kind,
        source=str(source) if source else "generated",
        licence=imported.licence,
        label_scheme=imported.label_scheme,
        splits=dict(splits),
        roles=imported.roles,
        options=asdict(options) | imported.options,
        notes=imported.notes,
        files={path.name: sha256_file(path) for path in sorted(aside.glob("*.jsonl"))},
        sources={name: sha256_file(path) for name, path in imported.sources.items()},
    )
    write_json(aside / INFO, info.model_dump(mode="json"))


def _splits_of(meme: Meme) -> list[str]:
    also = meme.extra.get("also_in")
    return [meme.split or "(none)", *(also if isinstance(also, list) else [])]


def _where(failure: Failure) -> str:
    place = f"{failure.file}, line {failure.line}: " if failure.line else f"{failure.item}: "
    return place + failure.reason
