"""Requests to hosted models: questions with their pictures, answers, and the errors of a call."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from PIL import Image

from mrharm.errors import FileError, InputError, MrHarmError
from mrharm.images import encode_png, open_image
from mrharm.store import content_key

FailureKind = Literal[
    "rate_limited",  # 429 to the end of the deadline or of the attempts
    "refused",  # by the provider's policy, with or without an answer
    "empty",  # an answer without words
    "malformed",  # not a chat completion
    "timed_out",  # no answer within the deadline
    "bad_request",  # the server will never answer this question as it is put
    "server_error",  # 5xx
    "cut",  # the connection ended before the answer was whole
    "unreachable",  # no connection
    "over_budget",  # its worst case does not fit what is left of the budget; nothing was asked
    "busy",  # it is in a batch that has not ended
    "stopped",  # by the user, or because another call found that none can succeed
]

# A refusal opens an answer; the same words further in may be quoted or told.
_REFUSAL = re.compile(
    r"""\s*(?:i'?m (?:\w+ )?sorry\b|i am (?:\w+ )?sorry\b|sorry[,.:!] |i apologi[sz]e\b|my apologies\b|apologies[,.] """
    r"|as an? (?:ai|artificial intelligence)\b(?!-)|as a (?:large )?language model\b|unfortunately,? i\b"
    r"|we (?:cannot|can't|are unable to) (?:comply|assist|help|fulfil)"
    r"|(?:this|that|your|the) (?:request|content) (?:goes against|violates|is against|breaches) (?:my|our|openai)\b"
    r"|i(?:'m| am) (?:unable|not able|not comfortable|not going)\b"
    r"|i (?:(?:must|have to|need to|will have to) )?(?:\w+ )?decline\b"
    r"|i (?:cannot|can ?not|can't|won't|will not|do not feel|don't feel) "
    r"(?!forget|wait|believe|even|stop|live|breathe|help but))",
    re.IGNORECASE,
)
NANO = 10**9  # money is counted in whole billionths of a dollar
PICTURE_SIDE = 768  # pixels of the longer side that are sent
_PNG_BYTES = 250_000  # a larger PNG is sent as a JPEG
# A call asks one question for one answer, and nothing in its settings may carry a key into the ledger.
_NOT_SETTINGS = ("model", "messages", "n", "stream", "extra_headers", "extra_body", "extra_query")


class CallError(MrHarmError):
    """A question has no answer: ``kind`` says why, ``raw`` is what the server sent, if anything.

    ``maybe_paid``: the model may have answered, so the most the call can cost counts as spent. ``retry_after``: seconds
    the server asks to wait.
    """

    def __init__(
        self,
        message: str,
        kind: FailureKind,
        raw: str | None = None,
        *,
        maybe_paid: bool = False,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.kind, self.raw = kind, raw
        self.maybe_paid, self.retry_after = maybe_paid, retry_after

    @classmethod
    def wrap(cls, error: MrHarmError) -> CallError:
        """Return an error as the failure of the question that met it."""
        return error if isinstance(error, cls) else cls(str(error), "bad_request")


class AuthorizationError(InputError):
    """The endpoint refuses the key, so no other call can succeed either."""


class LedgerError(FileError):
    """The ledger of paid calls cannot be read or written; without it nothing is asked."""


@dataclass(frozen=True)
class Picture:
    """A picture inside a message."""

    sha256: str  # hash of its pixels, which stands for it in the ledger
    url: Callable[[], str]  # encodes it as a data URL when it is sent


@dataclass(frozen=True)
class Request:
    """A question to a hosted model.

    ``messages`` are chat messages, whose content is a text or a list of content parts and `Picture`. ``settings`` go
    into the body as they are (temperature, max_tokens, response_format ...). ``parts`` distinguish it from questions
    of the same messages and settings (prompt and its hash, a sample's number) and are not sent.
    """

    messages: Sequence[Mapping[str, Any]]
    model: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    parts: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def record(self) -> dict[str, Any]:
        """Return what the ledger keeps of the question: all but the endpoint, pictures as their hashes.

        Raises:
            InputError: a setting that a call cannot have.
            CallError: it holds something that JSON cannot express.
        """
        for name in self.settings:
            if name in _NOT_SETTINGS:
                raise InputError(f"{name} is not a setting of a call; leave it out")
        record = {
            "model": self.model,
            "messages": [{**each, "content": _describe_content(each["content"])} for each in self.messages],
            "settings": dict(self.settings),
            "parts": dict(self.parts),
        }
        try:
            json.dumps(record, ensure_ascii=False).encode("utf-8")
        except (TypeError, ValueError) as error:
            why = f"cannot be written as JSON ({error}); expected texts and numbers"
            raise CallError(why, "bad_request") from None
        return record

    @cached_property
    def key(self) -> str:
        """Return the content key of the record: the same question has the same key at every endpoint."""
        return content_key(self.record)

    def encode_messages(self) -> list[dict[str, Any]]:
        """Return the messages as the endpoint takes them, pictures encoded.

        Raises:
            CallError: a picture cannot be read.
        """
        try:
            return [{**message, "content": _encode_content(message["content"])} for message in self.messages]
        except MrHarmError as error:
            raise CallError(str(error), "bad_request") from None


@dataclass(frozen=True)
class Completion:
    """An answer."""

    text: str  # the words
    usage: Mapping[str, Any] | None  # tokens as the server counted them; None where it did not
    raw: str  # the body as it came
    finish_reason: str | None  # "length" where the answer was cut at ``max_tokens``
    cached: bool  # whether it was paid for before
    usd: float | None  # what the call cost; None where no price is known
    key: str  # the question's content key
    refusal: str | None = None  # what the model says in place of an answer

    @property
    def nano_usd(self) -> int | None:
        """Return what the call cost in billionths of a dollar."""
        return None if self.usd is None else round(self.usd * NANO)

    @property
    def failure(self) -> CallError | None:
        """Return why it has no words, if so; it is paid for and stays in the ledger all the same."""
        has_words = bool(self.text.strip())
        if self.finish_reason == "content_filter" or (self.refusal and not has_words):
            why = f"the model refused: {(self.refusal or 'content filter')[:200]}"
            return CallError(why, "refused", self.raw)
        if has_words:
            return None
        why = f"finish reason {self.finish_reason}"
        if self.finish_reason == "length":
            why = "it was cut before the first word; raise max_tokens"
        return CallError(f"an answer without words ({why})", "empty", self.raw)


def parse_answer(raw: str, key: str) -> Completion:
    """Parse the body of the chat completion for question ``key``; fields of an unexpected type count as absent.

    Raises:
        CallError: not a chat completion; it may have been paid for.
    """
    try:
        body = json.loads(raw)
        choice = body["choices"][0]
        content, refusal = choice["message"].get("content"), choice["message"].get("refusal")
        finish, usage = choice.get("finish_reason"), body.get("usage")
        if isinstance(content, list):
            content = "".join(str(part.get("text") or "") for part in content if isinstance(part, Mapping))
        # Half a surrogate pair could be read but never be written as UTF-8 again.
        text = (content or "").encode("utf-8", "replace").decode("utf-8")
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError):
        why = f"expected a chat completion with one choice; got {raw[:80]!r}"
        raise CallError(why, "malformed", raw[:2000], maybe_paid=True) from None
    return Completion(
        text,
        usage if isinstance(usage, dict) else None,
        raw,
        finish if isinstance(finish, str) else None,
        False,
        None,
        key,
        refusal if isinstance(refusal, str) and refusal.strip() else None,
    )


