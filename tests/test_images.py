import io
import os
import struct
import warnings
import zlib
from pathlib import Path

import pytest
from PIL import Image

from mrharm.errors import ImageError
from mrharm.images import (
    MAX_BYTES,
    MAX_PARTS,
    MAX_SCANS,
    decode,
    encode_pixels,
    encode_png,
    open_image,
    read_image_bytes,
    sniff,
)

CONTAINERS = ["PNG", "JPEG", "GIF", "WEBP", "BMP"]
# EXIF orientation -> how an upright picture was turned to be stored so (EXIF 2.3, tag 0x0112).
STORED = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


def encoded(image: Image.Image, container: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, container, **options)
    return buffer.getvalue()


def four_corners() -> Image.Image:
    """3 x 2 pixels, no two corners alike."""
    image = Image.new("RGB", (3, 2), "white")
    for place, colour in {(0, 0): "red", (2, 0): "lime", (0, 1): "blue", (2, 1): "black"}.items():
        image.putpixel(place, Image.new("RGB", (1, 1), colour).getpixel((0, 0)))  # type: ignore[arg-type]
    return image


def chunk(kind: bytes, data: bytes = b"") -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def header_only_png(width: int, height: int) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT") + chunk(b"IEND")


@pytest.mark.parametrize("container", CONTAINERS)
def test_each_container_is_sniffed_and_decoded_to_rgb(container: str) -> None:
    data = encoded(Image.new("RGB", (20, 10), (200, 30, 30)), container)
    assert sniff(data) == container
    image = decode(data)
    assert (image.mode, image.size) == ("RGB", (20, 10))
    assert all(abs(a - b) < 12 for a, b in zip(image.getpixel((5, 5)), (200, 30, 30), strict=True))  # type: ignore[arg-type]


@pytest.mark.parametrize(("orientation", "turn"), STORED.items())
def test_every_exif_orientation_comes_out_upright(orientation: int, turn: Image.Transpose | None) -> None:
    upright = four_corners()
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = decode(encoded(upright.transpose(turn) if turn is not None else upright, exif=exif))
    assert image.size == upright.size
    assert image.tobytes() == upright.tobytes()


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
def test_every_png_mode_becomes_rgb_white(mode: str) -> None:
    white: dict[str, int | tuple[int, ...]] = {"LA": (255, 255), "RGBA": (255,) * 4, "RGB": (255,) * 3}
    image = Image.new(mode, (4, 4), white.get(mode, 65535 if mode == "I;16" else 255))
    if mode == "P":
        image = Image.new("RGB", (4, 4), "white").convert("P")
    decoded = decode(encoded(image))
    assert (decoded.mode, decoded.getpixel((1, 1))) == ("RGB", (255, 255, 255))


def test_16_bit_grey_is_scaled_not_clipped() -> None:
    assert decode(encoded(Image.new("I;16", (2, 2), 32896))).getpixel((0, 0)) == (128, 128, 128)


def test_a_cmyk_jpeg_becomes_rgb() -> None:
    assert decode(encoded(Image.new("CMYK", (8, 8)), "JPEG")).mode == "RGB"


def test_transparency_lies_over_white() -> None:
    assert decode(encoded(Image.new("RGBA", (2, 2), (0, 0, 0, 0)))).getpixel((0, 0)) == (255, 255, 255)
    clear_red = encoded(Image.new("P", (2, 2), 0), transparency=0)
    assert decode(clear_red).getpixel((0, 0)) == (255, 255, 255)


def test_an_animation_gives_its_first_frame() -> None:
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "blue")]
    data = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert decode(data).getpixel((0, 0)) == (255, 0, 0)
    second = data[data.rindex(b"\x21\xf9") : -1]
    assert decode(data[:-1] + second * MAX_PARTS + b";").getpixel((0, 0)) == (255, 0, 0)  # a long film


def test_metadata_is_dropped() -> None:
    exif = Image.Exif()
    exif[0x010E] = "where you live"
    image = decode(encoded(four_corners(), "JPEG", exif=exif, comment=b"hello"))
    assert not image.info
    assert not image.getexif()
    again = Image.open(io.BytesIO(encode_png(decode(encoded(four_corners(), exif=exif)))))
    again.load()
    assert again.info == {}
    assert again.tobytes() == four_corners().tobytes()


