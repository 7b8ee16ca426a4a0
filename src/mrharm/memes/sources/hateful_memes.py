"""Hateful Memes (FHM), both phases of the challenge, each split under its own name.

Source of the format: Kiela et al., "The Hateful Memes Challenge" (NeurIPS 2020): JSON lines of
``{"id", "img": "img/01235.png", "label": 0 or 1, "text"}``, no label in the tests that were handed out unlabelled.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from mrharm.memes.dataset import Imported, ImporterInfo, ImportOptions
from mrharm.memes.labels import LabelScheme, flag
from mrharm.memes.recorded import ALSO, take_recorded
from mrharm.memes.rows import need_folder
from mrharm.memes.sources.fhm import LICENCE, SPLITS, take_fhm
from mrharm.records import Label

LAYOUT = (
    "a folder with train.jsonl and any of dev.jsonl, test.jsonl (phase 1), dev_seen.jsonl, dev_unseen.jsonl, "
    "test_seen.jsonl, test_unseen.jsonl (phase 2); pictures in img/, or none at all"
)
ABOUT = ImporterInfo(
    "Hateful Memes (FHM): 12,140 memes by Facebook AI, phases 1 and 2",
    LICENCE,
    "from Meta AI, after agreeing to its licence",
    LAYOUT + ALSO,
)
FILES = {f"{split}.jsonl": split for split in SPLITS}
FOLDERS = ()


def _read_label(values: Mapping[str, Any]) -> Label | None:
    """``label`` 0 or 1 -> Label, None where there is none; raises DataError for other values."""
    harmful = flag(values, "label")
    return None if harmful is None else Label(harmful=harmful)


SCHEME = LabelScheme(
    about="label: 1 hateful (harmful), 0 not",
    columns=("label",),
    read=_read_label,
    write=lambda label: {"label": int(label.harmful)},
)


def import_hateful_memes(source: Path | None, folder: Path, options: ImportOptions) -> Imported:
    """Hateful Memes.

    400 memes of ``dev_unseen`` are in ``dev_seen`` too: such a meme is one record, and belongs to both splits. A meme
    that train shares with another split, or whose two labels differ, is a failure that names both lines.

    Raises:
        InputError: ``source`` is no folder with one of the files.
        DataError: a file is not JSON lines, or a recorded one not what its name says.
    """
    root = need_folder(source, LAYOUT)
    imported = Imported(name="hateful-memes", licence=LICENCE, label_scheme=SCHEME.about, memes=[])
    take_fhm(imported, root, FILES, SCHEME, layout=LAYOUT)
    imported.options["label_version"] = _label_version(imported.sources)
    take_recorded(root, [root], imported, {})
    return imported


def _label_version(files: Iterable[str]) -> str:
    """Phases 1 and 2 label 823 train memes differently; only the files beside train tell which it is."""
    beside = {Path(name).stem for name in files}
    phases = [
        *(["phase 1"] if beside & {"dev", "test"} else []),
        *(["phase 2"] if any(split.endswith("seen") for split in beside) else []),
    ]
    return f"{' and '.join(phases)} files together" if len(phases) == 2 else (*phases, "unknown")[0]
