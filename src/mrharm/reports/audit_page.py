"""The audit as one HTML file: verdict first, pictures inside and blurred until asked, no outside request."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mrharm.audit.copies import KINDS
from mrharm.audit.findings import LEVELS
from mrharm.audit.reading import Item
from mrharm.audit.run import Audit
from mrharm.audit.shortcuts import PROTOCOLS
from mrharm.errors import ImageError
from mrharm.images import place_in
from mrharm.reports.render import inline_picture, render_page
from mrharm.store import write_text

SHOWN_ERRORS = 40  # suspect labels on the page
SHOWN_TEXT = 300  # characters of a meme's text


def write_page(audited: Audit, path: Path) -> None:
    """Write the page."""
    cards = _Cards(audited)
    report = audited.report
    findings = [
        {
            "finding": finding,
            "examples": [
                {
                    "what": example.what,
                    # A rationale is quoted; a meme's own text stands on its card.
                    "quote": example.text if finding.code.startswith("rationale") else "",
                    "cards": [cards.of(meme_id) for meme_id in example.memes],
                }
                for example in finding.examples
            ],
        }
        for finding in report.findings
    ]
    suspects = [(error, cards.of(error.meme)) for error in report.label_errors[:SHOWN_ERRORS]]
    page = render_page(
        "audit.html",
        report=report,
        findings=findings,
        levels=LEVELS,
        suspects=suspects,
        kinds=KINDS,
        shared={
            pair: row
            for pair, row in report.tables["copies"]["across"].items()
            if any(kind["count"] for kind in row.values())
        },
        protocols=PROTOCOLS,
        has_pictures=any(item.meme.image for item in audited.contents.items),
    )
    write_text(path, page)


class _Cards:
    """What the page shows of a meme: id, text, label and picture, made once each."""

    def __init__(self, audited: Audit) -> None:
        self._root = audited.contents.dataset.root
        self._facts = audited.facts
        self._items: dict[str, Item] = {}
        for item in audited.contents.items:
            self._items.setdefault(item.id, item)
        self._made: dict[str, dict[str, Any]] = {}

    def of(self, meme_id: str) -> dict[str, Any]:
        if meme_id not in self._made:
            self._made[meme_id] = self._make(meme_id)
        return self._made[meme_id]

    def _make(self, meme_id: str) -> dict[str, Any]:
        item = self._items.get(meme_id)
        if item is None:  # a line that could not be read, or an id of no meme
            return {"id": meme_id, "text": "", "label": "", "split": "", "picture": None}
        look = self._facts.get(item.meme.image or "")
        picture = None
        if item.meme.image and look and not look.failure:
            try:
                picture = inline_picture(place_in(self._root, item.meme.image))
            except ImageError:  # gone since it was looked at
                picture = None
        text = item.meme.text or ""
        return {
            "id": meme_id,
            "text": text[:SHOWN_TEXT] + ("…" if len(text) > SHOWN_TEXT else ""),
            "label": {True: "harmful", False: "harmless", None: "no label"}[item.harmful],
            "split": ", ".join(item.splits),
            "picture": picture,
        }
