"""A third party's engines, installed as a package of their own: quick stand-ins that the gather tests look with."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ENGINES = '''
import os
import signal

from PIL import Image

from mrharm.records import TextBox

CORNERS = ((0.0, 0.0), (4.0, 0.0), (4.0, 4.0), (0.0, 4.0))
LOG = os.environ.get("STAND_IN_LOG")


def note(what):
    if LOG:
        with open(LOG, "a") as file:
            file.write(what + "\\n")


class Ocr:
    """Reads a picture's first pixel as a word; black kills the process, grey fails, white has no words."""

    version = os.environ.get("STAND_IN_OCR_VERSION", "stand-in-ocr@1")

    def read(self, image):
        red, green, blue = image.getpixel((0, 0))
        note(f"read {red}")
        if (red, green, blue) == (0, 0, 0):
            os.kill(os.getpid(), signal.SIGKILL)
        if (red, green, blue) == (128, 128, 128):
            raise RuntimeError("grey is beyond me")
        if (red, green, blue) == (255, 255, 255):
            return ()
        return (TextBox(polygon=CORNERS, text=f"you {red}", confidence=0.9),)


class Inpainter:
    """Paints the boxes' place white."""

    version = os.environ.get("STAND_IN_INPAINTER_VERSION", "stand-in-inpainter@1")

    def clean(self, image, boxes):
        note("clean")
        clean = image.copy()
        if boxes:
            clean.paste((255, 255, 255), (0, 0, 4, 4))
        return clean


class Captioner:
    """Says how large a picture is; ``fail`` for what it stands behind makes every second one fail."""

    version = "stand-in-captions@1"
    batch_size = 3

    def __init__(self, what=None):
        self.what = what

    def describe(self, pictures):
        if self.what == "absent":
            from mrharm.errors import ModelUnavailableError

            raise ModelUnavailableError("no such captioner is in reach; name a folder")
        note(f"describe {len(pictures)}")
        return [
            RuntimeError("no words") if self.what == "fail" and index % 2 else f"a picture of {one.image.size}"
            for index, one in enumerate(pictures)
        ]
'''
POINTS = """
[mrharm.ocr]
stand-in = stand_in_engines:Ocr
[mrharm.inpainters]
stand-in = stand_in_engines:Inpainter
[mrharm.captioners]
stand-in = stand_in_engines:Captioner
"""


@pytest.fixture
def stand_ins(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The package, importable here and in child processes; yields the log of what its engines did."""
    site = tmp_path_factory.mktemp("site")
    (site / "stand_in_engines.py").write_text(ENGINES)
    info = site / "stand_in_engines-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: stand-in-engines\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(POINTS)
    log = site / "log.txt"
    log.touch()
    monkeypatch.setenv("STAND_IN_LOG", str(log))
    monkeypatch.syspath_prepend(str(site))
    sys.modules.pop("stand_in_engines", None)
    yield log
    sys.modules.pop("stand_in_engines", None)
