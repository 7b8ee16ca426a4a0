"""What `mrharm abduce` does with rationales that are there: figures, the gate again, a sample out, corrections in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.table import Table

from mrharm.cli.terminal import err, out, print_json, sanitise
from mrharm.errors import InputError
from mrharm.memes.dataset import Dataset
from mrharm.records import Rationale
from mrharm.store import JsonlStore, exclusive_lock, read_appended, write_records


def show_stats(folder: Dataset, path: Path, split: str | None, as_json: bool) -> None:
    """Print what a file of rationales holds, and how well a bag of words reads the label off it."""
    from mrharm.baselines import read_off
    from mrharm.metrics import format_sentence
    from mrharm.rationales.regate import first_answers
    from mrharm.rationales.stats import TEACHES, measure

    rows = {row.meme_id: row for row in _rows(path)}
    memes = folder.split(split) if split else folder.memes
    found = measure(memes, rows, folder.evidence)
    labelled = [(meme, rows[meme.id]) for meme in memes if meme.label and meme.id in rows]
    firsts = first_answers([row for _, row in labelled])
    before = [
        (text, meme.label.harmful) for (meme, _), text in zip(labelled, firsts, strict=True) if meme.label
    ]
    after = [(row.text, meme.label.harmful) for meme, row in labelled if meme.label and row.status in TEACHES]
    readable = {
        name: read_off([text for text, _ in some], [gold for _, gold in some])
        for name, some in (("before", before), ("after", after))
    }
    if as_json:
        told = {name: one.model_dump(mode="json") if one else None for name, one in readable.items()}
        print_json({**found.model_dump(mode="json"), "rationale_only_classifier": told, "file": str(path)})
        return
    out.print(
        f"{path}: {found.written:,} of {found.memes:,} labelled memes have a rationale; "
        f"{found.teaching.count:,} may teach, {format_sentence(found.teaching.share, unit=' %')}"
    )
    table = Table(title="answers by the gate", title_justify="left")
    for name in ("", "as first given", "as they stand"):
        table.add_column(name, justify="left" if not name else "right")
    for status in dict.fromkeys([*found.before, *found.after]):
        table.add_row(status, *(_cell(some.get(status)) for some in (found.before, found.after)))
    out.print(table)
    groups = Table(title="by label and target", title_justify="left")
    for name in ("", "memes", "written", "teach", "refused", "leaked at first"):
        groups.add_column(name, justify="left" if not name else "right")
    for one in found.groups:
        groups.add_row(
            sanitise(one.name),
            *(f"{n:,}" for n in (one.memes, one.written, one.teaching, one.refused, one.leaking_at_first)),
        )
    out.print(groups)
    if found.bias:
        out.print(
            f"leaving the rest out moves the share of harmful memes from {_percent(found.bias.harmful_share)} to "
            f"{_percent(found.bias.harmful_share_teaching)} ({found.bias.points:+.1f} points); "
            f"the refusals alone move it by {found.bias.points_refused:+.1f} points"
        )
    for name, right in readable.items():
        if right:
            out.print(
                f"a bag of words that sees only the rationale reads the label off {format_sentence(right, unit=' %')} "
                f"{name} the gate"
            )
    if found.words:
        out.print(
            f"{found.words['mean']:.0f} words on average, {found.words['median']:.0f} in the middle, "
            f"at most {found.words['longest']:.0f}"
        )
    out.print(f"{found.asked_again:,} asked again; {found.usd:.4f} USD in all")


def regate_file(folder: Dataset, path: Path, as_json: bool) -> None:
    """Check a file's answers again and write it anew, aside and renamed."""
    from mrharm.rationales.regate import regate

    with exclusive_lock(folder.root, "abduce"):
        done = regate(_rows(path), {meme.id: meme for meme in folder.memes}, folder.evidence)
        write_records(path, done.rows)
    if as_json:
        moves = [{"from": one, "to": other, "count": count} for (one, other), count in done.moves.items()]
        print_json({"file": str(path), "rows": len(done.rows), "moves": moves})
        return
    out.print(f"{path}: {len(done.rows):,} rationales checked again")
    for (one, other), count in done.moves.most_common():
        out.print(f"  {one} stays: {count:,}" if one == other else f"  {one} -> {other}: {count:,}")


def export_sample(
    folder: Dataset, path: Path, file: Path, split: str | None, count: int, seed: int, as_json: bool
) -> None:
    """Write a sample for people to read."""
    from mrharm.rationales.human_edits import draw_sample, write_csv, write_label_studio

    writers: dict[str, Any] = {".csv": write_csv, ".json": write_label_studio}
    writer = writers.get(file.suffix.lower())
    if writer is None:
        raise InputError(f"{file}: expected a name that ends in .csv, or .json for Label Studio")
    if file.exists():
        raise InputError(f"{file}: is there already, and somebody may have written in it; name another file")
    rows = {row.meme_id: row for row in _rows(path)}
    drawn = draw_sample(folder.split(split) if split else folder.memes, rows, count, seed)
    if not drawn:
        raise InputError(f"{path}: no rationale of these memes to show")
    writer(file, drawn, folder.evidence)
    if as_json:
        print_json({"file": str(file), "memes": len(drawn)})
    else:
        out.print(f"{file}: {len(drawn):,} rationales; fill the column corrected where one is wrong")
        out.print(f"then: mrharm abduce {folder.root} --import {file.with_suffix('.csv')}")


def import_corrections(folder: Dataset, path: Path, file: Path, as_json: bool) -> None:
    """Take corrections in; they stand after every other line of their meme, and no teacher overrules them."""
    from mrharm.rationales.human_edits import read_csv

    rows = read_csv(file, {meme.id: meme for meme in folder.memes})
    with exclusive_lock(folder.root, "abduce"):
        store = JsonlStore(path, Rationale, "key")
        known = {row.meme_id: row for row in _rows(path)} if path.exists() else {}
        new = [row for row in rows if known.get(row.meme_id) != row]
        for row in new:
            store.append(row)
    held = [row.meme_id for row in new if row.status != "ok"]
    if as_json:
        print_json(
            {
                "file": str(path),
                "corrected": len(new),
                "there_already": len(rows) - len(new),
                "held_back": held,
            }
        )
        return
    out.print(f"{path}: {len(new):,} corrections taken in, {len(rows) - len(new):,} there already")
    for row in new:
        if row.status != "ok":
            err.print(sanitise(f"held back by the gate ({row.status}): {row.meme_id}: {row.text[:100]}"))


def _rows(path: Path) -> list[Rationale]:
    if not path.exists():
        raise InputError(f"{path}: no rationales there; have a teacher write them with --teacher")
    return read_appended(path, Rationale)


def _cell(share: Any) -> str:
    return f"{share.count:,} ({_percent(share.share.value)})" if share else "0"


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f} %"
