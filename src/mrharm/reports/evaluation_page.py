"""An evaluation as one HTML file: the verdict first, then tables and plots, then the worst mistakes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mrharm.errors import ImageError
from mrharm.evaluation.evaluate import Evaluation
from mrharm.evaluation.predictions import LabelledVerdicts
from mrharm.images import open_image
from mrharm.metrics import Estimate, name_figure
from mrharm.probes.saliency import UNITS
from mrharm.records import Saliency
from mrharm.reports.ablation_page import read_ablation, tabulate_split, to_svg
from mrharm.reports.plots import DIAGONAL, Curve, Panel, draw_bars, draw_curves
from mrharm.reports.render import inline, inline_svg, render_page, shorten
from mrharm.reports.saliency_picture import draw_saliency, shade_words
from mrharm.reports.tables import tabulate_evaluation, tabulate_record
from mrharm.store import write_text
from mrharm.student.interface import Frame

SHOWN_MISTAKES = 12
SHOWN_TEXT = 400  # characters of a meme's words
_ORDERS = ("gradient", "attention", "random")


@dataclass(frozen=True)
class MistakeSaliency:
    """What moved the worst wrong decisions, by meme id, and where its patches are in a picture."""

    weights: Mapping[str, Saliency]
    frame: Frame | None = None


def write_page(
    evaluation: Evaluation,
    verdicts: LabelledVerdicts,
    path: Path,
    *,
    explained: MistakeSaliency,
    ablation: Path | None = None,
    command: str = "",
) -> None:
    """Write the page, with the pictures of the worst mistakes and what moved these decisions.

    ``ablation`` is the folder of an ablation to show, too; ``command`` is what reproduces every figure. Raises
    DataError where that folder's ``ablation.json`` is missing, or is something else.
    """
    arms = read_ablation(ablation) if ablation else None
    page = render_page(
        "evaluation.html",
        found=evaluation,
        tables=tabulate_evaluation(evaluation),
        plots=draw_plots(evaluation),
        probes=[
            {
                "name": name,
                "words": record.get("words", ()),
                "tables": tabulate_record(record),
                "plots": draw_saliency_plots(record) if name == "saliency" else (),
            }
            for name, record in evaluation.probes.items()
        ],
        ablation=arms,
        ablation_plot=inline_svg(to_svg(arms)) if arms and arms.runs else None,
        arms={split: tabulate_split(cells) for split, cells in arms.tables.items()} if arms else {},
        mistakes=_describe_mistakes(evaluation, verdicts, explained),
        command=command,
    )
    write_text(path, page)


def draw_plots(evaluation: Evaluation) -> dict[str, str]:
    """Return plot -> its ``data:`` address, of what there are figures for."""
    curves, plots = evaluation.curves, {}
    if bins := curves.reliability:
        dots = Curve(
            "",
            [part.mean_score for part in bins],
            [part.harmful.value or 0.0 for part in bins],
            [float(part.memes) for part in bins],
        )
        axes = ("P(harmful)", "share that is harmful")
        plots["Reliability"] = draw_curves([DIAGONAL, dots], *axes, title="Reliability")
    for name, points, x, y, guides, top in (
        ("ROC", curves.roc, "harmless memes flagged", "harmful memes flagged", [DIAGONAL], 1.0),
        ("Precision and recall", curves.pr, "recall", "precision", [], 1.0),
        ("Risk and coverage", curves.risk_coverage, "share decided, most confident first", "share of those wrong", [],
         None),
    ):  # fmt: skip
        if points:
            line = Curve("", [across for across, _ in points], [up for _, up in points])
            plots[name] = draw_curves([*guides, line], x, y, title=name, top=top)
    if panels := make_robustness_panels(evaluation.probes.get("robustness") or {}):
        title = "Robustness: macro-F1 under the strongest changes"
        plots["Robustness"] = draw_bars(panels, "macro-F1", title=title)
    return {name: inline_svg(drawing) for name, drawing in plots.items()}


def make_robustness_panels(record: Mapping[str, Any]) -> list[Panel]:
    """Return a panel for each kind of change, with macro-F1 under the strongest ones."""
    settings = record.get("settings", ())
    strongest = max((setting["strength"] for setting in settings), default=0)
    panels: dict[str, Panel] = {}
    for setting in settings:
        if setting["strength"] == strongest:
            kind = setting["kind"]
            unchanged = ("unchanged", Estimate.model_validate(record["clean"]["macro_f1"]))
            panel = panels.setdefault(kind, Panel(f"{kind} changed", [unchanged], ["unchanged"]))
            figure = Estimate.model_validate(setting["moved"]["macro_f1"])
            panel.bars.append((name_figure(setting["change"]), figure))
    return list(panels.values())


def draw_saliency_plots(record: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Return the units, the plot of deletion and that of insertion, for words and for patches."""
    rows: list[tuple[str, ...]] = []
    for part, units in UNITS.items():
        if not record.get(part):
            continue
        orders = {kind: record[part]["orders"][kind] for kind in _ORDERS if kind in record[part]["orders"]}
        drawings = []
        for curve, done in (("deletion_curve", "removed"), ("insertion_curve", "added")):
            curves = [
                Curve(kind, record["shares"], order[curve], guide=kind == "random")
                for kind, order in orders.items()
            ]
            x, title = f"share of {units} {done}", f"{units.capitalize()} {done}"
            drawings.append(inline_svg(draw_curves(curves, x, "mean P(decision)", title=title)))
        rows.append((units.capitalize(), *drawings))
    return rows


def _describe_mistakes(
    evaluation: Evaluation, verdicts: LabelledVerdicts, explained: MistakeSaliency
) -> list[dict[str, Any]]:
    """Return the worst mistakes: picture, words, score, rationale, and what in them moved the decision."""
    memes = {meme.id: meme for meme in verdicts.memes}
    cards = []
    for mistake in evaluation.mistakes[:SHOWN_MISTAKES]:
        saliency = explained.weights.get(mistake.meme_id, Saliency())
        card: dict[str, Any] = {"mistake": mistake, "picture": None, "heat": None}
        card["text"], card["words"] = shorten(mistake.text, SHOWN_TEXT), shade_words(saliency)
        try:
            if path := verdicts.dataset.image_path(memes[mistake.meme_id]):
                image = open_image(path)
                card["picture"] = inline(image)
                if explained.frame and saliency.patches:
                    card["heat"] = inline(draw_saliency(image, saliency, explained.frame))
        except ImageError:  # deleted after prediction
            pass
        cards.append(card)
    return cards
