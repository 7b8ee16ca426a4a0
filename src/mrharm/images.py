"""Open pictures safely: every picture is sniffed, bounded, decoded and turned upright here, and returned as RGB."""

from __future__ import annotations

import hashlib
import io
import re
import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from mrharm.errors import ImageError

# Pillow warns of odd pictures. What matters of that is an ImageError here; the filter is set once and not around each
# call, because filters are shared by all threads.
warnings.filterwarnings("ignore", module=r"PIL\.")

MAX_BYTES = 20_000_000
MAX_PIXELS = 25_000_000
# Pillow's WebP decoder holds 16 bytes a pixel at its height, four times the others'.
MAX_PIXELS_OF = {"WEBP": 18_000_000}
# Chunks, blocks or segments of a file, and passes of a progressive JPEG: encoders write some 5,000 and 12 at most.
MAX_PARTS, MAX_SCANS = 20_000, 60
_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")  # not a stuffed byte, a restart, or filling
_STARTS = {
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"\xff\xd8\xff": "JPEG",
    b"GIF87a": "GIF",
    b"GIF89a": "GIF",
    b"BM": "BMP",
}
SUFFIXES = (".png", ".jpg", ".jpeg", ".gif", ".webp", ".bmp")


def sniff(data: bytes) -> str | None:
    """Return the container by the first bytes, as Pillow names it, or None: the file's name is never trusted."""
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    return next((container for start, container in _STARTS.items() if data.startswith(start)), None)


def check_structure(data: bytes, container: str, name: str) -> None:
    """Refuse files that are small and take minutes: millions of empty parts, or a JPEG of thousands of passes.

    Raises:
        ImageError: more parts than any encoder writes.
    """
    count = {"JPEG": _count_segments, "PNG": _count_chunks, "GIF": _count_blocks}.get(container)
    if count and count(data) > MAX_PARTS:
        raise ImageError(f"{name}: a {container} of too many parts; expected a picture; save it anew")


def _count_segments(data: bytes) -> int:
    """Count the segments of a JPEG; a scan, a pass over the whole picture, weighs as much as hundreds of others."""
    at, count = 2, 0
    while at + 4 <= len(data) and count <= MAX_PARTS:
        marker = _MARKER.search(data, at)
        if marker is None or marker[0] == b"\xff\xd9":
            break
        scan = marker[0] == b"\xff\xda"
        count += MAX_PARTS // MAX_SCANS if scan else 1
        at = marker.end() + int.from_bytes(data[marker.end() : marker.end() + 2], "big")
    return count


def _count_chunks(data: bytes) -> int:
    """Count the chunks of a PNG, up to the bound."""
    at, count = 8, 0
    while at + 8 <= len(data) and count <= MAX_PARTS:
        at += 12 + int.from_bytes(data[at : at + 4], "big")
        count += 1
    return count


def _count_blocks(data: bytes) -> int:
    """Count the blocks before the first frame of a GIF, up to the bound."""
    flags = data[10] if len(data) > 10 else 0
    at, count = 13 + (3 << ((flags & 7) + 1) if flags & 0x80 else 0), 0
    while at < len(data) and data[at] == 0x21 and count <= MAX_PARTS:  # an extension
        at += 2
        while at < len(data) and data[at] and count <= MAX_PARTS:  # its sub-blocks
            at += 1 + data[at]
            count += 1
        at += 1
        count += 1
    return count


def read_image_bytes(path: Path) -> bytes:
    """Read a picture file's bytes, size checked first.

    Raises:
        ImageError: missing, not a file, or over ``MAX_BYTES``.
    """
    try:
        size = path.stat().st_size
        if not path.is_file():
            raise ImageError(f"{path}: not a file; expected a picture")
        if size > MAX_BYTES:
            raise ImageError(f"{path}: {size:,} bytes; at most {MAX_BYTES:,} are read; save it smaller")
        return path.read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a null byte in the path
        raise ImageError(f"{path}: cannot be read ({getattr(error, 'strerror', None) or error})") from None


