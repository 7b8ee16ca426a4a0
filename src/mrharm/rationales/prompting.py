"""Meme, evidence and label -> the question put to a teacher, by a numbered prompt; words on memes are only quoted."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

from mrharm.errors import InputError, MissingInputError
from mrharm.images import place_in
from mrharm.llm import Prompt, Request, load_prompt, picture_from_file
from mrharm.rationales.answer_formats import ANSWER_FORMATS, ATTACKS, AnswerFormat
from mrharm.rationales.leakage import SEVERITIES
from mrharm.rationales.teachers import Question
from mrharm.records import Evidence, Label, Meme, meme_text
from mrharm.texts import drop_hidden

Shows = Literal["caption", "pixels", "both"]
PACKAGE = "mrharm.rationales"
FOLLOW_UP = "again.v1"
LONGEST = 4000  # characters of a meme's words or of a caption that a teacher is shown
MAX_TOKENS = 400  # of an answer; the paper's teacher had 256, which cuts one in a dozen


@dataclass(frozen=True)
class QuestionBuilder:
    """Builds the questions to a teacher by one prompt; raises InputError where there is no such prompt."""

    prompt: str  # ``name.vN``, whose name is a row of `ANSWER_FORMATS`
    shows: Shows  # besides the words
    root: Path  # the folder that the memes' picture paths start from
    max_tokens: int = MAX_TOKENS  # of an answer

    def __post_init__(self) -> None:
        if self.prompt not in prompt_names():
            raise InputError(f"no prompt called {self.prompt!r}; there are: {', '.join(prompt_names())}")

    @property
    def format(self) -> AnswerFormat:
        """Return the format that answers to this prompt must have."""
        return ANSWER_FORMATS[self.prompt.partition(".")[0]]

    @property
    def version(self) -> str:
        """Return the prompt's name with the hash of its file, as records keep it."""
        return self._template.version

    @cached_property
    def _template(self) -> Prompt:
        return load_prompt(PACKAGE, self.prompt)

    def build(self, meme: Meme, evidence: Evidence | None) -> Question:
        """Build the question about one meme.

        Raises:
            MissingInputError: the meme lacks what is to be shown, or its label.
            ImageError: its picture cannot be read.
        """
        if self.format.told_label and meme.label is None:
            raise MissingInputError(f"{meme.id}: no label to explain; {self.prompt} explains one")
        caption = evidence.caption if evidence else None
        if self.shows != "pixels" and not caption:
            raise MissingInputError(
                f"{meme.id}: no caption to show; write captions (mrharm gather --captions ...), or --evidence pixels"
            )
        if self.shows != "caption" and not meme.image:
            raise MissingInputError(f"{meme.id}: no picture to show; --evidence caption")
        *before, last = self._template.render(
            text=quote_words(meme_text(meme, evidence)),
            caption=quote_untrusted(caption or ""),
            label=label_words(meme.label) if meme.label else "",
            shows_caption=self.shows != "pixels",
            shows_pixels=self.shows != "caption",
            attacks=ATTACKS,
        )
        content: Any = last["content"]
        if self.shows != "caption":
            path = place_in(self.root, str(meme.image))
            content = [{"type": "text", "text": content}, picture_from_file(path)]
        settings: dict[str, Any] = {"max_tokens": self.max_tokens}
        if self.format.schema:
            settings["response_format"] = {
                "type": "json_schema",
                "json_schema": {"name": "rationale", "strict": True, "schema": self.format.schema},
            }
        return Question(meme, [*before, {**last, "content": content}], settings, {"prompt": self.version})


def follow_up(question: Question, answer: str, reason: str) -> Question:
    """Return the question with the rejected answer and the reason appended, for the teacher to answer again."""
    (message,) = load_prompt(PACKAGE, FOLLOW_UP).render(reason=reason)
    messages = [*question.messages, {"role": "assistant", "content": answer}, message]
    return replace(question, messages=messages)


def recorded_messages(question: Question) -> tuple[dict[str, Any], ...]:
    """Return a question's messages as a `Rationale` keeps them: pictures by their hash."""
    request = Request(question.messages, "", question.settings, question.parts)
    return tuple(request.record["messages"])


def question_key(question: Question, teacher: str) -> str:
    """Return the content key of a question to a teacher: of its words, caption, picture, label, prompt and settings."""
    return Request(question.messages, teacher, question.settings, question.parts).key


def label_words(label: Label) -> str:
    """Return the words that tell a teacher the label: HarMeme's severity where it is known, else the side."""
    if label.severity:
        return SEVERITIES[label.severity]
    return "harmful" if label.harmful else "not harmful"


def quote_untrusted(text: str) -> str:
    """Quote untrusted text for a prompt: one line of bounded length, no hidden characters, no tag.

    The delimiters around it are tags, which it so cannot write itself.
    """
    visible = drop_hidden(text[: 2 * LONGEST])
    line = " ".join(visible.split())
    line = line if len(line) <= LONGEST else line[:LONGEST] + " ..."
    return line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def quote_words(text: str | None) -> str:
    """Quote a meme's words for a prompt; "(none)" for a meme without words."""
    return quote_untrusted(text or "") or "(none)"


def prompt_names() -> list[str]:
    """Return the names of the numbered prompts."""
    names = (file.name for file in files(PACKAGE).joinpath("prompts").iterdir())
    return sorted({name.removesuffix(".jinja") for name in names if name.endswith(".jinja")} - {FOLLOW_UP})
