"""``mrharm rationales check|stats|export|import DATASET``: work with rationales that are already written."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer import Argument, Option

from mrharm.cli.options import DatasetArgument, JsonOption, OneSplitOption
from mrharm.cli.terminal import print_result, print_sentences, report_errors
from mrharm.console import err, out
from mrharm.errors import InputError
from mrharm.memes.dataset import RATIONALES, Dataset
from mrharm.records import Meme, Rationale
from mrharm.store import JsonlStore, exclusive_lock, read_appended, write_records
from mrharm.texts import sanitise

if TYPE_CHECKING:
    from mrharm.metrics import Estimate
    from mrharm.rationales.stats import Share, Stats

rationales_app = typer.Typer(
    help="Check, count, export and correct rationales that are already written.", no_args_is_help=True
)
FileOption = Annotated[
    Path | None, Option(metavar="FILE", help=f"The file of rationales; default: {RATIONALES} in the dataset.")
]


@rationales_app.command("check")
@report_errors
def check_command(dataset: DatasetArgument, file: FileOption = None, as_json: JsonOption = False) -> None:
    """Run the gate over stored answers again, without a call, and rewrite the file."""
    from mrharm.rationales.gate import regate

    folder, path = _open(dataset, file)
    with exclusive_lock(folder.root, "abduce"):
        before_rows = _read_rows(path)
        rows = regate(before_rows, {meme.id: meme for meme in folder.memes}, folder.evidence)
        write_records(path, rows)
    statuses = Counter((old.status, new.status) for old, new in zip(before_rows, rows, strict=True))

    def show() -> None:
        out.print(f"{path}: {len(rows):,} rationales checked again")
        for (before, after), count in statuses.most_common():
            change = f"{before} stays" if before == after else f"{before} -> {after}"
            out.print(f"  {change}: {count:,}")

    moves = [{"from": before, "to": after, "count": count} for (before, after), count in statuses.items()]
    print_result({"file": path, "rows": len(rows), "moves": moves}, show, as_json=as_json)


@rationales_app.command("stats")
@report_errors
def stats_command(
    dataset: DatasetArgument,
    split: OneSplitOption = None,
    file: FileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show coverage, leaks, refusals, lengths and cost of stored rationales."""
    from mrharm.rationales.stats import measure

    folder, path = _open(dataset, file)
    rows = {row.meme_id: row for row in _read_rows(path)}
    memes = folder.split(split) if split else folder.memes
    stats = measure(memes, rows, folder.evidence)
    readable = _measure_readability(memes, rows)
    values = {**dict(stats), "rationale_only_classifier": readable, "file": path}
    print_result(values, lambda: _show_stats(stats, readable, path), as_json=as_json)