def decode(data: bytes, name: str = "picture") -> Image.Image:
    """Decode bytes into an upright RGB picture (first frame; transparency over white; no ICC profiles, no metadata).

    Safe on pictures from anywhere and in threads: size and structure are checked before anything is decoded, nothing
    outside the call is changed. At most 300 MB and a second a file (`python -m benchmarks.images`).

    Raises:
        ImageError: unknown container, more than ``MAX_PIXELS`` pixels, built to be slow, or broken; never a bare
            library error.
    """
    container = sniff(data)
    if container is None:
        raise ImageError(f"{name}: not a PNG, JPEG, GIF, WebP or BMP (starts with {data[:8]!r})")
    check_structure(data, container, name)
    most = MAX_PIXELS_OF.get(container, MAX_PIXELS)
    too_many = f"at most {most:,} of a {container} are decoded; scale it down"
    try:
        with Image.open(io.BytesIO(data), formats=[container]) as image:
            width, height = image.size
            if width * height > most:
                raise ImageError(f"{name}: {width}x{height} pixels; {too_many}")
            image.load()
            ImageOps.exif_transpose(image, in_place=True)
            return _to_rgb(image)
    except ImageError:
        raise
    # Pillow's own bounds, met while the header is read; the second where warnings are errors.
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise ImageError(f"{name}: too many pixels; {too_many}") from None
    except Exception as error:  # Pillow's decoders raise a dozen kinds on hostile input
        # Pillow names the object it read from by its address, which is another one each time.
        why = re.sub(r" <_io\.BytesIO object at \w+>", "", str(error))
        raise ImageError(f"{name}: broken {container} ({type(error).__name__}: {why})") from None


def open_image(path: Path) -> Image.Image:
    """Open a picture file as an upright RGB picture; raises ImageError as `read_image_bytes` and `decode` do."""
    return decode(read_image_bytes(path), str(path))


def place_in(root: Path, name: str) -> Path:
    """Return the path of a picture that a record names, and refuse one outside the dataset folder.

    Raises:
        ImageError: the path is absolute, or leaves ``root`` by ``..`` or by a link.
    """
    path = root / name
    try:
        inside = path.resolve().is_relative_to(root.resolve())
    except (OSError, ValueError) as error:  # a circle of links; a null byte
        raise ImageError(f"{name!r}: not the path of a picture ({error})") from None
    if not inside:
        raise ImageError(f"{name}: leaves the dataset folder {root}; expected a path inside it")
    return path


def image_sha256(path: Path) -> str:
    """Return the SHA-256 of the file's bytes, in hex."""
    return hashlib.sha256(read_image_bytes(path)).hexdigest()


def encode_png(image: Image.Image) -> bytes:
    """Encode a picture as PNG, without its metadata."""
    buffer = io.BytesIO()
    _plain(image).save(buffer, "PNG")
    return buffer.getvalue()


def encode_pixels(image: Image.Image, name: str = "picture") -> bytes:
    """Encode an open picture as `decode` would show its file: upright RGB, as BMP, so same pixels are same bytes.

    Raises:
        ImageError: more than ``MAX_PIXELS`` pixels, none, or the file behind it is broken.
    """
    width, height = image.size
    if not 0 < width * height <= MAX_PIXELS:
        raise ImageError(f"{name}: {width}x{height} pixels; expected 1 to {MAX_PIXELS:,}; scale it down")
    buffer = io.BytesIO()
    try:
        _to_rgb(ImageOps.exif_transpose(image)).save(buffer, "BMP")
    except Exception as error:  # of its decoder, where it was not read yet
        raise ImageError(f"{name}: broken picture ({type(error).__name__}: {error})") from None
    return buffer.getvalue()


def _to_rgb(image: Image.Image) -> Image.Image:
    """Convert any mode to RGB over white. Each step holds at most two pictures: a hostile one is 25 megapixels."""
    if image.mode == "I" or image.mode.startswith("I;16"):
        # 16-bit greyscale: Pillow's own conversion clips at 255 instead of scaling.
        image = Image.fromarray((np.asarray(image).astype(np.uint16) // 257).astype(np.uint8))
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        image = image if image.mode == "RGBA" else image.convert("RGBA")
        paper = Image.new("RGB", image.size, "white")
        paper.paste(image, mask=image.getchannel("A"))
        return paper
    return _plain(image)


def _plain(image: Image.Image) -> Image.Image:
    """Return the pixels alone, as RGB, without the metadata of the file."""
    clean = image.copy() if image.mode == "RGB" else image.convert("RGB")
    clean.info = {}
    return clean
