from __future__ import annotations

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from mrharm.images import image_sha256
from mrharm.memes import fingerprints
from mrharm.memes.fingerprints import (
    NEAR,
    PLAIN_SPREAD,
    THUMBNAIL_SIDE,
    PictureFacts,
    find_near_pairs,
    fingerprint_picture,
)
from tests.audit.helpers import paint


def test_a_pictures_facts_are_those_of_its_file(tmp_path: Path) -> None:
    paint(tmp_path / "red.png", "red", (200, 100))
    facts = fingerprint_picture(tmp_path, "red.png", "k")
    assert (facts.width, facts.height, facts.ratio, facts.container) == (200, 100, 2.0, "PNG")
    assert facts.bytes == (tmp_path / "red.png").stat().st_size
    assert facts.sha256 == image_sha256(tmp_path / "red.png")
    assert facts.spread == 0
    assert facts.failure is None
    assert np.array_equal(
        facts.pixels.reshape(THUMBNAIL_SIDE, THUMBNAIL_SIDE, 3),
        np.full((THUMBNAIL_SIDE, THUMBNAIL_SIDE, 3), [1, 0, 0]),
    )


def test_every_pair_is_compared_however_many_rows_are_compared_at_a_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rng = np.random.default_rng(0)
    base = [int(value) for value in rng.integers(0, 2**63, 4)]
    hashes = [value ^ int(flips) for value in base for flips in (0, 0b111, 2**40 + 0b111000, 2**63 + 0xFF0)]
    hashes = [hashes[index] for index in rng.permutation(len(hashes))]
    near = {
        (first, second)
        for first, second in combinations(range(len(hashes)), 2)
        if (hashes[first] ^ hashes[second]).bit_count() <= NEAR
    }
    assert 4 < len(near) < 40
    facts = [PictureFacts(key="k", place="p", spread=50.0, phash=f"{value:016x}") for value in hashes]
    for rows in (1, 3, 512):
        monkeypatch.setattr(fingerprints, "_ROWS_AT_ONCE", rows)
        assert set(find_near_pairs(facts, NEAR)) == near


def test_plain_and_missing_pictures_are_near_to_none() -> None:
    plain = PictureFacts(key="k", place="p", spread=PLAIN_SPREAD - 0.1, phash="0" * 16)
    assert find_near_pairs([plain, plain, None, PictureFacts(key="k", place="p", failure="broken")], 64) == []
