from __future__ import annotations

import itertools

import numpy as np
import pytest
from PIL import Image

from mrharm.errors import InputError
from mrharm.records import Meme, Saliency
from mrharm.student.interface import Frame
from mrharm.student.processor import MrHarmProcessor, PictureSettings
from mrharm.verdicts.saliency_map import heat, share_on_picture
from tests.probes.written import detector

SIDE, COUNT = 64, 4
BLACK = (0.0, 0.0, 0.0)


def one_hot(row: int, column: int, count: int = COUNT) -> tuple[tuple[float, ...], ...]:
    return tuple(
        tuple(float((line, place) == (row, column)) for place in range(count)) for line in range(count)
    )


def fitted(image: Image.Image, fit: str) -> np.ndarray:
    tokenizer = detector().label_student.processor.tokenizer  # type: ignore[attr-defined]
    settings = PictureSettings(SIDE, BLACK, (1.0, 1.0, 1.0), fit)
    return MrHarmProcessor(tokenizer, settings).fit(image)[..., 0].astype(float)


@pytest.mark.parametrize("fit", ["whole", "crop"])
@pytest.mark.parametrize(
    "size", [(640, 640), (1280, 320), (320, 1280), (641, 479), (333, 1001), (1900, 100), (40, 30)]
)
def test_what_is_painted_where_a_patch_is_hot_lands_on_that_patch_and_nowhere_else(size, fit):
    frame, patch = Frame(SIDE, fit), SIDE // COUNT
    covered, painted = np.zeros(size[::-1]), 0
    for row, column in itertools.product(range(COUNT), repeat=2):
        hot = np.nan_to_num(heat(one_hot(row, column), frame, size)) > 0
        covered += hot
        if not hot.any():
            continue  # the patch lies on padding
        painted += 1
        light = fitted(Image.fromarray(np.uint8(255 * hot)).convert("RGB"), fit)
        top, left = patch * row, patch * column
        assert light[top : top + patch, left : left + patch].max() > 200
        # Resampling spreads a little light over the edges.
        light[max(0, top - 3) : top + patch + 3, max(0, left - 3) : left + patch + 3] = 0
        assert light.max() < 10
    assert painted >= COUNT
    # Every pixel lies on one patch, or was cropped off.
    unseen = np.isnan(heat(one_hot(0, 0), frame, size))
    np.testing.assert_array_equal(covered, ~unseen)
    kept = min(size) ** 2 if fit == "crop" else size[0] * size[1]
    assert (~unseen).sum() == pytest.approx(kept, rel=0.01)


@pytest.mark.parametrize(
    ("fit", "patch", "rows", "columns"),
    [
        # 400 x 200: cropped, columns 100 to 300 stay, and a patch of four covers 50 of them.
        ("crop", (0, 0), (0, 49), (100, 149)),
        # Padded, it is rows 16 to 48 of 64, so that patch rows 1 and 2 are its upper and lower half.
        ("whole", (1, 3), (0, 99), (300, 399)),
        ("whole", (2, 0), (100, 199), (0, 99)),
    ],
)
def test_a_patch_covers_the_pixels_worked_out_by_hand(fit, patch, rows, columns):
    hot = np.nonzero(np.nan_to_num(heat(one_hot(*patch), Frame(SIDE, fit), (400, 200))))
    assert [(places.min(), places.max()) for places in hot] == [rows, columns]


def test_a_picture_too_thin_for_its_square_is_seen_nowhere():
    assert np.isnan(heat(one_hot(1, 1), Frame(64, "whole"), (5000, 10))).all()


def test_pixels_too_few_for_a_patch_of_their_own_are_not_seen():
    # A square of 50 cut into patches of 16: three, and two pixels over.
    heat_map = heat(one_hot(2, 2, 3), Frame(50, "whole", patch=16), (50, 50))
    assert np.isnan(heat_map[48:]).all() and np.isnan(heat_map[:, 48:]).all()
    assert heat_map[:48, :48].sum() == 16 * 16 and heat_map[47, 47] == 1


def test_a_meme_drawn_smaller_has_its_heat_in_the_same_place():
    frame, patches = Frame(64, "whole"), one_hot(1, 2)
    large, small = heat(patches, frame, (1200, 600)), heat(patches, frame, (1200, 600), (120, 60))
    np.testing.assert_array_equal(small, large[5::10, 5::10])


def test_the_weight_on_padding_is_told():
    wide, even = (400, 200), tuple((1 / 16,) * 4 for _ in range(4))
    assert share_on_picture(Saliency(patches=even), Frame(64, "whole"), wide) == pytest.approx(0.5)
    assert share_on_picture(Saliency(patches=one_hot(0, 1)), Frame(64, "whole"), wide) == 0.0
    assert share_on_picture(Saliency(patches=even), Frame(64, "crop"), wide) == pytest.approx(1.0)
    # 400 x 150 on 64: rows 20 to 44, so 12 of the 16 rows of patch rows 1 and 2.
    assert share_on_picture(Saliency(patches=one_hot(1, 1)), Frame(64, "whole"), (400, 150)) == pytest.approx(
        0.75
    )
    assert share_on_picture(Saliency(), Frame(64, "whole"), wide) == 1.0


def test_a_verdict_brings_the_kind_of_saliency_that_was_asked_for(tmp_path):
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (30, 40, 3), dtype=np.uint8)).save(
        tmp_path / "a.png"
    )
    meme = Meme(id="a", image="a.png", text="you smell wonderful")
    verdicts = {
        kind: detector().judge(meme, root=tmp_path, rationales=False, saliency=kind)
        for kind in (False, True, "attention", "gradient")
    }
    assert verdicts[False].saliency is None
    assert verdicts[True].saliency == verdicts["attention"].saliency != verdicts["gradient"].saliency
    assert len({verdicts[kind].key for kind in (False, "attention", "gradient")}) == 3
    gradient = verdicts["gradient"].saliency
    assert gradient is not None
    assert sum(map(sum, gradient.patches)) == pytest.approx(1) and all(w >= 0 for _, w in gradient.words)
    with pytest.raises(InputError, match="no saliency of kind 'x-ray'; there are: attention, gradient"):
        detector().judge(meme, root=tmp_path, rationales=False, saliency="x-ray")  # type: ignore[call-overload]
