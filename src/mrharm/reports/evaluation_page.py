"""An evaluation as one HTML file: the verdict first, then tables and plots, then the worst mistakes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mrharm.errors import ImageError
from mrharm.evaluation.evaluate import Evaluation
from mrharm.evaluation.predictions import LabelledVerdicts
from mrharm.images import open_image
from mrharm.memes.dataset import Dataset
from mrharm.metrics import Estimate, name_figure
from mrharm.probes.saliency import UNITS, SaliencyProbe
from mrharm.records import Meme, Saliency
from mrharm.reports.ablation_page import NOTE, read_ablation, tabulate_arms, to_svg
from mrharm.reports.plots import DIAGONAL, Curve, Panel, draw_bars, draw_curves
from mrharm.reports.render import inline, inline_picture, inline_svg, render_page
from mrharm.reports.saliency_picture import draw_saliency, shaded_words
from mrharm.reports.summary import describe_modalities
from mrharm.reports.tables import (
    tabulate_baselines,
    tabulate_groups,
    tabulate_published,
    tabulate_record,
    tabulate_scores,
)
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


@dataclass(frozen=True)
class Plot:
    """A drawing on the page: its name, its ``data:`` address, and a sentence on how to read it."""

    name: str
    image: str
    note: str
    wide: bool = False


def write_page(
    evaluation: Evaluation,
    verdicts: LabelledVerdicts,
    path: Path,
    *,
    explained: MistakeSaliency,
    ablation: Path | None = None,
    command: str = "",
) -> None:
    """Write the page.

    Args:
        evaluation: its results.
        verdicts: what was evaluated, for the pictures of the worst mistakes.
        path: the file.
        explained: what moved these decisions.
        ablation: the folder of an ablation whose answers, plot and tables are shown, too.
        command: what reproduces every figure, for the foot of the page.

    Raises:
        DataError: the ablation's ``ablation.json`` is missing, or is something else.
    """
    columns = ["accuracy", "macro-F1", "recall", "AUROC", "flagged"]
    if any(group.areas for group in evaluation.groups):
        columns += ["BPSN", "BNSP"]
    page = render_page(
        "evaluation.html",
        found=evaluation,
        scores=tabulate_scores(evaluation),
        baselines=tabulate_baselines(evaluation),
        published=tabulate_published(evaluation),
        groups=tabulate_groups(evaluation.groups, columns),
        plots=make_plots(evaluation),
        probes=[_show_probe(evaluation, name) for name in evaluation.probes],
        ablation=_show_ablation(ablation) if ablation else None,
        mistakes=_show_mistakes(evaluation, verdicts, explained),
        has_pictures=any(meme.image for meme in verdicts.memes),
        command=command,
    )
    write_text(path, page)


def make_plots(evaluation: Evaluation) -> list[Plot]:
    """Return the plots of scores and robustness that there are figures for."""
    curves, plots = evaluation.curves, []
    if bins := curves.reliability:
        dots = Curve(
            "",
            [part.mean_score for part in bins],
            [part.harmful.value or 0.0 for part in bins],
            [float(part.memes) for part in bins],
        )
        drawing = draw_curves([DIAGONAL, dots], "P(harmful)", "share that is harmful", title="Reliability")
        note = "Dots on the dotted line: scores are probabilities. The larger a dot, the more memes it is of."
        plots.append(Plot("Reliability", inline_svg(drawing), note))
    lines: tuple[tuple[str, Sequence[tuple[float, float]], str, str, list[Curve], float | None, str], ...] = (
        ("ROC", curves.roc, "harmless memes flagged", "harmful memes flagged", [DIAGONAL], 1.0,
         "Higher is better; the dotted line is chance."),
        ("Precision and recall", curves.pr, "recall", "precision", [], 1.0, "Higher is better."),
        ("Risk and coverage", curves.risk_coverage, "share decided, most confident first", "share of those wrong",
         [], None, "Lower is better: the error rate when people review what it is least confident of."),
    )  # fmt: skip
    for name, points, x, y, guides, top, note in lines:
        if points:
            line = Curve("", [across for across, _ in points], [up for _, up in points])
            plots.append(
                Plot(name, inline_svg(draw_curves([*guides, line], x, y, title=name, top=top)), note)
            )
    if panels := _make_robustness_panels(evaluation.probes.get("robustness")):
        title = "Robustness: macro-F1 under the strongest changes"
        note = "Macro-F1 under each change at its strongest; the first bar is without a change."
        plots.append(Plot(title, inline_svg(draw_bars(panels, "macro-F1", title=title)), note, wide=True))
    return plots


def make_saliency_plots(record: Mapping[str, Any]) -> list[list[Plot]]:
    """Return a row of plots for words and one for patches, in each deletion and then insertion."""
    probe = SaliencyProbe.model_validate(record)
    rows = []
    for name, part in (("text", probe.text), ("picture", probe.picture)):
        if not part:
            continue
        units, orders = UNITS[name], [kind for kind in _ORDERS if kind in part.orders]
        deletion = {kind: part.orders[kind].deletion_curve for kind in orders}
        insertion = {kind: part.orders[kind].insertion_curve for kind in orders}
        rows.append(
            [
                _plot_orders(
                    f"{units.capitalize()} removed (deletion)",
                    (probe.shares, f"share of {units} removed"),
                    deletion,
                    f"The {units} of the highest weight are removed first: a curve below the dotted one, for a "
                    "random order, shows that the decision rests on them.",
                ),
                _plot_orders(
                    f"{units.capitalize()} added (insertion)",
                    (probe.shares, f"share of {units} added"),
                    insertion,
                    f"The {units} of the highest weight are added first: here a curve above the dotted one shows it.",
                ),
            ]
        )
    return rows


def _plot_orders(
    name: str, x: tuple[Sequence[float], str], orders: Mapping[str, Sequence[float]], note: str
) -> Plot:
    shares, axis = x
    curves = [Curve(kind, shares, values, guide=kind == "random") for kind, values in orders.items()]
    return Plot(name, inline_svg(draw_curves(curves, axis, "mean P(decision)", title=name)), note)


def _make_robustness_panels(record: Mapping[str, Any] | None) -> list[Panel]:
    if not record:
        return []
    strongest = max((setting["strength"] for setting in record["settings"]), default=0)
    settings = [setting for setting in record["settings"] if setting["strength"] == strongest]
    clean = Estimate.model_validate(record["clean"]["macro_f1"])
    panels = []
    for kind in dict.fromkeys(setting["kind"] for setting in settings):
        bars = [("unchanged", clean)]
        for setting in settings:
            if setting["kind"] == kind:
                figure = Estimate.model_validate(setting["moved"]["macro_f1"])
                bars.append((name_figure(setting["change"]), figure))
        panels.append(Panel(f"Robustness: {kind} changed", bars, marked=["unchanged"]))
    return panels


def _show_probe(evaluation: Evaluation, name: str) -> dict[str, Any]:
    """Return a probe's sentences, its tables in full, and its plots in rows."""
    record = evaluation.probes[name]
    sentences = list(record.get("words", []))
    if name == "modality":
        modalities = describe_modalities(evaluation.beside, evaluation.scores.accuracy, evaluation.memes)
        sentences += [modalities] if modalities else []
    plots = make_saliency_plots(record) if name == "saliency" else []
    return {"name": name, "words": sentences, "tables": tabulate_record(record), "plots": plots}


