"""Have a language model mark rationales by a rubric, several times each to measure how its marks vary.

Checks of form and of injection do not notice a judge that was quietly swayed; how it marks what is known may show it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, Field, StrictStr, WithJsonSchema

from mrharm.errors import DataError, InputError
from mrharm.evaluation.predictions import LabelledVerdicts
from mrharm.images import open_image
from mrharm.llm import CallError, Completion, Prompt, load_prompt, looks_refused, picture_from_image
from mrharm.llm.answers import answer_schema, read_json_answer
from mrharm.metrics import Estimate
from mrharm.metrics.bootstrap import bootstrap, mean_of, mean_of_values
from mrharm.metrics.significance import within_sd_of
from mrharm.probes.rationale import read_rationales
from mrharm.probes.run import ProbeRecord
from mrharm.progress import Progress, no_progress
from mrharm.rationales.injection import detect_injection
from mrharm.rationales.prompting import quote_untrusted
from mrharm.rationales.teachers import Question, Teacher
from mrharm.records import Meme, Record, Verdict, meme_text
from mrharm.synthetic import truth

PROMPT = "judge.v1"
MAX_TOKENS = 400
TEMPERATURE = 0.7  # of repeats: at 0 a judge would seem surer than it is
CAP = 2.0  # of the overall mark where the decision is wrong: a good case for a wrong label is no merit
LONGEST_REASON = 1000  # characters
Shown = Literal["pixels", "caption", "words"]
Status = Literal["ok", "off_schema", "refused", "truncated", "injected", "unanswered"]


def _check_reason(text: str) -> str:
    reason = " ".join(text.split())
    if not 0 < len(reason) <= LONGEST_REASON:
        raise ValueError(f"expected a reason of 1 to {LONGEST_REASON} characters")
    return reason


class Mark(Record):
    """One point of the rubric: a whole number from 1 to 5, and why."""

    reason: Annotated[StrictStr, AfterValidator(_check_reason)]
    score: Annotated[
        int, Field(strict=True, ge=1, le=5), WithJsonSchema({"type": "integer", "enum": [1, 2, 3, 4, 5]})
    ]


class Marks(Record):
    """A judge's marks by the rubric of ``prompts/judge.v1.jinja``."""

    grounded: Mark
    sound: Mark
    specific: Mark
    concise: Mark


RESPONSE_FORMAT = {
    "type": "json_schema",
    "json_schema": {"name": "marks", "strict": True, "schema": answer_schema(Marks)},
}


class Answered(Record):
    """One answer of the judge; only status ``ok`` has marks, and ``why`` is the reason for another one.

    Attributes:
        place: of the meme among those judged.
        sample: number of the repeat.
        raw: the answer as it came.
    """

    meme_id: str
    place: int
    sample: int
    status: Status
    why: str = ""
    marks: Marks | None = None
    raw: str | None = None


class Point(Record):
    """Marks of one point of the rubric: the mean of each meme's mean, and the standard deviation of repeats."""

    mean: Estimate
    within_sd: Estimate


class JudgeReport(ProbeRecord):
    """The marks that a judge gave to rationales; figures rest on valid answers alone.

    Attributes:
        prompt: its version.
        memes, blank: with a rationale that was asked about, and without a rationale.
        judged: memes with at least one valid answer.
        asked: how many questions.
        shown: what stood for the picture -> how many memes.
        points: of the rubric, and ``overall``, their mean.
        capped: overall, at most 2 where the detector's decision is wrong, which the judge is not told.
        wrong: how many of the judged memes are decided wrongly.
        when_right, when_wrong: overall, not capped, where the decision is right, and where it is wrong.
        when_true, when_false: the same where the rationale is true of its generated meme in all parts, which a good
            judge marks higher, and where it is not.
    """

    judge: str
    prompt: str
    repeats: int
    memes: int
    judged: int
    blank: int
    asked: int
    statuses: dict[str, int]
    shown: dict[str, int]
    points: dict[str, Point]
    capped: Estimate
    wrong: int
    when_right: Estimate
    when_wrong: Estimate
    when_true: Estimate | None = None
    when_false: Estimate | None = None
    answers: tuple[Answered, ...]


