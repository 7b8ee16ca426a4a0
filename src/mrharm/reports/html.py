"""Reports as one HTML file: pictures inside, no outside request, readable on a phone."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from PIL import Image

from mrharm.images import open_image
from mrharm.store import write_text

ROW_NAMES = {
    "majority": "majority",
    "text_only": "text only (TF-IDF + LR)",
    "image_only": "image only (pixels)",
    "labels_only": "labels-only student",
    "two_stage": "two-stage student",
}
_SIDE = 320  # pixels


def write_demo_report(path: Path, report: dict[str, Any], shown: Sequence[dict[str, Any]]) -> None:
    """``demo/report.html``: the tables, then memes with their verdicts, right and wrong."""
    environment = Environment(
        loader=PackageLoader("mrharm", "reports/templates"), autoescape=True, undefined=StrictUndefined
    )
    cards = [{**one, "picture": inline_picture(one["picture"])} for one in shown]
    template = environment.get_template("demo.html")
    write_text(path, template.render(report=report, names=ROW_NAMES, cards=cards))


def inline_picture(path: Path) -> str:
    """A picture file -> a ``data:`` address of a JPEG at most 320 pixels a side."""
    return inline(open_image(path))


def inline(image: Image.Image) -> str:
    """An RGB picture -> a ``data:`` address of a JPEG at most 320 pixels a side."""
    image = image.copy()
    image.thumbnail((_SIDE, _SIDE))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=85)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
