"""From a source as it was published to a dataset folder: the table of importers, and what all of them share.

Every row of a source ends in exactly one place: ``memes.jsonl``, or ``failures.jsonl`` with its file, line and reason.
"""

from __future__ import annotations

import contextlib
import sys
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import asdict, replace
from pathlib import Path

from mrharm import plugins
from mrharm.errors import DataError, ImageError, InputError
from mrharm.memes.archives import named, unpacked
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
from mrharm.memes.pictures import take_pictures
from mrharm.memes.rows import STAGE
from mrharm.memes.splits import TRAIN, VALIDATION, add_validation
from mrharm.progress import Progress, counting, no_progress
from mrharm.records import Evidence, Failure, Meme, Rationale
from mrharm.store import FAILURES, folder_aside, sha256_file, write_json, write_records

IMPORTERS = plugins.Table(
    "memes",
    {
        "harm-c": "mrharm.memes.sources.harmeme:import_harm_c",
        "harm-p": "mrharm.memes.sources.harmeme:import_harm_p",
        "hateful-memes": "mrharm.memes.sources.hateful_memes:import_hateful_memes",
        "fhm-fine-grained": "mrharm.memes.sources.fine_grained:import_fine_grained",
        "hatred": "mrharm.memes.sources.hatred:import_hatred",
        "mami": "mrharm.memes.sources.mami:import_mami",
        "pridemm": "mrharm.memes.sources.pridemm:import_pridemm",
        "multioff": "mrharm.memes.sources.multioff:import_multioff",
        "memotion": "mrharm.memes.sources.memotion:import_memotion",
        "prompthate": "mrharm.memes.sources.prompthate:import_prompthate",
        "huggingface": "mrharm.memes.sources.huggingface:import_huggingface",
        "folder": "mrharm.memes.sources.folder:import_folder",
        "generated": "mrharm.synthetic.importer:import_generated",
    },
)


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
        source: what the importer reads, or a .zip or .tar of it; None for one that draws its own memes.
        folder: the dataset folder to make.
        options: what the person said; an importer reads what concerns it.
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
    with _opened(origin, target, progress) as root, folder_aside(target) as aside:
        with counting(progress, f"{'reading' if origin else 'drawing'} {kind}", 0):
            imported: Imported = importer(root, aside, options)
        twice = [name for name, count in Counter(meme.id for meme in imported.memes).items() if count > 1]
        if twice:
            raise DataError(f"importer {kind}: ids must be unique; these are not: {', '.join(twice[:5])}")
        _take_in_pictures(imported, aside, _picture_options(options, origin, root), progress)
        if origin and root and root != origin:
            _name_archive(imported, root, origin)
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


def _opened(origin: Path | None, target: Path, progress: Progress) -> AbstractContextManager[Path | None]:
    """The source, unpacked beside the target where it is an archive."""
    return unpacked(origin, target, progress) if origin else contextlib.nullcontext(None)


def _picture_options(options: ImportOptions, origin: Path | None, root: Path | None) -> ImportOptions:
    """As told; but pictures unpacked for this import alone are linked, not written a second time."""
    return replace(options, images="link") if root != origin and options.images == "copy" else options


def _name_archive(imported: Imported, root: Path, origin: Path) -> None:
    """Put the archive in the place of the folder that it was unpacked to."""
    imported.sources[origin.name] = origin
    imported.notes = [named(note, root, origin) for note in imported.notes]
    imported.failures = [
        failure.model_copy(update={"reason": named(failure.reason, root, origin)})
        for failure in imported.failures
    ]


def check_target(target: Path, source: Path | None, overwrite: bool) -> None:
    """Raise InputError where ``target`` may not become a dataset folder: taken, not empty, or around its source."""
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
    with counting(progress, "checking pictures", total) as advance:
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
    with counting(progress, "writing rationales", len(todo)) as advance:
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


def _where(failure: Failure) -> str:
    place = f"{failure.file}, line {failure.line}: " if failure.line else f"{failure.item}: "
    return place + failure.reason
