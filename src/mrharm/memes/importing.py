"""Import a source as it was published into a dataset folder: the table of importers, and what all of them share.

Every row of a source ends in exactly one place: ``memes.jsonl``, or ``failures.jsonl`` with its file, line and reason.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path

from mrharm import plugins
from mrharm.errors import DataError, InputError
from mrharm.memes.archives import unpacked
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
    count_splits,
    in_split,
)
from mrharm.memes.pictures import import_pictures
from mrharm.memes.splits import TRAIN, VALIDATION, add_validation
from mrharm.progress import Progress, counting, no_progress
from mrharm.records import Meme, Rationale, Record
from mrharm.store import FAILURES, folder_aside, sha256_file, write_json, write_records

IMPORTERS = plugins.Table(
    "memes",
    {
        "harm-c": "mrharm.memes.sources.harmeme:HARM_C",
        "harm-p": "mrharm.memes.sources.harmeme:import_harm_p",
        "hateful-memes": "mrharm.memes.sources.hateful_memes:CHALLENGE",
        "fhm-fine-grained": "mrharm.memes.sources.hateful_memes:FINE_GRAINED",
        "hatred": "mrharm.memes.sources.hatred:import_hatred",
        "mami": "mrharm.memes.sources.mami:MAMI",
        "pridemm": "mrharm.memes.sources.pridemm:PRIDEMM",
        "multioff": "mrharm.memes.sources.multioff:MULTIOFF",
        "memotion": "mrharm.memes.sources.memotion:MEMOTION",
        "prompthate": "mrharm.memes.sources.prompthate:import_prompthate",
        "huggingface": "mrharm.memes.sources.huggingface:import_huggingface",
        "folder": "mrharm.memes.sources.folder:import_folder",
        "generated": "mrharm.synthetic.importer:import_generated",
    },
)


def about(kind: str) -> ImporterInfo | None:
    """Return an importer's ``about``, or ``ABOUT`` in its file; raises InputError where there is no such kind."""
    importer = IMPORTERS.load(kind)
    info = getattr(importer, "about", None) or getattr(sys.modules[importer.__module__], "ABOUT", None)
    return info if isinstance(info, ImporterInfo) else None


def read_memes(folder: Path | str) -> list[Meme]:
    """Read every meme of a dataset folder; raises InputError or DataError as `Dataset` does."""
    return Dataset(folder).memes


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

    A row that fails, or whose picture is missing or broken although pictures came along, goes to ``failures.jsonl``: a
    label belongs to text and picture together. A source without any pictures goes in as texts, and ``dataset.json``
    notes it once.

    Args:
        kind: a row of `IMPORTERS`.
        source: what the importer reads, or a .zip or .tar of it; None for one that draws its own memes.
        folder: the dataset folder to make.
        options: an importer reads those that concern it.
        rationales: explains each labelled train and validation meme that came without a rationale.
        overwrite: replace an existing dataset folder, with everything later stages added to it.
        progress: draws a bar for long work.

    Raises:
        InputError: no such kind, a source that is not what the kind expects, or a folder that may not be written.
        DataError: a file is not what its format promises, an archive may not be unpacked, or not one meme is valid.
    """
    importer = IMPORTERS.load(kind)
    target = Path(folder).resolve()
    origin = None if source is None else Path(source)
    check_target(target, origin, overwrite)
    with unpacked(origin, target, progress) as root, folder_aside(target) as aside:
        # Read the source.
        with counting(progress, f"{'reading' if origin else 'drawing'} {kind}", 0):
            imported: Imported = importer(root, aside, options)
        repeated = [name for name, count in Counter(meme.id for meme in imported.memes).items() if count > 1]
        if repeated:
            raise DataError(f"importer {kind}: ids must be unique; these are not: {', '.join(repeated[:5])}")
        # Check the pictures; those unpacked for this import alone are linked, not written a second time.
        way = "link" if root != origin and options.images == "copy" else options.images
        import_pictures(imported, aside, replace(options, images=way), progress)
        if origin and root != origin:
            imported.sources[origin.name] = origin
        _add_validation(imported, options)
        _refuse_empty(imported, source or kind)
        if rationales:
            _add_rationales(imported, rationales)
        _write(imported, aside, kind, origin, options)
    return Dataset(Path(folder))


def _refuse_empty(imported: Imported, source: Path | str) -> None:
    if imported.memes:
        return
    reasons = [
        f"{row.file}, line {row.line}: {row.reason}" if row.line else f"{row.item}: {row.reason}"
        for row in imported.failures[:3]
    ]
    raise DataError(
        f"{source}: not one valid meme ({len(imported.failures)} rows failed): "
        f"{'; '.join(reasons) or 'the source is empty'}"
    )


def check_target(target: Path, source: Path | None, overwrite: bool) -> None:
    """Refuse a folder with the source or other files in it, or, unless ``overwrite``, a dataset; raises InputError."""
    if source is not None and source.resolve().is_relative_to(target):
        raise InputError(f"{target}: the source is inside it; choose another folder for the dataset")
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


def _add_validation(imported: Imported, options: ImportOptions) -> None:
    """Draw a validation split from train where the source has none, and note it."""
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


def _add_rationales(imported: Imported, explain: Callable[[Meme], Rationale]) -> None:
    """Explain each labelled train and validation meme that has no rationale yet."""
    done = {row.meme_id for row in imported.rationales}
    splits = {imported.roles.get(role, role) for role in (TRAIN, VALIDATION)}
    todo = (meme for meme in imported.memes if meme.label and meme.split in splits)
    imported.rationales += [explain(meme) for meme in todo if meme.id not in done]


def _write(imported: Imported, aside: Path, kind: str, source: Path | None, options: ImportOptions) -> None:
    write_records(aside / MEMES, imported.memes)
    parts: dict[str, Sequence[Record]] = {
        EVIDENCE: imported.evidence,
        RATIONALES: imported.rationales,
        FAILURES: imported.failures,
    }
    for name, records in parts.items():
        if records:
            write_records(aside / name, records)
    info = DatasetInfo(
        name=imported.name,
        kind=kind,
        source=str(source) if source else "generated",
        licence=imported.licence,
        label_scheme=imported.label_scheme,
        splits=count_splits(imported.memes),
        roles=imported.roles,
        options=asdict(options) | imported.options,
        notes=imported.notes,
        files={path.name: sha256_file(path) for path in sorted(aside.glob("*.jsonl"))},
        sources={name: sha256_file(path) for name, path in imported.sources.items()},
    )
    write_json(aside / INFO, info.model_dump(mode="json"))
