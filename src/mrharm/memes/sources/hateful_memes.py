"""Import Facebook's Hateful Memes (FHM): both phases of the challenge, and the fine-grained labels of WOAH 5.

Sources of the formats: Kiela et al. (NeurIPS 2020); Mathias et al., "Findings of the WOAH 5 Shared Task" (2021).
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from mrharm.errors import DataError
from mrharm.memes.annotations import ParsedRow, TableSource, refuse_repeat
from mrharm.memes.dataset import Imported, ImporterInfo, in_split
from mrharm.memes.labels import AS_GIVEN, Cells, LabelScheme, read_flag
from mrharm.memes.rows import Row, read_json_rows, read_text
from mrharm.memes.side_files import ALSO
from mrharm.records import Failure, Label, Meme

LICENCE = "Hateful Memes Dataset License Agreement: research only, no passing on"
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


def read_fhm_rows(path: Path, name: str, failures: list[Failure]) -> list[Row]:
    """Read JSON lines; the ids ``1235``, ``"1235"`` and ``"01235"`` all become ``"01235"``, as pictures are named."""
    rows = []
    for row in read_json_rows(path, name, failures):
        value = row.values.get("id")
        digits = str(value).strip() if isinstance(value, int | str) and not isinstance(value, bool) else ""
        if digits.isascii() and digits.isdigit():
            row.values["id"] = digits.lstrip("0").zfill(5)
            rows.append(row)
        else:
            reason = f"id: expected a number such as 1235 or '01235', got {str(value)[:60]!r}"
            failures.append(row.failure(reason))
    return rows


def _parse_row(source: TableSource, row: Row) -> ParsedRow:
    used = ("text", "set_name") if row.values.get("set_name") == row.split else ("text",)
    parsed = source.parse_row(row, read_text(row, "text"), used)
    if parsed.meme.label is None and not (row.split or "").startswith("test"):
        raise DataError(f"{source.scheme.columns[0]}: expected a label in {row.split}, got none")
    return parsed


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


def _set_options(imported: Imported, label_version: str | None = None) -> None:
    """Set the roles, and which labels these are: phases 1 and 2 label 823 train memes differently.

    Which phase it is, only the files that one of them has tell.
    """
    choose_roles(imported)
    splits = {Path(name).stem for name in imported.sources}
    phases = [
        *(["phase 1"] if splits & {"dev", "test"} else []),
        *(["phase 2"] if any(split.endswith("seen") for split in splits) else []),
    ]
    phase = f"{' and '.join(phases)} files together" if len(phases) == 2 else (*phases, "unknown")[0]
    imported.options["label_version"] = label_version or phase


# 400 memes of dev_unseen are in dev_seen too: such a meme is one record, and belongs to both splits.
CHALLENGE = TableSource(
    "hateful-memes",
    ImporterInfo(
        "Hateful Memes (FHM): 12,140 memes by Facebook AI, phases 1 and 2",
        LICENCE,
        "from Meta AI, after agreeing to its licence",
        "a folder with train.jsonl and any of dev.jsonl, test.jsonl (phase 1), dev_seen.jsonl, dev_unseen.jsonl, "
        "test_seen.jsonl, test_unseen.jsonl (phase 2); pictures in img/, or none at all" + ALSO,
    ),
    LabelScheme("label: 1 hateful (harmful), 0 not", ("label",), _read_label),
    files={f"{split}.jsonl": split for split in SPLITS},
    read=read_fhm_rows,
    image="img",
    text="text",
    id="id",
    pictures=("img", "images"),
    side_files=True,
    parse=_parse_row,
    merge=_merge_splits,
    finish=_set_options,
)
# JSON lines, though the files are called .json. The gold lists are the majority of up to three annotators, whose lists
# stand in ``pc`` and ``attack`` and are kept in ``extra``.
FINE_GRAINED = replace(
    CHALLENGE,
    name="fhm-fine-grained",
    about=ImporterInfo(
        "Hateful Memes, fine-grained: protected categories and attack types (WOAH 5, 2021)",
        LICENCE,
        "annotations: github.com/facebookresearch/fine_grained_hateful_memes; pictures: with Hateful Memes, from Meta "
        "AI",
        "a folder with train.json, dev_seen.json and dev_unseen.json (or data/annotations/ with them; JSON lines "
        "despite the suffix); pictures in img/, or none at all",
    ),
    scheme=LabelScheme(
        "gold_hate: hateful (harmful) or not; gold_pc: protected categories; gold_attack: attack types",
        ("gold_hate", "gold_pc", "gold_attack"),
        _read_fine_grained_label,
    ),
    files={f"{split}.json": split for split in SPLITS if split not in ("dev", "test")},
    folders=("annotations", "data/annotations"),
    side_files=False,
    finish=partial(_set_options, label_version="fine-grained"),
)
