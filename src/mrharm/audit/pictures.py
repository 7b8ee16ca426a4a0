"""One look at every picture: does it open, how large is it, what does it look like from far.

Each is decoded once; what was seen is kept in ``audit/pictures.jsonl`` in the dataset folder, by file size and time, so
that a second audit, or one that was stopped, looks at new and changed pictures only.
"""

from __future__ import annotations

import base64
import multiprocessing
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import cached_property
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mrharm.audit.findings import Example, Finding, examples
from mrharm.audit.reading import Contents, Item
from mrharm.errors import DataError, ImageError
from mrharm.images import decode, read_image_bytes, sniff
from mrharm.memes.pictures import inside
from mrharm.progress import Progress, counting
from mrharm.records import Record, read_records
from mrharm.store import JsonlStore, content_key, sha256_bytes

SEEN = "audit/pictures.jsonl"
SIDE = 32  # pixels of the thumbnail a linear model looks at
LONGEST_RATIO, SHORTEST_SIDE, PLAIN_SPREAD = 4.0, 64, 4.0
MANY_MISSING = 0.01  # of the pictures; beyond, the dataset is not what it says it is
_VERSION = 1  # of what is kept of a picture
_FEW = 64  # pictures that are looked at faster than processes start


class PictureFacts(Record):
    """What an audit keeps of one picture file. ``phash``: 64-bit perceptual hash in hex; ``spread``: the grey values'
    standard deviation; ``thumbnail``: 32 x 32 RGB bytes, base64; ``failure``: why the picture could not be opened.
    """

    key: str
    place: str
    sha256: str | None = None
    bytes: int = 0
    container: str | None = None
    width: int = 0
    height: int = 0
    spread: float = 0.0
    phash: str | None = None
    thumbnail: str | None = None
    failure: str | None = None

    @cached_property
    def pixels(self) -> NDArray[np.float32]:
        """The thumbnail. *Shape:* (32 * 32 * 3,), 0 to 1."""
        raw = np.frombuffer(base64.b64decode(self.thumbnail or ""), dtype=np.uint8)
        return raw.astype(np.float32) / np.float32(255)

    @property
    def ratio(self) -> float:
        """The longer side over the shorter one."""
        return max(self.width, self.height) / max(1, min(self.width, self.height))


def look(root: Path, place: str, key: str) -> PictureFacts:
    """One picture's facts; a picture that does not open is a fact, too."""
    # Only children that look at pictures pay for these imports.
    import imagehash
    from PIL import Image, ImageStat

    try:
        inside(place)
        data = read_image_bytes(root / place)  # as it stands: that is where training opens it
        image = decode(data, place)
    except (ImageError, DataError) as error:
        return PictureFacts(key=key, place=place, failure=str(error).replace(f"{root}/", ""))
    small = image.resize((SIDE, SIDE), Image.Resampling.BOX)
    return PictureFacts(
        key=key,
        place=place,
        sha256=sha256_bytes(data),
        bytes=len(data),
        container=sniff(data),
        width=image.width,
        height=image.height,
        spread=round(ImageStat.Stat(image.convert("L")).stddev[0], 3),
        phash=str(imagehash.phash(image)),
        thumbnail=base64.b64encode(small.tobytes()).decode("ascii"),
    )


def look_at_all(contents: Contents, *, workers: int, progress: Progress) -> dict[str, PictureFacts]:
    """Place (relative to the dataset folder) -> facts, for every picture and every clean picture."""
    root = contents.dataset.root
    places = dict.fromkeys(place for item in contents.items for place in places_of(item))
    store, known = _open_store(root / SEEN) if places else (None, {})
    keys = {place: _key(root, place) for place in places}
    facts = {place: known[key] for place, key in keys.items() if key in known}
    todo = [(root, place, keys[place]) for place in places if place not in facts]
    if not todo:
        return facts
    with counting(progress, "looking at pictures", len(todo)) as advance:
        for found in _look_all(todo, workers):
            facts[found.place] = found
            if store is not None and not found.failure:
                try:
                    store.append(found)
                except OSError:  # a full disk: the audit goes on, and the next one looks again
                    store = None
            advance()
    return facts


def places_of(item: Item) -> list[str]:
    """Where a meme's picture, and its picture without text, lie."""
    clean = item.evidence.clean_image if item.evidence else None
    return [place for place in (item.meme.image, clean) if place]


def _open_store(path: Path) -> tuple[JsonlStore[PictureFacts] | None, dict[str, PictureFacts]]:
    """What was seen before, and where to keep more; no store where the folder may not be written."""
    try:
        try:
            store = JsonlStore(path, PictureFacts, "key")
        except (DataError, ValueError):  # of another version, or spoilt: it can be had again
            path.unlink()
            store = JsonlStore(path, PictureFacts, "key")
        path.touch()
    except OSError:
        return None, {}
    return store, {row.key: row for row in read_records(path, PictureFacts)}