def judge_rationales(
    predictions: LabelledVerdicts,
    teacher: Teacher,
    *,
    repeats: int = 3,
    memes: int = 50,
    seed: int = 0,
    progress: Progress = no_progress,
) -> JudgeReport:
    """Have a teacher mark the rationales of some memes, each ``repeats`` times, blank ones left out.

    It is shown meme and rationale, quoted as untrusted, never the gold label or the decision.

    Raises:
        InputError: the verdicts have no rationales, all drawn are blank, the teacher reads no prompt, or fewer than
            one repeat.
        MrHarmError: an error that every further question would meet, too; answers that were paid for are in the ledger,
            and the same call goes on from there.
    """
    if repeats < 1:
        raise InputError(f"{repeats} repeats; expected 1 or more")
    check_judge(teacher)
    predictions = predictions.sample(memes, seed)
    prompt = load_prompt("mrharm.probes", PROMPT)
    temperature = TEMPERATURE if repeats > 1 else 0
    settings = {"max_tokens": MAX_TOKENS, "temperature": temperature, "response_format": RESPONSE_FORMAT}
    places = [place for place, text in enumerate(read_rationales(predictions)) if text.strip()]
    if not places:
        raise InputError(f"all rationales of {predictions.split} are blank; there is nothing to judge")
    # The questions of one rationale, one for each repeat, follow one another.
    questions: list[Question] = []
    shown: Counter[str] = Counter()
    for place in places:
        shows, messages = _write_messages(predictions, place, prompt, teacher.sees_pictures)
        shown[shows] += 1
        for number in range(repeats):
            identity = {"prompt": prompt.version, "sample": number}
            questions.append(Question(predictions.memes[place], messages, settings, identity))
    answers: list[Answered] = []
    for index, answer in teacher.answer(questions):
        sample = places[index // repeats], index % repeats
        answers.append(_classify(predictions, sample, questions[index], answer))
        progress("asking the judge", len(answers), len(questions))
    answers.sort(key=lambda answer: (answer.place, answer.sample))
    return JudgeReport(
        judge=teacher.name,
        prompt=prompt.version,
        repeats=repeats,
        memes=len(places),
        blank=len(predictions.memes) - len(places),
        asked=len(questions),
        statuses=dict(Counter(answer.status for answer in answers)),
        shown=dict(shown),
        answers=tuple(answers),
        **_summarise_marks(predictions, answers, seed),
    )


def check_judge(teacher: Teacher) -> None:
    """Refuse a teacher that cannot judge, before memes are judged for it to mark.

    Raises:
        InputError: it reads no prompt, or is a model that does not chat.
        ModelUnavailableError: no such folder, and the hub cannot be reached.
    """
    if not teacher.reads_prompt:
        raise InputError(
            f"{teacher.name} reads no questions and cannot judge; name a model: openai:MODEL or hf:FOLDER"
        )
    _ = teacher.sees_pictures  # a local model reads its configuration to tell


def _write_messages(
    predictions: LabelledVerdicts, place: int, prompt: Prompt, sees_pictures: bool
) -> tuple[Shown, list[Mapping[str, Any]]]:
    """Write the messages about one meme's rationale; return them with what stands for the picture."""
    meme, verdict = predictions.memes[place], predictions.verdicts[place]
    text, caption = _text_and_caption(meme, verdict)
    picture = predictions.dataset.image_path(meme) if sees_pictures else None
    shows: Shown = "pixels" if picture else "caption" if caption else "words"
    *before, last = prompt.render(
        text=quote_untrusted(text) or "(none)",
        caption=quote_untrusted(caption),
        rationale=quote_untrusted(verdict.rationale or ""),
        shows=shows,
    )
    if picture is None:
        return shows, [*before, last]
    content = [{"type": "text", "text": last["content"]}, picture_from_image(open_image(picture))]
    return shows, [*before, {**last, "content": content}]


def _classify(
    predictions: LabelledVerdicts, sample: tuple[int, int], question: Question, answer: Completion | CallError
) -> Answered:
    """Class an answer by what it holds and by what the question held."""
    place, number = sample
    meme, verdict = predictions.memes[place], predictions.verdicts[place]
    status: Status
    why, marks = "", None
    if isinstance(answer, CallError):
        status, why = "refused" if answer.kind == "refused" else "unanswered", str(answer)
    elif answer.finish_reason == "length":
        status, why = "truncated", "it was cut at the token limit"
    elif looks_refused(answer.text):
        status, why = "refused", "it refuses to judge"
    else:
        try:
            marks = read_json_answer(answer.text, Marks)
        except DataError as error:
            status, why = "off_schema", str(error)
        else:
            material = " ".join([*_text_and_caption(meme, verdict), verdict.rationale or ""])
            system = str(question.messages[0]["content"])
            reasons = " ".join(mark.reason for _, mark in marks)
            why = detect_injection(reasons, material, system) or ""
            status, marks = ("injected", None) if why else ("ok", marks)
    raw = answer.text if isinstance(answer, Completion) else answer.raw
    return Answered(meme_id=meme.id, place=place, sample=number, status=status, why=why, marks=marks, raw=raw)


def _text_and_caption(meme: Meme, verdict: Verdict) -> tuple[str, str]:
    evidence = verdict.evidence
    return meme_text(meme, evidence) or "", (evidence.caption if evidence else None) or ""


def _is_true(predictions: LabelledVerdicts, place: int) -> bool:
    described = predictions.memes[place].extra["truth"]
    return truth.check_rationale(predictions.verdicts[place].rationale or "", described).all


def _summarise_marks(predictions: LabelledVerdicts, answers: Sequence[Answered], seed: int) -> dict[str, Any]:
    """Compute the figures of `JudgeReport` that rest on marks."""
    marked: dict[int, list[dict[str, int]]] = {}
    for answer in answers:
        if answer.marks:
            marked.setdefault(answer.place, []).append({name: mark.score for name, mark in answer.marks})
    places = sorted(marked)
    scores = {
        name: [[float(marks[name]) for marks in marked[place]] for place in places]
        for name in Marks.model_fields
    }
    scores["overall"] = [[float(np.mean([*marks.values()])) for marks in marked[place]] for place in places]
    overall = np.array([np.mean(repeats) for repeats in scores["overall"]])
    right = np.array(predictions.predicted[places] == predictions.gold[places], dtype=bool)
    clusters = predictions.clusters[places]

    def summarise_point(repeats: list[list[float]]) -> Point:
        means = mean_of_values(np.array([np.mean(marks) for marks in repeats]))
        statistics = {"mean": means, "within_sd": within_sd_of(repeats)}
        return Point(**bootstrap(statistics, len(repeats), seed=seed, clusters=clusters))

    def mean_where(members: NDArray[np.bool_]) -> Estimate:
        return mean_of(overall[members], seed=seed, clusters=clusters[members])

    capped = np.where(right, overall, np.minimum(overall, CAP))
    figures = {
        "judged": len(places),
        "points": {name: summarise_point(repeats) for name, repeats in scores.items()},
        "capped": mean_of(capped, seed=seed, clusters=clusters),
        "wrong": int((~right).sum()),
        "when_right": mean_where(right),
        "when_wrong": mean_where(~right),
    }
    if all(truth.has_truth(predictions.memes[place]) for place in places):
        true = np.array([_is_true(predictions, place) for place in places], dtype=bool)
        figures |= {"when_true": mean_where(true), "when_false": mean_where(~true)}
    return figures
