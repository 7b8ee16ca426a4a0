"""Reads pictures with rapidocr's models (PP-OCRv6, inside its wheel), which are run here and not by rapidocr.

Spaces are found in the recogniser's probabilities, which rapidocr keeps to itself; each line is read alone, so that
no line's text depends on its neighbours; nothing is ever downloaded or logged.
"""

from __future__ import annotations

import math
from functools import cached_property
from importlib.metadata import distribution, version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mrharm.errors import ModelUnavailableError
from mrharm.evidence.ocr import ctc_decoding, reading_order, text_detection
from mrharm.records import Point, Polygon, TextBox, WordBox

DETECTOR, RECOGNISER = "PP-OCRv6_det_small", "PP-OCRv6_rec_small"
HEIGHT = 48  # of a line, as the recogniser wants it
# Width of a line at that height, in pixels: shorter ones are padded, longer ones squeezed.
NARROWEST, WIDEST = 160, 3200
STEP = 8  # pixels of width for each step of the recogniser

# A box so many times higher than wide holds text turned by a quarter, or a single letter where it is less than ALONE.
TALL, ALONE = 1.5, 6.0
DOUBTFUL = 0.9  # a line read with less confidence may be upside down

Pixels = NDArray[np.uint8]


class RapidOcr:
    """The engine ``rapidocr``.

    Raises (at the first picture):
        ModelUnavailableError: rapidocr's wheel does not hold the models this was tuned to.
    """

    def __init__(self) -> None:
        self.version = (
            f"rapidocr@{version('rapidocr')} {DETECTOR} side {text_detection.SIDE} pixels {text_detection.PIXELS} "
            f"text {text_detection.TEXT} line {text_detection.LINE} grown {text_detection.GROWN}, "
            f"{RECOGNISER} space {ctc_decoding.SPACE} "
            f"sure {reading_order.SURE} {reading_order.SURE_OF_SHORT} {reading_order.SURE_OF_FEW}, way 2"
        )

    def read(self, image: Image.Image) -> tuple[TextBox, ...]:
        """Return the lines of text in a picture, in reading order, each with its words; nothing for no text."""
        pixels = np.ascontiguousarray(np.asarray(image.convert("RGB"))[:, :, ::-1])  # the models see BGR
        boxes = [self._read_box(pixels, box) for box in self._find_boxes(pixels)]
        return reading_order.lines_of(boxes, image.size)

    @cached_property
    def _detector(self) -> Any:
        return _load_model(DETECTOR)

    @cached_property
    def _recogniser(self) -> tuple[Any, list[str]]:
        """Return the network, and the text of each of its classes."""
        network = _load_model(RECOGNISER)
        characters = network.get_modelmeta().custom_metadata_map["character"].splitlines()
        return network, ["", *characters, " "]

    def _find_boxes(self, pixels: Pixels) -> list[Polygon]:
        import cv2

        height, width = pixels.shape[:2]
        size = text_detection.scaled_size(width, height)
        smooth = cv2.INTER_AREA if size[0] * size[1] < width * height else cv2.INTER_LINEAR
        scaled = cv2.resize(pixels, size, interpolation=smooth)
        (probabilities,) = self._detector.run(None, {"x": _network_input(scaled)})
        return text_detection.find_boxes(probabilities[0, 0], width, height)

    def _read_box(self, pixels: Pixels, box: Polygon) -> TextBox:
        """Read the text in a box; one that is higher than wide is read in each way it may be turned."""
        readings = [(turned, self._read_line(pixels, turned)) for turned in _turns(box)]
        if len(readings) == 1 and readings[0][1].confidence < DOUBTFUL:
            upended: Polygon = (box[2], box[3], box[0], box[1])
            reading = self._read_line(pixels, upended)
            if reading.confidence >= reading_order.SURE_OF_FEW and len(reading.text) > 3:
                readings.append((upended, reading))
        polygon, reading = max(
            readings, key=lambda candidate: (_is_letter(candidate), candidate[1].confidence)
        )
        height, width = pixels.shape[:2]
        return TextBox(
            polygon=_inside(polygon, width, height),
            text=reading.text,
            confidence=min(1.0, reading.confidence),
            words=tuple(
                WordBox(polygon=_inside(_slice(polygon, start, end), width, height), text=text)
                for text, start, end in reading.words
            ),
        )

    def _read_line(self, pixels: Pixels, box: Polygon) -> ctc_decoding.Reading:
        network, characters = self._recogniser
        line = _crop(pixels, box)
        width = line.shape[1]
        padded = np.zeros((1, 3, HEIGHT, max(NARROWEST, width)), np.float32)
        padded[:, :, :, :width] = _network_input(line)
        (probabilities,) = network.run(None, {"x": padded})
        return ctc_decoding.read_letters(probabilities[0], characters, width / STEP)


