"""``mrharm gather DATASET``: the words in every picture, the picture without them, what it shows."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from typer import Option

from mrharm.cli.options import (
    BudgetOption,
    DatasetArgument,
    JsonOption,
    LimitOption,
    OneSplitOption,
    WorkersOption,
)
from mrharm.cli.terminal import Bars, print_result, print_sentences, print_stale, report_errors
from mrharm.console import err, out, print_failures
from mrharm.errors import InputError
from mrharm.evidence.captions import CAPTIONERS, Captioner
from mrharm.evidence.inpainting import INPAINTERS
from mrharm.evidence.ocr import OCR
from mrharm.memes.dataset import Dataset
from mrharm.store import FAILURES
from mrharm.texts import sanitise

if TYPE_CHECKING:
    from mrharm.evidence.gather import Part
    from mrharm.evidence.picture_evidence import Engines

OcrOption = Annotated[
    Literal["missing", "always", "never"],
    Option(
        help="missing: words read off a picture are the text of memes without one; always: of every meme; "
        "never: no picture is read."
    ),
]
CaptionsOption = Annotated[
    str,
    Option(
        metavar="ROW[:WHAT]",
        help=f"What describes pictures: {', '.join(CAPTIONERS.names())} (hf:MODEL), or keep those there are.",
    ),
]


@report_errors
def gather_command(
    dataset: DatasetArgument,
    ocr: OcrOption = "missing",
    ocr_engine: Annotated[
        str, Option(metavar="NAME", help=f"The OCR engine: {', '.join(OCR.names())}.")
    ] = "rapidocr",
    inpaint: Annotated[
        str, Option(metavar="NAME", help=f"What removes words: {', '.join(INPAINTERS.names())}, none.")
    ] = "telea",
    captions: CaptionsOption = "keep",
    augment: Annotated[
        str | None,
        Option(metavar="openai:MODEL", help="Add entities and demographics, as the inputs of FHM have them."),
    ] = None,
    budget: BudgetOption = None,
    split: OneSplitOption = None,
    limit: LimitOption = None,
    workers: WorkersOption = 2,
    show: Annotated[
        str | None, Option(metavar="ID", help="Draw what is found in one meme; write nothing else.")
    ] = None,
    out_file: Annotated[
        Path | None, Option("--out", metavar="FILE", help="Where --show draws; default: ID.png.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Gather evidence for every meme; stopped at any moment, the same command goes on."""
    folder = Dataset(dataset)
    from mrharm.evidence.gather import gather
    from mrharm.evidence.picture_evidence import Engines

    engines = Engines(ocr=ocr_engine, inpainter=inpaint, policy=ocr)
    if show is not None:
        _draw_sheet(folder, show, engines, out_file, as_json)
        return
    memes = folder.split(split) if split else folder.memes
    describers = _load_describers(captions, augment, budget)
    with Bars() as bars:
        gathered = gather(
            folder,
            memes[:limit],
            engines=engines,
            describers=describers,
            workers=workers,
            progress=bars.show,
        )
    print_stale(Dataset(dataset))

    def report() -> None:
        print_sentences("gathered.jinja", done=gathered, dataset=dataset)
        for note in gathered.notes:
            err.print(f"note: {sanitise(note)}")
        print_failures(gathered.failures, dataset / FAILURES)

    values = {**vars(gathered), "dataset": dataset}
    print_result(values, report, as_json=as_json, failures=gathered.failures)


def _load_describers(captions: str, augment: str | None, budget: float | None) -> dict[Part, Captioner]:
    """Return what fills each part of the evidence; hosted models share one client, and so one budget."""
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


def _draw_sheet(
    folder: Dataset, meme_id: str, engines: Engines, out_file: Path | None, as_json: bool
) -> None:
    from mrharm.evidence.show import draw_sheet

    meme = next((meme for meme in folder.memes if meme.id == meme_id), None)
    if meme is None:
        raise InputError(f"{folder.root}: no meme called {meme_id!r}")
    path = out_file or Path(f"{meme_id.replace('/', '_')}.png")
    evidence = draw_sheet(folder, meme, engines, path)

    def show() -> None:
        out.print(f"{path}: {len(evidence.boxes)} lines of text")
        for number, box in enumerate(evidence.boxes, 1):
            out.print(f"  {number}. {sanitise(box.text)} ({box.confidence:.2f})")

    print_result({"meme": meme_id, "sheet": path, "evidence": evidence}, show, as_json=as_json)
