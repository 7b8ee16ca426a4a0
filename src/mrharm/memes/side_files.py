"""Read side files: captions and rationales published beside a dataset's annotations, as JSON or as pickles.

Mr.Harm's package (HKBUNLP/Mr.Harm-EMNLP2023) has ``harmc_rationale.json``, ``{id: text}``, and ``captions.pkl``.
"""

from __future__ import annotations

import io
import json
import pickle
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any, NoReturn

from mrharm.errors import DataError, InputError
from mrharm.memes.dataset import Imported
from mrharm.memes.pictures import picture_stem
from mrharm.memes.rows import STAGE, read_bytes
from mrharm.records import Evidence, Failure, Rationale, parse_json

CAPTION, RATIONALE = "caption", "rationale"
# Of a pickle, with one more for every 200 letters of a text; a million memes with two texts each.
MOST_VALUES = 5_000_000
# What `mrharm import --list` says after the layout of an importer that takes side files.
ALSO = "; captions.json, *_rationale.json, *.pkl and *.pickle ({id: text}) are taken in as captions and rationales"

_NAME = re.compile(r"(?:.*[_-])?(caption|rationale)s?_?", re.IGNORECASE)
_PICKLES = (".pkl", ".pickle")


def add_side_files(root: Path, folders: Iterable[Path], imported: Imported) -> None:
    """Add the captions and rationales in ``folders`` to ``imported``'s memes, copies included.

    A file may call a meme by its id, or by its picture's name with or without the extension. Several files of a kind
    are merged. What cannot be used becomes a failure or a note.

    Args:
        root: the source folder; files are named relative to it.
        folders: where to look, not below.
        imported: its memes are looked up; its evidence and rationales are set.

    Raises:
        DataError: a file is not what its name says, or a pickle holds more than plain values.
        InputError: a meme is given different texts.
    """
    # What a file may call a meme -> the ids it has here: its id and its copies'.
    ids: dict[str, list[str]] = defaultdict(list)
    for meme in imported.memes:
        picture = picture_stem(imported.picture_names.get(meme.id, ""))
        for name in {str(meme.extra.get("copy_of", meme.id)), picture} - {""}:
            ids[name].append(meme.id)

    # The texts of each kind, with the file each is from.
    texts: dict[str, dict[str, tuple[str, str]]] = {CAPTION: {}, RATIONALE: {}}
    for path, kind in _find_files(root, folders, imported):
        file = path.relative_to(root).as_posix()
        imported.sources[file] = path
        for meme_id, text in _read_texts(path, file, ids, imported):
            earlier, earlier_file = texts[kind].setdefault(meme_id, (text, file))
            if earlier and text and earlier != text:
                files = " and ".join(dict.fromkeys((earlier_file, file)))
                raise InputError(f"{root}: {files} give {meme_id!r} different {kind}s; keep one of them")
            texts[kind][meme_id] = (earlier or text, earlier_file)

    imported.evidence = [
        Evidence(meme_id=meme_id, caption=caption, made_by={"caption": "ClipCap"})
        for meme_id, (caption, _) in texts[CAPTION].items()
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
        for meme_id, (text, _) in texts[RATIONALE].items()
    ]


def _find_files(root: Path, folders: Iterable[Path], imported: Imported) -> Iterator[tuple[Path, str]]:
    """Yield each side file and its kind; a pickle of something else is noted."""
    for path in chain.from_iterable(sorted(folder.iterdir()) for folder in folders):
        suffix = path.suffix.lower()
        if suffix not in (*_PICKLES, ".json") or path.name.startswith(".") or not path.is_file():
            continue
        if match := _NAME.fullmatch(path.stem):
            yield path, match[1].lower()
        elif suffix != ".json":
            name = path.relative_to(root).as_posix()
            imported.notes.append(f"{name}: its name says neither captions nor rationales; it was skipped")


def _read_texts(
    path: Path, file: str, ids: Mapping[str, list[str]], imported: Imported
) -> Iterator[tuple[str, str]]:
    """Yield (meme id, text) for each meme that a file has a text of; entries of no use become failures or a note.

    Raises:
        DataError: the file is not one object, as JSON or as a pickle.
    """
    is_pickle = path.suffix.lower() in _PICKLES
    try:
        entries = read_pickle(path) if is_pickle else parse_json(read_bytes(path).decode("utf-8-sig"))
    except ValueError as error:
        raise DataError(
            f"{path}: not JSON in UTF-8 ({error}); mend it, or move it away to import without"
        ) from None
    if not isinstance(entries, dict):
        raise DataError(f"{path}: expected {{id: text}}, got a {type(entries).__name__}")
    unknown = 0
    for key, text in entries.items():
        name = key.strip() if key.strip() in ids else picture_stem(key.strip())
        if not isinstance(text, str):
            reason = f"expected a text, got {str(text)[:60]}"
            imported.failures.append(Failure(item=key, stage=STAGE, reason=reason, file=file))
        elif name in ids:
            yield from ((meme_id, text.strip()) for meme_id in ids[name])
        else:
            unknown += 1
    if unknown:
        imported.notes.append(f"{file}: {unknown:,} entries match no meme here and were skipped")


class _PlainUnpickler(pickle._Unpickler):
    """An unpickler that loads nothing by name; the one written in Python, whose memo no index can make huge."""

    def find_class(self, module: str, name: str) -> NoReturn:
        raise pickle.UnpicklingError(f"it wants to load '{module}.{name}'")


def _check_size(value: Any) -> None:
    """Refuse what unfolds without end: a few bytes can name a list within itself, or one list a billion times."""
    waiting, count = [value], 0
    while waiting:
        item = waiting.pop()
        size = len(item) if isinstance(item, str) else item.bit_length() if isinstance(item, int) else 0
        count += 1 + size // 200
        if count > MOST_VALUES:
            raise pickle.UnpicklingError(f"it unfolds to more than {MOST_VALUES:,} values")
        if isinstance(item, list | tuple | dict):
            waiting += chain(item, item.values()) if isinstance(item, dict) else item


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