def _load_model(name: str) -> Any:
    file = Path(str(distribution("rapidocr").locate_file(f"rapidocr/models/{name}.onnx")))
    if not file.is_file():
        raise ModelUnavailableError(
            f"rapidocr {version('rapidocr')} does not bring {file.name}, which reading text is tuned to; "
            "install the version in constraints.txt: pip install -c constraints.txt rapidocr"
        )
    return open_session(file)


def open_session(file: Path) -> Any:
    """Load an ONNX file to run on one core: pictures are processed in as many processes as there are cores."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    # Every picture has another size: an arena would grow to hold the largest of each.
    options.enable_cpu_mem_arena = False
    return onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])


def _network_input(pixels: Pixels) -> NDArray[np.float32]:
    """(height, width, 3) of 0 to 255 -> (1, 3, height, width) of -1 to 1."""
    scaled = pixels.astype(np.float32) / 127.5 - 1.0
    return np.ascontiguousarray(scaled.transpose(2, 0, 1)[None])


def _crop(pixels: Pixels, box: Polygon) -> Pixels:
    """Crop a box as an upright line, ``HEIGHT`` pixels high."""
    import cv2

    corners = np.array(box, np.float32)
    a, b, c, d = corners
    width = max(1, int(max(np.linalg.norm(a - b), np.linalg.norm(d - c))))
    height = max(1, int(max(np.linalg.norm(a - d), np.linalg.norm(b - c))))
    flat = np.array([(0, 0), (width, 0), (width, height), (0, height)], np.float32)
    line = cv2.warpPerspective(
        pixels, cv2.getPerspectiveTransform(corners, flat), (width, height),
        flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE,
    )  # fmt: skip
    across = min(WIDEST, max(1, -(-HEIGHT * width // height)))
    return np.asarray(cv2.resize(line, (across, HEIGHT)), np.uint8)


def _turns(box: Polygon) -> list[Polygon]:
    """Return the ways to read a box: its corners clockwise from the upper left corner of the text."""
    a, b, c, d = box
    width, height = math.dist(a, b), math.dist(a, d)
    if height < TALL * width:
        return [box]
    quarters: list[Polygon] = [(b, c, d, a), (d, a, b, c)]
    return [box, *quarters] if height < ALONE * width else quarters


def _is_letter(read: tuple[Polygon, ctc_decoding.Reading]) -> bool:
    """Tell whether a tall box holds one upright letter ("I"): turned, it would be read as a dash, with confidence."""
    (a, b, _, d), reading = read
    alone = len(reading.text) == 1 and reading.text.isalnum() and reading.text.isascii()
    return math.dist(a, b) < math.dist(a, d) and alone and reading.confidence >= reading_order.SURE


def _slice(box: Polygon, start: float, end: float) -> Polygon:
    """Return the part of a line's box between two shares of its length."""
    a, b, c, d = box

    def between(first: Point, last: Point, share: float) -> Point:
        return (first[0] + (last[0] - first[0]) * share, first[1] + (last[1] - first[1]) * share)

    return (between(a, b, start), between(a, b, end), between(d, c, end), between(d, c, start))


def _inside(box: Polygon, width: int, height: int) -> Polygon:
    a, b, c, d = ((min(max(x, 0.0), float(width)), min(max(y, 0.0), float(height))) for x, y in box)
    return (a, b, c, d)
