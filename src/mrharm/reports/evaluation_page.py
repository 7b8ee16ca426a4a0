"""An evaluation as one HTML file: verdict first, then tables and plots, then the worst mistakes; no outside request."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from mrharm.errors import DataError, ImageError
from mrharm.evaluation.baseline_comparison import say_one_modality
from mrharm.evaluation.evaluate import Evaluation
from mrharm.evaluation.predictions import Predictions
from mrharm.images import open_image
from mrharm.metrics import format_cell
from mrharm.records import Meme, Record, Saliency, make_record
from mrharm.reports.ablation_page import COLUMNS, JSON, NOTE, Ablation, row_of, to_svg
from mrharm.reports.evaluation_plots import plots_of, saliency_plots, svg_address
from mrharm.reports.html import inline, inline_picture
from mrharm.reports.saliency_picture import draw_saliency, shaded_words
from mrharm.reports.tables import said, tables_of
from mrharm.store import JsonlStore, content_key, exclusive_lock, read_appended, write_text
from mrharm.verdicts.batch import judge_all
from mrharm.verdicts.inputs import JudgeOptions, SaliencyKind

SHOWN_MISTAKES = 12
SHOWN_TEXT = 400  # characters of a meme's words
SALIENCY = "saliency.jsonl"
_KIND: SaliencyKind = "gradient"


class Shown(Record):
    """One line of ``saliency.jsonl``: what moved a verdict, kept so that writing the page again does not ask again."""

    key: str
    meme_id: str
    saliency: Saliency


def write_page(
    evaluation: Evaluation,
    predictions: Predictions,
    path: Path,
    *,
    folder: Path | None = None,
    ablation: Path | None = None,
    command: str = "",
) -> None:
    """Write the page.

    Args:
        evaluation: what was found.
        judged: the memes and the detector, for the worst mistakes' pictures and saliency.
        path: the file.
        folder: the evaluation's, where the saliency of the mistakes is kept; None to keep none.
        ablation: an ablation's folder, whose answers, plot and tables are shown, too.
        command: what makes every figure again, for the foot of the page.

    Raises:
        DataError: the ablation's ``ablation.json`` is missing, or is something else.
    """
    environment = Environment(
        loader=PackageLoader("mrharm", "reports/templates"), autoescape=True, undefined=StrictUndefined
    )
    environment.filters["percent"] = format_cell
    environment.filters["said"] = said
    page = environment.get_template("evaluation.html").render(
        found=evaluation,
        plots=plots_of(evaluation),
        probes=[_probe(evaluation, name) for name in evaluation.probes],
        ablation=_ablation(ablation) if ablation else None,
        mistakes=_mistakes(evaluation, predictions, folder),
        has_pictures=any(meme.image for meme in predictions.memes),
        command=command,
    )
    write_text(path, page)


def _probe(found: Evaluation, name: str) -> dict[str, Any]:
    """A probe's words, its tables in full, and its plots in rows."""
    values = found.probes[name]
    words, plots = list(values.get("words", [])), []
    if name == "modality":
        alone = say_one_modality(found.beside, found.scores.accuracy, found.memes)
        words += [alone] if alone else []
    if name == "saliency":
        plots = saliency_plots(values)
    return {"name": name, "words": words, "tables": tables_of(values), "plots": plots}


def read_ablation(folder: Path) -> Ablation:
    """The ``ablation.json`` that `mrharm ablate` left; raises DataError where there is none, or something else."""
    file = folder / JSON
    try:
        return make_record(json.loads(file.read_text(encoding="utf-8")), Ablation, file=file)
    except (OSError, ValueError, DataError) as error:
        raise DataError(
            f"{file}: expected what an ablation found ({error}); `mrharm ablate ... --out {folder}` writes it anew"
        ) from None


def _ablation(folder: Path) -> dict[str, Any]:
    """An ablation's answers, plot and tables."""
    found = read_ablation(folder)
    return {
        "dataset": found.dataset,
        "recipe": found.recipe,
        "answers": found.answers,
        "image": svg_address(to_svg(found)) if found.runs else None,
        "columns": COLUMNS,
        "tables": {split: [row_of(cell) for cell in cells] for split, cells in found.tables.items()},
        "note": NOTE,
    }


def _mistakes(found: Evaluation, predictions: Predictions, folder: Path | None) -> list[dict[str, Any]]:
    """The worst mistakes: picture, words, score, rationale, and what in them moved the decision."""
    memes = {meme.id: meme for meme in predictions.memes}
    shown = [memes[one.meme_id] for one in found.mistakes[:SHOWN_MISTAKES]]
    saliency = _saliency(predictions, shown, folder)
    cards = []
    for mistake, meme in zip(found.mistakes, shown, strict=False):
        seen = saliency.get(meme.id, Saliency())
        words = mistake.text
        cards.append(
            {
                "mistake": mistake,
                "text": words[:SHOWN_TEXT] + ("…" if len(words) > SHOWN_TEXT else ""),
                "picture": _picture(predictions, meme),
                "heat": _heat(predictions, meme, seen),
                "words": [(word, round(shade, 3)) for word, shade in shaded_words(seen)],
            }
        )
    return cards


def _saliency(predictions: Predictions, memes: list[Meme], folder: Path | None) -> dict[str, Saliency]:
    """Meme id -> what moved the verdict on it; what is kept in the folder is not asked again."""
    verdicts = {one.meme_id: one.key for one in predictions.verdicts}
    keys = {meme.id: content_key(predictions.detector.key, verdicts[meme.id], _KIND) for meme in memes}
    kept = {one.key: one.saliency for one in read_appended(folder / SALIENCY, Shown)} if folder else {}
    found = {name: kept[key] for name, key in keys.items() if key in kept}
    options = JudgeOptions(
        evidence=predictions.dataset.evidence,
        root=predictions.dataset.root,
        rationales=False,
        saliency=_KIND,
        gather=False,
    )
    # A picture that is gone since it was judged costs its own card its heat and no other's.
    asked = judge_all(predictions.detector, [meme for meme in memes if meme.id not in found], options, [])
    new = {one.meme_id: one.saliency for one in asked if one.saliency}
    if folder and new:
        with exclusive_lock(folder, "evaluate"):
            store = JsonlStore(folder / SALIENCY, Shown, "key")
            for name, saliency in new.items():
                store.append(Shown(key=keys[name], meme_id=name, saliency=saliency))
    return found | new


def _picture(predictions: Predictions, meme: Meme) -> str | None:
    try:
        path = predictions.dataset.image_path(meme)
        return inline_picture(path) if path else None
    except ImageError:  # gone since it was judged
        return None


def _heat(predictions: Predictions, meme: Meme, saliency: Saliency) -> str | None:
    frame = predictions.detector.frame
    if not frame or not saliency.patches:
        return None
    try:
        path = predictions.dataset.image_path(meme)
        return inline(draw_saliency(open_image(path), saliency, frame)) if path else None
    except ImageError:
        return None
