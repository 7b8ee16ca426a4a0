"""``mrharm import KIND [SOURCE] DATASET``: a source as it was published -> a dataset folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from textwrap import TextWrapper
from typing import Annotated, Any

from typer import Argument, Option

from mrharm.cli.options import JsonOption, OverwriteOption
from mrharm.cli.terminal import Bars, print_result, print_sentences, report_errors
from mrharm.console import out, print_failures
from mrharm.errors import InputError
from mrharm.memes.dataset import Dataset, ImportOptions
from mrharm.memes.importing import IMPORTERS, about, import_memes
from mrharm.records import Failure, Meme, Rationale, read_records
from mrharm.store import FAILURES

PathsArgument = Annotated[
    list[Path] | None,
    Argument(
        metavar="[SOURCE] DATASET",
        help="What to read: a folder, file, .zip or .tar (generated reads nothing); what to write.",
    ),
]


@report_errors
def import_command(
    kind: Annotated[
        str | None, Argument(metavar="KIND", help="The kind of source; --list shows the kinds.")
    ] = None,
    paths: PathsArgument = None,
    link: Annotated[bool, Option("--link", help="Hard-link pictures where possible.")] = False,
    seed: Annotated[int, Option(help="Seed of the validation split, and of generated memes.")] = 0,
    validation_share: Annotated[
        float, Option(help="Share of train to set aside for validation, where the source has no such split.")
    ] = 0.1,
    allow_v0: Annotated[
        bool, Option("--allow-v0", help="Import Harm-P V0 in spite of its known faults.")
    ] = False,
    column: Annotated[
        list[str] | None,
        Option(metavar="PART=NAME", help="Which column holds id, text, image, label, split or targets."),
    ] = None,
    memes: Annotated[int, Option(min=1, help="How many memes to generate.")] = 2000,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
    list_kinds: Annotated[bool, Option("--list", help="Show the kinds: licence, source, layout.")] = False,
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
    counts = _count_parts(dataset)

    def show() -> None:
        print_sentences("imported.jinja", counts=counts, failures=failures, failures_file=file)
        print_failures(failures, file)

    print_result({**counts, "failures": len(failures)}, show, as_json=as_json, failures=failures)


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


def _count_parts(dataset: Dataset) -> dict[str, Any]:
    labels = [meme.label for meme in dataset.memes if meme.label]
    return {
        "dataset": dataset.root,
        "kind": dataset.info.kind,
        "memes": len(dataset.memes),
        "splits": dataset.info.splits,
        "roles": dataset.info.roles,
        "labelled": len(labels),
        "harmful": sum(label.harmful for label in labels),
        "pictures": sum(meme.image is not None for meme in dataset.memes),
        "captions": sum(row.caption is not None for row in dataset.evidence.values()),
        "rationales": len(dataset.rationales),
        "notes": dataset.info.notes,
    }


def _list_kinds(as_json: bool) -> None:
    infos = {kind: about(kind) for kind in IMPORTERS.names()}

    def show() -> None:
        wrapper = TextWrapper(
            max(40, out.width), subsequent_indent=" " * 13, break_long_words=False, break_on_hyphens=False
        )
        for kind, info in infos.items():
            out.print(f"{kind}  {info.title}" if info else kind)
            for name, key in (("licence", "licence"), ("obtain", "obtain"), ("expects", "layout")):
                if info:
                    out.print(wrapper.fill(f"    {name:<9}{getattr(info, key)}"))

    print_result(infos, show, as_json=as_json)
