"""Import HatReD: why the hateful memes of FHM are hateful, written by people, joined to FHM by id.

Source of the format: Hee et al., "Decoding the Underlying Meaning of Multimodal Hateful Memes" (IJCAI 2023).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

from mrharm.errors import DataError, InputError
from mrharm.memes.annotations import TableSource, read_rows
from mrharm.memes.dataset import Imported, ImporterInfo, ImportOptions
from mrharm.memes.labels import Cells, LabelScheme
from mrharm.memes.pictures import find_file
from mrharm.memes.rows import Row, need_folder
from mrharm.memes.sources.hateful_memes import CHALLENGE, FINE_GRAINED, LICENCE, read_fhm_rows
from mrharm.records import Label, Rationale

ABOUT = ImporterInfo(
    "HatReD: why the hateful memes of FHM are hateful, written by people (IJCAI 2023)",
    f"reasons: not stated; memes: {LICENCE}",
    "reasons: github.com/Social-AI-Studio/HatReD; memes: from Meta AI, after agreeing to its licence",
    "a folder with fhm_train_reasonings.jsonl and fhm_test_reasonings.jsonl (or datasets/hatred/annotations/ with "
    "them), and FHM's own train.jsonl, dev_seen.jsonl ... with img/, beside them or in a subfolder; the fine-grained "
    "train.json and dev_seen.json, which HatReD was made from, do as well",
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
    """
    root = need_folder(source, ABOUT.layout)
    hatred = Imported("hatred")
    rows = read_rows(hatred, root, dict.fromkeys(FILES), read_fhm_rows, layout=ABOUT.layout, folders=FOLDERS)
    reasons = _index_reasons(rows, hatred)

    def join_reasons(root: Path, rows: list[Row], imported: Imported) -> None:
        # Before FHM's rows become memes, so that label and targets are read at once.
        for row in rows:
            row.values.update(reasons.get(row.values["id"], {}) | row.values)

    fhm, place = _find_fhm(root)
    fhm = replace(fhm, name="hatred", about=ABOUT, scheme=add_targets(fhm.scheme), join=join_reasons)
    imported = fhm(place, folder, options)
    imported.sources |= hatred.sources
    imported.failures += hatred.failures
    _add_rationales(imported, reasons)
    return imported


def _index_reasons(rows: list[Row], hatred: Imported) -> dict[str, dict[str, Any]]:
    """Return meme id -> what its row adds to FHM's; a row that is wrong is a failure."""
    reasons: dict[str, dict[str, Any]] = {}
    first: dict[str, Row] = {}
    for row in rows:
        meme_id = row.values["id"]
        try:
            if meme_id in first:
                raise DataError(
                    f"id {meme_id!r} is already in {first[meme_id].file}, line {first[meme_id].line}"
                )
            first[meme_id] = row
            _read_targets(row.values)
            texts = row.values.get("reasonings")
            if not isinstance(texts, list) or any(not isinstance(text, str | None) for text in texts):
                raise DataError(f"reasonings: expected a list of strings, got {str(texts)[:60]!r}")
            if not any(text and text.strip() for text in texts):
                raise DataError("reasonings: empty; every row says why its meme is hateful")
        except DataError as error:
            hatred.failures.append(row.failure(str(error), item=meme_id))
            continue
        further = {key: value for key, value in row.values.items() if key not in ("id", "img", "reasonings")}
        reasons[meme_id] = further | {"gold_rationales": [text or "" for text in texts]}
    return reasons


def _find_fhm(root: Path) -> tuple[TableSource, Path]:
    """Find FHM in the first folder with one of its files; the challenge's labels go before the fine-grained ones."""
    folders = [root, *sorted(path for path in root.iterdir() if path.is_dir())]
    for fhm, folder in product((CHALLENGE, FINE_GRAINED), folders):
        if any(find_file(folder, name, fhm.folders) for name in fhm.files):
            return fhm, folder
    raise InputError(
        f"{root}: HatReD's reasons are here, but none of FHM's files ({', '.join(CHALLENGE.files)}); get Hateful "
        "Memes from Meta AI and put its files and img/ beside the reasons, or in a subfolder"
    )


def _add_rationales(imported: Imported, reasons: Mapping[str, Mapping[str, Any]]) -> None:
    """Give each meme its reason; it goes before a recorded rationale. What does not fit FHM is noted."""
    memes = {meme.id: meme for meme in imported.memes if meme.id in reasons}
    rationales = {row.meme_id: row for row in imported.rationales}
    for meme_id, meme in memes.items():
        text = next(text.strip() for text in reasons[meme_id]["gold_rationales"] if text.strip())
        rationales[meme_id] = Rationale(meme_id=meme_id, label_given=meme.label, text=text, teacher="people")
    imported.rationales = list(rationales.values())
    if unknown := len(reasons) - len(memes):
        imported.notes.append(f"{unknown:,} reasons match no meme in FHM's files here and were skipped")
