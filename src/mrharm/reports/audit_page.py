"""The audit as one HTML file: verdict first, pictures inside and blurred until asked, no outside request."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from mrharm.audit.copies import KINDS
from mrharm.audit.findings import LEVELS
from mrharm.audit.reading import Item
from mrharm.audit.run import Audit
from mrharm.audit.shortcuts import PROTOCOLS
from mrharm.errors import ImageError
from mrharm.images import place_in
from mrharm.reports.render import LABELS, inline_picture, render_page, shorten
from mrharm.store import write_text

SHOWN_ERRORS = 40  # suspect labels on the page
SHOWN_TEXT = 300  # characters of a meme's text


def write_page(audited: Audit, path: Path) -> None:
    """Write the page."""
    report = audited.report
    items: dict[str, Item] = {}
    for item in audited.contents.items:
        items.setdefault(item.id, item)

    @cache  # a meme may be in several findings
    def describe_meme(meme_id: str) -> dict[str, Any]:
        """Return what the page shows of a meme: id, text, label and picture."""
        item = items.get(meme_id)
        if item is None:  # a line that could not be read, or an id of no meme
            return {"id": meme_id, "text": "", "label": "", "split": "", "picture": None}
        return {
            "id": meme_id,
            "text": shorten(item.meme.text or "", SHOWN_TEXT),
            "label": LABELS[item.harmful],
            "split": ", ".join(item.splits),
            "picture": _inline_picture(audited, item),
        }

    across = report.tables["copies"]["across"].items()
    page = render_page(
        "audit.html",
        report=report,
        levels=LEVELS,
        describe_meme=describe_meme,
        suspects=report.label_errors[:SHOWN_ERRORS],
        suspect_labels=next((row.count for row in report.findings if row.code == "label-errors"), 0),
        kinds=KINDS,
        shared={pair: row for pair, row in across if any(kind["count"] for kind in row.values())},
        protocols=PROTOCOLS,
        has_pictures=any(item.meme.image for item in audited.contents.items),
    )
    write_text(path, page)


def _inline_picture(audited: Audit, item: Item) -> str | None:
    facts = audited.facts.get(item.meme.image or "")
    if not item.meme.image or not facts or facts.failure:
        return None
    try:
        return inline_picture(place_in(audited.contents.dataset.root, item.meme.image))
    except ImageError:  # gone since the audit read it
        return None
