import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from mrharm.errors import InputError
from mrharm.evidence.captions import CAPTIONERS
from mrharm.evidence.gather import Gathered, disagreement, gather
from mrharm.evidence.picture_evidence import Engines
from mrharm.memes.dataset import Dataset, DatasetInfo
from mrharm.records import Evidence, Failure, Meme, TextBox, read_records
from mrharm.store import write_json, write_records

STAND_IN = Engines("stand-in", "stand-in")
BLACK, GREY, WHITE = (0, 0, 0), (128, 128, 128), (255, 255, 255)
Colour = tuple[int, int, int]


def dataset(folder: Path, colours: dict[str, Colour], texts: dict[str, str] | None = None) -> Dataset:
    """A dataset of one-coloured pictures, a meme each."""
    (folder / "images").mkdir(parents=True)
    memes = []
    for name, colour in colours.items():
        Image.new("RGB", (8, 6), colour).save(folder / "images" / f"{name}.png")
        memes.append(Meme(id=name, image=f"images/{name}.png", text=(texts or {}).get(name), split="train"))
    write_records(folder / "memes.jsonl", memes)
    info = DatasetInfo(
        name="made up", kind="folder", source="here", licence="none", label_scheme="none", splits={"train": 1}
    )
    write_json(folder / "dataset.json", info.model_dump(mode="json"))
    return Dataset(folder)


def run(data: Dataset, **options: object) -> tuple[Gathered, Dataset]:
    """Gather, and read the folder anew."""
    again = Dataset(data.root)
    settings: dict[str, Any] = {"engines": STAND_IN, "workers": 1, **options}
    return gather(again, again.memes, **settings), Dataset(data.root)


def log_of(stand_ins: Path) -> list[str]:
    lines = stand_ins.read_text().splitlines()
    stand_ins.write_text("")
    return lines


def failures(data: Dataset) -> dict[str, str]:
    path = data.root / "failures.jsonl"
    return {row.item: row.reason for row in read_records(path, Failure)} if path.exists() else {}


def test_a_third_partys_engines_are_found_by_their_entry_points(stand_ins: Path, tmp_path: Path) -> None:
    done, data = run(dataset(tmp_path / "d", {"a": (10, 0, 0), "b": WHITE}))
    assert (done.memes, done.looked, done.kept, done.failures) == (2, 2, 0, [])
    assert (data.evidence["b"].text, data.evidence["b"].boxes) == ("", ())  # no words, and not: not read
    row = data.evidence["a"]
    assert (row.text, row.text_source) == ("you 10", "ocr")
    assert row.made_by == {
        "boxes": "stand-in-ocr@1",
        "text": "stand-in-ocr@1",
        "clean_image": "stand-in-inpainter@1",
    }
    assert row.clean_image == "clean/a.png"
    with Image.open(data.root / "clean/a.png") as clean:
        assert clean.getpixel((1, 1)) == WHITE


def test_a_given_text_is_kept_unless_told_otherwise(stand_ins: Path, tmp_path: Path) -> None:
    made = dataset(tmp_path / "d", {"a": (10, 0, 0)}, {"a": "me and you"})
    done, data = run(made)
    assert (data.evidence["a"].text, data.evidence["a"].text_source) == ("me and you", "given")
    assert data.evidence["a"].boxes[0].text == "you 10"
    assert (done.compared, done.disagreeing) == (1, 1)
    _, data = run(made, engines=Engines("stand-in", "stand-in", "always"))
    assert (data.evidence["a"].text, data.evidence["a"].text_source) == ("you 10", "ocr")
    _, data = run(made)
    assert (data.evidence["a"].text, data.evidence["a"].text_source) == ("me and you", "given")


def test_never_reads_nothing_and_needs_no_engine(stand_ins: Path, tmp_path: Path) -> None:
    _, data = run(dataset(tmp_path / "d", {"a": (10, 0, 0)}), engines=Engines("absent", "none", "never"))
    assert data.evidence["a"].text is None
    assert data.evidence["a"].image_sha256
    assert log_of(stand_ins) == []


