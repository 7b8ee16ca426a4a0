"""``mrharm abduce``: every meme asked about, every answer through the gate, one line each in rationales.jsonl.

A leaking answer, and one in another form than was asked for, is asked again with the reason, at most twice; then the
sentences that state the label are cut. Stopped at any moment, the same call goes on: memes whose line is there are
not asked again, and an answer that was paid for is in the ledger.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mrharm.errors import InputError, MrHarmError, StoppedError
from mrharm.llm import CallError, Completion
from mrharm.progress import Progress
from mrharm.rationales.answer_formats import ANSWER_FORMATS
from mrharm.rationales.gate import CheckedAnswer, Context, check_answer, deleak
from mrharm.rationales.human_edits import is_human
from mrharm.rationales.prompting import QuestionBuilder, again, question_key, recorded_messages
from mrharm.rationales.teachers import Question, Teacher
from mrharm.records import Evidence, Failure, Meme, Rationale
from mrharm.store import JsonlStore, exclusive_lock, read_appended, write_failures
from mrharm.texts import hides

STAGE = "abduce"
RATIONALES = "rationales.jsonl"
AGAIN = 2  # times an answer that cannot be kept is asked for again
_ASKED_AGAIN = ("leaks_label", "off_schema")
WINDOW = 2000


@dataclass
class Abduced:
    """What a run did: memes, of them written before or by people, answers by status, failures, questions, USD."""

    memes: int = 0
    kept: int = 0
    by_people: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    asked_again: int = 0
    failures: list[Failure] = field(default_factory=list)
    usd: float = 0.0


@dataclass
class _Case:
    """One meme on its way: what is asked now, what it has been asked first, and what it has cost."""

    meme: Meme
    context: Context
    first: Question
    ask: Question
    newest: CheckedAnswer | None = None
    gated: CheckedAnswer | None = None  # of the best answer so far
    raw: str | None = None
    usage: Counter[str] = field(default_factory=Counter)
    usd: float = 0.0
    calls: int = 0


def abduce(
    root: Path,
    memes: Sequence[Meme],
    evidence: Mapping[str, Evidence],
    known: Mapping[str, Rationale],
    teacher: Teacher,
    builder: QuestionBuilder,
    *,
    out: Path | None = None,
    window: int = WINDOW,
    progress: Progress | None = None,
) -> Abduced:
    """Ask a teacher about every meme, and append what passes and what does not to ``out``.

    Args:
        root: the dataset folder; failures go to its failures.jsonl.
        memes: those to explain.
        evidence: what is known of them (captions, OCR).
        known: the rationales in ``out`` so far, by meme.
        teacher: answers.
        builder: the prompt, and what is shown.
        out: the file; None for rationales.jsonl.
        window: memes whose answers, and second answers, are waited for before the next are asked; a batch service,
            which takes a day, is better asked about all at once.
        progress: called with (what, done, of how many).

    Raises:
        InputError: captions are to be shown and there are none; another abduce is at work in the folder; no key, no
            such model ...
        StoppedError: the file cannot be written; paid answers are in the ledger.
        MrHarmError: what no question can get past, after what was answered has been written.
    """
    captioned = any(evidence[meme.id].caption for meme in memes if meme.id in evidence)
    if memes and teacher.reads_prompt and builder.shows != "pixels" and not captioned:
        raise InputError(
            f"{root}: none of the memes has a caption to show; write captions (mrharm gather {root} --captions ...), "
            "or show the picture itself: --evidence pixels"
        )
    done = Abduced(memes=len(memes))
    with exclusive_lock(root, STAGE):
        store = JsonlStore(out or root / RATIONALES, Rationale, "key")
        cases = _cases(memes, evidence, known, teacher, builder, done)
        for some in _windows(cases, window):
            for row in _explain(some, teacher, done):
                try:
                    store.append(row)
                except OSError as error:
                    raise StoppedError(
                        f"{store.path}: cannot be written ({error.strerror}); make room and run the same command "
                        "again: answers that were paid for are in the ledger"
                    ) from None
                done.statuses[row.status] += 1
                if progress:
                    seen = done.kept + done.by_people + done.statuses.total() + len(done.failures)
                    progress("memes", seen, len(memes))
        write_failures(root, done.failures, stage=STAGE, items={meme.id for meme in memes})
    return done


def read_rationales(path: Path) -> dict[str, Rationale]:
    """The rationale of each meme in a file; a later line wins."""
    return {row.meme_id: row for row in read_appended(path, Rationale)}


def pending(
    memes: Iterable[Meme], evidence: Mapping[str, Evidence], teacher: Teacher, builder: QuestionBuilder
) -> Iterator[Question | Failure]:
    """The first question about each meme, or why it cannot be asked; what ``--preview`` shows."""
    for meme in memes:
        try:
            if teacher.reads_prompt:
                yield builder.build(meme, evidence.get(meme.id))
            else:
                # Nothing is paid, so whatever changed in the meme, its label too, is answered anew.
                yield Question(meme, (), {}, {"meme": meme.model_dump(mode="json")})
        except MrHarmError as error:
            yield _failure(meme, error)


def open_questions(
    memes: Sequence[Meme],
    evidence: Mapping[str, Evidence],
    known: Mapping[str, Rationale],
    teacher: Teacher,
    builder: QuestionBuilder,
    done: Abduced,
) -> Iterator[Question]:
    """The first questions `abduce` would ask; ``done`` counts the memes it would not. What ``--dry-run`` tells."""
    return (case.first for case in _cases(memes, evidence, known, teacher, builder, done))


def answer_context(
    meme: Meme, evidence: Evidence | None, prompt: str | None, messages: Sequence[Mapping[str, Any]]
) -> Context:
    """What an answer about a meme is held against; prose is expected where no prompt is known."""
    answer_format = ANSWER_FORMATS.get((prompt or "abductive").partition(".")[0], ANSWER_FORMATS["abductive"])
    words = [meme.text, evidence.text if evidence else None]
    shown = [*words, evidence.caption if evidence else None]
    system = " ".join(str(one["content"]) for one in messages if one.get("role") == "system")
    # As the teacher saw it (`questions.quoted`): an order hidden behind invisible letters is read as one here, too.
    material = "".join(
        letter for letter in "\n".join(filter(None, shown)) if letter.isspace() or not hides(letter)
    )
    return Context(
        answer_format, meme.label if answer_format.told_label else None, material, system, any(words)
    )


def _cases(
    memes: Sequence[Meme],
    evidence: Mapping[str, Evidence],
    known: Mapping[str, Rationale],
    teacher: Teacher,
    builder: QuestionBuilder,
    done: Abduced,
) -> Iterator[_Case]:
    for meme, ask in zip(memes, pending(memes, evidence, teacher, builder), strict=True):
        if meme.id in known and is_human(known[meme.id]):
            done.by_people += 1  # what a person wrote is worth more than what a teacher would
        elif isinstance(ask, Failure):
            done.failures.append(ask)
        elif meme.id in known and known[meme.id].key == question_key(ask, teacher.name):
            done.kept += 1
        else:
            prompt = builder.prompt if teacher.reads_prompt else None
            yield _Case(meme, answer_context(meme, evidence.get(meme.id), prompt, ask.messages), ask, ask)


def _windows(cases: Iterator[_Case], size: int) -> Iterator[list[_Case]]:
    window: list[_Case] = []
    for case in cases:
        window.append(case)
        if len(window) == size:
            yield window
            window = []
    if window:
        yield window


def _explain(cases: list[_Case], teacher: Teacher, done: Abduced) -> Iterator[Rationale]:
    """Rows as they are ready: at once for what stands, after further rounds for what is asked again."""
    waiting = cases
    for attempt in range(AGAIN + 1):
        next_round: list[_Case] = []
        for index, answer in teacher.answer(case.ask for case in waiting):
            case = waiting[index]
            if not _take(case, answer, done):
                continue
            assert case.newest is not None
            wants_again = case.newest.status in _ASKED_AGAIN and teacher.reads_prompt
            if wants_again and attempt < AGAIN and isinstance(answer, Completion):
                case.ask = again(case.ask, answer.text, case.newest.reason)
                next_round.append(case)
                done.asked_again += 1
            else:
                yield _row(case, teacher)
        waiting = next_round
        if not waiting:
            return


def _take(case: _Case, answer: Completion | CallError, done: Abduced) -> bool:
    """Class an answer; whether there is one: a call that failed is a failure, never an empty rationale."""
    if isinstance(answer, Completion):
        case.calls += 1
        case.usage.update(
            {name: count for name, count in (answer.usage or {}).items() if isinstance(count, int)}
        )
        case.usd += answer.usd or 0.0
        done.usd += 0.0 if answer.cached else (answer.usd or 0.0)
        new = check_answer(answer.text, case.context, cut=answer.finish_reason == "length")
        case.newest = new
        if case.gated is None or _worth(new, case.context) >= _worth(case.gated, case.context):
            case.raw, case.gated = answer.text, new
        return True
    if case.gated is not None and answer.kind != "stopped":
        # Asked again in vain, or without the money for it: what the answer before was still stands.
        return True
    if answer.kind in ("refused", "empty"):
        case.raw, case.gated = answer.raw, CheckedAnswer(answer.kind, "", str(answer))
        case.newest = case.gated
        return True
    done.failures.append(_failure(case.meme, answer))
    return False


def _failure(meme: Meme, error: Exception) -> Failure:
    return Failure(item=meme.id, stage=STAGE, reason=str(error).removeprefix(f"{meme.id}: "), file=meme.image)


def _worth(gated: CheckedAnswer, context: Context) -> int:
    """2: teaches; 1: would in another form; 0: says nothing. Asked again, a teacher may answer worse than before."""
    status = deleak(gated, context.label).status
    return 2 if status in ("ok", "deleaked") else 1 if status in _ASKED_AGAIN else 0


def _row(case: _Case, teacher: Teacher) -> Rationale:
    assert case.gated is not None
    gated = deleak(case.gated, case.context.label)
    prompted = teacher.reads_prompt
    usage = {**case.usage, "calls": case.calls, **({"usd": round(case.usd, 9)} if case.usd else {})}
    return Rationale(
        meme_id=case.meme.id,
        label_given=case.context.label,
        text=gated.text,
        status=gated.status,
        teacher=teacher.name,
        prompt=case.first.parts.get("prompt"),
        messages=recorded_messages(case.ask) if prompted else None,
        raw=case.raw,
        usage=usage if prompted else None,
        key=question_key(case.first, teacher.name),
    )
