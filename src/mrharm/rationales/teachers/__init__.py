"""Teachers, who explain labels: one protocol, one table, which other packages extend by an entry point."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from mrharm import plugins
from mrharm.llm import CallError, Completion
from mrharm.records import Meme


@dataclass(frozen=True)
class Question:
    """One question: about which meme, and the chat messages that put it.

    A message's content is a text, or a list of content parts and `mrharm.llm.Picture`. ``settings`` say how to
    answer (``max_tokens``, ``response_format``); ``parts`` are what else tells this question from another (the
    prompt's version, a sample's number) and are not sent.
    """

    meme: Meme
    messages: Sequence[Mapping[str, Any]]
    settings: Mapping[str, Any] = field(default_factory=dict)
    parts: Mapping[str, Any] = field(default_factory=dict)


class Teacher(Protocol):
    """Answers questions. Made by calling its row with what stands behind the colon (``openai:MODEL``), or None."""

    name: str  # what a rationale's ``teacher`` says: row, model and version
    reads_prompt: bool  # False: it knows its answers (recorded, generated) and no message is sent

    @property
    def sees_pictures(self) -> bool:
        """Whether a message may hold a `Picture`."""
        ...

    def answer(self, questions: Iterable[Question]) -> Iterator[tuple[int, Completion | CallError]]:
        """Yield each question's position and its answer, or why it has none, as they are done.

        Raises:
            MrHarmError: what no question can get past (no such model, no key, no file).
        """
        ...


def teacher_named(name: str, **options: Any) -> Teacher:
    """Make the teacher ``ROW`` or ``ROW:WHAT``; raises InputError for no such row, or another WHAT than it takes."""
    row, _, what = name.partition(":")
    teacher: Teacher = TEACHERS.load(row)(what or None, **options)
    return teacher


TEACHERS = plugins.Table(
    "teachers",
    {
        "openai": "mrharm.rationales.teachers.openai:HostedTeacher",
        "hf": "mrharm.rationales.teachers.huggingface:LocalTeacher",
        "recorded": "mrharm.rationales.teachers.recorded:RecordedTeacher",
        "generated": "mrharm.synthetic.teacher:GeneratedTeacher",
    },
)
