"""A language model reads rationales and marks them by a rubric; asked again and again, for its own variance.

The judge sees the meme and the rationale, never the gold label nor the decision. What it reads is untrusted: it stands
between delimiters it cannot write (`quote_untrusted`), an answer that has not the form asked
for is no mark, and one that obeys its material is none either (`detect_injection`). Neither can
tell a judge that was quietly swayed; `JudgeReport.when_right` and ``when_true`` show whether its marks mean something
here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from mrharm.errors import DataError, InputError
from mrharm.evaluation.predictions import Predictions
from mrharm.images import open_image
from mrharm.llm import CallError, Completion, Prompt, load_prompt, looks_refused, picture_from_image
from mrharm.probes.judge_report import Answered, JudgeReport, Marks, summarise
from mrharm.probes.rationale import rationales_of
from mrharm.progress import Progress, no_progress
from mrharm.rationales.injection import detect_injection
from mrharm.rationales.prompting import quote_untrusted
from mrharm.rationales.teachers import Question, Teacher
from mrharm.records import Meme, Verdict, make_record, meme_text, parse_json

PROMPT = "judge.v1"
MAX_TOKENS = 400
TEMPERATURE = 0.7  # of repeats: at 0 a judge would seem surer than it is
Shown = Literal["pixels", "caption", "words"]

_MARK = {
    "type": "object",
    "properties": {"reason": {"type": "string"}, "score": {"type": "integer", "enum": [1, 2, 3, 4, 5]}},
    "required": ["reason", "score"],
    "additionalProperties": False,
}
SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "properties": dict.fromkeys(Marks.model_fields, _MARK),
    "required": list(Marks.model_fields),
    "additionalProperties": False,
}
_FENCE = re.compile(r"^```(?:json)?\s*|\s*```$", re.IGNORECASE)


def judge_rationales(
    predictions: Predictions,
    teacher: Teacher,
    *,
    repeats: int = 3,
    memes: int = 50,
    seed: int = 0,
    progress: Progress = no_progress,
) -> JudgeReport:
    """Have a teacher mark the rationales of some memes, each ``repeats`` times.

    Args:
        judged: memes and verdicts, with rationales; blank ones are counted and not asked about.
        teacher: the judge; one that reads prompts.
        repeats: answers wanted for each rationale. With more than one, the judge is asked to vary (temperature 0.7).
        memes: how many memes at most, drawn by lot.
        seed: of the draw, and of the intervals.
        progress: told how many answers have come.

    Raises:
        InputError: the verdicts have no rationales, all drawn are blank, the teacher reads no prompt, or fewer than
            one repeat.
        MrHarmError: what no question can get past; answers that were paid for are in the ledger, and the same call
            goes on from there.
    """
    if repeats < 1:
        raise InputError(f"{repeats} repeats; expected 1 or more")
    check_judge(teacher)
    predictions = predictions.sample(memes, seed)
    prompt = load_prompt("mrharm.probes", PROMPT)
    asks: list[Question] = []
    about: list[tuple[int, int]] = []  # place among the memes, number of the sample
    shown: list[Shown] = []
    for place, text in enumerate(rationales_of(predictions)):
        if not text.strip():
            continue
        how, messages = _question(predictions, place, text, prompt, teacher.sees_pictures)
        shown.append(how)
        for sample in range(repeats):
            asks.append(_ask(predictions.memes[place], messages, prompt, sample, repeats))
            about.append((place, sample))
    if not asks:
        raise InputError(f"all rationales of {predictions.split} are blank; there is nothing to judge")
    answers: list[Answered] = []
    for index, answer in teacher.answer(asks):
        place, sample = about[index]
        answers.append(_read(predictions, place, sample, answer, str(asks[index].messages[0]["content"])))
        progress("asking the judge", len(answers), len(asks))
    return summarise(
        predictions,
        sorted(answers, key=lambda one: (one.place, one.sample)),
        judge=teacher.name,
        prompt=prompt.version,
        repeats=repeats,
        asked=len(asks),
        shown={how: shown.count(how) for how in dict.fromkeys(shown)},
        seed=seed,
    )


def check_judge(teacher: Teacher) -> None:
    """Refuse a teacher that cannot judge, before anything is judged for it to mark.

    Raises:
        InputError: it reads no prompt, or is a model that does not chat.
        ModelUnavailableError: no such folder, and no hub in reach.
    """
    if not teacher.reads_prompt:
        raise InputError(
            f"{teacher.name} reads no questions and cannot judge; name a model: openai:MODEL or hf:FOLDER"
        )
    _ = teacher.sees_pictures  # a local model reads its configuration to say so


def read_marks(text: str) -> Marks:
    """A judge's answer -> its marks.

    Raises:
        DataError: not the one JSON object asked for: other keys, a mark that is no whole number from 1 to 5, no reason.
    """
    try:
        value = parse_json(_FENCE.sub("", text.strip()))
    except ValueError:
        raise DataError(
            f"expected one JSON object with {', '.join(Marks.model_fields)}; got {text[:80]!r}"
        ) from None
    return make_record(value, Marks, file="the judge's answer")


def _question(
    predictions: Predictions, place: int, rationale: str, prompt: Prompt, sees_pictures: bool
) -> tuple[Shown, list[Mapping[str, Any]]]:
    """What the judge is shown of one meme, and the messages that put the question."""
    meme, verdict = predictions.memes[place], predictions.verdicts[place]
    text, caption = _material(meme, verdict)
    picture = predictions.dataset.image_path(meme) if sees_pictures else None
    shows: Shown = "pixels" if picture else "caption" if caption else "words"
    *before, last = prompt.render(
        text=quote_untrusted(text) or "(none)",
        caption=quote_untrusted(caption),
        rationale=quote_untrusted(rationale),
        shows=shows,
    )
    if picture is None:
        return shows, [*before, last]
    content = [{"type": "text", "text": last["content"]}, picture_from_image(open_image(picture))]
    return shows, [*before, {**last, "content": content}]


def _ask(
    meme: Meme, messages: Sequence[Mapping[str, Any]], prompt: Prompt, sample: int, repeats: int
) -> Question:
    settings = {
        "max_tokens": MAX_TOKENS,
        "temperature": TEMPERATURE if repeats > 1 else 0,
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "marks", "strict": True, "schema": SCHEMA},
        },
    }
    return Question(meme, messages, settings, {"prompt": prompt.version, "sample": sample})


def _read(
    predictions: Predictions, place: int, sample: int, answer: Completion | CallError, system: str
) -> Answered:
    """An answer classed; only one with status ``ok`` has marks."""

    def as_(status: str, why: str = "", marks: Marks | None = None) -> Answered:
        return Answered.model_validate(
            {
                "meme_id": predictions.memes[place].id,
                "place": place,
                "sample": sample,
                "status": status,
                "why": why,
                "marks": marks,
                "raw": answer.text if isinstance(answer, Completion) else answer.raw,
            }
        )

    if isinstance(answer, CallError):
        return as_("refused" if answer.kind == "refused" else "unanswered", str(answer))
    if answer.finish_reason == "length":
        return as_("truncated", "it was cut at the token limit")
    if looks_refused(answer.text):
        return as_("refused", "it refuses to judge")
    try:
        marks = read_marks(answer.text)
    except DataError as error:
        return as_("off_schema", str(error))
    verdict = predictions.verdicts[place]
    material = " ".join([*_material(predictions.memes[place], verdict), verdict.rationale or ""])
    reasons = " ".join(mark.reason for mark in marks.each().values())
    if why := detect_injection(reasons, material, system):
        return as_("injected", why)
    return as_("ok", marks=marks)


def _material(meme: Meme, verdict: Verdict) -> tuple[str, str]:
    """A meme's words and caption, as far as they are known."""
    evidence = verdict.evidence
    return meme_text(meme, evidence) or "", (evidence.caption if evidence else None) or ""
