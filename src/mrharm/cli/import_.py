"""``mrharm import KIND [SOURCE] DATASET``: a source as it was published -> a dataset folder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from textwrap import fill
from typing import Annotated, Any

import typer

from mrharm.cli.terminal import Bars, fail, out, print_json, sanitise, say_failures
from mrharm.errors import EXIT_SOME_FAILED, InputError, MrHarmError
from mrharm.memes.dataset import Dataset, ImportOptions
from mrharm.memes.importing import IMPORTERS, about, import_memes
from mrharm.records import Failure, Meme, Rationale, read_records
from mrharm.store import FAILURES


def import_command(
    kind: Annotated[
        str | None, typer.Argument(metavar="KIND", help="What the source is; --list shows the kinds.")
    ] = None,
    paths: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[SOURCE] DATASET",
            help="What to read: a folder, file, .zip or .tar (generated reads nothing); what to write.",
        ),
    ] = None,
    link: Annotated[bool, typer.Option("--link", help="Hard-link pictures where possible.")] = False,
    seed: Annotated[int, typer.Option(help="For the validation split, and for generated memes.")] = 0,
    validation_share: Annotated[
        float, typer.Option(help="Share of train to validate on, where the source has no validation split.")
    ] = 0.1,
    allow_v0: Annotated[
        bool, typer.Option("--allow-v0", help="Take in Harm-P V0, knowing its faults.")
    ] = False,
    column: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PART=NAME", help="Which column holds id, text, image, label, split or targets."
        ),
    ] = None,
    memes: Annotated[int, typer.Option(min=1, help="How many memes to generate.")] = 2000,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an existing dataset whole.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")] = False,
    list_kinds: Annotated[
        bool, typer.Option("--list", help="Show the kinds: licence, source, layout.")
    ] = False,
) -> None:
    """Import memes into a dataset folder; rows that fail are listed in its failures.jsonl."""
    try:
        if list_kinds:
            _list_kinds(as_json)
            return
        source, folder = _source_and_folder(kind, paths or [])
        options = ImportOptions(
            images="link" if link else "copy",
            seed=seed,
            validation_share=validation_share,
            allow_v0=allow_v0,
            columns=_columns(column or []),
            memes=memes,
        )
        with Bars() as bars:
            dataset = import_memes(
                kind or "",
                source,
                folder,
                options,
                _rationales(kind),
                overwrite=overwrite,
                progress=bars.show,
            )
        failures = _failures(dataset)
        summary = _summary(dataset, failures)
    except (MrHarmError, KeyboardInterrupt) as error:
        raise fail(error, as_json=as_json) from None
    if as_json:
        print_json(summary)
    else:
        _say(dataset, summary, failures)
    if failures:
        raise typer.Exit(EXIT_SOME_FAILED)


def _source_and_folder(kind: str | None, paths: list[Path]) -> tuple[Path | None, Path]:
    usage = "expected `mrharm import KIND SOURCE DATASET`; `mrharm import --list` shows the kinds"
    if kind is None:
        raise InputError(f"nothing to import; {usage}")
    info = about(kind)
    # A third party's importer that says nothing of itself may be called either way.
    if len(paths) == 1 and not (info and info.needs_source):
        return None, paths[0]
    if len(paths) == 2 and (info is None or info.needs_source):
        return paths[0], paths[1]
    if info and not info.needs_source:
        usage = f"{kind} reads no source; expected `mrharm import {kind} DATASET`"
    raise InputError(f"{len(paths)} paths given; {usage}")


def _columns(pairs: list[str]) -> dict[str, str]:
    columns = {}
    for pair in pairs:
        part, equals, name = pair.partition("=")
        if not (part and equals and name):
            raise InputError(f"--column {pair}: expected PART=NAME, for example text=caption_text")
        columns[part] = name
    return columns


def _rationales(kind: str | None) -> Callable[[Meme], Rationale] | None:
    """The teacher that knows why its memes are harmful; the rooms memes/ and rationales/ do not know each other."""
    if kind != "generated":
        return None
    from mrharm.synthetic.teacher import GeneratedTeacher

    return GeneratedTeacher().explain


def _failures(dataset: Dataset) -> list[Failure]:
    path = dataset.root / FAILURES
    return list(read_records(path, Failure)) if path.exists() else []


def _summary(dataset: Dataset, failures: list[Failure]) -> dict[str, Any]:
    labelled = [meme.label for meme in dataset.memes if meme.label]
    return {
        "dataset": str(dataset.root),
        "kind": dataset.info.kind,
        "memes": len(dataset.memes),
        "splits": dataset.info.splits,
        "roles": dataset.info.roles,
        "labelled": len(labelled),
        "harmful": sum(label.harmful for label in labelled),
        "pictures": sum(meme.image is not None for meme in dataset.memes),
        "captions": sum(row.caption is not None for row in dataset.evidence.values()),
        "rationales": len(dataset.rationales),
        "failures": len(failures),
        "notes": dataset.info.notes,
    }


def _say(dataset: Dataset, summary: dict[str, Any], failures: list[Failure]) -> None:
    roles = {split: role for role, split in dataset.info.roles.items()}
    splits = ", ".join(
        f"{split} {count:,}" + (f" (as {roles[split]})" if split in roles else "")
        for split, count in dataset.info.splits.items()
    )
    out.print(f"{summary['memes']:,} memes in {dataset.root}: {sanitise(splits)}")
    out.print(
        f"{summary['labelled']:,} labelled, {summary['harmful']:,} of them harmful; {summary['pictures']:,} pictures, "
        f"{summary['captions']:,} captions, {summary['rationales']:,} rationales"
    )
    for note in dataset.info.notes:
        out.print(f"note: {sanitise(note)}")
    if failures:
        out.print(f"{len(failures):,} failed and were left out; all are listed in {dataset.root / FAILURES}")
    say_failures(failures, dataset.root / FAILURES)


def _list_kinds(as_json: bool) -> None:
    infos = {kind: about(kind) for kind in IMPORTERS.names()}
    if as_json:
        print_json({kind: asdict(info) if info else None for kind, info in infos.items()})
        return
    for kind, info in infos.items():
        out.print(f"{kind}  {info.title if info else ''}".rstrip())
        if info:
            for name, said in (("licence", info.licence), ("obtain", info.obtain), ("expects", info.layout)):
                out.print(
                    fill(
                        f"    {name:<9}{said}",
                        max(40, out.width),
                        subsequent_indent=" " * 13,
                        break_long_words=False,
                        break_on_hyphens=False,
                    )
                )
