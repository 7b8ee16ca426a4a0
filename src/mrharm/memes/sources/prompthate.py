"""Import FHM and HarMeme as PromptHate and Pro-Cap hand them out: with what a web search and a face classifier saw.

Source of the format: Cao et al., "Prompting for ..." (EMNLP 2022) and "Pro-Cap" (ACM MM 2023), Social-AI-Studio.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

from mrharm.errors import InputError
from mrharm.memes.annotations import OUR_SPLIT, ParsedRow, TableSource
from mrharm.memes.dataset import Imported, ImporterInfo, ImportOptions
from mrharm.memes.pictures import find_folders
from mrharm.memes.rows import Row, need_folder, read_json_array, read_text
from mrharm.memes.sources.hateful_memes import CHALLENGE
from mrharm.records import Evidence

ABOUT = ImporterInfo(
    "PromptHate and Pro-Cap: FHM and HarMeme with entities and demographics (EMNLP 2022, ACM MM 2023)",
    "not stated; the memes under the licence of their dataset",
    "github.com/Social-AI-Studio/Pro-Cap (Data/)",
    "a folder with train.json, test.json and perhaps dev.json or val.json, or one dataset's mem_train.json, "
    "mem_test.json ..., in it or in Data/ or domain_splits/ (where several datasets share a folder: one file of "
    "the one to import); pictures in img/ or images/ or beside, or none at all",
)
FOLDERS = ("Data", "domain_splits")
FILE = re.compile(r"(?:(?P<dataset>.+)_)?(?P<split>train|dev|val|test)\.json", re.IGNORECASE)
# What a row knows of its picture -> the part of `Evidence` it is; "unk": nothing was found.
PARTS = {"entity": "entities", "race": "demographics"}


def import_prompthate(source: Path | None, folder: Path, options: ImportOptions) -> Imported:
    """Import PromptHate and Pro-Cap; ``clean_sent``, token lists and other keys are kept in ``extra``."""
    named = FILE.fullmatch(source.name) if source and source.is_file() else None
    root = need_folder(source.parent if source and named else source, ABOUT.layout)
    return replace(PROMPTHATE, files=_find_files(root, named))(root, folder, options)


def _find_files(root: Path, named: re.Match[str] | None) -> dict[str, str | None]:
    """Return the files that are there, train first -> our split; only those of the dataset of the file ``named``."""
    names: set[str] = set()
    for place in (".", *FOLDERS):
        for folder in find_folders(root, place):
            names.update(path.name for path in folder.iterdir())
    matches = [match for name in sorted(names) if (match := FILE.fullmatch(name))]
    if named:
        matches = [match for match in matches if match["dataset"] == named["dataset"]]
    datasets = sorted({match["dataset"] or "(no name)" for match in matches})
    if len(datasets) > 1:
        raise InputError(
            f"{root}: files of several datasets ({', '.join(datasets)}); name a file of one, such as "
            f"{matches[0].string}"
        )
    if not matches:
        return {"train.json": "train", "test.json": "test"}
    order = list(OUR_SPLIT)
    matches.sort(key=lambda match: order.index(match["split"].lower()))
    return {match.string: OUR_SPLIT[match["split"].lower()] for match in matches}


def _parse_row(source: TableSource, row: Row) -> ParsedRow:
    parts: dict[str, Any] = {}
    for column, part in PARTS.items():
        value = read_text(row, column)
        if value and value.strip() != "unk":
            parts[part] = value.strip()
    used = ("org_sent", *(column for column, part in PARTS.items() if part in parts))
    parsed = source.parse_row(row, read_text(row, "org_sent"), used)
    if not parts:
        return parsed
    made_by = dict.fromkeys(parts, "PromptHate")
    return replace(parsed, evidence=Evidence(meme_id=parsed.meme.id, made_by=made_by, **parts))


PROMPTHATE = TableSource(
    "prompthate",
    ABOUT,
    replace(CHALLENGE.scheme, about="label: 1 hateful or harmful, 0 not"),
    files={},
    read=read_json_array,
    image="img",
    text="org_sent",
    pictures=("img", "images"),
    folders=FOLDERS,
    parse=_parse_row,
)
