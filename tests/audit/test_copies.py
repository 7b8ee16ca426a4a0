from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from mrharm.audit.copies import Copies
from mrharm.records import Evidence, Meme
from tests.audit.helpers import copies_in, draw, meme, paint, write_dataset


def clusters(copies: Copies, kind: str = "meme") -> list[list[str]]:
    """The ids of each group of a kind."""
    return [[item.id for item in group] for group in copies.list_groups(kind)]


def of(folder: Path, memes: list[Meme], evidence: list[Evidence] | None = None) -> Copies:
    return copies_in(write_dataset(folder, memes, evidence or []))[2]


def test_rows_of_one_published_id_are_one_meme(tmp_path: Path) -> None:
    copies = of(tmp_path, [meme("a", "you"), meme("b", "me"), meme("a#2", "us", extra={"copy_of": "a"})])
    assert clusters(copies, "id") == clusters(copies) == [["a", "a#2"]]


def test_one_picture_byte_for_byte_is_one_meme_whatever_its_name_and_text(tmp_path: Path) -> None:
    data = draw(tmp_path / "a.png", 1).read_bytes()
    (tmp_path / "b.png").write_bytes(data)
    copies = of(tmp_path, [meme("a", "you", image="a.png"), meme("b", "me", image="b.png")])
    assert clusters(copies, "picture") == clusters(copies, "near_picture") == clusters(copies) == [["a", "b"]]
    assert clusters(copies, "text") == []


def save_again(folder: Path, way: str) -> None:
    """Save ``folder/a.png`` as ``folder/b.jpg``, as a repost would be."""
    image = Image.open(folder / "a.png")
    if way == "rescaled":
        image = image.resize((130, 130), Image.Resampling.LANCZOS)
    image.save(folder / "b.jpg", quality=60 if way == "re-encoded" else 90)


@pytest.mark.parametrize("way", ["re-encoded", "rescaled"])
def test_a_reposted_picture_with_most_of_its_words_is_one_meme(tmp_path: Path, way: str) -> None:
    draw(tmp_path / "a.png", 1, (300, 300))
    save_again(tmp_path, way)
    texts = ("You and the whole chess club", "you and the whole chess clvb")
    copies = of(
        tmp_path, [meme("a", texts[0], image="a.png"), meme("b", texts[1], image="b.jpg"), meme("c", "me")]
    )
    assert clusters(copies, "picture") == clusters(copies, "text") == []
    assert clusters(copies, "near_picture") == clusters(copies) == [["a", "b"]]


def test_other_words_over_a_near_same_picture_are_another_meme_on_one_template(tmp_path: Path) -> None:
    draw(tmp_path / "a.png", 1, (300, 300))
    save_again(tmp_path, "re-encoded")
    copies = of(
        tmp_path,
        [
            meme("a", "you and the chess club", image="a.png"),
            meme("b", "nobody likes mondays", image="b.jpg"),
        ],
    )
    assert clusters(copies) == []
    assert clusters(copies, "template") == [["a", "b"]]


def test_half_of_the_words_are_enough_and_less_is_not(tmp_path: Path) -> None:
    draw(tmp_path / "a.png", 1, (300, 300))
    save_again(tmp_path, "re-encoded")

    def group_with(text: str) -> list[list[str]]:
        return clusters(
            of(tmp_path, [meme("a", "one two three", image="a.png"), meme("b", text, image="b.jpg")])
        )

    assert group_with("one two four") == [["a", "b"]]  # 2 of 4
    assert group_with("one four five") == []  # 1 of 5
    assert group_with("") == [["a", "b"]]  # no words to tell them apart by


def test_a_template_is_seen_beneath_the_text(tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 2)):
        draw(tmp_path / f"{name}.png", seed)
        draw(tmp_path / f"clean/{name}.png", 3)
    copies = of(
        tmp_path,
        [meme("a", "you", image="a.png"), meme("b", "me", image="b.png")],
        [Evidence(meme_id=name, clean_image=f"clean/{name}.png") for name in ("a", "b")],
    )
    assert clusters(copies, "template") == [["a", "b"]]
    assert clusters(copies, "near_picture") == clusters(copies) == []


@pytest.mark.parametrize(
    ("memes", "kind", "groups"),
    [
        (
            [meme("a", "You  and\nthe CLUB"), meme("b", " you and the club"), meme("c", "you")],
            "meme",
            [["a", "b"]],
        ),
        ([meme("a", ""), meme("b", None), meme("c", "  ")], "text", []),
        ([meme("a", "you", image="a.png"), meme("b", "You")], "meme", [["a", "b"]]),
        ([meme("a", "you", image="a.png"), meme("b", "You", image="gone.png")], "meme", [["a", "b"]]),
        ([meme("a", "you", image="a.png"), meme("b", "you", image="b.png")], "text", [["a", "b"]]),
        ([meme("a", "you", image="a.png"), meme("b", "you", image="b.png")], "meme", []),
        # Copies of copies: by text, by id, by text again.
        (
            [meme("a", "you"), meme("b", "You"), meme("c", "me", extra={"copy_of": "b"}), meme("d", "ME")],
            "meme",
            [["a", "b", "c", "d"]],
        ),
    ],
)
def test_one_text_is_one_meme_unless_two_known_pictures_tell_it_apart(
    tmp_path: Path, memes: list[Meme], kind: str, groups: list[list[str]]
) -> None:
    draw(tmp_path / "a.png", 1)
    draw(tmp_path / "b.png", 2)
    assert clusters(of(tmp_path, memes), kind) == groups


def test_blank_pictures_are_near_to_none(tmp_path: Path) -> None:
    paint(tmp_path / "a.png", "white")
    paint(tmp_path / "b.png", "white", (98, 98))
    copies = of(tmp_path, [meme(name, "you", image=f"{name}.png") for name in ("a", "b")])
    assert clusters(copies, "near_picture") == clusters(copies) == clusters(copies, "template") == []


def test_who_is_seen_in_another_split_and_who_stays_alone(tmp_path: Path) -> None:
    memes = [meme("a", "you"), meme("b", "me"), meme("c", "YOU", split="test"), meme("d", "us", split="test")]
    contents, _, copies = copies_in(write_dataset(tmp_path, memes))
    train, test = contents.by_split["train"], contents.by_split["test"]
    assert copies.pair_copies(test, train) == [(test[0], [train[0]])]
    assert copies.pair_copies(train, test) == [(train[0], [test[0]])]
    assert copies.pair_copies(test, train, "picture") == []
    assert copies.clusters[0] == copies.clusters[2]
    assert len(set(copies.clusters)) == 3