@pytest.mark.parametrize("container", ["PNG", "JPEG", "GIF", "WEBP", "BMP"])
def test_a_truncated_picture_is_an_image_error(container: str) -> None:
    data = encoded(Image.effect_noise((64, 64), 80).convert("RGB"), container)
    with pytest.raises(ImageError, match="broken"):
        decode(data[: len(data) // 2], "half.png")


def test_the_extension_is_not_trusted(tmp_path: Path) -> None:
    path = tmp_path / "really-a-png.jpg"
    path.write_bytes(encoded(four_corners()))
    assert open_image(path).tobytes() == four_corners().tobytes()


@pytest.mark.parametrize("data", [b"", b"<svg></svg>", b"%PDF-1.7", b"\x89PNG"])
def test_what_is_no_picture_is_refused_by_its_first_bytes(data: bytes) -> None:
    with pytest.raises(ImageError, match="not a PNG, JPEG, GIF, WebP or BMP"):
        decode(data)


@pytest.mark.parametrize("size", [(6_000, 6_000), (12_000, 9_000), (60_000, 60_000)])
def test_too_many_pixels_are_refused_from_the_header(size: tuple[int, int]) -> None:
    with pytest.raises(ImageError, match="at most 25,000,000 of a PNG are decoded"):
        decode(header_only_png(*size))


def test_a_file_over_the_bound_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "big.png"
    with path.open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    with pytest.raises(ImageError, match="at most 20,000,000 are read"):
        read_image_bytes(path)


def test_a_folder_a_pipe_and_a_missing_file_are_image_errors(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "pipe", tmp_path / "none.png", tmp_path / "a\0b.png"):
        with pytest.raises(ImageError):
            read_image_bytes(path)


def test_a_png_of_countless_chunks_is_refused_before_it_is_parsed() -> None:
    whole = encoded(four_corners())
    with pytest.raises(ImageError, match="a PNG of too many parts"):
        decode(whole[:33] + chunk(b"prIv") * (MAX_PARTS + 1) + whole[33:])
    assert decode(whole[:33] + chunk(b"prIv") * 5000 + whole[33:]).tobytes() == four_corners().tobytes()


def test_a_png_whose_texts_unpack_without_end_is_an_image_error() -> None:
    whole = encoded(four_corners())
    text = chunk(b"zTXt", b"comment\0\0" + zlib.compress(b"a" * 900_000))
    with pytest.raises(ImageError):
        decode(whole[:33] + text * 200 + whole[33:])


def test_a_jpeg_of_countless_passes_is_refused_and_twelve_are_read() -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (64, 64), "teal").save(buffer, "JPEG", progressive=True)
    whole = buffer.getvalue()
    last = whole.rfind(b"\xff\xda")
    with pytest.raises(ImageError, match="a JPEG of too many parts"):
        decode(whole[:-2] + whole[last:-2] * MAX_SCANS + whole[-2:])
    assert decode(whole[:-2] + whole[last:-2] * 2 + whole[-2:]).size == (64, 64)


def test_a_film_behind_a_jpeg_does_not_count_as_passes() -> None:
    whole = encoded(four_corners(), "JPEG")
    assert decode(whole + b"\xff\xda" * 100_000).size == four_corners().size


def test_a_gif_of_countless_comments_is_refused() -> None:
    whole = encoded(four_corners().quantize(4), "GIF")
    at = whole.index(b",", 13)
    with pytest.raises(ImageError, match="a GIF of too many parts"):
        decode(whole[:at] + b"\x21\xfe\x01a\x00" * MAX_PARTS + whole[at:])


def test_a_webp_larger_than_its_decoder_can_hold_is_refused() -> None:
    with pytest.raises(ImageError, match="at most 18,000,000 of a WEBP"):
        decode(encoded(Image.new("RGB", (4300, 4300)), "WEBP"))


def test_a_file_that_is_two_things_is_read_as_the_picture_or_refused() -> None:
    script = b"<html><script>alert(1)</script></html>"
    assert decode(encoded(four_corners()) + script).tobytes() == four_corners().tobytes()
    with pytest.raises(ImageError, match="not a PNG"):
        decode(script + encoded(four_corners()))
    with pytest.raises(ImageError, match="broken GIF"):
        decode(b"GIF89a" + encoded(four_corners()))


def test_nothing_outside_the_call_is_changed() -> None:
    before = (list(warnings.filters), Image.MAX_IMAGE_PIXELS)
    decode(encoded(four_corners()))
    assert (list(warnings.filters), Image.MAX_IMAGE_PIXELS) == before


def test_a_reason_is_the_same_each_time() -> None:
    broken = b"\x89PNG\r\n\x1a\n" + b"\x00" * 40
    reasons = set()
    for _ in range(2):
        with pytest.raises(ImageError) as caught:
            decode(broken, "x.png")
        reasons.add(str(caught.value))
    assert len(reasons) == 1 and "object at" not in reasons.pop()


@pytest.mark.parametrize("container", ["PNG", "JPEG", "GIF", "WEBP"])
def test_an_open_picture_is_encoded_to_what_its_file_is_decoded_to(container: str) -> None:
    turned = Image.Exif()
    turned[0x0112] = 6
    options = {} if container == "GIF" else {"exif": turned}
    data = encoded(four_corners(), container, **options)
    with Image.open(io.BytesIO(data)) as image:
        pixels = encode_pixels(image)
        assert encode_pixels(image) == pixels  # the same each time
    assert decode(pixels).tobytes() == decode(data).tobytes()


@pytest.mark.parametrize("size", [(0, 5), (5_001, 5_000)])
def test_an_open_picture_of_no_or_too_many_pixels_is_refused(size: tuple[int, int]) -> None:
    with pytest.raises(ImageError, match="expected 1 to 25,000,000"):
        encode_pixels(Image.new("1", size))


def test_an_open_picture_whose_file_is_cut_short_is_an_image_error() -> None:
    data = encoded(four_corners())
    with (
        Image.open(io.BytesIO(data[: len(data) * 2 // 3])) as image,
        pytest.raises(ImageError, match="broken"),
    ):
        encode_pixels(image)
