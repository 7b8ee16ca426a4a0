from __future__ import annotations

import io

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from mrharm.images import open_image
from mrharm.memes.dataset import Dataset, ImportOptions
from mrharm.memes.importing import import_memes
from mrharm.probes.image_changes import PICTURE_CHANGES, change_picture

STRENGTHS = (1, 2, 3)


@pytest.fixture(scope="module")
def memes(
    tmp_path_factory: pytest.TempPathFactory,
) -> list[tuple[Image.Image, list[tuple[tuple[float, float], ...]]]]:
    """Generated memes, and where their words stand."""
    folder = tmp_path_factory.mktemp("memes") / "data"
    import_memes("generated", None, folder, ImportOptions(memes=12, workers=1))
    data = Dataset(folder)
    return [
        (open_image(folder / str(meme.image)), [box.polygon for box in data.evidence[meme.id].boxes])
        for meme in data.split("test")
    ]


def pixels(image: Image.Image) -> NDArray[np.float64]:
    return np.asarray(image, dtype=np.float64)


def distance(picture: Image.Image, compared: Image.Image) -> float:
    return float(np.abs(pixels(picture) - pixels(compared)).mean())


def soft(size: tuple[int, int] = (120, 90)) -> Image.Image:
    """A soft picture, unlike itself mirrored or upside down."""
    patches = np.random.default_rng(0).integers(40, 216, (6, 8, 3), dtype=np.uint8)
    return Image.fromarray(patches).resize(size, Image.Resampling.BICUBIC)


@pytest.mark.parametrize("name", PICTURE_CHANGES)
def test_size_and_mode_stay_and_a_greater_strength_changes_more(name: str, memes) -> None:  # type: ignore[no-untyped-def]
    far = np.zeros(3)
    for image, boxes in memes:
        changed = [change_picture(image, name, strength, 7, boxes) for strength in STRENGTHS]
        assert {(picture.size, picture.mode) for picture in changed} == {(image.size, "RGB")}
        far += [distance(image, picture) for picture in changed]
    assert far[0] > 0
    if name != "flip":  # which way a picture is turned is no more or less
        assert far[0] < far[1] < far[2]


@pytest.mark.parametrize("name", PICTURE_CHANGES)
@pytest.mark.parametrize("size", [(1, 1), (2, 90), (513, 30)])
def test_odd_sizes_stay(name: str, size: tuple[int, int]) -> None:
    for strength in STRENGTHS:
        assert change_picture(Image.new("RGB", size, "red"), name, strength).size == size


@pytest.mark.parametrize("name", PICTURE_CHANGES)
def test_the_seed_alone_decides_and_the_picture_given_stays(name: str) -> None:
    image = soft()
    before = image.tobytes()
    assert change_picture(image, name, 2, 1).tobytes() == change_picture(image, name, 2, 1).tobytes()
    assert image.tobytes() == before
    drawn = {change_picture(image, name, 2, seed).tobytes() for seed in range(3)}
    assert len(drawn) == (3 if name in ("noise", "salt", "salt_on_words") else 1)


def test_jpeg_is_that_of_the_quality_named() -> None:
    buffer = io.BytesIO()
    soft().save(buffer, "JPEG", quality=20)
    assert change_picture(soft(), "jpeg", 2).tobytes() == Image.open(buffer).convert("RGB").tobytes()


@pytest.mark.parametrize("name", ["blur", "rescale"])
def test_what_is_small_is_lost_and_the_mean_stays(name: str) -> None:
    stripes = Image.fromarray(np.tile(np.array([0, 255], dtype=np.uint8), (100, 50))).convert("RGB")
    changed = pixels(change_picture(stripes, name, 3))[:, 10:-10]  # the edge is repeated beyond it
    assert changed.std() < 5 and abs(changed.mean() - 127.5) < 2


def test_noise_has_the_spread_named() -> None:
    grey = Image.new("RGB", (200, 200), (128, 128, 128))
    for strength, spread in ((1, 10), (2, 25)):
        noise = pixels(change_picture(grey, "noise", strength)) - 128
        assert noise.std() == pytest.approx(spread, rel=0.03) and abs(noise.mean()) < 1


def test_salt_and_pepper_hit_the_share_named_black_and_white_by_halves() -> None:
    changed = pixels(change_picture(Image.new("RGB", (200, 200), (128, 128, 128)), "salt", 3))
    assert (changed != 128).mean() == pytest.approx(0.2, abs=0.01)
    assert (changed == 255).mean() == pytest.approx(0.1, abs=0.01)
    assert set(np.unique(changed)) == {0, 128, 255}


def test_what_strength_1_salts_strength_3_salts_too() -> None:
    grey = Image.new("RGB", (100, 100), (128, 128, 128))
    light, heavy = (pixels(change_picture(grey, "salt", strength, 4)) for strength in (1, 3))
    assert (heavy[light != 128] == light[light != 128]).all()


def test_salt_on_words_stays_within_the_boxes_and_covers_all_where_none_are_known() -> None:
    grey = Image.new("RGB", (100, 80), (128, 128, 128))
    boxes = [((10.0, 20.0), (39.0, 20.0), (39.0, 49.0), (10.0, 49.0))]
    hit = (pixels(change_picture(grey, "salt_on_words", 3, 1, boxes)) != 128)[..., 0]
    assert hit[20:50, 10:40].mean() == pytest.approx(0.4, abs=0.06)
    hit[20:50, 10:40] = False
    assert not hit.any()
    everywhere = pixels(change_picture(grey, "salt_on_words", 3, 1)) != 128
    assert everywhere.mean() == pytest.approx(0.4, abs=0.03)


def test_grains_grow_with_the_picture() -> None:
    changed = pixels(change_picture(Image.new("RGB", (1024, 1024), (128, 128, 128)), "salt", 3))[..., 0]
    blocks = changed.reshape(256, 4, 256, 4)
    assert (blocks == blocks[:, :1, :, :1]).all()


def test_crop_shows_the_middle_alone() -> None:
    framed = Image.new("RGB", (100, 100), "red")
    framed.paste((0, 0, 255), (10, 10, 90, 90))
    assert set(map(tuple, pixels(change_picture(framed, "crop", 3)).reshape(-1, 3))) == {(0, 0, 255)}
    assert len(set(map(tuple, pixels(change_picture(framed, "crop", 1)).reshape(-1, 3)))) > 1


def test_flips_are_mirrored_upside_down_and_both() -> None:
    image = pixels(soft())
    for strength, expected in ((1, image[:, ::-1]), (2, image[::-1]), (3, image[::-1, ::-1])):
        assert (pixels(change_picture(soft(), "flip", strength)) == expected).all()


def test_a_border_is_of_the_width_named_and_the_whole_picture_stands_within() -> None:
    changed = pixels(change_picture(Image.new("RGB", (100, 100), "red"), "border", 3))
    inside = (changed == (255, 0, 0)).all(-1)
    rows, columns = np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0))
    assert [rows[0], rows[-1], columns[0], columns[-1]] == [20, 79, 20, 79]


def test_a_screenshot_has_dark_bars_above_and_below_and_the_picture_between() -> None:
    changed = pixels(change_picture(Image.new("RGB", (200, 200), "red"), "screenshot", 3))
    assert changed[:4].mean() < 60 and changed[-4:].mean() < 60
    assert changed[90:110, 60:140, 0].mean() > 200 and changed[90:110, 60:140, 1].mean() < 60
