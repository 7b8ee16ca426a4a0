from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from mrharm.audit import pictures
from mrharm.audit.findings import Finding
from mrharm.audit.pictures import FINGERPRINTS, audit_pictures, fingerprint_pictures
from mrharm.images import image_sha256
from mrharm.memes.dataset import Dataset
from mrharm.memes.fingerprints import PictureFacts, fingerprint_picture
from mrharm.progress import no_progress
from mrharm.records import Evidence, Meme
from mrharm.store import JsonlStore
from tests.audit.helpers import codes, draw, meme, only, paint, read, shown, write_dataset


def pictured(folder: Path, count: int) -> Dataset:
    """A dataset of ``count`` memes called 0, 1, 2 ..., each with a picture of its own."""
    for number in range(count):
        draw(folder / f"images/{number}.png", number)
    return write_dataset(folder, [meme(str(number), image=f"images/{number}.png") for number in range(count)])


def facts_of(dataset: Dataset, workers: int = 1) -> dict[str, PictureFacts]:
    return fingerprint_pictures(read(dataset), workers=workers, progress=no_progress)


def findings_of(dataset: Dataset) -> list[Finding]:
    contents = read(dataset)
    return list(audit_pictures(contents, fingerprint_pictures(contents, workers=1, progress=no_progress)))


