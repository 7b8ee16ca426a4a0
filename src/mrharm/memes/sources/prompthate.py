"""FHM and HarMeme as PromptHate and Pro-Cap hand them out: with what a web search and a face classifier saw.

Source of the format: Cao et al., "Prompting for Multimodal Hateful Meme Classification" (EMNLP 2022) and "Pro-Cap"
(ACM MM 2023), Social-AI-Studio: JSON arrays of ``{"img", "label", "org_sent", "clean_sent", "entity", "race", ...}``.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

from mrharm.errors import InputError
from mrharm.memes.annotations import (
    OUR_SPLIT,
    Found,
    finder_for,
    named_by_picture,
    read_files,
    stem_of,
    take_rows,
)
from mrharm.memes.dataset import Imported, ImporterInfo, ImportOptions
from mrharm.memes.places import find_folders
from mrharm.memes.rows import Row, json_array_rows, need_folder, text_of
from mrharm.memes.sources import hateful_memes
from mrharm.records import Evidence

LAYOUT = (
    "a folder with train.json, test.json and perhaps dev.json or val.json, or one dataset's mem_train.json, "
    "mem_test.json ..., in it or in Data/ or domain_splits/ (where several datasets lie together: one file of the one "
    "to import); pictures in img/ or images/ or beside, or none at all"
)
ABOUT = ImporterInfo(
    "PromptHate and Pro-Cap: FHM and HarMeme with entities and demographics (EMNLP 2022, ACM MM 2023)",
    "not stated; the memes under the licence of their dataset",
    "github.com/Social-AI-Studio/Pro-Cap (Data/)",
    LAYOUT,
)
FOLDERS = ("Data", "domain_splits")
FILE = re.compile(r"(?:(?P<dataset>.+)_)?(?P<split>train|dev|val|test)\.json", re.IGNORECASE)
# What a row knows of its picture -> the part of `Evidence` it is; "unk": nothing was found.
PARTS = {"entity": "entities", "race": "demographics"}

SCHEME = replace(hateful_memes.SCHEME, about="label: 1 hateful or harmful, 0 not")


def import_prompthate(source: Path | None, folder: Path, options: ImportOptions) -> Imported:
    """PromptHate and Pro-Cap; ``clean_sent``, token lists and other keys are kept in ``extra``.

    Raises:
        InputError: ``source`` is no folder with such files, or holds those of several datasets.
        DataError: a file is not one whole JSON array.
    """
    named = FILE.fullmatch(source.name) if source and source.is_file() else None
    root = need_folder(source.parent if source and named else source, LAYOUT)
    imported = Imported(name="prompthate", licence=ABOUT.licence, label_scheme=SCHEME.about, memes=[])
    rows = read_files(imported, root, _files(root, named), json_array_rows, layout=LAYOUT, folders=FOLDERS)
    finder = finder_for(imported, root, ("img", "images"))
    take_rows(imported, rows, _found, item=lambda row: stem_of(row, "img"), finder=finder)
    return imported


def _files(root: Path, named: re.Match[str] | None) -> dict[str, str | None]:
    """The files that are there, train first -> our split; one dataset's only, that of the file ``named``."""
    folders = [folder for place in (".", *FOLDERS) for folder in find_folders(root, place)]
    names = {path.name for folder in folders for path in folder.iterdir()}
    found = [match for name in sorted(names) if (match := FILE.fullmatch(name))]
    if named:
        found = [match for match in found if match["dataset"] == named["dataset"]]
    datasets = sorted({match["dataset"] or "(no name)" for match in found})
    if len(datasets) > 1:
        raise InputError(
            f"{root}: files of several datasets ({', '.join(datasets)}); name a file of one, such as {found[0].string}"
        )
    order = list(OUR_SPLIT)
    found.sort(key=lambda match: order.index(match["split"].lower()))
    if not found:
        return {"train.json": "train", "test.json": "test"}
    return {match.string: OUR_SPLIT[match["split"].lower()] for match in found}


def _found(row: Row) -> Found:
    parts: dict[str, Any] = {}
    for column, part in PARTS.items():
        text = text_of(row, column)
        if text and text.strip() != "unk":
            parts[part] = text.strip()
    known = ("org_sent", *(column for column, part in PARTS.items() if part in parts))
    text = text_of(row, "org_sent")
    found = named_by_picture(row, SCHEME, image="img", text=text, source="prompthate", known=known)
    if not parts:
        return found
    made_by = dict.fromkeys(parts, "PromptHate")
    return Found(found.meme, found.picture, Evidence(meme_id=found.meme.id, made_by=made_by, **parts))