def _key(root: Path, place: str) -> str:
    try:
        inside(place)
        status = (root / place).stat()
        return content_key(_VERSION, place, status.st_size, status.st_mtime_ns)
    except (OSError, ValueError, DataError):
        return content_key(_VERSION, place, "missing")


def _look_all(todo: list[tuple[Path, str, str]], workers: int) -> Iterator[PictureFacts]:
    if workers < 2 or len(todo) <= _FEW:
        for root, place, key in todo:
            yield look(root, place, key)
        return
    # "spawn": forking a process that holds threads (OpenMP, the progress bar's) can hang.
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        for chunk in _chunks(todo, 2048):  # bounded, so that a million pictures do not queue up
            yield from pool.map(look, *zip(*chunk, strict=True), chunksize=8)


def _chunks(rows: Iterable[tuple[Path, str, str]], size: int) -> Iterator[list[tuple[Path, str, str]]]:
    source = iter(rows)
    while chunk := list(islice(source, size)):
        yield chunk


def picture_findings(contents: Contents, facts: dict[str, PictureFacts]) -> list[Finding]:
    """Pictures that are missing or broken, changed since the import, extreme or blank."""
    items = [item for item in contents.items if item.meme.image]
    if not items:
        return [
            Finding(
                code="no-pictures",
                level="warning",
                message="no meme has a picture: this is a text dataset, whatever the harm is in the pictures",
                count=0,
                of=len(contents.items),
            )
        ]
    looks = {item.number: facts[item.meme.image] for item in items if item.meme.image}
    broken = [item for item in items if looks[item.number].failure]
    found = []
    if broken:
        many = len(broken) >= MANY_MISSING * len(items)
        found.append(
            Finding(
                code="picture-unreadable",
                level="error" if many else "warning",
                message=f"{len(broken):,} of {len(items):,} pictures are missing or do not open",
                count=len(broken),
                of=len(items),
                bars=("training", "publishing") if many else (),
                mend="bring the pictures back, or leave their memes out with --fix",
                examples=_cases(broken, lambda item: looks[item.number].failure or ""),
            )
        )
    whole = [item for item in items if not looks[item.number].failure]
    found += _changed(whole, looks)
    found += _extreme(whole, looks)
    without = [item for item in contents.items if not item.meme.image]
    if without:
        found.append(
            Finding(
                code="picture-none",
                level="warning",
                message=f"{len(without):,} of {len(contents.items):,} memes have no picture at all, others do",
                count=len(without),
                of=len(contents.items),
                examples=_cases(without, lambda item: item.text),
            )
        )
    return found


def _changed(items: list[Item], looks: dict[int, PictureFacts]) -> list[Finding]:
    changed = [
        item
        for item in items
        if item.evidence
        and item.evidence.image_sha256
        and item.evidence.image_sha256 != looks[item.number].sha256
    ]
    if not changed:
        return []
    return [
        Finding(
            code="picture-changed",
            level="error",
            message=f"{len(changed):,} of {len(items):,} pictures are not those that were imported (SHA-256 differs)",
            count=len(changed),
            of=len(items),
            bars=("training", "publishing"),
            mend="import again, or bring the pictures back",
            examples=_cases(changed, lambda item: item.meme.image or ""),
        )
    ]


def _extreme(items: list[Item], looks: dict[int, PictureFacts]) -> list[Finding]:
    kinds: list[tuple[str, str, Callable[[PictureFacts], bool], Callable[[PictureFacts], float]]] = [
        (
            "picture-long",
            f"more than {LONGEST_RATIO:g} times as long as wide, or the reverse",
            lambda facts: facts.ratio > LONGEST_RATIO,
            lambda facts: -facts.ratio,
        ),
        (
            "picture-small",
            f"less than {SHORTEST_SIDE} pixels on a side",
            lambda facts: min(facts.width, facts.height) < SHORTEST_SIDE,
            lambda facts: min(facts.width, facts.height),
        ),
        (
            "picture-blank",
            "of one colour, or nearly",
            lambda facts: facts.spread < PLAIN_SPREAD,
            lambda facts: facts.spread,
        ),
    ]
    found = []
    for code, what, is_so, rank in kinds:
        cases = sorted(
            (item for item in items if is_so(looks[item.number])),
            key=lambda item: rank(looks[item.number]),
        )
        if cases:
            found.append(
                Finding(
                    code=code,
                    level="note",
                    message=f"{len(cases):,} of {len(items):,} pictures are {what}",
                    count=len(cases),
                    of=len(items),
                    examples=_cases(
                        cases, lambda item: f"{looks[item.number].width}x{looks[item.number].height}"
                    ),
                )
            )
    return found


def _cases(items: list[Item], what: Callable[[Item], str]) -> tuple[Example, ...]:
    return examples(Example(memes=(item.id,), what=what(item)) for item in items)