@rationales_app.command("export")
@report_errors
def export_command(
    dataset: DatasetArgument,
    sheet: Annotated[
        Path, Argument(metavar="SHEET", help="The file to write: .csv, or .json for Label Studio.")
    ],
    split: OneSplitOption = None,
    sample: Annotated[int, Option(min=1, help="How many memes to draw at random.")] = 100,
    seed: Annotated[int, Option(help="Seed of that draw.")] = 0,
    file: FileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write a random sample of rationales for people to read and correct."""
    from mrharm.rationales.human_edits import draw_sample, write_csv, write_label_studio

    folder, path = _open(dataset, file)
    writers: dict[str, Any] = {".csv": write_csv, ".json": write_label_studio}
    writer = writers.get(sheet.suffix.lower())
    if writer is None:
        raise InputError(f"{sheet}: expected a name that ends in .csv, or .json for Label Studio")
    if sheet.exists():
        raise InputError(f"{sheet}: exists already, and may hold corrections; name another file")
    rows = {row.meme_id: row for row in _read_rows(path)}
    drawn = draw_sample(folder.split(split) if split else folder.memes, rows, sample, seed)
    if not drawn:
        raise InputError(f"{path}: no rationale of these memes to export")
    writer(sheet, drawn, folder.evidence)

    def show() -> None:
        out.print(f"{sheet}: {len(drawn):,} rationales; fill in the column `corrected` where one is wrong")
        out.print(f"then: mrharm rationales import {folder.root} {sheet.with_suffix('.csv')}")

    print_result({"file": sheet, "memes": len(drawn)}, show, as_json=as_json)


@rationales_app.command("import")
@report_errors
def import_command(
    dataset: DatasetArgument,
    sheet: Annotated[Path, Argument(metavar="CSV", help="A sheet with corrected rationales.")],
    file: FileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Read corrected rationales from a sheet; they take precedence over every teacher's."""
    from mrharm.rationales.human_edits import read_csv

    folder, path = _open(dataset, file)
    corrections = read_csv(sheet, {meme.id: meme for meme in folder.memes})
    with exclusive_lock(folder.root, "abduce"):
        store = JsonlStore(path, Rationale, "key")
        stored = {row.meme_id: row for row in _read_rows(path)} if path.exists() else {}
        new = [row for row in corrections if stored.get(row.meme_id) != row]
        for row in new:
            store.append(row)
    held_back = [row for row in new if row.status != "ok"]
    unchanged = len(corrections) - len(new)

    def show() -> None:
        out.print(f"{path}: {len(new):,} corrections added, {unchanged:,} already there")
        for row in held_back:
            err.print(sanitise(f"held back by the gate ({row.status}): {row.meme_id}: {row.text[:100]}"))

    values = {
        "file": path,
        "corrected": len(new),
        "there_already": unchanged,
        "held_back": [row.meme_id for row in held_back],
    }
    print_result(values, show, as_json=as_json)


def _open(dataset: Path, file: Path | None) -> tuple[Dataset, Path]:
    folder = Dataset(dataset)
    return folder, file or folder.root / RATIONALES


def _read_rows(path: Path) -> list[Rationale]:
    if not path.exists():
        raise InputError(f"{path}: no such file; `mrharm abduce DATASET --teacher T` writes rationales")
    return read_appended(path, Rationale)


def _measure_readability(memes: list[Meme], rows: Mapping[str, Rationale]) -> dict[str, Estimate | None]:
    """Return how often a bag of words reads the label off the rationale alone, before and after the gate."""
    from mrharm.baselines import estimate_recovered
    from mrharm.rationales.gate import first_answer
    from mrharm.rationales.stats import TEACHES

    labelled = [(rows[meme.id], meme.label.harmful) for meme in memes if meme.label and meme.id in rows]
    teaching = [(row.text, harmful) for row, harmful in labelled if row.status in TEACHES]
    first = [first_answer(row) for row, _ in labelled]
    return {
        "before": estimate_recovered(first, [harmful for _, harmful in labelled]),
        "after": estimate_recovered([text for text, _ in teaching], [harmful for _, harmful in teaching]),
    }


def _show_stats(stats: Stats, readable: Mapping[str, Estimate | None], path: Path) -> None:
    from mrharm.reports.tables import Table
    from mrharm.reports.terminal import print_table

    print_sentences("rationale-coverage.jinja", stats=stats, path=path)
    gate = Table("answers by gate status", ("", "first answer", "final answer"))
    for status in dict.fromkeys([*stats.before, *stats.after]):
        gate.add(status, _format_share(stats.before.get(status)), _format_share(stats.after.get(status)))
    print_table(gate)
    groups = Table("by label and target", ("", "memes", "written", "pass", "refused", "leaked at first"))
    for group in stats.groups:
        counts = (group.memes, group.written, group.teaching, group.refused, group.leaking_at_first)
        groups.add(group.name, *(f"{count:,}" for count in counts))
    print_table(groups)
    print_sentences("rationale-stats.jinja", stats=stats, readable=readable)


def _format_share(share: Share | None) -> str:
    return f"{share.count:,} ({100 * (share.share.value or 0):.1f} %)" if share else "0"
