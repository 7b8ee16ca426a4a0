"""``ablation.json``, ``ablation.md`` and ``ablation.svg``: one table, one plot, plain answers, from the rows alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from mrharm.ablation.arms import ARMS, REFERENCE
from mrharm.ablation.results import TRUTH, Answer, Cell, answer_questions, format_plus_minus, tabulate
from mrharm.ablation.run import MORE_SPLITS, RunRow
from mrharm.metrics import Estimate
from mrharm.records import Failure, Record
from mrharm.reports.plots import Panel, draw_bars
from mrharm.reports.tables import markdown, markdown_row
from mrharm.store import write_json, write_text

JSON, MARKDOWN, PLOT = "ablation.json", "ablation.md", "ablation.svg"
_PLOTTED, _GUESS = "macro_f1", 0.5
_EMPTY = Estimate()

NOTE = (
    "Mean over seeds and half the width of its 95 % interval (Student's t); differences are to the reference with the "
    "same seeds. The intervals speak of training anew, not of other memes, and not one is corrected for how many there "
    "are."
)


class Ablation(Record):
    """All an ablation found. ``tables``: split -> cells, the split it is about first. ``skipped``: arm -> why."""

    dataset: str
    recipe: str
    split: str
    arms: dict[str, str]
    tables: dict[str, list[Cell]]
    answers: list[Answer]
    runs: int
    seconds: float
    skipped: dict[str, str] = {}
    failures: list[Failure] = []


def summarise(
    rows: Sequence[RunRow],
    *,
    dataset: str,
    recipe: str,
    split: str,
    skipped: Mapping[str, str] | None = None,
    failures: Sequence[Failure] = (),
) -> Ablation:
    """Rows -> tables and answers."""
    there = {name for row in rows for name in row.splits}
    splits = [split, *(name for name in MORE_SPLITS if name in there and name != split)]
    return Ablation(
        dataset=dataset,
        recipe=recipe,
        split=split,
        arms={name: arm.what for name, arm in ARMS.items() if any(row.arm == name for row in rows)},
        tables={name: tabulate(rows, name) for name in splits},
        answers=answer_questions(rows, split),
        runs=len(rows),
        seconds=round(sum(row.seconds for row in rows), 1),
        skipped=dict(skipped or {}),
        failures=list(failures),
    )


def write_report(out: Path, found: Ablation) -> None:
    """Write the three files; without a run there is no plot."""
    write_json(out / JSON, found.model_dump(mode="json"))
    write_text(out / MARKDOWN, to_markdown(found))
    if found.runs:
        write_text(out / PLOT, to_svg(found))


def row_of(cell: Cell) -> list[str]:
    """A cell as a table prints it: arm, memes, seeds, accuracy, macro-F1, its difference, AUROC, true rationales."""
    shown = cell.figures
    change = cell.differences.get(_PLOTTED, _EMPTY)
    return [
        cell.arm,
        f"{cell.size:,}",
        str(len(cell.seeds)),
        format_plus_minus(shown.get("accuracy", _EMPTY)),
        format_plus_minus(shown.get(_PLOTTED, _EMPTY)),
        "reference" if cell.arm == REFERENCE else format_plus_minus(change, signed=True),
        format_plus_minus(shown.get("auroc", _EMPTY)),
        format_plus_minus(shown.get(TRUTH, _EMPTY)),
    ]


COLUMNS = ("arm", "memes", "seeds", "accuracy", "macro-F1", "difference", "AUROC", "true")


def to_markdown(found: Ablation) -> str:
    """The report a person reads."""
    lines = [f"# Ablation: {markdown(found.dataset)}, recipe {markdown(found.recipe)}", ""]
    for answer in found.answers:
        lines += [f"**{answer.question}** {answer.words}", ""]
    for split, cells in found.tables.items():
        lines += [
            f"## {markdown(split)}",
            "",
            markdown_row(COLUMNS),
            markdown_row(["---"] * len(COLUMNS)),
            *(markdown_row(row_of(cell)) for cell in cells),
            "",
        ]
    lines += [
        f"{NOTE} *difference*: in macro-F1. *true*: share of the written rationales true in all their parts "
        f"(generated memes only). {found.runs} runs, {found.seconds / 3600:.1f} hours of one thread.",
        "",
    ]
    if found.runs:
        lines += [f"![macro-F1 of every arm]({PLOT})", ""]
    lines += [f"- {name}: {what}" for name, what in found.arms.items()]
    lines += [markdown(f"- {name}: left out: {why}") for name, why in found.skipped.items()]
    lines += [markdown(f"- {failure.item}: failed: {failure.reason}") for failure in found.failures]
    return "\n".join(lines) + "\n"


def to_svg(found: Ablation) -> str:
    """Macro-F1 of every arm with its interval, a panel for every number of training memes."""
    cells = found.tables[found.split]
    panels = [
        Panel(
            title=f"{size:,} training memes",
            bars=[
                (f"{cell.arm} ({len(cell.seeds)})", cell.figures.get(_PLOTTED, _EMPTY))
                for cell in cells
                if cell.size == size
            ],
            marked=[f"{cell.arm} ({len(cell.seeds)})" for cell in cells if cell.arm == REFERENCE],
        )
        for size in sorted({cell.size for cell in cells})
    ]
    axis = f"macro-F1 on {found.split}, mean over seeds (how many in brackets) and 95 % interval"
    return draw_bars(panels, axis, title=f"Ablation on {found.dataset}", guess=_GUESS)
