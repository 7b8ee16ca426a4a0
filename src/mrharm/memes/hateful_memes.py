"""Hateful Memes (FHM), both phases of the challenge, each split under its own name.

Source of the format: Kiela et al., "The Hateful Memes Challenge" (NeurIPS 2020): JSON lines of
``{"id", "img": "img/01235.png", "label": 0 or 1, "text"}``, no label in the tests that were handed out unlabelled.
"""

from __future__ import annotations

from pathlib import Path

from mrharm.errors import DataError, ImageError, InputError
from mrharm.memes.dataset import Imported, ImporterInfo, ImportOptions, in_split
from mrharm.memes.importing import Row, json_rows, need_folder, text_of
from mrharm.memes.pictures import PictureFinder
from mrharm.records import Label, Meme

LAYOUT = (
    "a folder with train.jsonl and any of dev.jsonl, test.jsonl (phase 1), dev_seen.jsonl, dev_unseen.jsonl, "
    "test_seen.jsonl, test_unseen.jsonl (phase 2); pictures in img/, or none at all"
)
ABOUT = ImporterInfo(
    "Hateful Memes (FHM): 12,140 memes by Facebook AI, phases 1 and 2",
    "Hateful Memes Dataset License Agreement: research only, no passing on",
    "from Meta AI, after agreeing to its licence",
    LAYOUT,
)

# Where two files share memes, the first one here gives the meme its split and the other goes to extra["also_in"].
SPLITS = ("train", "dev_seen", "dev", "dev_unseen", "test_seen", "test", "test_unseen")
# Which split plays a role, best first; a labelled one goes before an unlabelled one.
ROLES = {
    "validation": ("dev_seen", "dev", "dev_unseen"),
    "test": ("test_seen", "test", "test_unseen"),
}


def import_hateful_memes(source: Path | None, folder: Path, options: ImportOptions) -> Imported:
    """Hateful Memes.

    400 memes of ``dev_unseen`` are in ``dev_seen`` too: such a meme is one record, and belongs to both splits. A meme
    that train shares with another split, or whose two labels differ, is a failure that names both lines.

    Raises:
        InputError: ``source`` is no folder with one of the files.
        DataError: a file is not JSON lines.
    """
    root = need_folder(source, LAYOUT)
    imported = Imported(
        name="hateful-memes",
        licence=ABOUT.licence,
        label_scheme="label: 1 hateful (harmful), 0 not",
        memes=[],
    )
    rows = []
    for split in SPLITS:
        path = root / f"{split}.jsonl"
        if path.is_file():
            imported.sources[path.name] = path
            rows += [(split, row) for row in json_rows(path, path.name, imported.failures)]
    if not imported.sources:
        raise InputError(
            f"{root}: none of {', '.join(f'{split}.jsonl' for split in SPLITS)}; expected {LAYOUT}"
        )
    finder = PictureFinder(root, ("img", "images"))
    with_pictures = finder.has_pictures(())
    memes: dict[str, Meme] = {}
    first: dict[str, Row] = {}
    for split, row in rows:
        try:
            meme = _meme(row, split)
            if meme.id in memes:
                memes[meme.id] = _in_both(memes[meme.id], first[meme.id], meme)
                continue
            if with_pictures:
                imported.pictures[meme.id] = finder.find(str(row.values.get("img") or f"img/{meme.id}.png"))
            elif meme.text is None:
                raise DataError("neither a text nor a picture")
        except (DataError, ImageError) as error:
            imported.failures.append(row.failure(str(error), item=_item(row)))
            continue
        memes[meme.id], first[meme.id] = meme, row
    imported.memes = list(memes.values())
    _choose_roles(imported)
    if not with_pictures:
        imported.notes.append("no pictures came with the source (no img/ folder): all memes are texts alone")
    # Phases 1 and 2 label hundreds of train memes differently; only the files beside train tell which it is.
    beside = {Path(name).stem for name in imported.sources}
    imported.options["phases"] = [
        *([1] if beside & {"dev", "test"} else []),
        *([2] if any(split.endswith("seen") for split in beside) else []),
    ]
    return imported


def _meme(row: Row, split: str) -> Meme:
    label = _label(row.values.get("label"))
    if label is None and not split.startswith("test"):
        raise DataError(f"label: expected 0 or 1 in {split}, got none")
    known = ("id", "img", "label", "text")
    return Meme(
        id=_id(row.values.get("id")),
        text=text_of(row, "text"),
        label=label,
        split=split,
        source="hateful-memes",
        extra={key: value for key, value in row.values.items() if key not in known},
    )


def _id(value: object) -> str:
    """``1235``, ``"1235"`` or ``"01235"`` -> ``"01235"``, the name its picture has."""
    digits = str(value).strip() if isinstance(value, int | str) and not isinstance(value, bool) else ""
    if not (digits.isascii() and digits.isdigit()):
        raise DataError(f"id: expected a number such as 1235 or '01235', got {str(value)[:60]!r}")
    return digits.lstrip("0").zfill(5)


def _item(row: Row) -> str | None:
    try:
        return _id(row.values.get("id"))
    except DataError:
        return None


def _label(value: object) -> Label | None:
    if value is None:
        return None
    if isinstance(value, bool) or str(value).strip() not in ("0", "1"):
        raise DataError(f"label: expected 0 or 1, got {str(value)[:60]!r}")
    return Label(harmful=str(value).strip() == "1")


def _in_both(one: Meme, where: Row, other: Meme) -> Meme:
    """The meme of two files, in both splits; raises DataError where the two rows cannot be one meme."""
    place = f"{where.file}, line {where.line}"
    split = other.split or ""
    family = (one.split or "").partition("_")[0]
    if family == "train" or family != split.partition("_")[0] or in_split(one, split):
        raise DataError(f"id {one.id!r} stands in {place}, already")
    if one.label and other.label and one.label != other.label:
        raise DataError(f"id {one.id!r} is labelled {int(other.label.harmful)}, but {place}, says otherwise")
    also = [*one.extra.get("also_in", []), split]
    return one.model_copy(update={"label": one.label or other.label, "extra": {**one.extra, "also_in": also}})


def _choose_roles(imported: Imported) -> None:
    for role, splits in ROLES.items():
        members = {split: [meme for meme in imported.memes if in_split(meme, split)] for split in splits}
        present = [split for split in splits if members[split]]
        labelled = [split for split in present if any(meme.label for meme in members[split])]
        chosen = (labelled or present or [role])[0]
        if chosen != role:
            imported.roles[role] = chosen
