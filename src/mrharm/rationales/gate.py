"""The gate every answer passes: what its status is (docs/rationales.md has a table), what of it may teach, and why."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mrharm.errors import DataError
from mrharm.llm import looks_refused
from mrharm.rationales.answer_formats import ANSWER_FORMATS, AnswerFormat
from mrharm.rationales.injection import detect_injection
from mrharm.rationales.leakage import cut_label, sentences, states_label
from mrharm.records import Evidence, Label, Meme, Rationale, RationaleStatus
from mrharm.texts import keep_visible

ENOUGH = 12  # words that still explain, after cutting
PEOPLE = "people"  # the ``teacher`` of rationales that a person wrote or corrected


@dataclass(frozen=True)
class CheckedAnswer:
    """An answer with its status; ``text``: what may teach (or would, if kept); ``reason``: why it is not simply ok."""

    status: RationaleStatus
    text: str
    reason: str = ""


@dataclass(frozen=True)
class Context:
    """What an answer is compared with."""

    format: AnswerFormat  # the form asked for
    label: Label | None  # that the question gave
    material: str  # the meme's words and caption
    prompt: str = ""  # the system message
    words_known: bool = True  # False where the meme's words may be in the picture alone


def answer_context(
    meme: Meme, evidence: Evidence | None, prompt: str | None, messages: Sequence[Mapping[str, Any]]
) -> Context:
    """Return the context of an answer about a meme; without a prompt, prose is expected."""
    answer_format = ANSWER_FORMATS.get((prompt or "abductive").partition(".")[0], ANSWER_FORMATS["abductive"])
    words = [meme.text, evidence.text if evidence else None]
    # As the teacher was shown it: an order hidden behind invisible letters reads as an order here, too.
    material = keep_visible("\n".join(filter(None, [*words, evidence.caption if evidence else None])))
    system = " ".join(str(message["content"]) for message in messages if message.get("role") == "system")
    return Context(
        answer_format, meme.label if answer_format.told_label else None, material, system, any(words)
    )


def check_answer(answer: str, context: Context, *, cut: bool = False) -> CheckedAnswer:
    """Class an answer; sentences are cut out of it later, by `deleak`. ``cut``: it stopped at the token limit."""
    plain = " ".join(answer.split())
    if not re.search(r"\w", plain):
        return CheckedAnswer("empty", "", "it has no words.")
    # Refusals and injections are looked for in the raw answer and, once more, in the rationale parsed from it.
    if rejected := _reject(plain, context):
        return rejected
    if cut:
        return CheckedAnswer("truncated", plain, "it was cut at the token limit.")
    try:
        parsed = context.format.read(answer)
    except DataError as error:
        return CheckedAnswer("off_schema", plain, str(error))
    if rejected := _reject(parsed.text, context):
        return rejected
    if parsed.quotes and context.words_known and not _are_quoted(parsed.quotes, context.material):
        reason = f'"words" quotes what is not on the meme: {parsed.quotes[:80]!r}.'
        return CheckedAnswer("off_schema", parsed.text, reason)
    leaking = [sentence for sentence in sentences(parsed.text) if states_label(sentence, context.label)]
    if leaking and not context.format.judges:
        quotes = " / ".join(sentence[:200] for sentence in leaking[:2])
        return CheckedAnswer("leaks_label", parsed.text, f'it states the judgement: "{quotes}".')
    return CheckedAnswer("ok", parsed.text)


def deleak(checked: CheckedAnswer, label: Label | None) -> CheckedAnswer:
    """Cut the sentences that state the label out of a leaking answer, if the rest still explains."""
    rest = cut_label(checked.text, label)
    if checked.status != "leaks_label" or len(rest.split()) < ENOUGH or states_label(rest, label):
        return checked
    return CheckedAnswer("deleaked", rest, checked.reason)


def regate(
    rationales: Iterable[Rationale], memes: Mapping[str, Meme], evidence: Mapping[str, Evidence]
) -> list[Rationale]:
    """Check stored answers again, without a call: after a change of the rules, or an import without a check.

    A rationale of a meme that is not in ``memes`` stays as it is. ``raw`` keeps the answer as it came; a rationale
    without ``raw`` gets its text there, so that cutting loses nothing.
    """
    rows = []
    for rationale in rationales:
        meme = memes.get(rationale.meme_id)
        if meme and not _is_provider_refusal(rationale):  # whose words are not the teacher's
            raw = _raw_answer(rationale)
            context = _stored_context(rationale, meme, evidence)
            checked = check_answer(raw, context, cut=rationale.status == "truncated")
            # A person's words are classed and never cut.
            human = is_human(rationale)
            checked = checked if human else deleak(checked, context.label)
            text = rationale.text if human else checked.text
            update = {"status": checked.status, "text": text, "raw": raw, "label_given": context.label}
            rationale = rationale.model_copy(update=update)
        rows.append(rationale)
    return rows


def is_human(rationale: Rationale) -> bool:
    """Tell whether a person wrote or corrected a rationale."""
    return rationale.teacher == PEOPLE


def first_answer(rationale: Rationale) -> str:
    """Return a teacher's first answer: before it was asked again and before anything was cut."""
    rejected = _rejected_answers(rationale)
    return rejected[0] if rejected else _raw_answer(rationale)


def first_status(rationale: Rationale, meme: Meme, evidence: Mapping[str, Evidence]) -> RationaleStatus:
    """Return the status of a teacher's first answer."""
    final = not _rejected_answers(rationale)  # the stored status is that of the last answer
    if final and _is_provider_refusal(rationale):
        return "refused"
    cut = final and rationale.status == "truncated"
    context = _stored_context(rationale, meme, evidence)
    return check_answer(first_answer(rationale), context, cut=cut).status


def _stored_context(rationale: Rationale, meme: Meme, evidence: Mapping[str, Evidence]) -> Context:
    return answer_context(meme, evidence.get(meme.id), rationale.prompt, rationale.messages or ())


def _is_provider_refusal(rationale: Rationale) -> bool:
    return rationale.status == "refused" and not rationale.text


def _raw_answer(rationale: Rationale) -> str:
    return rationale.raw if rationale.raw is not None else rationale.text


def _rejected_answers(rationale: Rationale) -> list[str]:
    """Return the answers that the teacher was asked to write again, oldest first."""
    messages = rationale.messages or ()
    return [str(message["content"]) for message in messages if message.get("role") == "assistant"]


def _reject(text: str, context: Context) -> CheckedAnswer | None:
    """Class a text that refuses or obeys the meme; None for any other."""
    if looks_refused(text):
        return CheckedAnswer("refused", text, "it refuses to answer.")
    if reason := detect_injection(text, context.material, context.prompt):
        return CheckedAnswer("injected", text, f"{reason}.")
    return None


def _are_quoted(quotes: str, material: str) -> bool:
    """Tell whether at least 80 % of the quoted words are in the material; True where either has no words."""
    words, shown = re.findall(r"\w+", quotes.lower()), set(re.findall(r"\w+", material.lower()))
    return not shown or not words or sum(word in shown for word in words) >= 0.8 * len(words)