@pytest.mark.parametrize(
    ("change", "work"),
    [
        ("nothing", []),
        ("another picture", ["read 30", "clean", "describe 1"]),
        ("no clean picture", ["clean"]),
        ("in-painter", ["clean", "clean"]),
        ("OCR", ["read 10", "clean", "read 20", "clean"]),
    ],
)
def test_a_second_run_makes_anew_what_no_longer_holds_and_nothing_else(
    stand_ins: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str, work: list[str]
) -> None:
    made = dataset(tmp_path / "d", {"a": (10, 0, 0), "b": (20, 0, 0)}, {"b": "you 20"})
    describers = {"caption": CAPTIONERS.load("stand-in")()}
    run(made, describers=describers)
    before = (made.root / "evidence.jsonl").read_bytes()
    log_of(stand_ins)
    if change == "another picture":
        Image.new("RGB", (9, 9), (30, 0, 0)).save(made.root / "images/b.png")
    elif change == "no clean picture":
        (made.root / "clean/b.png").unlink()
    elif change == "in-painter":
        monkeypatch.setattr("stand_in_engines.Inpainter.version", "stand-in-inpainter@2")
    elif change == "OCR":
        monkeypatch.setattr("stand_in_engines.Ocr.version", "stand-in-ocr@2")
    done, data = run(made, describers=describers)
    assert log_of(stand_ins) == work
    if change == "nothing":
        assert (made.root / "evidence.jsonl").read_bytes() == before and done.kept == 2
    size = (9, 9) if change == "another picture" else (8, 6)
    assert data.evidence["b"].caption == f"a picture of {size}"
    assert (made.root / "clean/b.png").is_file()


def test_what_fails_is_named_until_it_is_mended_and_the_rest_goes_on(stand_ins: Path, tmp_path: Path) -> None:
    made = dataset(tmp_path / "d", {"a": (10, 0, 0), "g": GREY, "gone": (30, 0, 0), "z": (40, 0, 0)})
    (made.root / "images/gone.png").unlink()
    done, data = run(made)
    assert {failure.item for failure in done.failures} == {"g", "gone"}
    assert "grey is beyond me" in failures(data)["g"]
    assert "cannot be read" in failures(data)["gone"]
    assert set(data.evidence) == {"a", "z"}
    Image.new("RGB", (8, 6), (50, 0, 0)).save(made.root / "images/g.png")
    _, data = run(made)
    assert failures(data).keys() == {"gone"}
    assert data.evidence["g"].text == "you 50"


def test_a_picture_that_kills_its_process_fails_alone(stand_ins: Path, tmp_path: Path) -> None:
    colours = {f"m{number}": (number + 1, 0, 0) for number in range(12)} | {"killer": BLACK}
    done, data = run(dataset(tmp_path / "d", colours), workers=2)
    assert [failure.item for failure in done.failures] == ["killer"]
    assert "died" in done.failures[0].reason
    assert len(data.evidence) == 12


def test_a_picture_outside_the_folder_is_not_looked_at(stand_ins: Path, tmp_path: Path) -> None:
    made = dataset(tmp_path / "d", {"a": (10, 0, 0)})
    Image.new("RGB", (8, 6), (60, 0, 0)).save(tmp_path / "secret.png")
    write_records(made.root / "memes.jsonl", [Meme(id="x", image="../secret.png", split="train")])
    done, data = run(made)
    assert "leaves the dataset folder" in done.failures[0].reason
    assert log_of(stand_ins) == []
    assert "x" not in data.evidence


def test_captions_describe_in_batches_and_a_failing_one_takes_no_other_along(
    stand_ins: Path, tmp_path: Path
) -> None:
    made = dataset(tmp_path / "d", {name: (number + 1, 0, 0) for number, name in enumerate("abcd")})
    done, data = run(made, describers={"caption": CAPTIONERS.load("stand-in")("fail")})
    assert [line for line in log_of(stand_ins) if line.startswith("describe")] == ["describe 3", "describe 1"]
    assert {key for key, row in data.evidence.items() if row.caption} == {"a", "c", "d"}
    assert failures(data) == {"b": "caption: RuntimeError: no words"}
    assert data.evidence["a"].made_by["caption"] == "stand-in-captions@1"
    assert done.described == 3


def test_without_a_captioner_in_reach_gathering_goes_on_and_says_so(stand_ins: Path, tmp_path: Path) -> None:
    done, data = run(
        dataset(tmp_path / "d", {"a": (10, 0, 0)}),
        describers={"caption": CAPTIONERS.load("stand-in")("absent")},
    )
    assert data.evidence["a"].text == "you 10"
    assert done.notes == ["caption: no such captioner is in reach; name a folder; went on without"]
    assert failures(data)["caption"] == "no such captioner is in reach; name a folder"


