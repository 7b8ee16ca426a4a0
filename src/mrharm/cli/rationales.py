"""``mrharm rationales check|stats|export|import DATASET``: work with rationales that are already written."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from mrharm.cli.options import DatasetArgument, JsonOption, OneSplitOption
from mrharm.cli.terminal import print_result, report_errors
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
    Path | None,
    typer.Option(metavar="FILE", help=f"The file of rationales; default: {RATIONALES} in the dataset."),
]
SampleOption = Annotated[int, typer.Option(min=1, help="How many memes to draw at random.")]
SampleSeedOption = Annotated[int, typer.Option(help="Seed of that draw.")]


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
    print_result({"file": str(path), "rows": len(rows), "moves": moves}, show, as_json=as_json)


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
    values = {
        **stats.model_dump(mode="json"),
        "rationale_only_classifier": {
            name: figure.model_dump(mode="json") if figure else None for name, figure in readable.items()
        },
        "file": str(path),
    }
    print_result(values, lambda: _show_stats(stats, readable, path), as_json=as_json)


@rationales_app.command("export")
@report_errors
def export_command(
    dataset: DatasetArgument,
    sheet: Annotated[
        Path, typer.Argument(metavar="SHEET", help="The file to write: .csv, or .json for Label Studio.")
    ],
    split: OneSplitOption = None,
    sample: SampleOption = 100,
    seed: SampleSeedOption = 0,
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

    print_result({"file": str(sheet), "memes": len(drawn)}, show, as_json=as_json)


@rationales_app.command("import")
@report_errors
def import_command(
    dataset: DatasetArgument,
    sheet: Annotated[Path, typer.Argument(metavar="CSV", help="A sheet with corrected rationales.")],
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
        "file": str(path),
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
    from mrharm.metrics import format_sentence

    out.print(
        f"{path}: {stats.written:,} of {stats.memes:,} labelled memes have a rationale; "
        f"{stats.teaching.count:,} pass the gate, {format_sentence(stats.teaching.share, unit=' %')}"
    )
    gate = Table(title="answers by gate status", title_justify="left")
    for name in ("", "first answer", "final answer"):
        gate.add_column(name, justify="right" if name else "left")
    for status in dict.fromkeys([*stats.before, *stats.after]):
        gate.add_row(status, _format_share(stats.before.get(status)), _format_share(stats.after.get(status)))
    out.print(gate)
    groups = Table(title="by label and target", title_justify="left")
    for name in ("", "memes", "written", "pass", "refused", "leaked at first"):
        groups.add_column(name, justify="right" if name else "left")
    for group in stats.groups:
        counts = (group.memes, group.written, group.teaching, group.refused, group.leaking_at_first)
        groups.add_row(sanitise(group.name), *(f"{count:,}" for count in counts))
    out.print(groups)
    if stats.bias:
        out.print(
            f"training on these alone changes the share of harmful memes from {_percent(stats.bias.harmful_share)} to "
            f"{_percent(stats.bias.harmful_share_teaching)} ({stats.bias.points:+.1f} points); "
            f"refusals account for {stats.bias.points_refused:+.1f} points"
        )
    for name, accuracy in readable.items():
        if accuracy:
            out.print(
                f"{name} the gate, a bag-of-words classifier that reads only the rationale finds the label of "
                f"{format_sentence(accuracy, unit=' %')}"
            )
    if stats.words:
        out.print(
            f"words: {stats.words['mean']:.0f} on average, median {stats.words['median']:.0f}, "
            f"at most {stats.words['longest']:.0f}"
        )
    out.print(f"{stats.asked_again:,} memes asked again; {stats.usd:.4f} USD in total")
    if stats.stale:
        out.print(
            f"{stats.stale:,} were written for other words than the memes have now; run mrharm abduce again"
        )


def _format_share(share: Share | None) -> str:
    return f"{share.count:,} ({_percent(share.share.value)})" if share else "0"


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f} %"
