"""Stored answers through the gate again, without a call: its rules changed, or they were imported unchecked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from mrharm.rationales.abduce import answer_context
from mrharm.rationales.gate import check_answer, deleak
from mrharm.rationales.human_edits import is_human
from mrharm.records import Evidence, Meme, Rationale, RationaleStatus


@dataclass
class Regated:
    """The rows as they are now, and how many went from which status to which."""

    rows: list[Rationale] = field(default_factory=list)
    moves: Counter[tuple[str, str]] = field(default_factory=Counter)


def regate(rows: Iterable[Rationale], memes: Mapping[str, Meme], evidence: Mapping[str, Evidence]) -> Regated:
    """Class every stored answer anew. What a provider refused, or a person wrote, keeps its words.

    A row of a meme that is not in ``memes`` stays as it is. The answer as it came is ``raw``; a row without one keeps
    its text there, so that nothing is lost by cutting.
    """
    done = Regated()
    for row in rows:
        meme = memes.get(row.meme_id)
        new = row if meme is None else regated(row, meme, evidence.get(row.meme_id))
        done.rows.append(new)
        done.moves[row.status, new.status] += 1
    return done


def regated(row: Rationale, meme: Meme, evidence: Evidence | None) -> Rationale:
    """One row classed anew."""
    raw = row.raw if row.raw is not None else row.text
    if row.status == "refused" and not row.text:
        return row  # the provider's words, not the teacher's
    context = answer_context(meme, evidence, row.prompt, row.messages or ())
    gated = check_answer(raw, context, cut=row.status == "truncated")
    if not is_human(row):
        gated = deleak(gated, context.label)
    text = row.text if is_human(row) else gated.text
    return row.model_copy(
        update={"status": gated.status, "text": text, "raw": raw, "label_given": context.label}
    )


def first_answers(rows: Sequence[Rationale]) -> list[str]:
    """What each teacher said first, before it was asked again and before anything was cut."""
    answers = []
    for row in rows:
        said = _said_before(row)
        answers.append(said[0] if said else (row.raw if row.raw is not None else row.text))
    return answers


def first_status(row: Rationale, meme: Meme, evidence: Evidence | None) -> RationaleStatus:
    """What a teacher's first answer is classed as. How the last one ended says nothing of one before it."""
    only = not _said_before(row)
    if only and row.status == "refused" and not row.text:
        return "refused"
    context = answer_context(meme, evidence, row.prompt, row.messages or ())
    return check_answer(first_answers([row])[0], context, cut=only and row.status == "truncated").status


def _said_before(row: Rationale) -> list[str]:
    """The answers that were asked for again, oldest first."""
    return [str(one["content"]) for one in row.messages or () if one.get("role") == "assistant"]
