"""How long, and how much memory, the one door for pictures takes on the worst files it lets in or turns away.

    python -m benchmarks.images [--json]

Every file is made here, at the bounds of size, and opened in a process of its own. The bounds promised: 1 s, 300 MB.
"""

from __future__ import annotations

import argparse
import io
import struct
import zlib
from collections.abc import Callable
from time import monotonic
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.common import machine, peak_memory_mb, reset_peak_memory, run_in_process, show
from mrharm.errors import ImageError
from mrharm.images import MAX_BYTES, MAX_PARTS, MAX_PIXELS, decode

SIDE = int(MAX_PIXELS**0.5)


def encode(image: Image.Image, container: str, **how: Any) -> bytes:
    """A picture's bytes."""
    buffer = io.BytesIO()
    image.save(buffer, container, **how)
    return buffer.getvalue()


def noise(mode: str = "RGB", side: int = SIDE, grain: int = 8) -> Image.Image:
    """Blotches of random colour: about as hard to decode as a photograph."""
    rng = np.random.default_rng(0)
    small = Image.fromarray(rng.integers(0, 255, (side // grain, side // grain, 3), dtype=np.uint8))
    return small.resize((side, side), Image.Resampling.BICUBIC).convert(mode)


def chunk(kind: bytes, data: bytes = b"") -> bytes:
    """A PNG chunk."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def many_chunks(count: int) -> bytes:
    """A PNG of empty private chunks before its picture."""
    whole = encode(Image.new("RGB", (64, 64)), "PNG")
    return whole[:33] + chunk(b"prIv") * count + whole[33:]


def text_bomb() -> bytes:
    """A PNG with compressed texts that are a thousand times larger than they look."""
    whole = encode(Image.new("RGB", (64, 64)), "PNG")
    text = chunk(b"zTXt", b"comment\0\0" + zlib.compress(b"a" * 900_000, 9))
    return whole[:33] + text * 2000 + whole[33:]


def many_scans(count: int) -> bytes:
    """A progressive JPEG whose last pass is repeated."""
    whole = encode(Image.new("RGB", (SIDE, SIDE), "teal"), "JPEG", progressive=True)
    last = whole.rfind(b"\xff\xda")
    return whole[:-2] + whole[last:-2] * count + whole[-2:]


def many_blocks(count: int) -> bytes:
    """A GIF of one-byte comment blocks."""
    whole = encode(Image.new("L", (64, 64)), "GIF")
    at = whole.index(b",")
    return whole[:at] + (b"\x21\xfe\x01a\x00" * count) + whole[at:]


def many_frames(count: int) -> bytes:
    """A GIF animation."""
    frames = [Image.new("L", (64, 64), number % 256) for number in range(count)]
    return encode(frames[0], "GIF", save_all=True, append_images=frames[1:])


def sideways() -> bytes:
    """A JPEG that its EXIF data turns by a quarter."""
    exif = Image.Exif()
    exif[274] = 6
    return encode(noise(), "JPEG", quality=80, exif=exif)


FILES: dict[str, Callable[[], bytes]] = {
    "PNG, 25 megapixels": lambda: encode(noise(grain=64), "PNG"),
    "PNG, with transparency": lambda: encode(noise("RGBA", grain=80), "PNG"),
    "PNG, palette": lambda: encode(noise(grain=16).quantize(64), "PNG"),
    "PNG, 16-bit grey": lambda: encode(
        Image.fromarray(np.arange(SIDE * SIDE, dtype=np.uint16).reshape(SIDE, SIDE)), "PNG"
    ),
    "PNG, one colour (a bomb of 25 MP)": lambda: encode(Image.new("RGB", (SIDE, SIDE)), "PNG"),
    "PNG, 400 megapixels (a bomb)": lambda: encode(Image.new("1", (20_000, 20_000)), "PNG"),
    "PNG, 20,000 empty chunks": lambda: many_chunks(MAX_PARTS - 10),
    "PNG, a million empty chunks": lambda: many_chunks(1_000_000),
    "PNG, 2,000 compressed texts (a bomb)": text_bomb,
    "JPEG, 25 megapixels": lambda: encode(noise(), "JPEG", quality=85),
    "JPEG, progressive": lambda: encode(noise(), "JPEG", quality=85, progressive=True),
    "JPEG, CMYK": lambda: encode(noise("CMYK"), "JPEG", quality=85),
    "JPEG, sideways": sideways,
    "JPEG, 55 passes": lambda: many_scans(45),
    "JPEG, 3,000 passes (a bomb)": lambda: many_scans(3000),
    "GIF, 25 megapixels": lambda: encode(noise(grain=16).quantize(64), "GIF"),
    "GIF, 5,000 frames": lambda: many_frames(5000),
    "GIF, a million comments": lambda: many_blocks(1_000_000),
    "WebP, 18 megapixels": lambda: encode(noise(side=4240), "WEBP", quality=80, method=0),
    "WebP, lossless, with transparency": lambda: encode(
        noise("RGBA", 4240, 64), "WEBP", lossless=True, method=0
    ),
    "BMP, 20 MB": lambda: encode(Image.new("L", (4400, 4400)), "BMP"),
}


def measure(name: str) -> dict[str, Any]:
    """Make one file and open it: seconds, MB above what the process held, and what came of it."""
    data = FILES[name]()
    if len(data) > MAX_BYTES:
        return {"seconds": 0.0, "mb": 0, "kb": len(data) // 1000, "outcome": "refused unread (20 MB)"}
    encode(decode(encode(Image.new("RGB", (8, 8)), "PNG")), "PNG")  # what is loaded once counts for no file
    held = _held_mb()
    reset_peak_memory("cpu")
    start = monotonic()
    try:
        decode(data)
        outcome = "decoded"
    except ImageError as error:
        outcome = "refused: " + str(error).partition(": ")[2][:48]
    seconds = monotonic() - start
    return {
        "seconds": round(seconds, 3),
        "mb": max(0, peak_memory_mb("cpu") - held),
        "kb": len(data) // 1000,
        "outcome": outcome,
    }


def _held_mb() -> int:
    reset_peak_memory("cpu")
    return peak_memory_mb("cpu")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", action="store_true", help="one JSON object")
    options = parser.parse_args()
    rows = [{"way": name, **run_in_process(measure, name)} for name in FILES]
    slowest, largest = (max(float(row[key]) for row in rows) for key in ("seconds", "mb"))
    result = {"machine": machine("cpu"), "files": rows, "slowest_s": slowest, "largest_mb": largest}
    show(f"opening hostile pictures: at most {slowest} s, {largest:.0f} MB", rows, result, options.json)


if __name__ == "__main__":
    main()
