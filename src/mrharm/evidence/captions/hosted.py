"""Captions, and the words of input augmentation, by a hosted vision model behind any OpenAI-compatible endpoint.

The model sees the picture and nothing else: no text of the meme, so nothing in it can be taken for an instruction.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from PIL import Image

from mrharm.errors import DataError, InputError, MrHarmError
from mrharm.evidence.captions import Described, describe_images
from mrharm.llm import (
    PICTURE_SIDE,
    CallError,
    Completion,
    HostedClient,
    Request,
    load_prompt,
    looks_refused,
    picture_from_image,
    settings_for,
)
from mrharm.llm.answers import read_json_answer
from mrharm.records import Record

_LONGEST = 500  # characters; two sentences are some 200
_MOST_WORDS, _LONGEST_WORD = 20, 80
_TOKENS = 160
CONCURRENCY = 8  # pictures asked about at a time


class HostedCaptions:
    """Describes pictures with a hosted model and a prompt: ``caption.v1``, ``entities.v1`` or ``demographics.v1``.

    A caption is one or two sentences. Entities and demographics are words with commas between them, for
    `Evidence.entities` and `Evidence.demographics`; no words where there is nothing of the kind.

    Without a ``client``, one with the user's ledger, endpoint and key, and no budget.

    Raises:
        InputError: no model is named, or there is no such prompt.
    """

    # Some rounds of calls, so that the slowest answer of a batch holds up few others.
    batch_size = 4 * CONCURRENCY

    def __init__(
        self, model: str | None, *, prompt: str = "caption.v1", client: HostedClient | None = None
    ) -> None:
        if not model:
            raise InputError(
                "hosted captions want a model: openai:gpt-4o-mini, or the name your server gives it"
            )
        self._prompt = load_prompt("mrharm.evidence", prompt)
        self._read = _READERS[prompt.partition(".")[0]]
        self._model = model
        self._settings = settings_for(model, _TOKENS)
        if self._read is not _read_caption:
            self._settings["response_format"] = {"type": "json_object"}
        self._client = client or HostedClient()
        self.version = f"openai:{model}/{self._prompt.version}/{PICTURE_SIDE}px"

    def describe(self, pictures: Sequence[Described]) -> list[str | Exception]:
        """Return a description of each picture, or why there is none: CallError, DataError, MissingInputError.

        Raises what `HostedClient.complete_many` raises where no picture was answered; after answers, the error takes
        the place of those that are missing.
        """
        return describe_images(pictures, self._ask)

    def _ask(self, images: list[Image.Image]) -> list[str | Exception]:
        results: dict[int, str | Exception] = {}
        unanswered: Exception = CallError("stopped before it was asked", "stopped")
        try:
            for index, answer in self._client.complete_many(map(self._request, images), CONCURRENCY):
                results[index] = self._check(answer)
        except MrHarmError as error:
            if not results:
                raise
            unanswered = error  # the answers so far are returned; the next batch meets the same error first
        return [results.get(index, unanswered) for index in range(len(images))]

    def _request(self, image: Image.Image) -> Request:
        *before, last = self._prompt.render()
        content = [{"type": "text", "text": last["content"]}, picture_from_image(image)]
        parts = {"prompt": self._prompt.version, "side": PICTURE_SIDE}
        return Request([*before, {**last, "content": content}], self._model, self._settings, parts)

    def _check(self, answer: Completion | CallError) -> str | Exception:
        if isinstance(answer, CallError):
            return answer
        if answer.finish_reason == "length":
            return DataError(f"the answer was cut: {answer.text[:60]!r} ...; name a model that is brief")
        words = " ".join(answer.text.split())
        if looks_refused(words):
            return CallError(f"the model refused: {words[:200]}", "refused", answer.raw)
        try:
            return self._read(words)
        except DataError as error:
            return error


def _read_caption(words: str) -> str:
    caption = words.strip("\"'`\u201c\u201d ")
    if not caption:
        raise DataError("the model said nothing; expected a caption")
    if len(caption) > _LONGEST:
        raise DataError(f"a caption of {len(caption)} characters; expected two sentences, at most {_LONGEST}")
    return caption


class _Words(Record):
    """An answer to ``entities.v1`` or ``demographics.v1``, which each have one of the lists."""

    entities: list[str] | None = None
    demographics: list[str] | None = None


def _read_words(key: str, words: str) -> str:
    """Parse a JSON object of one list into its words, each once, with commas between them."""
    try:
        values: list[str] | None = getattr(read_json_answer(words, _Words), key)
    except DataError:
        values = None
    distinct = list(dict.fromkeys(filter(None, (" ".join(value.split()) for value in values or ()))))
    if values is None or len(distinct) > _MOST_WORDS or any(len(value) > _LONGEST_WORD for value in distinct):
        raise DataError(f'expected {{"{key}": [at most {_MOST_WORDS} short texts]}}; got {words[:80]!r}')
    return ", ".join(distinct)


# By the prompt's name: how its answers are read and checked.
_READERS: dict[str, Callable[[str], str]] = {
    "caption": _read_caption,
    "entities": partial(_read_words, "entities"),
    "demographics": partial(_read_words, "demographics"),
}
