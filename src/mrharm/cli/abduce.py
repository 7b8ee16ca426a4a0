"""``mrharm abduce DATASET --teacher T``: why every meme has its label, checked; and what to do with the answers."""

from __future__ import annotations

from contextlib import ExitStack
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mrharm.cli.rationales import export_sample, import_corrections, regate_file, show_stats
from mrharm.cli.terminal import Bars, fail, out, print_json, sanitise, say_failures
from mrharm.errors import EXIT_SOME_FAILED, InputError, MrHarmError
from mrharm.memes.dataset import RATIONALES, Dataset
from mrharm.rationales.teachers import TEACHERS, Teacher, teacher_named
from mrharm.records import Failure
from mrharm.store import FAILURES

if TYPE_CHECKING:
    from mrharm.llm import Estimate, HostedClient
    from mrharm.rationales.abduce import Abduced
    from mrharm.rationales.prompting import QuestionBuilder

PROMPT = "abductive.v1"


class Shown(StrEnum):
    """What a teacher is shown beside the words."""

    caption = "caption"
    pixels = "pixels"
    both = "both"


def abduce_command(
    dataset: Annotated[Path, typer.Argument(metavar="DATASET", help="A dataset folder.")],
    teacher: Annotated[
        str | None,
        typer.Option(
            metavar="ROW[:WHAT]",
            help=f"Who explains: {', '.join(TEACHERS.names())} (openai:MODEL, hf:MODEL, recorded:FILE).",
        ),
    ] = None,
    prompt: Annotated[
        str,
        typer.Option(help="abductive.v1, structured.v1, two-sided.v1 or unconditioned.v1."),
    ] = PROMPT,
    evidence: Annotated[
        Shown, typer.Option(help="What a teacher is shown beside the words.")
    ] = Shown.caption,
    split: Annotated[str | None, typer.Option(help="One split only.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="The first N memes only.")] = None,
    preview: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Print what would be sent for N memes; send nothing."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say how many calls, tokens and USD; send nothing.")
    ] = False,
    budget: Annotated[
        float | None, typer.Option(min=0, metavar="USD", help="What this run may cost at most.")
    ] = None,
    concurrency: Annotated[int, typer.Option(min=1, help="Questions at a time.")] = 8,
    batch: Annotated[
        bool, typer.Option("--batch", help="Ask by the batch service: half the price, within a day.")
    ] = False,
    max_tokens: Annotated[int, typer.Option(min=16, help="Tokens of an answer.")] = 400,
    base_url: Annotated[
        str | None, typer.Option(metavar="URL", help="The endpoint; default OPENAI_BASE_URL.")
    ] = None,
    key_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Holds the key; default OPENAI_API_KEY.")
    ] = None,
    prices: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Prices in USD per million tokens; default MRHARM_PRICES."),
    ] = None,
    regate: Annotated[
        bool, typer.Option("--regate", help="Check stored answers again, without a call.")
    ] = False,
    stats: Annotated[
        bool, typer.Option("--stats", help="Coverage, leaks, refusals, lengths, cost of what is stored.")
    ] = False,
    export: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write a sample for people: .csv, or .json for Label Studio."),
    ] = None,
    sample: Annotated[int, typer.Option(min=1, help="Memes --export draws by lot.")] = 100,
    seed: Annotated[int, typer.Option(help="Of that lot.")] = 0,
    corrections: Annotated[
        Path | None,
        typer.Option(
            "--import", metavar="CSV", help="Take corrected rationales in; they win over any teacher."
        ),
    ] = None,
    out_file: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="FILE",
            help="Where rationales go; default rationales.jsonl (two-sided and unconditioned: a file of their own).",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")] = False,
) -> None:
    """Ask a teacher why each meme has its label, and keep what passes the gate; the same command goes on."""
    try:
        folder = Dataset(dataset)
        path = out_file or folder.root / _file_of(prompt)
        modes = [regate, stats, export is not None, corrections is not None, teacher is not None]
        if sum(modes) != 1:
            raise InputError(
                "expected one of --teacher T, --regate, --stats, --export FILE and --import CSV"
                f" ({sum(modes)} given)"
            )
        if teacher is None and (preview is not None or dry_run or limit is not None):
            raise InputError("--preview, --dry-run and --limit go with --teacher")
        if split and (regate or corrections is not None):
            raise InputError("--regate and --import are for the whole file; leave --split out")
        if regate:
            regate_file(folder, path, as_json)
            return
        if stats:
            show_stats(folder, path, split, as_json)
            return
        if export is not None:
            export_sample(folder, path, export, split, sample, seed, as_json)
            return
        if corrections is not None:
            import_corrections(folder, path, corrections, as_json)
            return
        from mrharm.rationales.prompting import QuestionBuilder

        assert teacher is not None
        builder = QuestionBuilder(prompt, evidence.value, folder.root, max_tokens)
        memes = (folder.split(split) if split else folder.memes)[:limit]
        hosted = teacher.partition(":")[0] == "openai"
        if not hosted and (batch or budget is not None or base_url or key_file):
            raise InputError(
                f"--batch, --budget, --base-url and --key-file go with openai:MODEL, not {teacher}"
            )
        with Bars() as bars, ExitStack() as closing:
            spent = ""

            def tell(tally: Any) -> None:
                nonlocal spent
                spent = f"{tally.usd:.4f} USD"

            options: dict[str, Any] = {}
            client: HostedClient | None = None
            if hosted:
                client = closing.enter_context(_client(base_url, key_file, prices, budget))
                options = {"client": client, "concurrency": concurrency, "batch": batch, "tell": tell}
            who: Teacher = teacher_named(teacher, **options)
            if not who.reads_prompt and prompt != PROMPT:
                raise InputError(f"{teacher} has its answers and reads no prompt; leave --prompt out")
            if preview is not None:
                _preview(memes[:preview], folder, who, builder, as_json)
                return
            if dry_run:
                _estimate(memes, folder, path, who, builder, as_json)
                return
            from mrharm.rationales.abduce import WINDOW, abduce, read_rationales

            done = abduce(
                folder.root,
                memes,
                folder.evidence,
                read_rationales(path),
                who,
                builder,
                out=path,
                window=len(memes) if batch else WINDOW,
                progress=lambda what, count, total: bars.show(what, count, total, spent),
            )
            if client:
                done.usd = client.spent  # refusals and lost answers are paid for, too
    except (MrHarmError, KeyboardInterrupt) as error:
        raise fail(error, as_json=as_json) from None
    if as_json:
        print_json(
            {
                "dataset": str(dataset),
                "out": str(path),
                "memes": done.memes,
                "kept": done.kept,
                "by_people": done.by_people,
                "statuses": dict(done.statuses),
                "asked_again": done.asked_again,
                "usd": done.usd,
                "failures": [failure.model_dump(mode="json") for failure in done.failures],
            }
        )
    else:
        _say(done, path, dataset)
    if done.failures:
        raise typer.Exit(EXIT_SOME_FAILED)