@pytest.fixture
def looked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The places that were looked at, as they come."""
    places: list[str] = []

    def spy(root: Path, place: str, key: str) -> PictureFacts:
        places.append(place)
        return fingerprint_picture(root, place, key)

    monkeypatch.setattr(pictures, "fingerprint_picture", spy)
    return places


@pytest.mark.parametrize(
    ("place", "reason"),
    [
        ("images/missing.png", "cannot be read (No such file or directory)"),
        ("images/broken.png", "broken PNG"),
        ("../secret.png", "leaves the source folder"),
    ],
)
def test_a_picture_that_does_not_open_is_an_error_with_its_reason(
    tmp_path: Path, place: str, reason: str
) -> None:
    secret = draw(tmp_path / "secret.png", 1)
    (tmp_path / "data/images").mkdir(parents=True)
    (tmp_path / "data/images/broken.png").write_bytes(secret.read_bytes()[:400])
    dataset = write_dataset(tmp_path / "data", [meme("a", image=place)])
    finding = only(findings_of(dataset), "picture-unreadable")
    assert (finding.level, finding.count, finding.of) == ("error", 1, 1)
    assert finding.bars == ("training", "publishing")
    assert shown(finding) == [("a",)]
    assert reason in finding.examples[0].what
    assert str(dataset.root) not in finding.examples[0].what


@pytest.mark.parametrize(("memes", "level"), [(100, "error"), (101, "warning")])
def test_fewer_than_one_percent_unreadable_pictures_bar_nothing(
    tmp_path: Path, memes: int, level: str
) -> None:
    draw(tmp_path / "one.png", 0)
    rows = [meme(str(number), image="one.png") for number in range(memes - 1)]
    dataset = write_dataset(tmp_path, [*rows, meme("x", image="missing.png")])
    finding = only(findings_of(dataset), "picture-unreadable")
    assert (finding.level, bool(finding.bars)) == (level, level == "error")


def test_a_picture_is_opened_where_training_opens_it(tmp_path: Path) -> None:
    draw(tmp_path / "images/a.png", 0)
    dataset = write_dataset(tmp_path, [meme("a", image="images\\a.png")])
    opens = dataset.image_path(dataset.memes[0]).is_file()  # type: ignore[union-attr]
    assert (facts_of(dataset)["images\\a.png"].failure is None) == opens


def test_a_picture_that_is_not_the_one_imported_is_an_error(tmp_path: Path) -> None:
    dataset = pictured(tmp_path, 2)
    rows = [
        Evidence(meme_id="0", image_sha256=image_sha256(tmp_path / "images/0.png")),
        Evidence(meme_id="1", image_sha256=image_sha256(tmp_path / "images/1.png")),
    ]
    write_dataset(tmp_path, dataset.memes, rows)
    assert findings_of(dataset) == []
    draw(tmp_path / "images/1.png", 99)
    finding = only(findings_of(dataset), "picture-changed")
    assert (finding.level, finding.count, finding.of) == ("error", 1, 2)
    assert finding.bars == ("training", "publishing")
    assert shown(finding) == [("1",)]


def test_long_small_and_blank_pictures_are_noted_the_worst_first(tmp_path: Path) -> None:
    sizes = {
        "long": (600, 100),
        "longer": (100, 900),
        "four": (400, 100),
        "small": (63, 70),
        "tiny": (40, 64),
    }
    for name, size in sizes.items():
        draw(tmp_path / f"{name}.png", len(name), size)
    draw(tmp_path / "fine.png", 3, (64, 64))
    paint(tmp_path / "blank.png", "white")
    names = [*sizes, "fine", "blank"]
    findings = findings_of(write_dataset(tmp_path, [meme(name, image=f"{name}.png") for name in names]))
    assert [(finding.code, finding.level, finding.of) for finding in findings] == [
        ("picture-long", "note", 7),
        ("picture-small", "note", 7),
        ("picture-blank", "note", 7),
    ]
    assert [shown(finding) for finding in findings] == [
        [("longer",), ("long",)],
        [("tiny",), ("small",)],
        [("blank",)],
    ]
    assert findings[0].examples[0].what == "100x900"


def test_memes_without_a_picture_are_listed_among_others_and_one_warning_alone(tmp_path: Path) -> None:
    draw(tmp_path / "a.png", 0)
    dataset = write_dataset(tmp_path, [meme("a", image="a.png"), meme("b", "you")])
    finding = only(findings_of(dataset), "picture-none")
    assert (finding.level, finding.count, finding.of, shown(finding)) == ("warning", 1, 2, [("b",)])
    assert codes(findings_of(write_dataset(tmp_path, [meme("a", "you")]))) == ["no-pictures"]


def test_pictures_without_their_text_are_looked_at_too(tmp_path: Path) -> None:
    draw(tmp_path / "a.png", 0)
    draw(tmp_path / "clean/a.png", 1)
    rows = [Evidence(meme_id="a", clean_image="clean/a.png")]
    facts = facts_of(write_dataset(tmp_path, [meme("a", image="a.png")], rows))
    assert list(facts) == ["a.png", "clean/a.png"]


def test_a_second_look_opens_only_pictures_that_are_new_or_changed(tmp_path: Path, looked: list[str]) -> None:
    dataset = pictured(tmp_path, 3)
    (tmp_path / "images/2.png").rename(tmp_path / "2.png")
    before = facts_of(dataset)
    assert before["images/2.png"].failure and len(looked) == 3
    looked.clear()
    draw(tmp_path / "images/1.png", 99)
    (tmp_path / "2.png").rename(tmp_path / "images/2.png")
    after = facts_of(dataset)
    assert looked == ["images/1.png", "images/2.png"]
    assert after["images/1.png"].sha256 == image_sha256(tmp_path / "images/1.png")
    assert after["images/2.png"].failure is None
    assert after["images/0.png"] == before["images/0.png"]


def test_an_audit_that_was_stopped_goes_on_and_says_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, looked: list[str]
) -> None:
    dataset = pictured(tmp_path, 5)
    whole = facts_of(dataset)
    (tmp_path / FINGERPRINTS).unlink()
    looked.clear()
    spy = pictures.fingerprint_picture

    def stop(root: Path, place: str, key: str) -> PictureFacts:
        if len(looked) == 3:
            raise KeyboardInterrupt
        return spy(root, place, key)

    with monkeypatch.context() as patch:
        patch.setattr(pictures, "fingerprint_picture", stop)
        with pytest.raises(KeyboardInterrupt):
            facts_of(dataset)
    assert (tmp_path / FINGERPRINTS).read_bytes().count(b"\n") == 3  # each is kept at once
    looked.clear()
    assert facts_of(dataset) == whole
    assert looked == ["images/3.png", "images/4.png"]


@pytest.mark.parametrize(
    ("spoilt", "again"),
    [
        (lambda whole: whole[:-40], 1),  # cut short by a kill
        (lambda whole: whole.replace(b'"spread"', b'"colour"'), 3),  # of another version
        (lambda whole: b"\xff\xfe\x00" + whole, 3),
    ],
)
def test_a_spoilt_memory_of_pictures_is_no_obstacle(
    tmp_path: Path, looked: list[str], spoilt: Callable[[bytes], bytes], again: int
) -> None:
    dataset = pictured(tmp_path, 3)
    first = facts_of(dataset)
    store = tmp_path / FINGERPRINTS
    store.write_bytes(spoilt(store.read_bytes()))
    for count in (again, 0):
        looked.clear()
        assert facts_of(dataset) == first
        assert len(looked) == count


@pytest.mark.parametrize("in_the_way", ["audit", FINGERPRINTS, "full disk"])
def test_an_audit_that_can_keep_nothing_is_made_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, in_the_way: str
) -> None:
    def refuse(self: JsonlStore[PictureFacts], record: PictureFacts) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    dataset = pictured(tmp_path, 2)
    if in_the_way == "audit":
        (tmp_path / in_the_way).touch()
    elif in_the_way == FINGERPRINTS:
        (tmp_path / in_the_way).mkdir(parents=True)
    else:
        monkeypatch.setattr(JsonlStore, "append", refuse)
    assert [picture.failure for picture in facts_of(dataset).values()] == [None, None]


def test_a_folder_that_may_not_be_written_is_audited_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: Path, *_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(self))

    dataset = pictured(tmp_path, 2)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "mkdir", refuse)
        patch.setattr(Path, "touch", refuse)
        facts = facts_of(dataset)
    assert [picture.failure for picture in facts.values()] == [None, None]
    assert not (tmp_path / "audit").exists()


def test_several_processes_see_what_one_does(tmp_path: Path) -> None:
    draw(tmp_path / "one.png", 1, (32, 32))
    memes: list[Meme] = []
    for number in range(66):
        Image.new("RGB", (16, 16), (number, 9, 9)).save(tmp_path / f"{number}.png")
        memes.append(meme(str(number), image=f"{number}.png"))
    (tmp_path / "65.png").unlink()
    dataset = write_dataset(tmp_path, memes)
    facts = facts_of(dataset, workers=2)
    (tmp_path / FINGERPRINTS).unlink()
    assert facts_of(dataset) == facts
    assert facts["65.png"].failure