def _show_ablation(folder: Path) -> dict[str, Any]:
    """Return an ablation's answers, plot and tables."""
    ablation = read_ablation(folder)
    return {
        "dataset": ablation.dataset,
        "recipe": ablation.recipe,
        "answers": ablation.answers,
        "image": inline_svg(to_svg(ablation)) if ablation.runs else None,
        "tables": {split: tabulate_arms(cells) for split, cells in ablation.tables.items()},
        "note": NOTE,
    }


def _show_mistakes(
    evaluation: Evaluation, verdicts: LabelledVerdicts, explained: MistakeSaliency
) -> list[dict[str, Any]]:
    """Return the worst mistakes: picture, words, score, rationale, and what in them moved the decision."""
    memes, dataset = {meme.id: meme for meme in verdicts.memes}, verdicts.dataset
    cards = []
    for mistake in evaluation.mistakes[:SHOWN_MISTAKES]:
        meme, weights = memes[mistake.meme_id], explained.weights.get(mistake.meme_id, Saliency())
        cards.append(
            {
                "mistake": mistake,
                "text": mistake.text[:SHOWN_TEXT] + ("…" if len(mistake.text) > SHOWN_TEXT else ""),
                "picture": _inline_picture(dataset, meme),
                "heat": _inline_heat(dataset, meme, weights, explained.frame),
                "words": [(word, round(shade, 3)) for word, shade in shaded_words(weights)],
            }
        )
    return cards


def _inline_picture(dataset: Dataset, meme: Meme) -> str | None:
    try:
        path = dataset.image_path(meme)
        return inline_picture(path) if path else None
    except ImageError:  # deleted after prediction
        return None


def _inline_heat(dataset: Dataset, meme: Meme, saliency: Saliency, frame: Frame | None) -> str | None:
    if not frame or not saliency.patches:
        return None
    try:
        path = dataset.image_path(meme)
        return inline(draw_saliency(open_image(path), saliency, frame)) if path else None
    except ImageError:
        return None
