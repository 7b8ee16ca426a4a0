"""The detector's model card, with the figures of an evaluation: Markdown, as the hub shows it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mrharm.evaluation.evaluate import Evaluation
from mrharm.evaluation.groups import Group
from mrharm.metrics import format_cell
from mrharm.reports.tables import markdown, markdown_row
from mrharm.store import write_text
from mrharm.verdicts.card import DetectorCard, model_card

CARD = "model-card.md"
_FIGURES = {
    "accuracy": "accuracy",
    "macro_f1": "macro-F1",
    "precision": "precision of harmful",
    "recall": "recall of harmful",
    "false_alarms": "harmless memes flagged",
    "auroc": "AUROC",
    "auprc": "AUPRC",
    "brier": "Brier score",
    "ece": "class-wise ECE, 15 bins",
    "aurc": "area under the risk-coverage curve",
}


def write_model_card(evaluation: Evaluation, card: DetectorCard, folder: Path) -> Path:
    """Write ``model-card.md`` into a folder; returns where it lies."""
    path = folder / CARD
    write_text(path, render_card(evaluation, card))
    return path


def render_card(evaluation: Evaluation, card: DetectorCard) -> str:
    """What the detector is (`mrharm.verdicts.card.model_card`), then what the evaluation says of it, and its limits."""
    scores = evaluation.scores
    figures = {label: format_cell(getattr(scores, name)) for name, label in _FIGURES.items()}
    parts = [
        model_card(card).rstrip(),
        "## Evaluation",
        "\n".join(f"- {markdown(words)}" for words in evaluation.words),
        f"{evaluation.memes:,} memes of {markdown(evaluation.dataset)}, split {markdown(evaluation.split)}, "
        f"{scores.harmful:,} of them harmful. Percent, with 95 % intervals.",
        _table(("figure", "value"), list(figures.items())),
    ]
    if evaluation.beside:
        rows = [
            (row.name, format_cell(row.accuracy), format_cell(row.macro_f1), format_cell(row.auroc))
            for row in evaluation.beside
        ]
        parts += ["### Beside", _table(("model", "accuracy", "macro-F1", "AUROC"), rows)]
    if evaluation.groups:
        parts += [
            "### By kind of meme",
            _table(
                ("kind", "memes", "accuracy", "recall", "AUROC"), [_group(row) for row in evaluation.groups]
            ),
        ]
    if evaluation.probes:
        parts.append("### For the right reasons?")
        parts += [
            f"**{name}**: " + markdown(" ".join(values.get("words", [])))
            for name, values in evaluation.probes.items()
            if values.get("words")
        ]
    if evaluation.skipped:
        parts.append(
            "\n".join(
                f"- not measured: **{name}**: {markdown(why)}" for name, why in evaluation.skipped.items()
            )
        )
    parts += [
        "## Limits",
        "The figures hold for memes drawn as these were. They say nothing of other languages, other times, other kinds "
        "of harm, nor of people who try to get past the detector; `mrharm evaluate` on memes of your own does.",
    ]
    return "\n\n".join(parts) + "\n"


def _group(row: Group) -> tuple[str, ...]:
    name = f"{row.kind}: {row.name}"
    if row.too_few:
        return name, f"{row.memes:,}", "too few", "", ""
    return name, f"{row.memes:,}", format_cell(row.accuracy), format_cell(row.recall), format_cell(row.auroc)


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    return "\n".join(map(markdown_row, (head, ("---",) * len(head), *rows)))
