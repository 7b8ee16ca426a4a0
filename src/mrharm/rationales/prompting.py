"""Meme, evidence and label -> the question put to a teacher, by a numbered prompt.

Words on memes and captions are untrusted: they stand between delimiters they cannot write themselves, in a message
they cannot end (`quoted`), and the prompts say that they are material and never instructions.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

from mrharm.errors import InputError, MissingInputError
from mrharm.images import place_in
from mrharm.llm import Prompt, Request, load_prompt, picture_from_file
from mrharm.rationales.answer_formats import ANSWER_FORMATS, ATTACKS, AnswerFormat
from mrharm.rationales.teachers import Question
from mrharm.records import Evidence, Label, Meme, meme_text
from mrharm.texts import hides

Shows = Literal["caption", "pixels", "both"]
PACKAGE = "mrharm.rationales"
AGAIN = "again.v1"
LONGEST = 4000  # characters of a meme's words or of a caption that a teacher is shown
MAX_TOKENS = 400  # of an answer; the paper's teacher had 256, which cuts one in a dozen

_LABELS = {"none": "not harmful", "somewhat": "somewhat harmful", "very": "very harmful"}


@dataclass(frozen=True)
class QuestionBuilder:
    """How memes are asked about.

    Args:
        prompt: ``name.vN``, a row of `forms.ANSWER_FORMATS` by its name.
        shows: what the teacher is shown beside the words: the caption, the picture's pixels, or both.
        root: the folder pictures lie in.
        max_tokens: of an answer.

    Raises:
        InputError: no such prompt.
    """

    prompt: str
    shows: Shows
    root: Path
    max_tokens: int = MAX_TOKENS

    def __post_init__(self) -> None:
        if self.prompt not in prompts():
            raise InputError(f"no prompt called {self.prompt!r}; there are: {', '.join(prompts())}")

    @property
    def format(self) -> AnswerFormat:
        """What an answer looks like."""
        return ANSWER_FORMATS[self.prompt.partition(".")[0]]

    @property
    def version(self) -> str:
        """The prompt's name and the hash of its file, which stands in every record."""
        return self._template.version

    @cached_property
    def _template(self) -> Prompt:
        return load_prompt(PACKAGE, self.prompt)

    def build(self, meme: Meme, evidence: Evidence | None) -> Question:
        """The question about one meme.

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
        text = meme_text(meme, evidence) or ""
        *before, last = self._template.render(
            text=quoted(text) or "(none)",
            caption=quoted(caption or ""),
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


def again(ask: Question, answer: str, reason: str) -> Question:
    """The same question once more: the answer that could not be kept, and why."""
    (message,) = load_prompt(PACKAGE, AGAIN).render(reason=reason)
    return Question(
        ask.meme,
        [*ask.messages, {"role": "assistant", "content": answer}, message],
        ask.settings,
        ask.parts,
    )


def recorded_messages(ask: Question) -> tuple[dict[str, Any], ...]:
    """The messages as a record keeps them: pictures by their hash."""
    return tuple(Request(ask.messages, "", ask.settings, ask.parts).kept["messages"])


def question_key(ask: Question, teacher: str) -> str:
    """The content key of a question to a teacher: same words, caption, picture, label, prompt and settings."""
    return Request(ask.messages, teacher, ask.settings, ask.parts).key


def label_words(label: Label) -> str:
    """How a teacher is told a label: HarMeme's severity where there is one, else the side."""
    if label.severity:
        return _LABELS[label.severity]
    return "harmful" if label.harmful else "not harmful"


def quoted(text: str) -> str:
    """Untrusted text for a prompt: on one line, without hidden characters, unable to write a tag, bounded in length."""
    shown = "".join(letter for letter in text[: 2 * LONGEST] if not hides(letter))
    line = " ".join(shown.split())
    line = line if len(line) <= LONGEST else line[:LONGEST] + " ..."
    return line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def prompts() -> list[str]:
    """The numbered prompts there are."""
    folder = files(PACKAGE).joinpath("prompts")
    names = sorted(
        file.name.removesuffix(".jinja") for file in folder.iterdir() if file.name.endswith(".jinja")
    )
    return [name for name in names if name != AGAIN]
