import contextlib
import hashlib
import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from mrharm.errors import DataError, ImageError, InputError, MrHarmError
from mrharm.memes import importing
from mrharm.memes.dataset import Imported, ImportOptions
from mrharm.memes.importing import import_memes, read_memes
from mrharm.memes.pictures import PictureFinder
from mrharm.plugins import Table
from mrharm.records import Evidence, Label, Meme, Rationale
from tests.memes.helpers import failures


def picture(path: Path, colour: str = "red", container: str = "PNG") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (12, 8), colour).save(path, container)
    return path


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Twenty labelled memes with pictures, no validation split."""
    folder = tmp_path / "source"
    colours = ["red", "blue", "lime", "black", "white"]
    rows = []
    for n in range(20):
        path = picture(folder / "images" / f"m{n}.png", colours[n % 5])
        path.write_bytes(path.read_bytes() + bytes([n]))  # a file of its own, whatever its colour
        split = "test" if n >= 16 else "train"
        rows.append({"id": f"m{n}", "image": f"m{n}.png", "text": f"you {n}", "label": n % 2, "split": split})
    (folder / "memes.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def test_an_import_is_a_folder_that_anyone_can_read(source: Path, tmp_path: Path) -> None:
    dataset = import_memes("folder", source, tmp_path / "out")
    info = json.loads((tmp_path / "out/dataset.json").read_text())
    assert info["splits"] == {"train": 14, "validation": 2, "test": 4}
    assert info["options"]["seed"] == 0
    for name in ("memes.jsonl", "evidence.jsonl"):
        assert info["files"][name] == hashlib.sha256((tmp_path / "out" / name).read_bytes()).hexdigest()
    assert info["sources"]["memes.jsonl"] == hashlib.sha256((source / "memes.jsonl").read_bytes()).hexdigest()
    for meme in dataset.memes:
        path = dataset.image_path(meme)
        assert path is not None
        assert hashlib.sha256(path.read_bytes()).hexdigest() == dataset.evidence[meme.id].image_sha256
    assert read_memes(tmp_path / "out") == dataset.memes
    assert not any(path.name.startswith(".") for path in tmp_path.iterdir())


def test_the_same_import_twice_writes_the_same_bytes(source: Path, tmp_path: Path) -> None:
    first, second = (import_memes("folder", source, tmp_path / name).root for name in ("one", "two"))
    for path in first.rglob("*.json*"):
        assert path.read_bytes() == (second / path.relative_to(first)).read_bytes()


def test_every_row_ends_as_a_meme_or_as_a_failure(source: Path, tmp_path: Path) -> None:
    (source / "images/m3.png").unlink()
    (source / "images/m4.png").write_bytes(b"\x89PNG\r\n\x1a\nbroken")
    with (source / "memes.jsonl").open("a") as file:
        file.write('{"id": "m0", "text": "again", "label": 1}\n{"id": "cut')
    dataset = import_memes("folder", source, tmp_path / "out")
    reasons = {(item, file, line): why for item, file, line, why in failures(dataset)}
    assert len(dataset.memes) + len(reasons) == 22
    assert reasons["m0", "memes.jsonl", 21] == "id 'm0' is already in memes.jsonl, line 1"
    assert "no picture called 'm3.png'" in reasons["m3", "memes.jsonl", 4]
    assert "broken PNG" in reasons["m4", "m4.png", None]
    assert ("memes.jsonl:22", "memes.jsonl", 22) in reasons
    assert "m4" not in dataset.evidence


def test_linked_pictures_share_their_bytes_and_outlive_the_source(source: Path, tmp_path: Path) -> None:
    dataset = import_memes("folder", source, tmp_path / "out", ImportOptions(images="link"))
    path = dataset.image_path(dataset.memes[0])
    assert path is not None
    assert path.samefile(source / "images/m0.png")
    assert not path.is_symlink()
    (source / "images/m0.png").unlink()
    assert path.exists()


def test_a_link_that_cannot_be_made_becomes_a_copy(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*paths: Path) -> None:
        raise OSError("another file system")

    monkeypatch.setattr("mrharm.memes.pictures.os.link", refuse)
    dataset = import_memes("folder", source, tmp_path / "out", ImportOptions(images="link"))
    path = dataset.image_path(dataset.memes[0])
    assert path is not None
    assert path.read_bytes() == (source / "images/m0.png").read_bytes()
    assert not path.samefile(source / "images/m0.png")


def test_a_folder_that_holds_something_else_is_never_written(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "mine.txt").write_text("mine")
    for overwrite in (False, True):
        with pytest.raises(InputError, match="not empty and not a dataset"):
            import_memes("folder", source, out, overwrite=overwrite)
    with pytest.raises(InputError, match="a file is there"):
        import_memes("folder", source, out / "mine.txt")
    assert [path.name for path in out.iterdir()] == ["mine.txt"]


def test_an_existing_dataset_is_replaced_only_when_told(source: Path, tmp_path: Path) -> None:
    import_memes("folder", source, tmp_path / "out")
    with pytest.raises(InputError, match=r"a dataset is there already.*--overwrite"):
        import_memes("folder", source, tmp_path / "out")
    picture(source / "images/m20.png")
    with (source / "memes.jsonl").open("a") as file:
        file.write('{"id": "m20", "image": "m20.png", "text": "new"}\n')
    assert len(import_memes("folder", source, tmp_path / "out", overwrite=True).memes) == 21


def test_a_source_inside_the_dataset_is_refused_before_it_is_lost(source: Path, tmp_path: Path) -> None:
    dataset = import_memes("folder", source, tmp_path / "out")
    with pytest.raises(InputError, match="the source is inside it"):
        import_memes("folder", dataset.root / "images", dataset.root, overwrite=True)
    assert len(dataset.memes) == 20


def test_a_source_without_one_valid_meme_is_an_error_that_shows_reasons(tmp_path: Path) -> None:
    path = tmp_path / "memes.jsonl"
    path.write_text('{"text": 5}\n{"text": "you", "label": "dunno"}\n')
    with pytest.raises(
        DataError, match=r"not one valid meme \(2 rows failed\).*line 1: text: expected a string"
    ):
        import_memes("folder", path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_unknown_kind_lists_the_kinds(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"there are: harm-c, harm-p, hateful-memes, .*folder, generated"):
        import_memes("harm-q", tmp_path, tmp_path / "out")


def test_an_odd_way_to_take_pictures_is_refused(source: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected copy or link, got 'move'"):
        import_memes("folder", source, tmp_path / "out", ImportOptions(images="move"))


def made_up(source: Path | None, folder: Path, options: ImportOptions) -> Imported:
    """An importer that draws its own pictures, as the generated benchmark does."""
    memes = []
    for number in range(12):
        split = "test" if number >= 10 else "train"
        picture(folder / "images" / f"{number}.png")
        label = Label(harmful=number % 2 == 0)
        image = f"images/{number}.png"
        memes.append(Meme(id=str(number), image=image, text=f"t {number}", label=label, split=split))
    twin = Meme(id="0") if options.memes == 1 else Meme(id="unlabelled", text="x", split="train")
    return Imported(
        "made-up",
        "free",
        "by number",
        [*memes, twin],
        evidence=[Evidence(meme_id="3", caption="a red field")],
        rationales=[Rationale(meme_id="1", text="recorded", teacher="recorded")],
    )


@pytest.fixture
def own_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importing, "IMPORTERS", Table("memes", {"made-up": f"{__name__}:made_up"}))


@pytest.mark.usefixtures("own_table")
def test_pictures_an_importer_drew_are_hashed_and_its_evidence_is_kept(tmp_path: Path) -> None:
    dataset = import_memes("made-up", None, tmp_path / "out", ImportOptions(validation_share=0))
    digest = hashlib.sha256((dataset.root / "images/3.png").read_bytes()).hexdigest()
    assert dataset.evidence["3"] == Evidence(meme_id="3", caption="a red field", image_sha256=digest)
    assert dataset.info.source == "generated"


@pytest.mark.usefixtures("own_table")
def test_rationales_are_written_for_labelled_train_and_validation_memes_alone(tmp_path: Path) -> None:
    def explain(meme: Meme) -> Rationale:
        return Rationale(meme_id=meme.id, text=f"because {meme.id}", teacher="toy")

    # All pictures are alike, so that no validation split can be drawn and one is noted missing.
    dataset = import_memes("made-up", None, tmp_path / "out", rationales=explain)
    assert set(dataset.rationales) == {str(number) for number in range(10)}
    assert dataset.rationales["1"].text == "recorded"
    assert any("no validation split could be drawn" in note for note in dataset.info.notes)


@pytest.mark.usefixtures("own_table")
def test_an_importer_that_repeats_an_id_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="importer made-up: ids must be unique; these are not: 0"):
        import_memes("made-up", None, tmp_path / "out", ImportOptions(memes=1))


def test_pictures_are_found_by_name_with_any_extension_and_case(tmp_path: Path) -> None:
    for name in ("img/One.JPG", "img/two.png", "img/v1.2.png", "three.webp"):
        picture(tmp_path / name)
    finder = PictureFinder(tmp_path, ("img",))
    places = {name: finder.find(name).relative_to(tmp_path).as_posix() for name in (
        "img/one.png", "one", "two.png", "img\\two.png", "V1.2", "three.png", "img/three.jpg",
    )}  # fmt: skip
    assert places == {
        "img/one.png": "img/One.JPG",
        "one": "img/One.JPG",
        "two.png": "img/two.png",
        "img\\two.png": "img/two.png",
        "V1.2": "img/v1.2.png",
        "three.png": "three.webp",
        "img/three.jpg": "three.webp",
    }


def test_a_name_that_fits_two_pictures_is_no_guess(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    picture(tmp_path / "a.jpg")
    finder = PictureFinder(tmp_path)
    assert finder.find("a.png").name == "a.png"
    with pytest.raises(ImageError, match=r"could be any of a\.jpg, a\.png"):
        finder.find("a.webp")


@pytest.mark.parametrize("name", ["x" * 5000 + ".png", "😀.png", "a/" * 2000 + "b.png"])
def test_an_odd_name_is_only_missing(tmp_path: Path, name: str) -> None:
    with pytest.raises(ImageError, match="no picture called"):
        PictureFinder(tmp_path).find(name)


def test_file_names_in_the_dataset_are_safe_and_distinct(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = []
    for number, meme_id in enumerate(["a b", "a/b", "A_B", "a_b", "..", "é", "x" * 300, "-", "a_B"]):
        picture(tmp_path / "in" / f"{number}.gif")
        rows.append({"id": meme_id, "image": f"{number}.gif"})
    (tmp_path / "in/m.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    dataset = import_memes("folder", tmp_path / "in", tmp_path / "out")
    images = [meme.image for meme in dataset.memes if meme.image]
    assert len({image.casefold() for image in images}) == len(rows)
    assert all(len(Path(image).name.encode()) < 200 and image.count("/") == 1 for image in images)
    # Saved as PNG above, named .gif: the dataset's names tell the truth.
    assert all(image.endswith(".png") for image in images)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner, max_size=2),
    max_leaves=4,
)
keys = st.sampled_from(["id", "text", "image", "img", "label", "labels", "split", "targets", "also_in"])
lines = st.lists(st.dictionaries(keys, values, max_size=6).map(json.dumps) | st.text(max_size=20), max_size=5)


@settings(deadline=None, max_examples=40)
@given(lines, st.sampled_from(["harm-c", "harm-p", "hateful-memes", "folder"]), st.booleans())
def test_whatever_rows_hold_they_import_or_fail_by_name(
    rows: list[str], kind: str, with_pictures: bool
) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "in"
        folder.mkdir()
        if with_pictures:
            picture(folder / "images" / "a.png")
        sound = '{"id": 7, "text": "you", "image": "a", "img": "a", "label": 1, "labels": ["not harmful"]}'
        text = "\n".join([*rows, sound])
        (folder / "train.jsonl").write_bytes(text.encode("utf-8", "surrogatepass"))
        with contextlib.suppress(MrHarmError):
            dataset = import_memes(kind, folder, Path(name) / "out")
            expected = sum(1 for line in text.encode("utf-8", "surrogatepass").split(b"\n") if line.strip())
            assert len(dataset.memes) + len(failures(dataset)) == expected
