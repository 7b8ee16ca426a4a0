"""Ask a teacher about every meme, check each answer, append it to rationales.jsonl; the same call goes on after a stop.

A meme whose rationale is written is not asked about again, and an answer that was paid for is in the ledger.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from mrharm.errors import InputError, MrHarmError, StoppedError
from mrharm.llm import Completion
from mrharm.memes.dataset import RATIONALES, Dataset
from mrharm.progress import Progress, no_progress
from mrharm.rationales.gate import CheckedAnswer, Context, answer_context, check_answer, deleak, is_human
from mrharm.rationales.prompting import QuestionBuilder, follow_up, question_key, recorded_messages
from mrharm.rationales.staleness import rationale_is_stale
from mrharm.rationales.teachers import Question, Teacher
from mrharm.records import Evidence, Failure, Meme, Rationale
from mrharm.store import JsonlStore, exclusive_lock, read_appended, write_failures

STAGE = "abduce"
FOLLOW_UPS = 2  # how often an answer that cannot be kept is asked for again
WINDOW = 2000  # memes whose answers, and second answers, are waited for before the next are asked
_ASKED_AGAIN = ("leaks_label", "off_schema")


@dataclass
class Abduced:
    """What a run did."""

    memes: int = 0
    kept: int = 0  # written before, by a teacher
    by_people: int = 0
    statuses: Counter[str] = field(default_factory=Counter)  # of the new answers
    asked_again: int = 0  # answers that were asked for again
    stale: int = 0  # memes asked about because their rationale was written for other words
    failures: list[Failure] = field(default_factory=list)
    usd: float = 0.0  # of the new answers


@dataclass
class Case:
    """One meme that is asked about, the best of its answers as checked and as it came, and the cost so far."""

    meme: Meme
    context: Context
    first: Question  # before any answer was rejected
    question: Question
    best: CheckedAnswer | None = None
    raw: str | None = None
    usage: Counter[str] = field(default_factory=Counter)
    usd: float = 0.0
    calls: int = 0


def abduce(
    dataset: Dataset,
    memes: Sequence[Meme],
    teacher: Teacher,
    builder: QuestionBuilder,
    *,
    out: Path | None = None,
    progress: Progress = no_progress,
) -> Abduced:
    """Ask a teacher about memes and append every checked answer to ``out``.

    ``out``: the file of rationales, None for the dataset's; memes with a rationale in it to the same question are not
    asked about again. Failures go to the dataset's failures.jsonl, also where the work is stopped midway.

    Raises:
        InputError: captions are to be shown and no meme has one; another process writes rationales there; no key ...
        StoppedError: the file cannot be written; paid answers are in the ledger.
        MrHarmError: an error that every question would meet, after the answers so far have been written.
    """
    root, evidence = dataset.root, dataset.evidence
    captioned = any(evidence[meme.id].caption for meme in memes if meme.id in evidence)
    if memes and teacher.reads_prompt and builder.shows != "pixels" and not captioned:
        raise InputError(
            f"{root}: none of the memes has a caption to show; write captions (mrharm gather {root} --captions ...), "
            "or show the picture itself: --evidence pixels"
        )
    result = Abduced(memes=len(memes))
    # A batch service takes a day a round: it is asked about all memes at once.
    window = len(memes) if getattr(teacher, "batch", False) else WINDOW
    with exclusive_lock(root, STAGE):
        store = JsonlStore(out or root / RATIONALES, Rationale, "key")
        rationales = read_rationales(store.path)
        cases = open_cases(memes, evidence, rationales, teacher, builder, result)
        answered: set[str] = set()
        try:
            while batch := list(islice(cases, window)):
                for rationale in _explain(batch, teacher, result):
                    _append(store, rationale)
                    answered.add(rationale.meme_id)
                    result.statuses[rationale.status] += 1
                    done = result.kept + result.by_people + result.statuses.total() + len(result.failures)
                    progress("memes", done, len(memes))
        except BaseException:
            # Stopped midway, it tells what failed so far; an earlier failure of a meme not reached stays listed.
            with contextlib.suppress(OSError):  # a full disk is what stopped it
                items = answered | {failure.item for failure in result.failures}
                write_failures(root, result.failures, stage=STAGE, items=items)
            raise
        write_failures(root, result.failures, stage=STAGE, items={meme.id for meme in memes})
    return result


def _append(store: JsonlStore[Rationale], rationale: Rationale) -> None:
    """Append a rationale to its file; raises StoppedError, with the mend, where it cannot be written."""
    try:
        store.append(rationale)
    except OSError as error:
        raise StoppedError(
            f"{store.path}: cannot be written ({error.strerror}); make room and run the same command again: answers "
            "that were paid for are in the ledger"
        ) from None


def read_rationales(path: Path) -> dict[str, Rationale]:
    """Read the rationale of each meme from a file; a later line replaces an earlier one."""
    return {rationale.meme_id: rationale for rationale in read_appended(path, Rationale)}


def build_questions(
    memes: Iterable[Meme], evidence: Mapping[str, Evidence], teacher: Teacher, builder: QuestionBuilder
) -> Iterator[Question | Failure]:
    """Build the first question about each meme, or the reason why it cannot be asked; what ``--preview`` shows."""
    for meme in memes:
        try:
            if teacher.reads_prompt:
                yield builder.build(meme, evidence.get(meme.id))
            else:
                # Such an answer costs nothing, so any change of the meme, of its label too, asks for it again.
                yield Question(meme, (), {}, {"meme": meme.model_dump(mode="json")})
        except MrHarmError as error:
            yield _make_failure(meme, error)


def open_cases(
    memes: Sequence[Meme],
    evidence: Mapping[str, Evidence],
    rationales: Mapping[str, Rationale],
    teacher: Teacher,
    builder: QuestionBuilder,
    result: Abduced,
) -> Iterator[Case]:
    """Yield the memes to ask about; count the rest in ``result``."""
    questions = build_questions(memes, evidence, teacher, builder)
    for meme, question in zip(memes, questions, strict=True):
        written = rationales.get(meme.id)
        if written and is_human(written):
            result.by_people += 1  # a person's rationale is worth more than a teacher's
        elif isinstance(question, Failure):
            result.failures.append(question)
        elif written and written.key == question_key(question, teacher.name):
            result.kept += 1
        else:
            result.stale += bool(written and rationale_is_stale(meme, evidence.get(meme.id), written))
            prompt = builder.prompt if teacher.reads_prompt else None
            context = answer_context(meme, evidence.get(meme.id), prompt, question.messages)
            yield Case(meme, context, question, question)


def _explain(cases: list[Case], teacher: Teacher, result: Abduced) -> Iterator[Rationale]:
    """Yield rationales as they are final: at once, or after up to `FOLLOW_UPS` more rounds of questions.

    An answer that leaks the label or has another form than was asked for is asked for again with the reason.
    """
    waiting = cases
    for attempt in range(FOLLOW_UPS + 1):
        next_round: list[Case] = []
        for index, answer in teacher.answer(case.question for case in waiting):
            case = waiting[index]
            if isinstance(answer, Completion):
                checked = _check_completion(case, answer, result)
                rejected = checked.status in _ASKED_AGAIN and teacher.reads_prompt
                if rejected and attempt < FOLLOW_UPS:
                    case.question = follow_up(case.question, answer.text, checked.reason)
                    next_round.append(case)
                    result.asked_again += 1
                    continue
            elif case.best is None and answer.kind in ("refused", "empty"):
                case.raw, case.best = answer.raw, CheckedAnswer(answer.kind, "", str(answer))
            elif case.best is None or answer.kind == "stopped":
                result.failures.append(_make_failure(case.meme, answer))
                continue
            # Asked again in vain, or without the money for it, a case keeps the answer before.
            yield _make_rationale(case, teacher)
        waiting = next_round
        if not waiting:
            return


def _check_completion(case: Case, answer: Completion, result: Abduced) -> CheckedAnswer:
    """Check an answer, keep the better one in the case, and count the cost."""
    usage = answer.usage or {}
    case.usage.update({name: count for name, count in usage.items() if isinstance(count, int)})
    case.calls += 1
    case.usd += answer.usd or 0.0
    result.usd += 0.0 if answer.cached else (answer.usd or 0.0)
    checked = check_answer(answer.text, case.context, cut=answer.finish_reason == "length")
    if case.best is None or _worth(checked, case.context) >= _worth(case.best, case.context):
        case.raw, case.best = answer.text, checked
    return checked


def _make_failure(meme: Meme, error: Exception) -> Failure:
    return Failure(item=meme.id, stage=STAGE, reason=str(error).removeprefix(f"{meme.id}: "), file=meme.image)


def _worth(checked: CheckedAnswer, context: Context) -> int:
    """Rank an answer, as a second one may be worse: 2 teaches, 1 would in another form, 0 explains nothing."""
    status = deleak(checked, context.label).status
    return 2 if status in ("ok", "deleaked") else 1 if status in _ASKED_AGAIN else 0


def _make_rationale(case: Case, teacher: Teacher) -> Rationale:
    assert case.best is not None
    checked = deleak(case.best, case.context.label)
    prompted = teacher.reads_prompt
    usage = {**case.usage, "calls": case.calls, **({"usd": round(case.usd, 9)} if case.usd else {})}
    return Rationale(
        meme_id=case.meme.id,
        label_given=case.context.label,
        text=checked.text,
        status=checked.status,
        teacher=teacher.name,
        prompt=case.first.parts.get("prompt"),
        messages=recorded_messages(case.question) if prompted else None,
        raw=case.raw,
        usage=usage if prompted else None,
        key=question_key(case.first, teacher.name),
    )