def test_entities_and_demographics_are_filled_beside_the_caption(stand_ins: Path, tmp_path: Path) -> None:
    row = CAPTIONERS.load("stand-in")()
    made = dataset(tmp_path / "d", {"a": (10, 0, 0)})
    _, data = run(made, describers={"caption": row, "entities": row, "demographics": row})
    evidence = data.evidence["a"]
    assert evidence.caption == evidence.entities == evidence.demographics == "a picture of (8, 6)"
    assert {"caption", "entities", "demographics"} <= evidence.made_by.keys()


def test_captions_that_came_with_the_dataset_are_kept(stand_ins: Path, tmp_path: Path) -> None:
    made = dataset(tmp_path / "d", {"a": (10, 0, 0)})
    recorded = Evidence(meme_id="a", caption="a kettle", made_by={"caption": "ClipCap"})
    write_records(made.root / "evidence.jsonl", [recorded])
    _, data = run(made)
    assert (data.evidence["a"].caption, data.evidence["a"].made_by["caption"]) == ("a kettle", "ClipCap")
    assert data.evidence["a"].text == "you 10"


def test_two_pictures_of_one_name_get_two_clean_places(stand_ins: Path, tmp_path: Path) -> None:
    made = dataset(tmp_path / "d", {"a": (10, 0, 0)})
    Image.new("RGB", (8, 6), (20, 0, 0)).save(made.root / "images/A.bmp")
    memes = [*made.memes, Meme(id="other", image="images/A.bmp", split="train")]
    write_records(made.root / "memes.jsonl", memes)
    _, data = run(made)
    places = [row.clean_image for row in data.evidence.values()]
    assert len({str(place).casefold() for place in places}) == 2


GATHER_FOR_EVER = """
import sys
from pathlib import Path
from mrharm.evidence.gather import gather
from mrharm.evidence.picture_evidence import Engines
from mrharm.memes.dataset import Dataset
if __name__ == "__main__":
    data = Dataset(Path(sys.argv[1]))
    gather(data, data.memes, engines=Engines("stand-in", "stand-in"), workers=int(sys.argv[2]))
"""


def test_a_killed_run_goes_on_and_ends_as_if_it_had_never_been(stand_ins: Path, tmp_path: Path) -> None:
    colours = {f"m{number:03d}": (number % 250 + 1, number // 250, 0) for number in range(400)}
    whole = dataset(tmp_path / "whole", colours)
    run(whole)
    made = dataset(tmp_path / "d", colours)
    script = tmp_path / "gather.py"
    script.write_text(GATHER_FOR_EVER)
    path = made.root / "evidence.jsonl"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    for lines in (30, 150):
        worker = subprocess.Popen([sys.executable, str(script), str(made.root), "1"], env=environment)
        deadline = time.monotonic() + 60
        while not path.exists() or path.read_bytes().count(b"\n") <= lines:
            assert time.monotonic() < deadline
            assert worker.poll() is None
            time.sleep(0.002)
        worker.send_signal(signal.SIGKILL)
        worker.wait()
        assert path.read_bytes().count(b"\n") < 400
    log_of(stand_ins)
    *whole_lines, _ = path.read_text().split("\n")
    there = {json.loads(line)["meme_id"] for line in whole_lines}
    run(made)
    assert sum(line.startswith("read") for line in log_of(stand_ins)) == 400 - len(there)
    assert path.read_bytes() == (whole.root / "evidence.jsonl").read_bytes()


def test_a_second_gather_on_the_same_folder_is_refused(stand_ins: Path, tmp_path: Path) -> None:
    fcntl = pytest.importorskip("fcntl", reason="file locks are POSIX's")
    made = dataset(tmp_path / "d", {"a": (10, 0, 0)})
    with (made.root / ".gather.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(InputError, match="another process is writing"):
            run(made)


def test_a_wrong_engine_is_said_before_anything_starts(tmp_path: Path) -> None:
    made = dataset(tmp_path / "d", {"a": (10, 0, 0)})
    with pytest.raises(InputError, match="no ocr called 'teleprompter'"):
        run(made, engines=Engines("teleprompter"))
    assert not (made.root / "evidence.jsonl").exists()


def test_disagreement_is_the_share_of_words_the_other_side_lacks() -> None:
    corners = ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0))

    def read(text: str) -> tuple[TextBox, ...]:
        return (TextBox(polygon=corners, text=text, confidence=1.0),)

    assert disagreement("You smell, fine!", read("you SMELL fine")) == 0
    assert disagreement("you smell", read("you sing")) == pytest.approx(0.5)
    assert disagreement("you", ()) == 1
    assert disagreement("", ()) == 0