def _file_of(prompt: str) -> str:
    """Where a prompt's answers go: those that stage 1 does not learn from have a file of their own."""
    alone = prompt.partition(".")[0] in ("two-sided", "unconditioned")
    return f"rationales.{prompt}.jsonl" if alone else RATIONALES


def _client(
    base_url: str | None, key_file: Path | None, prices: Path | None, budget: float | None
) -> HostedClient:
    from mrharm.llm import HostedClient

    return HostedClient(base_url=base_url, key_file=key_file, prices=prices, budget=budget)


def _preview(
    memes: list[Any], folder: Dataset, teacher: Teacher, builder: QuestionBuilder, as_json: bool
) -> None:
    from mrharm.rationales.abduce import pending
    from mrharm.rationales.prompting import recorded_messages

    shown = []
    for meme, ask in zip(memes, pending(memes, folder.evidence, teacher, builder), strict=True):
        if isinstance(ask, Failure):
            shown.append({"meme": meme.id, "cannot_be_asked": ask.reason})
        else:
            shown.append({"meme": meme.id, "settings": ask.settings, "messages": recorded_messages(ask)})
    if as_json:
        print_json({"teacher": teacher.name, "prompt": builder.version, "shown": shown})
        return
    out.print(f"{teacher.name}, prompt {builder.version}: {len(shown)} of the questions; nothing is sent")
    for one in shown:
        out.print(f"\n=== {sanitise(one['meme'])}")
        if "cannot_be_asked" in one:
            out.print(f"cannot be asked: {sanitise(one['cannot_be_asked'])}")
            continue
        if not one["messages"]:
            out.print("no message: this teacher knows its answers")
        for message in one["messages"]:
            out.print(f"--- {message['role']}")
            content = message["content"]
            for part in content if isinstance(content, list) else [content]:
                if isinstance(part, str):
                    out.print(part)
                else:
                    out.print(part.get("text") or f"[picture {part['picture'][:12]}]")


def _estimate(
    memes: list[Any], folder: Dataset, path: Path, teacher: Teacher, builder: QuestionBuilder, as_json: bool
) -> None:
    from mrharm.rationales.abduce import Abduced, open_questions, read_rationales

    done = Abduced(memes=len(memes))
    asks = open_questions(memes, folder.evidence, read_rationales(path), teacher, builder, done)
    estimate: Estimate | None = None
    if hasattr(teacher, "estimate"):
        estimate = teacher.estimate(asks)
    else:
        for _ in asks:
            pass
    failures, there = done.failures, done.kept + done.by_people
    count = len(memes) - there - len(failures)
    if as_json:
        from dataclasses import asdict

        print_json(
            {
                "memes": len(memes),
                "questions": count,
                "written": there,
                "cannot_be_asked": len(failures),
                "estimate": asdict(estimate) if estimate else None,
            }
        )
        return
    out.print(
        f"{len(memes):,} memes, {count:,} questions, {there:,} written before, {len(failures):,} that cannot be asked"
    )
    for failure in failures[:3]:
        out.print(sanitise(f"  {failure.item}: {failure.reason}"))
    if estimate is None:
        out.print(f"{teacher.name} answers here and costs nothing")
        return
    out.print(
        f"{estimate.calls:,} calls ({estimate.cached:,} answered already, "
        f"{count - estimate.questions:,} the same question as another)"
    )
    out.print(
        f"about {estimate.prompt_tokens:,} tokens of questions, at most {estimate.completion_tokens:,} of answers"
    )
    if estimate.usd_likely is None:
        out.print("USD: no price known for this model; name a table with --prices FILE")
    else:
        out.print(f"about {estimate.usd_likely:.4f} USD, at most {estimate.usd_at_most:.4f}")
    out.print("answers that state their label are asked for again, at most twice: those calls come on top")


def _say(done: Abduced, path: Path, folder: Path) -> None:
    written = ", ".join(f"{status} {count:,}" for status, count in done.statuses.most_common())
    out.print(
        f"{done.memes:,} memes: {done.statuses.total():,} answered" + (f" ({written})" if written else "")
    )
    there = [
        f"{count:,} {what}"
        for count, what in (
            (done.kept, "written before"),
            (done.by_people, "written by people and left alone"),
            (done.asked_again, "answers asked for again"),
            (len(done.failures), "failed"),
        )
        if count
    ]
    if there:
        out.print("; ".join(there))
    out.print(f"{path}: {done.usd:.4f} USD spent by this run")
    say_failures(done.failures, folder / FAILURES)
