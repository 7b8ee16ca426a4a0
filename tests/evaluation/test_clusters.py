from __future__ import annotations

from pathlib import Path

from mrharm.evaluation.clusters import cluster_ids, join_by_keys
from mrharm.records import Evidence, Label, Meme
from tests.evaluation.runs import predictions


def test_what_shares_a_key_through_others_is_one_cluster() -> None:
    numbers = join_by_keys([["a"], ["b"], ["a", "c"], ["c"], [], []])
    assert numbers[0] == numbers[2] == numbers[3]
    assert len({numbers[0], numbers[1], numbers[4], numbers[5]}) == 4


def test_the_same_words_quad_or_picture_make_memes_one_and_a_placeholder_does_not(tmp_path: Path) -> None:
    texts = ["You  there", "you there", *(f"you {n}" for n in range(38))]
    memes = [
        Meme(
            id=str(n),
            text=text,
            label=Label(harmful=n % 2 == 1),
            split="test",
            extra={"truth": {"quad": 7}} if 4 <= n < 8 else {},
        )
        for n, text in enumerate(texts)
    ]
    pictures = ["p", "q", "q", "r"] + ["placeholder"] * 36
    seen = [
        Evidence(meme_id=one.id, image_sha256=picture) for one, picture in zip(memes, pictures, strict=True)
    ]
    found = cluster_ids(memes, seen).tolist()
    judged = predictions(tmp_path / "d", memes, [True] * 40, evidence=seen)
    assert judged.clusters.tolist() == found
    assert found[0] == found[1] == found[2] != found[3]  # by their words, and by a picture
    assert len(set(found[4:8])) == 1
    assert len(set(found[8:])) == 32
