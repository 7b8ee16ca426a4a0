"""Captions and rationales that others recorded and left beside the annotations, as JSON or as pickles.

The shapes are those of the Mr.Harm package (HKBUNLP/Mr.Harm-EMNLP2023): ``harmc_rationale.json`` is ``{id: text}``,
``captions.pkl`` a pickled ``{picture name without its extension: text}``. Lists of texts, lists of objects and names
with the extension on them come from others' copies.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from mrharm.errors import DataError, InputError
from mrharm.images import SUFFIXES
from mrharm.memes.dataset import Imported
from mrharm.memes.pickles import read_pickle
from mrharm.memes.rows import STAGE, read_bytes
from mrharm.records import Evidence, Failure, Rationale, parse_json

CAPTION, RATIONALE = "caption", "rationale"
# What `mrharm import --list` says beside the layout of an importer that calls `take_recorded`.
ALSO = "; captions.json, *_rationale.json, *.pkl and *.pickle ({id: text}) are taken in as captions and rationales"

_NAME = re.compile(r"(?:.*[_-])?(caption|rationale)s?_?", re.IGNORECASE)
_PICKLES = (".pkl", ".pickle")
_IDS = ("id", "image", "img")


def take_recorded(
    root: Path, folders: Iterable[Path], imported: Imported, pictures: Mapping[str, str]
) -> None:
    """Add the captions and rationales that lie in ``folders`` to ``imported``'s memes, copies included.

    Several files of a kind are merged. What cannot be used becomes a failure or a note.

    Args:
        root: the source folder; files are named relative to it.
        folders: where to look, not below.
        imported: its memes are looked up; its evidence and rationales are set.
        pictures: meme id -> the picture's name in the source, which a file may use in place of the id.

    Raises:
        DataError: a file is not what its name says, or a pickle holds more than plain values.
        InputError: two files say different things of one meme.
    """
    texts: dict[str, dict[str, str]] = {CAPTION: {}, RATIONALE: {}}
    from_file: dict[tuple[str, str], str] = {}
    ids = _ids(imported, pictures)
    for path, kind in _find(root, folders, imported):
        file = path.relative_to(root).as_posix()
        imported.sources[file] = path
        for meme_id, text in _texts_of(path, file, kind, ids, imported):
            before = texts[kind].get(meme_id)
            if before and text and before != text:
                other = from_file[kind, meme_id]
                raise InputError(
                    f"{root}: {other} and {file} give {meme_id!r} different {kind}s; keep one of the two files"
                )
            if not before:
                texts[kind][meme_id] = text
                from_file[kind, meme_id] = file
    _set_evidence(imported, texts[CAPTION])
    _set_rationales(imported, texts[RATIONALE])


def _find(root: Path, folders: Iterable[Path], imported: Imported) -> Iterator[tuple[Path, str]]:
    for folder in folders:
        for path in sorted(folder.iterdir()):
            is_pickle = path.suffix.lower() in _PICKLES
            if path.name.startswith(".") or not path.is_file():
                continue
            if not (is_pickle or path.suffix.lower() == ".json"):
                continue
            match = _NAME.fullmatch(path.stem)
            if match:
                yield path, match[1].lower()
            elif is_pickle:
                name = path.relative_to(root).as_posix()
                imported.notes.append(
                    f"{name}: neither captions nor rationales by its name; it was left alone"
                )


def _ids(imported: Imported, pictures: Mapping[str, str]) -> dict[str, list[str]]:
    """What a file may call a meme -> the ids it has here: its own and its copies'."""
    ids: dict[str, list[str]] = defaultdict(list)
    for meme in imported.memes:
        for name in {str(meme.extra.get("copy_of", meme.id)), _stem(pictures.get(meme.id, ""))} - {""}:
            ids[name].append(meme.id)
    return ids


def _stem(name: str) -> str:
    """The name of a picture without folders and extension."""
    last = PurePosixPath(name.replace("\\", "/")).name
    suffix = next((suffix for suffix in SUFFIXES if last.lower().endswith(suffix)), "")
    return last[: len(last) - len(suffix)]


def _texts_of(
    path: Path, file: str, kind: str, ids: Mapping[str, list[str]], imported: Imported
) -> Iterator[tuple[str, str]]:
    """(meme id, text) of a file, for each meme it speaks of."""
    strangers = several = 0
    given: dict[str, str] = {}
    for key, value in _entries(path, kind):
        called = key if key in ids else _stem(key)
        text = _text(value)
        if text is None:
            reason = f"expected a text, got {str(value)[:60]}"
        elif called not in ids:
            strangers += 1
            continue
        elif given.setdefault(ids[called][0], text) != text:
            reason = f"{ids[called][0]!r} has another {kind} in this file already"
        else:
            several += isinstance(value, list | tuple) and len(value) > 1
            yield from ((meme_id, text) for meme_id in ids[called])
            continue
        imported.failures.append(Failure(item=key, stage=STAGE, reason=reason, file=file))
    if strangers:
        imported.notes.append(f"{file}: {strangers:,} entries are of no meme here and were left alone")
    if several:
        imported.notes.append(f"{file}: {several:,} memes have several texts each; the first was taken")


def _text(value: Any) -> str | None:
    """A text, or the first that is not blank of a list of texts, stripped; None where it is neither."""
    texts = value if isinstance(value, list | tuple) else [value]
    if not all(isinstance(text, str) for text in texts):
        return None
    return next((text.strip() for text in texts if text.strip()), "")


def _entries(path: Path, kind: str) -> Iterator[tuple[str, Any]]:
    """(key, value) of a file, be it one object or a list of them."""
    entries = read_pickle(path) if path.suffix.lower() in _PICKLES else _read_json(path)
    if isinstance(entries, dict):
        yield from ((str(key).strip(), value) for key, value in entries.items())
        return
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        came = "a list of other things" if isinstance(entries, list) else f"a {type(entries).__name__}"
        raise DataError(
            f"{path}: expected {{id: {kind}}} or a list of objects with id and {kind}, got {came}"
        )
    for number, entry in enumerate(entries, 1):
        key = next((entry[name] for name in _IDS if entry.get(name) is not None), f"{path.name}:{number}")
        yield (
            str(key).strip(),
            next((entry[name] for name in (kind, f"{kind}s", "text") if name in entry), None),
        )


def _read_json(path: Path) -> Any:
    try:
        return parse_json(read_bytes(path).decode("utf-8-sig"))
    except ValueError as error:
        raise DataError(
            f"{path}: not JSON in UTF-8 ({error}); mend it, or move it away to import without"
        ) from None


def _set_evidence(imported: Imported, captions: Mapping[str, str]) -> None:
    imported.evidence = [
        Evidence(meme_id=meme_id, caption=caption, made_by={"caption": "ClipCap"})
        for meme_id, caption in captions.items()
        if caption
    ]


def _set_rationales(imported: Imported, texts: Mapping[str, str]) -> None:
    labels = {meme.id: meme.label for meme in imported.memes}
    imported.rationales = [
        Rationale(
            meme_id=meme_id,
            label_given=labels[meme_id],
            text=text,
            status="unchecked" if text else "empty",
            teacher="recorded",
        )
        for meme_id, text in texts.items()
    ]
