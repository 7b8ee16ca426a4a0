"""``mrharm import KIND [SOURCE] DATASET``: a source as it was published -> a dataset folder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from textwrap import fill
from typing import Annotated, Any

import typer

from mrharm.cli.options import JsonOption, OverwriteOption
from mrharm.cli.terminal import Bars, print_result, report_errors
from mrharm.console import out, print_failures
from mrharm.errors import InputError
from mrharm.memes.dataset import Dataset, ImportOptions
from mrharm.memes.importing import IMPORTERS, about, import_memes
from mrharm.records import Failure, Meme, Rationale, read_records
from mrharm.store import FAILURES
from mrharm.texts import sanitise

KindArgument = Annotated[
    str | None, typer.Argument(metavar="KIND", help="The kind of source; --list shows the kinds.")
]
PathsArgument = Annotated[
    list[Path] | None,
    typer.Argument(
        metavar="[SOURCE] DATASET",
        help="What to read: a folder, file, .zip or .tar (generated reads nothing); what to write.",
    ),
]
LinkOption = Annotated[bool, typer.Option("--link", help="Hard-link pictures where possible.")]
SeedOption = Annotated[int, typer.Option(help="Seed of the validation split, and of generated memes.")]
ShareOption = Annotated[
    float,
    typer.Option(
        help="Share of train to set aside for validation, where the source has no validation split."
    ),
]
AllowV0Option = Annotated[
    bool, typer.Option("--allow-v0", help="Import Harm-P V0 in spite of its known faults.")
]
ColumnOption = Annotated[
    list[str] | None,
    typer.Option(metavar="PART=NAME", help="Which column holds id, text, image, label, split or targets."),
]
MemesOption = Annotated[int, typer.Option(min=1, help="How many memes to generate.")]
ListOption = Annotated[bool, typer.Option("--list", help="Show the kinds: licence, source, layout.")]


@report_errors
def import_command(
    kind: KindArgument = None,
    paths: PathsArgument = None,
    link: LinkOption = False,
    seed: SeedOption = 0,
    validation_share: ShareOption = 0.1,
    allow_v0: AllowV0Option = False,
    column: ColumnOption = None,
    memes: MemesOption = 2000,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
    list_kinds: ListOption = False,
) -> None:
    """Import memes into a dataset folder; rows that fail are listed in its failures.jsonl."""
    if list_kinds:
        _list_kinds(as_json)
        return
    source, folder = _split_paths(kind, paths or [])
    options = ImportOptions(
        images="link" if link else "copy",
        seed=seed,
        validation_share=validation_share,
        allow_v0=allow_v0,
        columns=_parse_columns(column or []),
        memes=memes,
    )
    with Bars() as bars:
        dataset = import_memes(
            kind or "",
            source,
            folder,
            options,
            _load_explainer(kind),
            overwrite=overwrite,
            progress=bars.show,
        )
    file = dataset.root / FAILURES
    failures = list(read_records(file, Failure)) if file.exists() else []
    values = _count_parts(dataset, len(failures))
    print_result(values, lambda: _show(dataset, values, failures), as_json=as_json, failures=failures)


def _split_paths(kind: str | None, paths: list[Path]) -> tuple[Path | None, Path]:
    """Return the source, where the kind reads one, and the dataset folder."""
    usage = "expected `mrharm import KIND SOURCE DATASET`; `mrharm import --list` shows the kinds"
    if kind is None:
        raise InputError(f"nothing to import; {usage}")
    info = about(kind)
    # A third party's importer that does not describe itself may be called either way.
    if len(paths) == 1 and not (info and info.needs_source):
        return None, paths[0]
    if len(paths) == 2 and (info is None or info.needs_source):
        return paths[0], paths[1]
    if info and not info.needs_source:
        usage = f"{kind} reads no source; expected `mrharm import {kind} DATASET`"
    raise InputError(f"{len(paths)} paths given; {usage}")


def _parse_columns(pairs: list[str]) -> dict[str, str]:
    columns = {}
    for pair in pairs:
        part, equals, name = pair.partition("=")
        if not (part and equals and name):
            raise InputError(f"--column {pair}: expected PART=NAME, for example text=caption_text")
        columns[part] = name
    return columns


def _load_explainer(kind: str | None) -> Callable[[Meme], Rationale] | None:
    """Return what explains generated memes; the rooms memes/ and synthetic/ meet here alone."""
    if kind != "generated":
        return None
    from mrharm.synthetic.teacher import GeneratedTeacher

    return GeneratedTeacher().explain


def _count_parts(dataset: Dataset, failures: int) -> dict[str, Any]:
    labels = [meme.label for meme in dataset.memes if meme.label]
    return {
        "dataset": str(dataset.root),
        "kind": dataset.info.kind,
        "memes": len(dataset.memes),
        "splits": dataset.info.splits,
        "roles": dataset.info.roles,
        "labelled": len(labels),
        "harmful": sum(label.harmful for label in labels),
        "pictures": sum(meme.image is not None for meme in dataset.memes),
        "captions": sum(row.caption is not None for row in dataset.evidence.values()),
        "rationales": len(dataset.rationales),
        "failures": failures,
        "notes": dataset.info.notes,
    }


def _show(dataset: Dataset, counts: dict[str, Any], failures: list[Failure]) -> None:
    roles = {split: role for role, split in dataset.info.roles.items()}
    splits = ", ".join(
        f"{split} {count:,}" + (f" (as {roles[split]})" if split in roles else "")
        for split, count in dataset.info.splits.items()
    )
    out.print(f"{counts['memes']:,} memes in {dataset.root}: {sanitise(splits)}")
    out.print(
        f"{counts['labelled']:,} labelled, {counts['harmful']:,} of them harmful; {counts['pictures']:,} pictures, "
        f"{counts['captions']:,} captions, {counts['rationales']:,} rationales"
    )
    for note in dataset.info.notes:
        out.print(f"note: {sanitise(note)}")
    if failures:
        out.print(
            f"{len(failures):,} rows failed and were left out; {dataset.root / FAILURES} lists them all"
        )
    print_failures(failures, dataset.root / FAILURES)


def _list_kinds(as_json: bool) -> None:
    infos = {kind: about(kind) for kind in IMPORTERS.names()}

    def show() -> None:
        for kind, info in infos.items():
            out.print(f"{kind}  {info.title if info else ''}".rstrip())
            rows = (
                (("licence", info.licence), ("obtain", info.obtain), ("expects", info.layout)) if info else ()
            )
            for name, text in rows:
                out.print(
                    fill(
                        f"    {name:<9}{text}",
                        max(40, out.width),
                        subsequent_indent=" " * 13,
                        break_long_words=False,
                        break_on_hyphens=False,
                    )
                )

    values = {kind: asdict(info) if info else None for kind, info in infos.items()}
    print_result(values, show, as_json=as_json)
