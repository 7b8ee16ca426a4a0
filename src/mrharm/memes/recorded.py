"""Read captions and rationales recorded elsewhere and left beside the annotations, as JSON or as pickles.

The shapes are those of the Mr.Harm package (HKBUNLP/Mr.Harm-EMNLP2023): ``harmc_rationale.json`` is ``{id: text}``,
``captions.pkl`` a pickled ``{picture name without its extension: text}``. Lists of texts, lists of objects and names
with the extension on them come from copies of it.
"""

from __future__ import annotations

import io
import json
import pickle
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn

from mrharm.errors import DataError, InputError
from mrharm.memes.dataset import Imported
from mrharm.memes.pictures import picture_stem
from mrharm.memes.rows import STAGE, read_bytes
from mrharm.records import Evidence, Failure, Rationale, parse_json

CAPTION, RATIONALE = "caption", "rationale"
MOST_VALUES = 5_000_000  # of a pickle; a million memes with four texts each
# What `mrharm import --list` says after the layout of an importer that calls `add_recorded`.
ALSO = "; captions.json, *_rationale.json, *.pkl and *.pickle ({id: text}) are taken in as captions and rationales"

_NAME = re.compile(r"(?:.*[_-])?(caption|rationale)s?_?", re.IGNORECASE)
_PICKLES = (".pkl", ".pickle")
_IDS = ("id", "image", "img")


def add_recorded(
    root: Path, folders: Iterable[Path], imported: Imported, pictures: Mapping[str, str]
) -> None:
    """Add the captions and rationales in ``folders`` to ``imported``'s memes, copies included.

    Several files of a kind are merged. What cannot be used becomes a failure or a note.

    Args:
        root: the source folder; files are named relative to it.
        folders: where to look, not below.
        imported: its memes are looked up; its evidence and rationales are set.
        pictures: meme id -> the picture's name in the source, which a file may use in place of the id.

    Raises:
        DataError: a file is not what its name says, or a pickle holds more than plain values.
        InputError: two files give a meme different texts.
    """
    texts: dict[str, dict[str, str]] = {CAPTION: {}, RATIONALE: {}}
    from_file: dict[tuple[str, str], str] = {}
    # What a file may call a meme -> the ids it has here: its id and its copies'.
    ids: dict[str, list[str]] = defaultdict(list)
    for meme in imported.memes:
        for name in {str(meme.extra.get("copy_of", meme.id)), picture_stem(pictures.get(meme.id, ""))} - {""}:
            ids[name].append(meme.id)
    for path, kind in _find_files(root, folders, imported):
        file = path.relative_to(root).as_posix()
        imported.sources[file] = path
        for meme_id, text in _read_texts(path, file, kind, ids, imported):
            earlier = texts[kind].get(meme_id)
            if earlier and text and earlier != text:
                raise InputError(
                    f"{root}: {from_file[kind, meme_id]} and {file} give {meme_id!r} different {kind}s; keep one of "
                    "the two files"
                )
            if not earlier:
                texts[kind][meme_id] = text
                from_file[kind, meme_id] = file
    imported.evidence = [
        Evidence(meme_id=meme_id, caption=caption, made_by={"caption": "ClipCap"})
        for meme_id, caption in texts[CAPTION].items()
        if caption
    ]
    labels = {meme.id: meme.label for meme in imported.memes}
    imported.rationales = [
        Rationale(
            meme_id=meme_id,
            label_given=labels[meme_id],
            text=text,
            status="unchecked" if text else "empty",
            teacher="recorded",
        )
        for meme_id, text in texts[RATIONALE].items()
    ]


def _find_files(root: Path, folders: Iterable[Path], imported: Imported) -> Iterator[tuple[Path, str]]:
    """Yield each file of recorded texts and its kind; a pickle of something else is noted."""
    for folder in folders:
        for path in sorted(folder.iterdir()):
            suffix = path.suffix.lower()
            if suffix not in (*_PICKLES, ".json") or path.name.startswith(".") or not path.is_file():
                continue
            if match := _NAME.fullmatch(path.stem):
                yield path, match[1].lower()
            elif suffix != ".json":
                name = path.relative_to(root).as_posix()
                imported.notes.append(
                    f"{name}: its name says neither captions nor rationales; it was skipped"
                )


