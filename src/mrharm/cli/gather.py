"""``mrharm gather DATASET``: the words in every picture, the picture without them, what it shows."""

from __future__ import annotations

from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mrharm.cli.terminal import Bars, err, fail, out, print_json, sanitise, say_failures
from mrharm.errors import EXIT_SOME_FAILED, InputError, MrHarmError
from mrharm.evidence.engines import CAPTIONERS, INPAINTERS, OCR, Captioner
from mrharm.memes.dataset import Dataset
from mrharm.store import FAILURES

if TYPE_CHECKING:
    from mrharm.evidence.gather import Gathered, Part
    from mrharm.evidence.pipeline import Engines


class Policy(StrEnum):
    """When the words read off a picture become the meme's text."""

    missing = "missing"
    always = "always"
    never = "never"


def gather_command(
    dataset: Annotated[Path, typer.Argument(metavar="DATASET", help="A dataset folder.")],
    ocr: Annotated[
        Policy,
        typer.Option(
            help="Whose words count: missing takes those read where none were given; never reads nothing."
        ),
    ] = Policy.missing,
    ocr_engine: Annotated[
        str, typer.Option(metavar="NAME", help=f"What reads: {', '.join(OCR.names())}.")
    ] = "rapidocr",
    inpaint: Annotated[
        str,
        typer.Option(
            metavar="NAME", help=f"What takes the words off: {', '.join(INPAINTERS.names())}, none."
        ),
    ] = "telea",
    captions: Annotated[
        str,
        typer.Option(
            metavar="ROW[:WHAT]",
            help=f"What describes pictures: {', '.join(CAPTIONERS.names())} (hf:MODEL), or keep those there are.",
        ),
    ] = "keep",
    augment: Annotated[
        str | None,
        typer.Option(
            metavar="openai:MODEL", help="Fill entities and demographics, too, as FHM's inputs have them."
        ),
    ] = None,
    budget: Annotated[
        float | None, typer.Option(min=0, metavar="USD", help="What hosted models may cost at most.")
    ] = None,
    split: Annotated[str | None, typer.Option(help="One split only.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="The first N memes only.")] = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes that look at pictures.")] = 2,
    show: Annotated[
        str | None,
        typer.Option(metavar="ID", help="Draw what is seen in one meme; writes nothing else."),
    ] = None,
    out_file: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Where --show draws; default ID.png.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")] = False,
) -> None:
    """Gather evidence for every meme; stopped at any moment, the same command goes on."""
    try:
        from mrharm.evidence.gather import gather
        from mrharm.evidence.pipeline import Engines

        folder = Dataset(dataset)
        engines = Engines(ocr=ocr_engine, inpainter=inpaint, policy=ocr.value)
        if show is not None:
            _show(folder, show, engines, out_file, as_json)
            return
        memes = folder.split(split) if split else folder.memes
        describers = _describers(captions, augment, budget)
        with Bars() as bars:
            done = gather(
                folder.root,
                memes[:limit],
                folder.evidence,
                engines=engines,
                describers=describers,
                workers=workers,
                progress=bars.show,
            )
    except (MrHarmError, KeyboardInterrupt) as error:
        raise fail(error, as_json=as_json) from None
    if as_json:
        print_json(
            {
                **asdict(done),
                "failures": [failure.model_dump(mode="json") for failure in done.failures],
                "dataset": str(dataset),
            }
        )
    else:
        _say(done, dataset)
    if done.failures:
        raise typer.Exit(EXIT_SOME_FAILED)


def _describers(captions: str, augment: str | None, budget: float | None) -> dict[Part, Captioner]:
    """Evidence's part -> what fills it; hosted ones share one client, and so one budget."""
    describers: dict[Part, Captioner] = {}
    hosted: dict[str, Any] = {}
    if budget is not None:
        from mrharm.llm import HostedClient

        hosted["client"] = HostedClient(budget=budget)
    if captions != "keep":
        name, _, what = captions.partition(":")
        describers["caption"] = CAPTIONERS.load(name)(what or None, **(hosted if name == "openai" else {}))
    if augment is not None:
        name, _, what = augment.partition(":")
        if name != "openai":
            raise InputError(f"--augment {augment}: expected openai:MODEL")
        for part in ("entities", "demographics"):
            describers[part] = CAPTIONERS.load(name)(what or None, prompt=f"{part}.v1", **hosted)
    return describers


def _show(folder: Dataset, meme_id: str, engines: Engines, out_file: Path | None, as_json: bool) -> None:
    from mrharm.evidence.show import draw_sheet

    meme = next((meme for meme in folder.memes if meme.id == meme_id), None)
    if meme is None:
        raise InputError(f"{folder.root}: no meme called {meme_id!r}")
    path = out_file or Path(f"{meme_id.replace('/', '_')}.png")
    evidence = draw_sheet(folder.root, meme, folder.evidence.get(meme_id), engines, path)
    if as_json:
        print_json({"meme": meme_id, "sheet": str(path), "evidence": evidence.model_dump(mode="json")})
        return
    out.print(f"{path}: {len(evidence.boxes)} lines of text")
    for number, box in enumerate(evidence.boxes, 1):
        out.print(f"  {number}. {sanitise(box.text)} ({box.confidence:.2f})")


def _say(done: Gathered, dataset: Path) -> None:
    out.print(
        f"{done.memes:,} memes in {dataset}: {done.looked:,} pictures looked at, {done.kept:,} known already, "
        f"{done.described:,} described; {done.with_text:,} have words"
    )
    if done.compared:
        out.print(
            f"given words and words read disagree on {done.disagreeing:,} of {done.compared:,} memes "
            f"(more than half of the words); on {100 * done.mean_disagreement:.1f} % of the words on average"
        )
    for note in done.notes:
        err.print(f"note: {sanitise(note)}")
    say_failures(done.failures, dataset / FAILURES)
