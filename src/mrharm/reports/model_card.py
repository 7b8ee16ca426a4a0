"""The detector's model card with the figures of an evaluation: Markdown, as the hub shows it."""

from __future__ import annotations

from pathlib import Path

from mrharm.evaluation.evaluate import Evaluation
from mrharm.reports.render import render_markdown
from mrharm.reports.tables import tabulate_evaluation
from mrharm.store import write_text
from mrharm.verdicts.card import DetectorCard, model_card

CARD = "model-card.md"


def write_model_card(evaluation: Evaluation, card: DetectorCard, folder: Path) -> Path:
    """Write ``model-card.md`` into a folder, and return its path."""
    write_text(folder / CARD, render_card(evaluation, card))
    return folder / CARD


def render_card(evaluation: Evaluation, card: DetectorCard) -> str:
    """Render what the detector is (`mrharm.verdicts.card.model_card`), how it was evaluated, and its limits."""
    tables = tabulate_evaluation(evaluation)
    return render_markdown("model-card.md.jinja", found=evaluation, about=model_card(card), tables=tables)
