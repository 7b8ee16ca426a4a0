"""Fingerprints of picture files: size, spread, perceptual hash, thumbnail; and which pictures are nearly the same."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mrharm.errors import DataError, ImageError
from mrharm.images import decode, place_in, read_image_bytes, sniff
from mrharm.memes.pictures import check_inside
from mrharm.records import Record
from mrharm.store import sha256_bytes

# Bits of 64 by which two perceptual hashes may differ; measured on generated memes (docs/log.md): re-encoded, rescaled
# and blurred copies stay within NEAR, most of those cropped by 2 % within TEMPLATE, unrelated pictures within neither.
NEAR, TEMPLATE = 6, 8
PLAIN_SPREAD = 4.0  # grey values' standard deviation below which a picture is nearly of one colour
THUMBNAIL_SIDE = 32  # pixels
_ROWS_AT_ONCE = 512  # hashes compared with all others in one step


class PictureFacts(Record):
    """The fingerprint of one picture file.

    Attributes:
        key: content key of the file's place, size and time.
        place: path relative to the dataset folder.
        sha256: of the file's bytes; None where it could not be opened, like all that follows.
        bytes: size of the file.
        container: file format, ``PNG`` or ``JPEG``, say.
        width: in pixels.
        height: in pixels.
        spread: standard deviation of the grey values, 0 to 127.5.
        phash: 64-bit perceptual hash in hex.
        thumbnail: 32 x 32 RGB bytes, base64.
        failure: why the picture could not be opened.
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
        """The thumbnail as numbers, 0 to 1. *Shape:* (32 * 32 * 3,)"""
        raw = np.frombuffer(base64.b64decode(self.thumbnail or ""), dtype=np.uint8)
        return raw.astype(np.float32) / np.float32(255)

    @property
    def ratio(self) -> float:
        """The longer side over the shorter one."""
        return max(self.width, self.height) / max(1, min(self.width, self.height))


def fingerprint_picture(root: Path, place: str, key: str) -> PictureFacts:
    """Return the fingerprint of the picture at ``root / place``; one that does not open has a ``failure`` instead."""
    # Only processes that open pictures pay for these imports.
    import imagehash
    from PIL import Image, ImageStat

    try:
        check_inside(place)
        # The place as written: that is where training opens it.
        data = read_image_bytes(place_in(root, place))
        image = decode(data, place)
    except (ImageError, DataError) as error:
        return PictureFacts(key=key, place=place, failure=str(error).replace(f"{root}/", ""))
    thumbnail = image.resize((THUMBNAIL_SIDE, THUMBNAIL_SIDE), Image.Resampling.BOX)
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
        thumbnail=base64.b64encode(thumbnail.tobytes()).decode("ascii"),
    )


def find_near_pairs(facts: Sequence[PictureFacts | None], bits: int) -> list[tuple[int, int]]:
    """Return the index pairs of pictures whose perceptual hashes differ by at most ``bits`` bits.

    A nearly plain picture is in no pair: its hash tells nothing about it.
    """
    hashed = [
        (index, int(picture.phash, 16))
        for index, picture in enumerate(facts)
        if picture and picture.phash and picture.spread >= PLAIN_SPREAD
    ]
    indexes = np.array([index for index, _ in hashed], dtype=np.int64)
    hashes = np.array([value for _, value in hashed], dtype=np.uint64)
    pairs: list[tuple[int, int]] = []
    # Every pair is compared, some rows at a time: 10,000 pictures take about a second, 100,000 two minutes.
    for start in range(0, len(hashes), _ROWS_AT_ONCE):
        rows = hashes[start : start + _ROWS_AT_ONCE]
        differing = np.bitwise_count(rows[:, None] ^ hashes[None, start:])
        first, second = np.nonzero(differing <= bits)
        once = second > first
        pairs += zip(
            indexes[start + first[once]].tolist(), indexes[start + second[once]].tolist(), strict=True
        )
    return pairs
