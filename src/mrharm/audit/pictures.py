"""Pictures: fingerprint every one, and find those that are missing, changed, extreme or blank.

Fingerprints are kept in ``audit/pictures.jsonl`` in the dataset folder: a second audit opens new and changed ones only.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

from mrharm.audit.findings import Example, Finding, Level, make_finding, report_cases
from mrharm.audit.reading import Contents, Item
from mrharm.errors import DataError
from mrharm.memes.fingerprints import PLAIN_SPREAD, PictureFacts, fingerprint_picture
from mrharm.memes.pictures import check_inside
from mrharm.progress import Progress, counting
from mrharm.records import read_records
from mrharm.store import JsonlStore, content_key
from mrharm.workers import map_items

FINGERPRINTS = "audit/pictures.jsonl"
LONGEST_RATIO, SHORTEST_SIDE = 4.0, 64
MANY_MISSING = 0.01  # of the pictures; beyond, the dataset is not what it says it is
_VERSION = 1  # of the fingerprints kept
_FEW = 64  # pictures that are fingerprinted faster than processes start


def fingerprint_pictures(contents: Contents, *, workers: int, progress: Progress) -> dict[str, PictureFacts]:
    """Return place (relative to the dataset folder) -> fingerprint, for every picture and every clean picture."""
    root = contents.dataset.root
    keys = {place: _make_key(root, place) for item in contents.items for place in item.picture_places}
    store, earlier = _open_store(root / FINGERPRINTS) if keys else (None, {})
    facts = {place: earlier[key] for place, key in keys.items() if key in earlier}
    todo = [(place, key) for place, key in keys.items() if place not in facts]
    if not todo:
        return facts
    with counting(progress, "looking at pictures", len(todo)) as advance:
        results = map_items(partial(_fingerprint, root), todo, workers if len(todo) > _FEW else 1)
        for (place, key), result in results:
            if isinstance(result, Exception):  # its process died of it
                result = PictureFacts(key=key, place=place, failure=str(result))
            facts[place] = result
            if store is not None and not result.failure:
                # A disk that is full makes the next audit slower, and stops none.
                with contextlib.suppress(OSError):
                    store.append(result)
            advance()
    return facts


def _fingerprint(root: Path, place_and_key: tuple[str, str]) -> PictureFacts:
    return fingerprint_picture(root, *place_and_key)


def _open_store(path: Path) -> tuple[JsonlStore[PictureFacts] | None, dict[str, PictureFacts]]:
    """Open the store of fingerprints and read those of earlier audits; no store where it cannot be written."""
    try:
        try:
            store = JsonlStore(path, PictureFacts, "key")
        except (DataError, ValueError):  # of another version, or spoilt: it can be made again
            path.unlink()
            store = JsonlStore(path, PictureFacts, "key")
        path.touch()
    except OSError:
        return None, {}
    return store, {row.key: row for row in read_records(path, PictureFacts)}


def list_posted(items: Sequence[Item], facts: Mapping[str, PictureFacts]) -> list[PictureFacts]:
    """Return the fingerprint of each item's picture; one with a failure where it has none."""
    unknown = PictureFacts(key="", place="", failure="no picture")
    return [facts.get(item.meme.image or "", unknown) for item in items]


def _make_key(root: Path, place: str) -> str:
    try:
        check_inside(place)
        status = (root / place).stat()
        return content_key(_VERSION, place, status.st_size, status.st_mtime_ns)
    except (OSError, ValueError, DataError):
        return content_key(_VERSION, place, "missing")


# Code, the rank of the worst first, and the rank from which a picture is no case any more.
_EXTREMES: tuple[tuple[str, Callable[[PictureFacts], float], float], ...] = (
    ("picture-long", lambda picture: -picture.ratio, -LONGEST_RATIO),
    ("picture-small", lambda picture: min(picture.width, picture.height), SHORTEST_SIDE),
    ("picture-blank", lambda picture: picture.spread, PLAIN_SPREAD),
)


def audit_pictures(contents: Contents, facts: Mapping[str, PictureFacts]) -> Iterator[Finding]:
    """Find pictures that are missing or broken, changed since the import, extreme or blank."""
    pictured = [(item, facts[item.meme.image]) for item in contents.items if item.meme.image]
    if not pictured:
        yield make_finding("no-pictures", count=0, of=len(contents.items))
        return
    broken = [
        Example(memes=(item.id,), what=picture.failure) for item, picture in pictured if picture.failure
    ]
    level: Level = "error" if len(broken) >= MANY_MISSING * len(pictured) else "warning"
    yield from report_cases("picture-unreadable", broken, len(pictured), level=level)
    readable = [(item, picture) for item, picture in pictured if not picture.failure]
    changed = [
        Example(memes=(item.id,), what=picture.place)
        for item, picture in readable
        if item.evidence and item.evidence.image_sha256 not in (None, picture.sha256)
    ]
    yield from report_cases("picture-changed", changed, len(readable))
    yield from _find_extreme(readable)
    without = [Example(memes=(item.id,), what=item.text) for item in contents.items if not item.meme.image]
    yield from report_cases("picture-none", without, len(contents.items))


def _find_extreme(pictured: Sequence[tuple[Item, PictureFacts]]) -> Iterator[Finding]:
    for code, rank, limit in _EXTREMES:
        ranked = sorted(pictured, key=lambda case: rank(case[1]))
        shown = [
            Example(memes=(item.id,), what=f"{picture.width}x{picture.height}")
            for item, picture in ranked
            if rank(picture) < limit
        ]
        yield from report_cases(code, shown, len(pictured), limit=abs(limit))