def picture_from_image(image: Image.Image) -> Picture:
    """Return an image as a picture for a message; the same pixels in another container are the same question."""
    pixels = image if image.mode == "RGB" else image.convert("RGB")
    return Picture(_hash_pixels(pixels), lambda: _encode_data_url(pixels))


def picture_from_file(path: Path) -> Picture:
    """Return a file's picture for a message; it is opened again when sent, so that many can wait in little memory.

    Raises:
        ImageError: it cannot be read.
    """
    return Picture(_hash_pixels(open_image(path)), lambda: _encode_data_url(open_image(path)))


def looks_refused(text: str) -> bool:
    """Return whether an answer opens as a refusal does ("I'm sorry, but ...", "As an AI ...")."""
    return _REFUSAL.match(text.replace("\u2019", "'")) is not None


def settings_for(model: str, max_tokens: int) -> dict[str, Any]:
    """Return the settings for greedy decoding of at most ``max_tokens`` tokens, by the names the model takes.

    OpenAI's reasoning models (o1 and later, GPT-5 and later) refuse both usual names, and spend tokens on thinking.
    """
    if re.match(r"(o\d|gpt-([5-9]|\d\d))", model):
        return {"max_completion_tokens": max_tokens + 2000}
    return {"temperature": 0, "max_tokens": max_tokens}


def _describe_content(content: Any) -> Any:
    """Return a message's content for the ledger: pictures as their hashes."""
    if isinstance(content, Picture):
        return {"picture": content.sha256}
    if isinstance(content, list | tuple):
        return [_describe_content(part) for part in content]
    if isinstance(content, Mapping):
        return {name: _describe_content(value) for name, value in content.items()}
    return content


def _encode_content(content: Any) -> Any:
    """Return a message's content for the endpoint: pictures as data URLs."""
    if isinstance(content, Picture):
        return {"type": "image_url", "image_url": {"url": content.url()}}
    if isinstance(content, list | tuple):
        return [_encode_content(part) for part in content]
    return content


def _hash_pixels(pixels: Image.Image) -> str:
    return hashlib.sha256(f"{pixels.width}x{pixels.height} ".encode() + pixels.tobytes()).hexdigest()


def _encode_data_url(image: Image.Image) -> str:
    """Encode a picture, its longer side at most ``PICTURE_SIDE`` pixels: PNG, or JPEG where that is smaller by far."""
    small = image.copy()
    small.info = {}  # a file's comment would travel along
    small.thumbnail((PICTURE_SIDE, PICTURE_SIDE))
    data, kind = encode_png(small), "png"
    if len(data) > _PNG_BYTES:
        buffer = io.BytesIO()
        small.save(buffer, "JPEG", quality=90)
        data, kind = buffer.getvalue(), "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(data).decode('ascii')}"
