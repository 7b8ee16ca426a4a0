"""``mrharm abduce DATASET --teacher T``: have a teacher explain why every meme has its label, and check the answers."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from typer import Option

from mrharm.cli.options import BudgetOption, DatasetArgument, JsonOption, LimitOption, OneSplitOption
from mrharm.cli.rationales import check_command, export_command, import_command, stats_command
from mrharm.cli.terminal import Bars, print_result, print_sentences, print_stale, report_errors
from mrharm.console import err, out, print_failures
from mrharm.errors import InputError
from mrharm.memes.dataset import RATIONALES, Dataset
from mrharm.rationales.teachers import TEACHERS, Teacher, teacher_named
from mrharm.records import Failure
from mrharm.store import FAILURES
from mrharm.texts import sanitise

if TYPE_CHECKING:
    from mrharm.llm import HostedClient
    from mrharm.rationales.abduce import Abduced
    from mrharm.rationales.prompting import QuestionBuilder
    from mrharm.records import Meme

PROMPT = "abductive.v1"
CONCURRENCY = 8
NOT_TAUGHT = ("two-sided", "unconditioned")  # prompts whose answers train no student

TeacherOption = Annotated[
    str | None,
    Option(
        metavar="ROW[:WHAT]",
        help=f"Who explains: {', '.join(TEACHERS.names())} (openai:MODEL, hf:MODEL, recorded:FILE).",
    ),
]
PromptOption = Annotated[str, Option(help="abductive.v1, structured.v1, two-sided.v1 or unconditioned.v1.")]
ShownOption = Annotated[
    Literal["caption", "pixels", "both"] | None,
    Option(help="What the teacher is shown besides the text; default: caption."),
]
PreviewOption = Annotated[
    int | None, Option(min=1, metavar="N", help="Print what would be sent for N memes; send nothing.")
]
DryRunOption = Annotated[bool, Option("--dry-run", help="Estimate calls, tokens and USD; send nothing.")]
ConcurrencyOption = Annotated[int | None, Option(min=1, help=f"Calls at a time; default: {CONCURRENCY}.")]
BatchOption = Annotated[
    bool, Option("--batch", help="Use the batch service: half the price, answers within a day.")
]
MaxTokensOption = Annotated[int | None, Option(min=16, help="The most tokens of an answer; default: 400.")]
UrlOption = Annotated[str | None, Option(metavar="URL", help="The endpoint; default: OPENAI_BASE_URL.")]
KeyFileOption = Annotated[
    Path | None, Option(metavar="FILE", help="A file with the API key; default: OPENAI_API_KEY.")
]
PricesOption = Annotated[
    Path | None, Option(metavar="FILE", help="Prices in USD per million tokens; default: MRHARM_PRICES.")
]
OutOption = Annotated[
    Path | None,
    Option(
        "--out",
        metavar="FILE",
        help=f"Where rationales go; default: {RATIONALES}, with two-sided or unconditioned prompts "
        "rationales.PROMPT.jsonl.",
    ),
]
# Modes of `abduce` before `mrharm rationales`; they keep working for one version.
OldFlag = Annotated[bool, Option(hidden=True)]
OldFileOption = Annotated[Path | None, Option(hidden=True)]
OldImportOption = Annotated[Path | None, Option("--import", hidden=True)]
OldCountOption = Annotated[int, Option(hidden=True)]


@report_errors
def abduce_command(
    dataset: DatasetArgument,
    teacher: TeacherOption = None,
    prompt: PromptOption = PROMPT,
    evidence: ShownOption = None,
    split: OneSplitOption = None,
    limit: LimitOption = None,
    preview: PreviewOption = None,
    dry_run: DryRunOption = False,
    budget: BudgetOption = None,
    concurrency: ConcurrencyOption = None,
    batch: BatchOption = False,
    max_tokens: MaxTokensOption = None,
    base_url: UrlOption = None,
    key_file: KeyFileOption = None,
    prices: PricesOption = None,
    regate: OldFlag = False,
    stats: OldFlag = False,
    export: OldFileOption = None,
    sample: OldCountOption = 100,
    seed: OldCountOption = 0,
    corrections: OldImportOption = None,
    out_file: OutOption = None,
    as_json: JsonOption = False,
) -> None:
    """Ask a teacher why each meme has its label, and keep the answers that pass the gate; run again to go on."""
    folder = Dataset(dataset)
    trains_no_student = prompt.partition(".")[0] in NOT_TAUGHT
    path = out_file or folder.root / (f"rationales.{prompt}.jsonl" if trains_no_student else RATIONALES)
    old_modes = {"--regate": regate, "--stats": stats, "--export": export, "--import": corrections}
    flags = [flag for flag, value in old_modes.items() if value]
    _check_mode(teacher, flags, split, only_with_teacher=bool(preview or dry_run or limit))
    if teacher is None:
        _run_old_mode(flags[0], dataset, path, split, export or corrections, sample, seed, as_json)
        return

    from mrharm.rationales.abduce import abduce

    builder = _make_builder(prompt, evidence, max_tokens, folder.root)
    memes = (folder.split(split) if split else folder.memes)[:limit]
    connection = {"base_url": base_url, "key_file": key_file, "prices": prices, "budget": budget}
    with Bars() as bars, ExitStack() as closing:
        source, client = _load_teacher(teacher, connection, concurrency, batch, closing)
        asking = {"--prompt": prompt != PROMPT, "--evidence": evidence, "--max-tokens": max_tokens}
        _check_asking(teacher, source, asking)
        if preview is not None:
            _preview(memes[:preview], folder, source, builder, as_json)
            return
        if dry_run:
            _estimate(memes, folder, path, source, builder, as_json)
            return
        if client:
            bars.note = lambda: f"{client.spent:.4f} USD"
        done = abduce(folder, memes, source, builder, out=path, progress=bars.show)
        if client:
            done.usd = client.spent  # refusals and lost answers are paid for, too
    print_stale(Dataset(dataset))
    _report(done, dataset, path, as_json)


def _report(done: Abduced, dataset: Path, path: Path, as_json: bool) -> None:
    def show() -> None:
        print_sentences("abduced.jinja", done=done, path=path)
        print_failures(done.failures, dataset / FAILURES)

    names = ("memes", "kept", "by_people", "statuses", "asked_again", "usd", "failures")
    values = {"dataset": dataset, "out": path, **{name: getattr(done, name) for name in names}}
    print_result(values, show, as_json=as_json, failures=done.failures)


def _run_old_mode(
    flag: str,
    dataset: Path,
    path: Path,
    split: str | None,
    sheet: Any,
    sample: int,
    seed: int,
    as_json: bool,
) -> None:
    """Run the sub-command of `mrharm rationales` that an old flag of `abduce` stands for."""
    name = {"--regate": "check"}.get(flag, flag.removeprefix("--"))
    err.print(f"note: `abduce {flag}` is deprecated; use `mrharm rationales {name}`")
    if name == "check":
        check_command(dataset, path, as_json=as_json)
    elif name == "stats":
        stats_command(dataset, split, path, as_json=as_json)
    elif name == "export":
        export_command(dataset, sheet, split, sample, seed, path, as_json=as_json)
    else:
        import_command(dataset, sheet, path, as_json=as_json)


def _check_mode(teacher: str | None, flags: list[str], split: str | None, *, only_with_teacher: bool) -> None:
    """Refuse anything but a teacher or one old flag, and options that do not go with it."""
    if len(flags) + (teacher is not None) != 1:
        raise InputError(
            "expected --teacher T; `mrharm rationales check|stats|export|import` works with stored rationales"
        )
    if flags and only_with_teacher:
        raise InputError("--preview, --dry-run and --limit go with --teacher")
    if split and flags and flags[0] in ("--regate", "--import"):
        raise InputError(f"{flags[0]} works on the whole file; leave --split out")


def _load_teacher(
    name: str,
    connection: dict[str, Any],
    concurrency: int | None,
    batch: bool,
    closing: ExitStack,
) -> tuple[Teacher, HostedClient | None]:
    """Return the teacher, and where it is hosted the client that pays for it."""
    options: dict[str, Any] = {}
    client: HostedClient | None = None
    if name.partition(":")[0] == "openai":
        from mrharm.llm import HostedClient

        client = closing.enter_context(HostedClient(**connection))
        options = {"client": client, "concurrency": concurrency or CONCURRENCY, "batch": batch}
    elif batch or any(value is not None for value in (*connection.values(), concurrency)):
        raise InputError(
            "--batch, --budget, --base-url, --concurrency, --key-file and --prices go with openai:MODEL, not with "
            f"{name}"
        )
    return teacher_named(name, **options), client


def _make_builder(
    prompt: str, evidence: Literal["caption", "pixels", "both"] | None, max_tokens: int | None, root: Path
) -> QuestionBuilder:
    from mrharm.rationales.prompting import MAX_TOKENS, QuestionBuilder

    return QuestionBuilder(prompt, evidence or "caption", root, max_tokens or MAX_TOKENS)


def _check_asking(name: str, teacher: Teacher, asking: dict[str, Any]) -> None:
    """Refuse options of how to ask, option -> value, where the teacher is asked nothing."""
    options = [option for option, value in asking.items() if value]
    if options and not teacher.reads_prompt:
        raise InputError(
            f"{name} has its answers already and reads no prompt; leave {', '.join(options)} out"
        )


def _preview(
    memes: list[Meme], folder: Dataset, teacher: Teacher, builder: QuestionBuilder, as_json: bool
) -> None:
    from mrharm.rationales.abduce import build_questions
    from mrharm.rationales.prompting import recorded_messages

    previews: list[dict[str, Any]] = []
    for meme, question in zip(memes, build_questions(memes, folder.evidence, teacher, builder), strict=True):
        if isinstance(question, Failure):
            previews.append({"meme": meme.id, "cannot_be_asked": question.reason})
        else:
            messages = recorded_messages(question)
            previews.append({"meme": meme.id, "settings": question.settings, "messages": messages})

    def show() -> None:
        out.print(
            f"{teacher.name}, prompt {builder.version}: questions for {len(previews)} memes; nothing is sent"
        )
        for preview in previews:
            out.print(f"\n=== {sanitise(preview['meme'])}")
            if "cannot_be_asked" in preview:
                out.print(f"cannot be asked: {sanitise(preview['cannot_be_asked'])}")
            elif not preview["messages"]:
                out.print("no question: this teacher has its answers already")
            for message in preview.get("messages", ()):
                out.print(f"--- {message['role']}")
                content = message["content"]
                parts = [{"text": content}] if isinstance(content, str) else content
                for part in parts:
                    out.print(part.get("text") or f"[picture {part['picture'][:12]}]")

    values = {"teacher": teacher.name, "prompt": builder.version, "shown": previews}
    print_result(values, show, as_json=as_json)


def _estimate(
    memes: list[Meme], folder: Dataset, path: Path, teacher: Teacher, builder: QuestionBuilder, as_json: bool
) -> None:
    from mrharm.rationales.abduce import Abduced, open_cases, read_rationales

    done = Abduced(memes=len(memes))
    cases = open_cases(memes, folder.evidence, read_rationales(path), teacher, builder, done)
    pending_questions = (case.first for case in cases)
    estimate = None
    if hasattr(teacher, "estimate"):
        estimate = teacher.estimate(pending_questions)
    else:
        list(pending_questions)  # counts in ``done`` as it goes
    written = done.kept + done.by_people
    values = {
        "memes": len(memes),
        "questions": len(memes) - written - len(done.failures),
        "written": written,
        "cannot_be_asked": len(done.failures),
        "estimate": estimate,
    }

    def show() -> None:
        print_sentences("abduce-estimate.jinja", **values, failures=done.failures, teacher=teacher.name)

    print_result(values, show, as_json=as_json)
