"""Import Facebook's Hateful Memes (FHM): both phases of the challenge, and the fine-grained labels of WOAH 5.

Sources of the formats: Kiela et al., "The Hateful Memes Challenge" (NeurIPS 2020): JSON lines of ``{"id", "img":
"img/01235.png", "label": 0 or 1, "text"}``, no label in the tests that were handed out unlabelled. Mathias et al.,
"Findings of the WOAH 5 Shared Task on Fine Grained Hateful Memes Detection" (2021): JSON lines, though the files are
called ``.json``, of ``{"id", "set_name", "img", "text", "gold_hate", "gold_pc", "gold_attack", "pc", "attack"}``; the
gold lists are the majority of up to three annotators, whose lists stand in ``pc`` and ``attack``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mrharm.errors import DataError
from mrharm.memes.annotations import ParsedRow, add_memes, make_finder, make_meme, read_rows, refuse_repeat
from mrharm.memes.dataset import Imported, ImporterInfo, ImportOptions, in_split
from mrharm.memes.labels import AS_GIVEN, Cells, LabelScheme, read_flag
from mrharm.memes.recorded import ALSO, add_recorded
from mrharm.memes.rows import Row, need_folder, read_json_rows, read_text
from mrharm.records import Label, Meme

LICENCE = "Hateful Memes Dataset License Agreement: research only, no passing on"
LAYOUT = (
    "a folder with train.jsonl and any of dev.jsonl, test.jsonl (phase 1), dev_seen.jsonl, dev_unseen.jsonl, "
    "test_seen.jsonl, test_unseen.jsonl (phase 2); pictures in img/, or none at all"
)
FINE_GRAINED_LAYOUT = (
    "a folder with train.json, dev_seen.json and dev_unseen.json (or data/annotations/ with them; JSON lines despite "
    "the suffix); pictures in img/, or none at all"
)
ABOUT_HATEFUL_MEMES = ImporterInfo(
    "Hateful Memes (FHM): 12,140 memes by Facebook AI, phases 1 and 2",
    LICENCE,
    "from Meta AI, after agreeing to its licence",
    LAYOUT + ALSO,
)
ABOUT_FHM_FINE_GRAINED = ImporterInfo(
    "Hateful Memes, fine-grained: protected categories and attack types (WOAH 5, 2021)",
    LICENCE,
    "annotations: github.com/facebookresearch/fine_grained_hateful_memes; pictures: with Hateful Memes, from Meta AI",
    FINE_GRAINED_LAYOUT,
)

# Where two files share memes, the first one here gives the meme its split and the second goes to extra["also_in"].
SPLITS = ("train", "dev_seen", "dev", "dev_unseen", "test_seen", "test", "test_unseen")
# Which split plays a role, best first; a labelled one goes before an unlabelled one.
ROLES = {
    "validation": ("validation", "dev_seen", "dev", "dev_unseen"),
    "test": ("test_seen", "test", "test_unseen"),
}
HATE = ("hateful", "not_hateful")
CATEGORIES = ("race", "religion", "nationality", "sex", "disability")
ATTACKS = ("contempt", "mocking", "inferiority", "slurs", "exclusion", "dehumanizing", "inciting_violence")
NO_CATEGORY, NO_ATTACK = "pc_empty", "attack_empty"


def _read_label(cells: Cells) -> tuple[Label | None, dict[str, Any]]:
    harmful = read_flag(cells, "label")
    return None if harmful is None else Label(harmful=harmful), {"label": int(bool(harmful))}


def _read_fine_grained_label(cells: Cells) -> tuple[Label | None, dict[str, Any]]:
    hate = _read_words(cells, "gold_hate", HATE)
    categories = [
        word for word in _read_words(cells, "gold_pc", (*CATEGORIES, NO_CATEGORY)) if word != NO_CATEGORY
    ]
    attacks = [word for word in _read_words(cells, "gold_attack", (*ATTACKS, NO_ATTACK)) if word != NO_ATTACK]
    if not hate:
        return None, {}
    if len(hate) > 1:
        raise DataError(f"gold_hate: expected {' or '.join(HATE)}, got both")
    label = Label(
        harmful=hate == ["hateful"], protected_categories=tuple(categories), attack_types=tuple(attacks)
    )
    return label, {
        "gold_hate": hate,
        "gold_pc": categories or [NO_CATEGORY],
        "gold_attack": attacks or [NO_ATTACK],
    }


def _read_words(cells: Cells, column: str, words: tuple[str, ...]) -> list[str]:
    value = cells.get(column)
    if value is None:
        return []
    if not isinstance(value, list) or any(word not in words for word in value):
        raise DataError(f"{column}: expected a list of {', '.join(words)}; got {str(value)[:60]!r}")
    return list(dict.fromkeys(value))


@dataclass(frozen=True)
class Release:
    """One publication of FHM.

    Attributes:
        name: of the importer.
        scheme: its labels.
        files: file name -> split, in the order of `SPLITS`.
        folders: where the files may stand below the source folder.
        layout: what is expected, for errors.
        label_version: which labels they are; empty where the files tell.
    """

    name: str
    scheme: LabelScheme
    files: Mapping[str, str]
    folders: tuple[str, ...]
    layout: str
    label_version: str = ""


CHALLENGE = Release(
    "hateful-memes",
    LabelScheme("label: 1 hateful (harmful), 0 not", ("label",), _read_label),
    {f"{split}.jsonl": split for split in SPLITS},
    (),
    LAYOUT,
)
FINE_GRAINED = Release(
    "fhm-fine-grained",
    LabelScheme(
        "gold_hate: hateful (harmful) or not; gold_pc: protected categories; gold_attack: attack types",
        ("gold_hate", "gold_pc", "gold_attack"),
        _read_fine_grained_label,
    ),
    {f"{split}.json": split for split in SPLITS if split not in ("dev", "test")},
    ("annotations", "data/annotations"),
    FINE_GRAINED_LAYOUT,
    label_version="fine-grained",
)


def import_hateful_memes(source: Path | None, folder: Path, options: ImportOptions) -> Imported:
    """Import Hateful Memes; splits share memes, as `read_release` says.

    Raises:
        InputError: ``source`` is no folder with one of the files.
        DataError: a file is not JSON lines, or a recorded one not what its name says.
    """
    return read_release(CHALLENGE, need_folder(source, LAYOUT))


def import_fine_grained(source: Path | None, folder: Path, options: ImportOptions) -> Imported:
    """Import fine-grained Hateful Memes; the annotators' lists are kept in ``extra["pc"]`` and ``extra["attack"]``.

    Raises:
        InputError: ``source`` is no folder with one of the files.
        DataError: a file is not JSON lines.
    """
    return read_release(FINE_GRAINED, need_folder(source, FINE_GRAINED_LAYOUT))


def read_release(release: Release, root: Path, more: Mapping[str, Mapping[str, Any]] = {}) -> Imported:
    """Read the memes of a release, with the pictures and recorded texts in ``root``.

    400 memes of ``dev_unseen`` are in ``dev_seen`` too: such a meme is one record, and belongs to both splits. A meme
    that train shares with another split, or whose two labels differ, is a failure that names both lines.

    Args:
        release: which files to read, and how.
        root: the source folder.
        more: meme id -> further cells of its rows.

    Raises:
        InputError: none of the files is there.
        DataError: a file is not JSON lines, or a recorded one not what its name says.
    """
    scheme = release.scheme
    imported = Imported(name=release.name, licence=LICENCE, label_scheme=scheme.about, memes=[])
    rows = read_rows(
        imported, root, release.files, read_json_rows, layout=release.layout, folders=release.folders
    )

    def parse(row: Row) -> ParsedRow:
        meme_id = read_fhm_id(row)
        row = replace(row, values={**row.values, **more.get(meme_id, {})})
        used = ("id", "img", "text", *(("set_name",) if row.values.get("set_name") == row.split else ()))
        text = read_text(row, "text")
        meme = make_meme(row, scheme, meme_id=meme_id, text=text, source=imported.name, used=used)
        if meme.label is None and not (meme.split or "").startswith("test"):
            raise DataError(f"{scheme.columns[0]}: expected a label in {meme.split}, got none")
        return ParsedRow(meme, str(row.values.get("img") or f"img/{meme_id}.png"))

    finder = make_finder(imported, root, ("img", "images"))
    add_memes(imported, rows, parse, item=name_fhm_row, finder=finder, merge=_merge_splits)
    choose_roles(imported)
    imported.options["label_version"] = release.label_version or _name_phase(imported.sources)
    if not release.label_version:
        add_recorded(root, [root], imported, {})
    return imported


def read_fhm_id(row: Row) -> str:
    """Return ``1235``, ``"1235"`` or ``"01235"`` as ``"01235"``, the name its picture has; DataError for others."""
    value = row.values.get("id")
    digits = str(value).strip() if isinstance(value, int | str) and not isinstance(value, bool) else ""
    if not (digits.isascii() and digits.isdigit()):
        raise DataError(f"id: expected a number such as 1235 or '01235', got {str(value)[:60]!r}")
    return digits.lstrip("0").zfill(5)


def name_fhm_row(row: Row) -> str | None:
    """Return what to call a row that fails: its id, where it has one."""
    try:
        return read_fhm_id(row)
    except DataError:
        return None


def _merge_splits(earlier: Meme, first: Row, meme: Meme) -> Meme:
    """Return the meme of two files, in both splits; raises DataError where the two rows cannot be one meme."""
    split = meme.split or ""
    family = (earlier.split or "").partition("_")[0]
    if family == "train" or family != split.partition("_")[0] or in_split(earlier, split):
        return refuse_repeat(earlier, first, meme)
    if earlier.label and meme.label and earlier.label != meme.label:
        raise DataError(f"id {meme.id!r} has another label here than in {first.file}, line {first.line}")
    extra = {**meme.extra, **earlier.extra, "also_in": [*earlier.extra.get("also_in", []), split]}
    if earlier.label and AS_GIVEN not in earlier.extra:
        extra.pop(AS_GIVEN, None)
    return earlier.model_copy(update={"label": earlier.label or meme.label, "extra": extra})


def choose_roles(imported: Imported) -> None:
    """Set which of FHM's splits play validation and test, where some are there."""
    for role, splits in ROLES.items():
        present = [split for split in splits if any(in_split(meme, split) for meme in imported.memes)]
        labelled = [
            split for split in present if any(meme.label and in_split(meme, split) for meme in imported.memes)
        ]
        chosen = (labelled or present or [role])[0]
        if chosen != role:
            imported.roles[role] = chosen


def _name_phase(files: Iterable[str]) -> str:
    """Name the phase of the labels: phases 1 and 2 label 823 train memes differently, and only other files tell."""
    splits = {Path(name).stem for name in files}
    phases = [
        *(["phase 1"] if splits & {"dev", "test"} else []),
        *(["phase 2"] if any(split.endswith("seen") for split in splits) else []),
    ]
    return f"{' and '.join(phases)} files together" if len(phases) == 2 else (*phases, "unknown")[0]
