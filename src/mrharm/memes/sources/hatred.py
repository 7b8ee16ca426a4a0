"""Import HatReD: why the hateful memes of FHM are hateful, written by people, joined to FHM by id.

Source of the format: Hee et al., "Decoding the Underlying Meaning of Multimodal Hateful Memes" (IJCAI 2023),
Social-AI-Studio/HatReD: JSON lines of ``{"id", "img": "01235.png", "target": [...], "reasonings": [...]}``.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from mrharm.errors import DataError, InputError
from mrharm.memes.annotations import read_rows, repeated_id
from mrharm.memes.dataset import Imported, ImporterInfo, ImportOptions
from mrharm.memes.labels import Cells, LabelScheme
from mrharm.memes.pictures import find_file
from mrharm.memes.rows import Row, need_folder, read_json_rows
from mrharm.memes.sources.hateful_memes import (
    CHALLENGE,
    FINE_GRAINED,
    LICENCE,
    Release,
    name_fhm_row,
    read_fhm_id,
    read_release,
)
from mrharm.records import Label, Rationale

LAYOUT = (
    "a folder with fhm_train_reasonings.jsonl and fhm_test_reasonings.jsonl (or datasets/hatred/annotations/ with "
    "them), and FHM's own train.jsonl, dev_seen.jsonl ... with img/, beside them or in a subfolder; the fine-grained "
    "train.json and dev_seen.json, which HatReD was made from, do as well"
)
ABOUT = ImporterInfo(
    "HatReD: why the hateful memes of FHM are hateful, written by people (IJCAI 2023)",
    f"reasons: not stated; memes: {LICENCE}",
    "reasons: github.com/Social-AI-Studio/HatReD; memes: from Meta AI, after agreeing to its licence",
    LAYOUT,
)
FILES = ("fhm_train_reasonings.jsonl", "fhm_test_reasonings.jsonl")
FOLDERS = ("annotations", "datasets/hatred/annotations", "hatred/annotations", "hatred", "dataset")


def add_targets(base: LabelScheme) -> LabelScheme:
    """Return FHM's labels with HatReD's ``target`` list; its nulls and repeats name no further target."""

    def read(cells: Cells) -> tuple[Label | None, dict[str, Any]]:
        label, usual = base.read({column: cells[column] for column in base.columns if column in cells})
        targets = _read_targets(cells)
        if targets:
            usual["target"] = targets
        return label and label.model_copy(update={"targets": tuple(targets)}), usual

    return LabelScheme(f"{base.about}; target: who is meant", (*base.columns, "target"), read)


def _read_targets(cells: Cells) -> list[str]:
    value = cells.get("target") or []
    if not isinstance(value, list) or any(not isinstance(target, str | None) for target in value):
        raise DataError(f"target: expected a list of strings, got {str(value)[:60]!r}")
    return list(dict.fromkeys(target for target in value if target and target.strip()))


def import_hatred(source: Path | None, folder: Path, options: ImportOptions) -> Imported:
    """Import HatReD: FHM with people's reasons. Memes without one (those that are not hateful) stay as they are.

    All reasons of a meme are kept in ``extra["gold_rationales"]``; the first that is not blank is its `Rationale`.

    Raises:
        InputError: ``source`` is no folder with both HatReD's and FHM's files.
        DataError: a file is not JSON lines.
    """
    root = need_folder(source, LAYOUT)
    hatred = Imported(name="hatred", licence=ABOUT.licence, label_scheme="", memes=[])
    rows = read_rows(hatred, root, dict.fromkeys(FILES), read_json_rows, layout=LAYOUT, folders=FOLDERS)
    reasons = _index_reasons(rows, hatred)
    # FHM's rows get the targets before they become memes, so that label and targets are read at once.
    release, place = _find_release(root)
    release = replace(release, name="hatred", scheme=add_targets(release.scheme))
    targets = {
        meme_id: {"target": row.values["target"]}
        for meme_id, row in reasons.items()
        if "target" in row.values
    }
    imported = read_release(release, place, targets)
    imported.licence = ABOUT.licence
    imported.sources |= hatred.sources
    imported.failures += hatred.failures
    _add_reasons(imported, reasons)
    return imported


def _index_reasons(rows: list[Row], hatred: Imported) -> dict[str, Row]:
    """Return meme id -> its row; a row that is wrong is a failure."""
    reasons: dict[str, Row] = {}
    first: dict[str, Row] = {}
    for row in rows:
        try:
            meme_id = read_fhm_id(row)
            if meme_id in first:
                raise repeated_id(meme_id, first[meme_id])
            first[meme_id] = row
            _read_reasons(row)
            _read_targets(row.values)
        except DataError as error:
            hatred.failures.append(row.failure(str(error), item=name_fhm_row(row)))
            continue
        reasons[meme_id] = row
    return reasons


def _read_reasons(row: Row) -> list[str]:
    """Return a row's reasons as they came; raises DataError where all are blank."""
    value = row.values.get("reasonings")
    if not isinstance(value, list) or any(not isinstance(text, str | None) for text in value):
        raise DataError(f"reasonings: expected a list of strings, got {str(value)[:60]!r}")
    texts = [text or "" for text in value]
    if not any(text.strip() for text in texts):
        raise DataError("reasonings: empty; every row says why its meme is hateful")
    return texts


def _find_release(root: Path) -> tuple[Release, Path]:
    """Find FHM in the first folder with one of its files; the challenge's labels go before the fine-grained ones."""
    folders = [root, *sorted(path for path in root.iterdir() if path.is_dir())]
    for release in (CHALLENGE, FINE_GRAINED):
        for folder in folders:
            if any(find_file(folder, name, release.folders) for name in release.files):
                return release, folder
    raise InputError(
        f"{root}: HatReD's reasons are here, but none of FHM's files ({', '.join(CHALLENGE.files)}); get Hateful "
        "Memes from Meta AI and put its files and img/ beside the reasons, or in a subfolder"
    )


def _add_reasons(imported: Imported, reasons: dict[str, Row]) -> None:
    """Give each meme its reasons; they go before recorded rationales. What does not fit FHM is noted."""
    memes = {meme.id: meme for meme in imported.memes}
    rationales = {row.meme_id: row for row in imported.rationales}
    unknown = harmless = 0
    for meme_id, row in reasons.items():
        if meme_id not in memes:
            unknown += 1
            continue
        meme, texts = memes[meme_id], _read_reasons(row)
        further = {
            key: value
            for key, value in row.values.items()
            if key not in ("id", "img", "target", "reasonings")
        }
        extra = {**further, **meme.extra, "gold_rationales": texts}
        memes[meme_id] = meme.model_copy(update={"extra": extra})
        harmless += meme.label is not None and not meme.label.harmful
        text = next(text.strip() for text in texts if text.strip())
        rationales[meme_id] = Rationale(meme_id=meme_id, label_given=meme.label, text=text, teacher="people")
    imported.memes, imported.rationales = list(memes.values()), list(rationales.values())
    if unknown:
        imported.notes.append(f"{unknown:,} reasons match no meme in FHM's files here and were skipped")
    if harmless:
        version = imported.options["label_version"]
        imported.notes.append(
            f"{harmless:,} reasons say why a meme is hateful that FHM's labels ({version}) call not hateful"
        )
