"""What the families on Facebook's Hateful Memes share: ids of five digits, splits that share memes, roles.

Source of the format: Kiela et al., "The Hateful Memes Challenge" (NeurIPS 2020).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from mrharm.errors import DataError
from mrharm.memes.annotations import Found, finder_for, make_meme, read_files, refuse_repeat, take_rows
from mrharm.memes.dataset import Imported, in_split
from mrharm.memes.labels import AS_GIVEN, LabelScheme
from mrharm.memes.rows import Row, json_rows, text_of
from mrharm.records import Meme

LICENCE = "Hateful Memes Dataset License Agreement: research only, no passing on"
# Where two files share memes, the first one here gives the meme its split and the other goes to extra["also_in"].
SPLITS = ("train", "dev_seen", "dev", "dev_unseen", "test_seen", "test", "test_unseen")
# Which split plays a role, best first; a labelled one goes before an unlabelled one.
ROLES = {
    "validation": ("validation", "dev_seen", "dev", "dev_unseen"),
    "test": ("test_seen", "test", "test_unseen"),
}


def fhm_id(row: Row) -> str:
    """``1235``, ``"1235"`` or ``"01235"`` -> ``"01235"``, the name its picture has; raises DataError for others."""
    value = row.values.get("id")
    digits = str(value).strip() if isinstance(value, int | str) and not isinstance(value, bool) else ""
    if not (digits.isascii() and digits.isdigit()):
        raise DataError(f"id: expected a number such as 1235 or '01235', got {str(value)[:60]!r}")
    return digits.lstrip("0").zfill(5)


def fhm_item(row: Row) -> str | None:
    """What to call a row that fails: its id, where it has one."""
    try:
        return fhm_id(row)
    except DataError:
        return None


def take_fhm(
    imported: Imported,
    root: Path,
    files: Mapping[str, str],
    scheme: LabelScheme,
    *,
    layout: str,
    folders: Iterable[str] = (),
) -> None:
    """Bring the rows of ``files`` (name -> split, in the order of `SPLITS`) and their pictures into ``imported``.

    A meme of two dev or two test files is one record, and belongs to both splits. A meme that train shares with another
    split, or whose two labels differ, is a failure that names both lines.

    Raises:
        InputError: none of the files is there.
        DataError: a file is not JSON lines.
    """
    rows = read_files(imported, root, files, json_rows, layout=layout, folders=folders)

    def make(row: Row) -> Found:
        meme_id = fhm_id(row)
        known = ("id", "img", "text", *(("set_name",) if row.values.get("set_name") == row.split else ()))
        text = text_of(row, "text")
        meme = make_meme(row, scheme, meme_id=meme_id, text=text, source=imported.name, known=known)
        if meme.label is None and not (meme.split or "").startswith("test"):
            raise DataError(f"{scheme.columns[0]}: expected a label in {meme.split}, got none")
        return Found(meme, str(row.values.get("img") or f"img/{meme_id}.png"))

    def again(known: Meme, first: Row, meme: Meme) -> Meme:
        return _in_both(known, first, meme, scheme)

    finder = finder_for(imported, root, ("img", "images"))
    take_rows(imported, rows, make, item=fhm_item, finder=finder, again=again)
    choose_roles(imported)


def _in_both(one: Meme, where: Row, other: Meme, scheme: LabelScheme) -> Meme:
    """The meme of two files, in both splits; raises DataError where the two rows cannot be one meme."""
    split = other.split or ""
    family = (one.split or "").partition("_")[0]
    if family == "train" or family != split.partition("_")[0] or in_split(one, split):
        return refuse_repeat(one, where, other)
    if one.label and other.label and one.label != other.label:
        said = ", ".join(str(value) for value in scheme.write(other.label).values())
        raise DataError(
            f"id {one.id!r} is labelled {said}, but {where.file}, line {where.line}, says otherwise"
        )
    extra = {**other.extra, **one.extra, "also_in": [*one.extra.get("also_in", []), split]}
    if one.label and AS_GIVEN not in one.extra:
        extra.pop(AS_GIVEN, None)
    return one.model_copy(update={"label": one.label or other.label, "extra": extra})


def choose_roles(imported: Imported) -> None:
    """Say which of FHM's splits play validation and test, where some are there."""
    for role, splits in ROLES.items():
        members = {split: [meme for meme in imported.memes if in_split(meme, split)] for split in splits}
        present = [split for split in splits if members[split]]
        labelled = [split for split in present if any(meme.label for meme in members[split])]
        chosen = (labelled or present or [role])[0]
        if chosen != role:
            imported.roles[role] = chosen
