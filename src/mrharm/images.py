"""The one door: every picture is sniffed, bounded, decoded and turned upright here, and comes out as RGB."""

from __future__ import annotations

import hashlib
import io
import warnings
from pathlib import Path

from PIL import Image, ImageOps

from mrharm.errors import ImageError

MAX_BYTES = 20_000_000
MAX_PIXELS = 25_000_000
SUFFIXES = (".png", ".jpg", ".jpeg", ".gif", ".webp", ".bmp")


def sniff(data: bytes) -> str | None:
    """The container by its first bytes, as Pillow names it, or None: the file's name is never trusted."""
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    if data.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if data.startswith((b"GIF87a", b"GIF89a")):
        return "GIF"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    if data.startswith(b"BM"):
        return "BMP"
    return None


def read_image_bytes(path: Path) -> bytes:
    """A picture file's bytes, size checked first.

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
    """Bytes -> an upright RGB picture (first frame; transparency over white; metadata dropped).

    Raises:
        ImageError: unknown container, more than ``MAX_PIXELS`` pixels, or broken; never a bare library error.
    """
    container = sniff(data)
    if container is None:
        raise ImageError(f"{name}: not a PNG, JPEG, GIF, WebP or BMP (starts with {data[:8]!r})")
    try:
        with warnings.catch_warnings():
            # Pillow warns of large pictures at a bound of its own; ours is checked below, before decoding.
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(data), formats=[container]) as image:
                width, height = image.size
                if width * height > MAX_PIXELS:
                    raise ImageError(
                        f"{name}: {width}x{height} pixels; at most {MAX_PIXELS:,} are decoded; scale it down"
                    )
                image.load()
                upright = ImageOps.exif_transpose(image)
                return _to_rgb(upright)
    except ImageError:
        raise
    except Image.DecompressionBombError:  # Pillow's own bound, met while the header is read
        raise ImageError(
            f"{name}: too many pixels; at most {MAX_PIXELS:,} are decoded; scale it down"
        ) from None
    except Exception as error:  # Pillow's decoders raise a dozen kinds on hostile input
        raise ImageError(f"{name}: broken {container} ({type(error).__name__}: {error})") from None


def open_image(path: Path) -> Image.Image:
    """A picture file -> an upright RGB picture; raises ImageError as `read_image_bytes` and `decode` do."""
    return decode(read_image_bytes(path), str(path))


def image_sha256(path: Path) -> str:
    """The SHA-256 of the file's bytes, in hex: the key of everything computed from a picture."""
    return hashlib.sha256(read_image_bytes(path)).hexdigest()


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16") or image.mode == "I":
        # 16-bit greyscale: Pillow's own conversion clips at 255 instead of scaling.
        image = image.convert("I").point(lambda value: value / 257).convert("L")
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        image = image.convert("RGBA")
        paper = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(paper, image)
    rgb = image.convert("RGB")
    clean = Image.new("RGB", rgb.size)
    clean.paste(rgb)
    return clean