def _read_texts(
    path: Path, file: str, kind: str, ids: Mapping[str, list[str]], imported: Imported
) -> Iterator[tuple[str, str]]:
    """Yield (meme id, text) for each meme that a file has a text of; entries of no use become failures and notes."""
    unknown = several = 0
    texts: dict[str, str] = {}
    for key, value in _read_entries(path, kind):
        name = key if key in ids else picture_stem(key)
        text = _first_text(value)
        if text is None:
            reason = f"expected a text, got {str(value)[:60]}"
        elif name not in ids:
            unknown += 1
            continue
        elif texts.setdefault(ids[name][0], text) != text:
            reason = f"{ids[name][0]!r} has another {kind} in this file already"
        else:
            several += isinstance(value, list) and len(value) > 1
            yield from ((meme_id, text) for meme_id in ids[name])
            continue
        imported.failures.append(Failure(item=key, stage=STAGE, reason=reason, file=file))
    if unknown:
        imported.notes.append(f"{file}: {unknown:,} entries match no meme here and were skipped")
    if several:
        imported.notes.append(f"{file}: {several:,} memes have several texts each; the first was taken")


def _first_text(value: Any) -> str | None:
    """Return a text, or the first that is not blank of a list of texts, stripped; None where it is neither."""
    texts = value if isinstance(value, list) else [value]
    if not all(isinstance(text, str) for text in texts):
        return None
    return next((text.strip() for text in texts if text.strip()), "")


def _read_entries(path: Path, kind: str) -> Iterator[tuple[str, Any]]:
    """Yield (key, value) of a file, be it one object or a list of them."""
    try:
        is_pickle = path.suffix.lower() in _PICKLES
        entries = read_pickle(path) if is_pickle else parse_json(read_bytes(path).decode("utf-8-sig"))
    except ValueError as error:
        raise DataError(
            f"{path}: not JSON in UTF-8 ({error}); mend it, or move it away to import without"
        ) from None
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
        value = next((entry[name] for name in (kind, f"{kind}s", "text") if name in entry), None)
        yield str(key).strip(), value


class _PlainUnpickler(pickle._Unpickler):
    """An unpickler that loads nothing by name; the one written in Python, whose memo no index can make huge."""

    def find_class(self, module: str, name: str) -> NoReturn:
        raise pickle.UnpicklingError(f"it wants to load '{module}.{name}'")


def _check_size(value: Any) -> None:
    """Refuse what unfolds without end: a few bytes can name a list within itself, or one list a billion times."""
    waiting, count = [value], 0
    while waiting:
        item = waiting.pop()
        count += 1
        if count > MOST_VALUES:
            raise pickle.UnpicklingError(f"it unfolds to more than {MOST_VALUES:,} values")
        if isinstance(item, list | tuple | dict):
            waiting += item.values() if isinstance(item, dict) else item


def read_pickle(path: Path) -> Any:
    """Read a pickle of plain values: dictionaries, lists, texts, numbers, true, false and None.

    A pickle is a program, and published packages hand theirs out for download, so nothing is loaded by name.

    Raises:
        DataError: the file cannot be read, is cut short or no pickle, or wants to load anything that is not
            plain (which is named).
    """
    data = read_bytes(path)
    try:
        value = _PlainUnpickler(io.BytesIO(data), encoding="utf-8").load()
        _check_size(value)
        # What JSON cannot hold is not plain, and half of a surrogate pair could never be written.
        return parse_json(json.dumps(value))
    except Exception as error:  # on hostile bytes the unpickler raises a dozen kinds
        reason = str(error).partition("\n")[0] or "it is empty or cut short"
        raise DataError(
            f"{path}: not a pickle of plain values ({reason[:160]}); nothing was run; ask "
            "its author for a JSON file of {id: text}, or move it away to import without"
        ) from None
