"""HatReD: why the hateful memes of FHM are hateful, written by people, joined to FHM by id.

Source of the format: Hee et al., "Decoding the Underlying Meaning of Multimodal Hateful Memes" (IJCAI 2023),
Social-AI-Studio/HatReD: JSON lines of ``{"id", "img": "01235.png", "target": [...], "reasonings": [...]}``.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mrharm.errors import DataError, InputError
from mrharm.memes.annotations import already, read_files
from mrharm.memes.dataset import Imported, ImporterInfo, ImportOptions
from mrharm.memes.labels import AS_GIVEN, LabelScheme
from mrharm.memes.places import find_file
from mrharm.memes.rows import Row, json_rows, need_folder
from mrharm.memes.sources import fine_grained, hateful_memes
from mrharm.memes.sources.fhm import LICENCE, fhm_id, fhm_item
from mrharm.records import Label, Meme, Rationale

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


def with_targets(base: LabelScheme) -> LabelScheme:
    """FHM's labels with HatReD's ``target`` list beside them; its nulls and repeats name no further target."""

    def read(values: Mapping[str, Any]) -> Label | None:
        label = base.read(base.values(values))
        given = values.get("target") or []
        if not isinstance(given, list) or any(not isinstance(target, str | None) for target in given):
            raise DataError(f"target: expected a list of strings, got {str(given)[:60]!r}")
        targets = tuple(dict.fromkeys(target for target in given if target and target.strip()))
        return label and label.model_copy(update={"targets": targets})

    def write(label: Label) -> dict[str, Any]:
        return {**base.write(label), **({"target": list(label.targets)} if label.targets else {})}

    return LabelScheme(f"{base.about}; target: who is meant", (*base.columns, "target"), read, write)


SCHEME = with_targets(hateful_memes.SCHEME)


def import_hatred(source: Path | None, folder: Path, options: ImportOptions) -> Imported:
    """HatReD: FHM with people's reasons. Memes without one (those that are not hateful) stay as they are.

    All reasons of a meme are kept in ``extra["gold_rationales"]``; the first that is not blank is its `Rationale`.

    Raises:
        InputError: ``source`` is no folder with both HatReD's and FHM's files.
        DataError: a file is not JSON lines.
    """
    root = need_folder(source, LAYOUT)
    reasons = Imported(name="hatred", licence=ABOUT.licence, label_scheme="", memes=[])
    rows = read_files(reasons, root, dict.fromkeys(FILES), json_rows, layout=LAYOUT, folders=FOLDERS)
    imported, scheme = _fhm(root, folder, options)
    imported.name, imported.licence, imported.label_scheme = "hatred", ABOUT.licence, scheme.about
    imported.sources |= reasons.sources
    imported.failures += reasons.failures
    memes = {meme.id: meme.model_copy(update={"source": "hatred"}) for meme in imported.memes}
    rationales = {row.meme_id: row for row in imported.rationales}  # recorded ones; people's go before them
    first: dict[str, Row] = {}
    strangers = harmless = 0
    for row in rows:
        try:
            meme_id = fhm_id(row)
            if meme_id in first:
                raise already(meme_id, first[meme_id])
            first[meme_id] = row
            texts = _texts(row)
            if meme_id not in memes:
                strangers += 1
                continue
            memes[meme_id] = meme = _explained(memes[meme_id], row, texts, scheme)
        except DataError as error:
            imported.failures.append(row.failure(str(error), item=fhm_item(row)))
            continue
        harmless += meme.label is not None and not meme.label.harmful
        text = next(text.strip() for text in texts if text.strip())
        rationales[meme_id] = Rationale(meme_id=meme_id, label_given=meme.label, text=text, teacher="people")
    imported.memes, imported.rationales = list(memes.values()), list(rationales.values())
    if strangers:
        imported.notes.append(f"{strangers:,} reasons are of no meme in FHM's files here and were left alone")
    if harmless:
        version = imported.options["label_version"]
        imported.notes.append(
            f"{harmless:,} reasons say why a meme is hateful that FHM's labels ({version}) call not hateful"
        )
    return imported


def _fhm(root: Path, folder: Path, options: ImportOptions) -> tuple[Imported, LabelScheme]:
    """FHM's memes, from the first folder with one of its files; its own labels go before the fine-grained ones."""
    below = sorted(path for path in root.iterdir() if path.is_dir())
    for kind, read in (
        (hateful_memes, hateful_memes.import_hateful_memes),
        (fine_grained, fine_grained.import_fine_grained),
    ):
        for place in (root, *below):
            if any(find_file(place, name, kind.FOLDERS) for name in kind.FILES):
                return read(place, folder, options), with_targets(kind.SCHEME)
    raise InputError(
        f"{root}: HatReD's reasons are here, but none of FHM's files ({', '.join(hateful_memes.FILES)}); get Hateful "
        "Memes from Meta AI and put its files and img/ beside the reasons, or in a subfolder"
    )


def _texts(row: Row) -> list[str]:
    """A row's reasons as they came; raises DataError where not one of them says something."""
    given = row.values.get("reasonings")
    if not isinstance(given, list) or any(not isinstance(text, str | None) for text in given):
        raise DataError(f"reasonings: expected a list of strings, got {str(given)[:60]!r}")
    texts = [text or "" for text in given]
    if not any(text.strip() for text in texts):
        raise DataError("reasonings: empty; every row says why its meme is hateful")
    return texts


def _explained(meme: Meme, row: Row, texts: list[str], scheme: LabelScheme) -> Meme:
    known = ("id", "img", "target", "reasonings")
    others = {key: value for key, value in row.values.items() if key not in known}
    extra = {key: value for key, value in meme.extra.items() if key != AS_GIVEN}
    targets = {key: value for key, value in row.values.items() if key == "target"}
    label, kept = scheme.take({**(scheme.give(meme) or {}), **targets})
    return meme.model_copy(
        update={"label": label, "extra": {**others, **extra, **kept, "gold_rationales": texts}}
    )
