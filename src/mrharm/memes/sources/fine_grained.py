"""Hateful Memes with protected categories and attack types: the WOAH 5 shared task.

Source of the format: Mathias et al., "Findings of the WOAH 5 Shared Task on Fine Grained Hateful Memes Detection"
(2021), facebookresearch/fine_grained_hateful_memes: JSON lines, though the files are called ``.json``, of ``{"id",
"set_name", "img", "text", "gold_hate", "gold_pc", "gold_attack", "pc", "attack"}``. The gold lists are the majority of
up to three annotators, whose own lists stand in ``pc`` and ``attack`` (the string ``"None"`` where there are none).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mrharm.errors import DataError
from mrharm.memes.dataset import Imported, ImporterInfo, ImportOptions
from mrharm.memes.labels import LabelScheme
from mrharm.memes.rows import need_folder
from mrharm.memes.sources.fhm import LICENCE, SPLITS, take_fhm
from mrharm.records import Label

LAYOUT = (
    "a folder with train.json, dev_seen.json and dev_unseen.json (or data/annotations/ with them; JSON lines despite "
    "the suffix); pictures in img/, or none at all"
)
ABOUT = ImporterInfo(
    "Hateful Memes, fine-grained: protected categories and attack types (WOAH 5, 2021)",
    LICENCE,
    "annotations: github.com/facebookresearch/fine_grained_hateful_memes; pictures: with Hateful Memes, from Meta AI",
    LAYOUT,
)
FILES = {f"{split}.json": split for split in SPLITS if split not in ("dev", "test")}
FOLDERS = ("annotations", "data/annotations")

HATE = ("hateful", "not_hateful")
CATEGORIES = ("race", "religion", "nationality", "sex", "disability")
ATTACKS = ("contempt", "mocking", "inferiority", "slurs", "exclusion", "dehumanizing", "inciting_violence")
NO_CATEGORY, NO_ATTACK = "pc_empty", "attack_empty"


def import_fine_grained(source: Path | None, folder: Path, options: ImportOptions) -> Imported:
    """Fine-grained Hateful Memes; the splits share memes as those of `hateful_memes` do.

    The annotators' own lists are kept in ``extra["pc"]`` and ``extra["attack"]``.

    Raises:
        InputError: ``source`` is no folder with one of the files.
        DataError: a file is not JSON lines.
    """
    root = need_folder(source, LAYOUT)
    imported = Imported(name="fhm-fine-grained", licence=LICENCE, label_scheme=SCHEME.about, memes=[])
    take_fhm(imported, root, FILES, SCHEME, layout=LAYOUT, folders=FOLDERS)
    imported.options["label_version"] = "fine-grained"
    return imported


def _words(values: Mapping[str, Any], column: str, words: tuple[str, ...]) -> tuple[str, ...]:
    given = values.get(column)
    if given is None:
        return ()
    if not isinstance(given, list) or any(word not in words for word in given):
        raise DataError(f"{column}: expected a list of {', '.join(words)}; got {str(given)[:60]!r}")
    return tuple(dict.fromkeys(given))


def _read(values: Mapping[str, Any]) -> Label | None:
    hate = _words(values, "gold_hate", HATE)
    categories = _words(values, "gold_pc", (*CATEGORIES, NO_CATEGORY))
    attacks = _words(values, "gold_attack", (*ATTACKS, NO_ATTACK))
    if not hate:
        return None
    if len(hate) > 1:
        raise DataError(f"gold_hate: expected {' or '.join(HATE)}, got both")
    return Label(
        harmful=hate[0] == "hateful",
        protected_categories=tuple(word for word in categories if word != NO_CATEGORY),
        attack_types=tuple(word for word in attacks if word != NO_ATTACK),
    )


def _write(label: Label) -> dict[str, Any]:
    return {
        "gold_hate": [HATE[not label.harmful]],
        "gold_pc": list(label.protected_categories) or [NO_CATEGORY],
        "gold_attack": list(label.attack_types) or [NO_ATTACK],
    }


SCHEME = LabelScheme(
    about="gold_hate: hateful (harmful) or not; gold_pc: protected categories; gold_attack: attack types",
    columns=("gold_hate", "gold_pc", "gold_attack"),
    read=_read,
    write=_write,
)
