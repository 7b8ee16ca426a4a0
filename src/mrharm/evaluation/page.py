"""An evaluation as one HTML file: verdict first, then tables and plots, then the worst mistakes; no outside request."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from mrharm.errors import ImageError
from mrharm.evaluation.evaluate import Evaluation
from mrharm.evaluation.judged import Judged
from mrharm.evaluation.plots.bars import Panel, draw_bars
from mrharm.evaluation.plots.curves import Curve, draw_curves
from mrharm.evaluation.report import inline, inline_picture
from mrharm.evaluation.saliency_picture import draw_saliency, shaded_words
from mrharm.evaluation.tables import said, tables_of
from mrharm.evaluation.wording import percent
from mrharm.images import open_image
from mrharm.metrics import Figure
from mrharm.records import Meme, Saliency
from mrharm.store import write_text
from mrharm.verdicts.batches import judge_all
from mrharm.verdicts.detector import JudgeOptions

SHOWN_MISTAKES = 12
SHOWN_TEXT = 400  # characters of a meme's words


def write_page(
    evaluation: Evaluation, judged: Judged, path: Path, *, ablation: Path | None = None, command: str = ""
) -> None:
    """Write the page.

    Args:
        evaluation: what was found.
        judged: the memes and the detector, for the worst mistakes' pictures and saliency.
        path: the file.
        ablation: an ablation's folder, whose plot and answers are shown, too.
        command: what makes every figure again, for the foot of the page.
    """
    environment = Environment(
        loader=PackageLoader("mrharm", "evaluation"), autoescape=True, undefined=StrictUndefined
    )
    environment.filters["percent"] = percent
    environment.filters["said"] = said
    page = environment.get_template("evaluation.html").render(
        found=evaluation,
        plots=_plots(evaluation),
        probes=[
            {"name": name, "words": values.get("words", []), "tables": tables_of(values)}
            for name, values in evaluation.probes.items()
        ],
        ablation=_ablation(ablation) if ablation else None,
        mistakes=_mistakes(evaluation, judged),
        has_pictures=any(meme.image for meme in judged.memes),
        command=command,
    )
    write_text(path, page)


def _plots(found: Evaluation) -> list[dict[str, str]]:
    """Name, address and description of each plot that can be drawn."""
    curves, plots = found.curves, []
    if curves.reliability:
        bins = curves.reliability
        drawn = draw_curves(
            [
                Curve(
                    "",
                    [one.mean_score for one in bins],
                    [one.harmful.value or 0.0 for one in bins],
                    [float(one.memes) for one in bins],
                )
            ],
            "P(harmful)",
            "share that is harmful",
            title="Reliability",
            guide="up",
        )
        plots.append(("Reliability", drawn, "Dots on the dotted line: scores that mean what they say."))
    for name, points, across, up, guide, note in (
        ("ROC", curves.roc, "harmless memes flagged", "harmful memes flagged", "up", "Further up is better."),
        ("Precision and recall", curves.pr, "recall", "precision", None, "Further up is better."),
        (
            "Risk and coverage",
            curves.risk_coverage,
            "share of memes decided, the surest first",
            "share of those decided wrongly",
            None,
            "Lower is better: how wrong it is if people see what it is least sure of.",
        ),
    ):
        if points:
            line = Curve(name, [x for x, _ in points], [y for _, y in points])
            top = None if name.startswith("Risk") else 1.0
            plots.append((name, draw_curves([line], across, up, title=name, guide=guide, top=top), note))  # type: ignore[arg-type]
    if panels := _robustness(found):
        title = "Robustness: macro-F1 under the strongest changes"
        plots.append(
            (
                title,
                draw_bars(panels, "macro-F1", title=title),
                "Macro-F1 under every change at its strongest; the first bar is without a change.",
            )
        )
    return [{"name": name, "image": svg_address(drawn), "note": note} for name, drawn, note in plots]


def _robustness(found: Evaluation) -> list[Panel]:
    probe = found.probes.get("robustness")
    if not probe:
        return []
    settings = probe["settings"]
    strongest = max((one["strength"] for one in settings), default=0)
    clean = Figure.model_validate(probe["clean"]["macro_f1"])
    return [
        Panel(
            kind,
            [("unchanged", clean)]
            + [
                (said(one["change"]), Figure.model_validate(one["moved"]["macro_f1"]))
                for one in settings
                if one["kind"] == kind and one["strength"] == strongest
            ],
            marked=("unchanged",),
        )
        for kind in dict.fromkeys(one["kind"] for one in settings)
    ]


def _ablation(folder: Path) -> dict[str, Any]:
    """An ablation's plot and its table in Markdown, as `mrharm ablate` left them."""
    drawing = (folder / "ablation.svg").read_text(encoding="utf-8")
    return {"image": svg_address(drawing), "table": (folder / "ablation.md").read_text(encoding="utf-8")}


def _mistakes(found: Evaluation, judged: Judged) -> list[dict[str, Any]]:
    """The worst mistakes: picture, words, score, rationale, and what in them moved the decision."""
    memes = {meme.id: meme for meme in judged.memes}
    shown = [memes[one.meme_id] for one in found.mistakes[:SHOWN_MISTAKES]]
    saliency = _saliency(judged, shown)
    cards = []
    for mistake, meme in zip(found.mistakes, shown, strict=False):
        seen = saliency.get(meme.id, Saliency())
        words = mistake.text
        cards.append(
            {
                "mistake": mistake,
                "text": words[:SHOWN_TEXT] + ("…" if len(words) > SHOWN_TEXT else ""),
                "picture": _picture(judged, meme),
                "heat": _heat(judged, meme, seen),
                "words": [(word, round(shade, 3)) for word, shade in shaded_words(seen)],
            }
        )
    return cards


def _saliency(judged: Judged, memes: list[Meme]) -> dict[str, Saliency]:
    options: JudgeOptions = {
        "evidence": judged.dataset.evidence,
        "root": judged.dataset.root,
        "rationales": False,
        "saliency": "gradient",
        "gather": False,
    }
    # A picture that is gone since it was judged costs its own card its heat and no other's.
    verdicts = judge_all(judged.detector, memes, options, [])
    return {one.meme_id: one.saliency for one in verdicts if one.saliency}


def _picture(judged: Judged, meme: Meme) -> str | None:
    path = judged.dataset.image_path(meme)
    try:
        return inline_picture(path) if path else None
    except ImageError:  # gone since it was judged
        return None


def _heat(judged: Judged, meme: Meme, saliency: Saliency) -> str | None:
    path, frame = judged.dataset.image_path(meme), judged.detector.label_student.frame
    if not path or not frame or not saliency.patches:
        return None
    try:
        return inline(draw_saliency(open_image(path), saliency, frame))
    except ImageError:
        return None


def svg_address(drawing: str) -> str:
    """An SVG drawing -> a ``data:`` address."""
    return "data:image/svg+xml;base64," + base64.b64encode(drawing.encode("utf-8")).decode("ascii")
