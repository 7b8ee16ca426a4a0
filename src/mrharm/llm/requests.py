"""What is asked of a hosted model, what comes back, and what can go wrong."""

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

from mrharm.errors import InputError, MrHarmError
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
    "over_budget",  # its worst case does not fit what is left; nothing was asked
    "busy",  # another process was at this question and came to no end
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
PICTURE_SIDE = 768  # pixels of the longer side that are sent
_PNG_BYTES = 250_000  # a larger PNG is sent as a JPEG
# One question, one answer; and nothing that could carry a key into the ledger.
_NOT_SETTINGS = ("model", "messages", "n", "stream", "extra_headers", "extra_body", "extra_query")


class CallError(MrHarmError):
    """One question has no answer: ``kind`` says why, ``raw`` is what the server sent, if anything."""

    def __init__(self, message: str, kind: FailureKind, raw: str | None = None) -> None:
        super().__init__(message, kind, raw)
        self.kind = kind
        self.raw = raw

    def __str__(self) -> str:
        return str(self.args[0])


class AuthorizationError(InputError):
    """The endpoint does not take the key: no other call can succeed either."""


class LedgerError(MrHarmError):
    """The ledger of paid calls cannot be read or written; nothing is asked without it."""


@dataclass(frozen=True)
class Picture:
    """A picture inside a message: its hash stands for it in the ledger, ``url`` makes its data URL when it is sent."""

    sha256: str
    url: Callable[[], str]


@dataclass(frozen=True)
class Request:
    """A question: chat messages, whose content is a text or a list of content parts and `Picture`, and how to ask.

    ``settings`` go into the body as they are (temperature, max_tokens, response_format ...). ``parts`` are what else
    tells this question from another (prompt name and hash, a sample's number); they are not sent.
    """

    messages: Sequence[Mapping[str, Any]]
    model: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    parts: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def kept(self) -> dict[str, Any]:
        """What the ledger keeps of it: everything but the endpoint, pictures as their hashes.

        Raises:
            InputError: a setting that is not one.
            CallError: it holds something JSON cannot say.
        """
        wrong = [name for name in self.settings if name in _NOT_SETTINGS]
        if wrong:
            raise InputError(f"{wrong[0]} is not a setting of a call; leave it out")
        kept = {
            "model": self.model,
            "messages": [{**message, "content": _kept(message["content"])} for message in self.messages],
            "settings": dict(self.settings),
            "parts": dict(self.parts),
        }
        try:
            json.dumps(kept, ensure_ascii=False).encode("utf-8")
        except (TypeError, ValueError) as error:
            raise CallError(
                f"not to be written as JSON ({error}); expected texts and numbers", "bad_request"
            ) from None
        return kept

    @cached_property
    def key(self) -> str:
        """The content key of everything kept: the same question has the same key at every endpoint."""
        return content_key(self.kept)

    def messages_to_send(self) -> list[dict[str, Any]]:
        """The messages as the endpoint takes them, pictures encoded."""
        return [{**message, "content": _sent(message["content"])} for message in self.messages]


@dataclass(frozen=True)
class Completion:
    """An answer with words in it. ``finish_reason`` "length" means that it was cut at ``max_tokens``.

    ``raw`` is the whole body; ``usd`` what the call cost (None: no price known); ``cached``: it was paid for before.
    """

    text: str
    usage: Mapping[str, Any] | None
    raw: str
    finish_reason: str | None
    cached: bool
    usd: float | None
    key: str


def read_answer(raw: str) -> tuple[str, str | None, str | None, dict[str, Any] | None]:
    """A chat completion's body -> its words, finish reason, refusal and usage.

    Raises:
        ValueError: not a chat completion.
    """
    try:
        body = json.loads(raw)
        choice = body["choices"][0]
        message = choice["message"]
        content = message.get("content")
        refusal = message.get("refusal")
        finish, usage = choice.get("finish_reason"), body.get("usage")
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError):
        raise ValueError("expected a chat completion with one choice") from None
    if isinstance(content, list):
        content = "".join(str(part.get("text") or "") for part in content if isinstance(part, Mapping))
    if not isinstance(content, str | None):
        raise ValueError("expected a message whose content is text")
    # Half a surrogate pair could be read but never be written as UTF-8 again.
    words = (content or "").encode("utf-8", "replace").decode("utf-8")
    return (
        words,
        finish if isinstance(finish, str) else None,
        refusal if isinstance(refusal, str) and refusal.strip() else None,
        usage if isinstance(usage, dict) else None,
    )


def picture_from_image(image: Image.Image) -> Picture:
    """An RGB picture for a message. The same pixels in another container are the same question."""
    pixels = image if image.mode == "RGB" else image.convert("RGB")
    return Picture(_hash_pixels(pixels), lambda: _encode_data_url(pixels))


def picture_from_file(path: Path) -> Picture:
    """The picture in a file, for a message: opened again when it is sent, so that many can wait in little memory.

    Raises:
        ImageError: it cannot be read.
    """
    return Picture(_hash_pixels(open_image(path)), lambda: _encode_data_url(open_image(path)))


def looks_refused(text: str) -> bool:
    """Whether an answer opens as a refusal does ("I'm sorry, but ...", "As an AI ...")."""
    return _REFUSAL.match(text.replace("\u2019", "'")) is not None


def settings_for(model: str, max_tokens: int) -> dict[str, Any]:
    """Greedy decoding of at most ``max_tokens`` tokens, in the words the model takes.

    OpenAI's reasoning models (o1 and later, GPT-5 and later) refuse both usual words; they are given room to think.
    """
    if re.match(r"(o\d|gpt-([5-9]|\d\d))", model):
        return {"max_completion_tokens": max_tokens + 2000}
    return {"temperature": 0, "max_tokens": max_tokens}


def _kept(content: Any) -> Any:
    if isinstance(content, Picture):
        return {"picture": content.sha256}
    if isinstance(content, list | tuple):
        return [_kept(part) for part in content]
    if isinstance(content, Mapping):
        return {name: _kept(value) for name, value in content.items()}
    if isinstance(content, str) and content.startswith("data:"):
        return {"data": hashlib.sha256(content.encode("utf-8", "replace")).hexdigest()}
    return content


def _sent(content: Any) -> Any:
    if isinstance(content, Picture):
        return {"type": "image_url", "image_url": {"url": content.url()}}
    if isinstance(content, list | tuple):
        return [_sent(part) for part in content]
    return content


def _hash_pixels(pixels: Image.Image) -> str:
    return hashlib.sha256(f"{pixels.width}x{pixels.height} ".encode() + pixels.tobytes()).hexdigest()


def _encode_data_url(image: Image.Image) -> str:
    """Its longer side at most ``PICTURE_SIDE`` pixels: PNG, or JPEG where that is smaller by far."""
    small = image.copy()
    small.info = {}  # a file's comment would travel along
    small.thumbnail((PICTURE_SIDE, PICTURE_SIDE))
    data, kind = encode_png(small), "png"
    if len(data) > _PNG_BYTES:
        buffer = io.BytesIO()
        small.save(buffer, "JPEG", quality=90)
        data, kind = buffer.getvalue(), "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(data).decode('ascii')}"
