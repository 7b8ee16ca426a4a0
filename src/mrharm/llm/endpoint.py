"""An OpenAI-compatible endpoint, asked through the `openai` package, and what its errors mean."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

from mrharm.errors import InputError, ModelUnavailableError, MrHarmError
from mrharm.llm.requests import AuthorizationError, FailureKind, Request, parse_answer

if TYPE_CHECKING:
    import openai

_CONNECT_S = 10.0
_MOST_BYTES = 4_000_000  # of an answer
_ADDRESS = "expected http(s)://HOST/v1 in OPENAI_BASE_URL"
_NO_KEY = "no-key"  # the client wants one; local servers take any
_REFUSED = re.compile(
    r"content[_ ]?(filter|policy|management)|responsible ?ai|moderation|flagged|safety", re.IGNORECASE
)
# A gateway that gave up waiting does not know whether the model behind it answered, and was paid.
_MAYBE_PAID = {408, 502, 504, 520, 522, 524}


@dataclass(eq=False)
class EndpointError(Exception):
    """A call that brought no answer."""

    kind: FailureKind
    message: str
    retryable: bool = False  # whether another try may succeed
    retry_after: float | None = None  # seconds the server asks to wait
    maybe_paid: bool = False  # whether the model may have answered
    raw: str | None = None  # what the server sent
    fatal: MrHarmError | None = None  # no other question can succeed either: raise this
    not_found: bool = False  # whether the batch or file asked for does not exist


class Endpoint:
    """An endpoint at ``base_url`` or OPENAI_BASE_URL, with the key in ``key_file`` or OPENAI_API_KEY.

    Raises:
        InputError: the `openai` package is not installed, or there is no key for OpenAI's own service.
    """

    def __init__(self, base_url: str | None = None, key_file: Path | None = None) -> None:
        try:
            import httpx2
            import openai
        except ImportError:
            raise InputError("hosted models need the openai package: pip install 'mrharm[openai]'") from None
        self._openai, self._httpx = openai, httpx2
        url = base_url or os.environ.get("OPENAI_BASE_URL") or None
        key = _read_key(key_file) if key_file else os.environ.get("OPENAI_API_KEY", "").strip()
        if not key and url is None:
            raise InputError("no key: set OPENAI_API_KEY, or OPENAI_BASE_URL for a server that wants none")
        if not key.isascii() or len(key.split()) > 1:
            raise InputError(
                "OPENAI_API_KEY, or the key file: expected one word of ASCII letters, and nothing else"
            )
        try:
            # The requester retries: each try may cost, and the budget must know.
            self._client = openai.OpenAI(api_key=key or _NO_KEY, base_url=url, max_retries=0)
        except (openai.OpenAIError, httpx2.InvalidURL) as error:
            raise InputError(f"no client for hosted models ({type(error).__name__}); {_ADDRESS}") from None
        self.url = _without_secrets(str(self._client.base_url))
        self._secrets = [key] if len(key) > 3 else []
        self._secrets += [part for part in (urlsplit(url or "").password,) if part]

    def ask(self, request: Request, messages: list[dict[str, Any]], deadline: float) -> str:
        """Return the body of a chat completion.

        Args:
            request: the question.
            messages: its messages, pictures encoded.
            deadline: when to give up, of time.monotonic.

        Raises:
            EndpointError: there is none.
        """
        answer = bytearray()
        with (
            self.translate_errors(request.model) as client,
            client.chat.completions.with_streaming_response.create(
                model=request.model,
                messages=messages,  # type: ignore[arg-type]
                extra_body=dict(request.settings),
                timeout=self.timeout(deadline),
            ) as response,
        ):
            for chunk in response.iter_bytes():
                answer += chunk
                # The timeout bounds each wait; a server that drips stays below it for ever.
                if time.monotonic() > deadline:
                    raise EndpointError(
                        "timed_out", "the answer did not end within the deadline", maybe_paid=True
                    )
                if len(answer) > _MOST_BYTES:
                    raise EndpointError(
                        "malformed", f"an answer of over {_MOST_BYTES:,} bytes", maybe_paid=True
                    )
        raw = self.without_secrets(bytes(answer).decode("utf-8", "replace"))
        try:
            parse_answer(raw)
        except ValueError as error:
            raise EndpointError(
                "malformed", f"{error}; got {raw[:80]!r}", retryable=True, maybe_paid=True, raw=raw[:2000]
            ) from None
        return raw

    @contextmanager
    def translate_errors(self, model: str | None = None) -> Iterator[openai.OpenAI]:
        """Yield the `openai` client for calls about a model, or about batches and files.

        Raises:
            EndpointError: in place of the client's own errors.
        """
        try:
            yield self._client
        except self._openai.APIStatusError as error:
            response = error.response
            raise self.classify(response.status_code, error.body, model, response.headers) from None
        except (self._openai.APIConnectionError, self._httpx.HTTPError) as error:
            raise self._classify_connection(error) from None

    def timeout(self, deadline: float) -> Any:
        """Return the bound on each wait of a call that must end by ``deadline`` (of time.monotonic)."""
        seconds = max(0.01, deadline - time.monotonic())
        return self._httpx.Timeout(seconds, connect=min(_CONNECT_S, seconds))

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def without_secrets(self, text: str) -> str:
        """Return a server's text without the key, fit to be written: some servers repeat what they are sent."""
        text = text.encode("utf-8", "replace").decode("utf-8")
        for secret in self._secrets:
            text = text.replace(secret, "[key]")
        return text

    def _classify_connection(self, error: Exception) -> EndpointError:
        cause = error.__cause__ if isinstance(error, self._openai.APIConnectionError) else error
        what = type(cause or error).__name__
        if isinstance(cause, self._httpx.ConnectError | self._httpx.ConnectTimeout | self._httpx.ProxyError):
            return EndpointError("unreachable", f"no connection to {self.url} ({what})", retryable=True)
        if isinstance(cause, self._httpx.UnsupportedProtocol | self._httpx.InvalidURL):
            fatal = InputError(f"{self.url}: no address; {_ADDRESS}")
            return EndpointError("unreachable", str(fatal), fatal=fatal)
        if isinstance(cause, self._httpx.TimeoutException) or isinstance(error, self._openai.APITimeoutError):
            return EndpointError("timed_out", "no answer within the deadline", maybe_paid=True)
        return EndpointError(
            "cut",
            f"the connection ended before the answer was whole ({what})",
            retryable=True,
            maybe_paid=True,
        )

    def classify(
        self, status: int, body: object, model: str | None, headers: Mapping[str, str] | None = None
    ) -> EndpointError:
        """Return what an HTTP status that is not a success means.

        Args:
            status: the HTTP status.
            body: the error as the server describes it.
            model: the model asked; None for a call about files or batches.
            headers: of the response.
        """
        error = body if isinstance(body, Mapping) else {}
        code = f"{error.get('code') or ''} {error.get('type') or ''}"
        text = self.without_secrets(str(error.get("message") or body or ""))
        message = f"{self.url} answered {status}" + (f": {text[:200]}" if text else "")
        refused = bool(_REFUSED.search(f"{code} {text}"))
        fatal = self._find_fatal(status, code, model, refused)
        if fatal:
            limited = status in (402, 429)
            return EndpointError("rate_limited" if limited else "bad_request", str(fatal), fatal=fatal)
        retry_after = _read_retry_after(headers or {})
        if status == 429:
            return EndpointError("rate_limited", message, retryable=True, retry_after=retry_after)
        if status in (408, 409, 425) or status >= 500:
            kind: FailureKind = "timed_out" if status == 408 else "server_error"
            maybe_paid = status in _MAYBE_PAID
            return EndpointError(
                kind, message, retryable=True, retry_after=retry_after, maybe_paid=maybe_paid
            )
        return EndpointError("refused" if refused else "bad_request", message, not_found=status == 404)

    def _find_fatal(self, status: int, code: str, model: str | None, refused: bool) -> MrHarmError | None:
        """Return the error that no other question can get past either, if the status means one."""
        if status == 401 or (status == 403 and not refused):
            # The server's own words about the key may hold a part of it.
            return AuthorizationError(
                f"{self.url} does not take the key ({status}); set OPENAI_API_KEY, or the key file, to one it takes"
            )
        if status == 404 and model is not None:
            return ModelUnavailableError(
                f"{self.url} has no model {model!r} (404); name one it serves, or set OPENAI_BASE_URL to the "
                "address that ends in /v1"
            )
        if status == 402 or (status == 429 and "insufficient_quota" in code):
            return ModelUnavailableError(
                f"{self.url}: the account's credit is used up ({status}); top it up and run again"
            )
        return None


def _read_retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds to wait, from ``retry-after-ms`` or ``Retry-After`` in seconds."""
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        with suppress(ValueError):
            return max(0.0, float(headers.get(name, "")) * unit)
    return None


def _read_key(file: Path) -> str:
    try:
        key = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"{file}: the key cannot be read ({type(error).__name__}); expected one line"
        ) from None
    if not key:
        raise InputError(f"{file}: empty; expected the key and nothing else")
    return key


def _without_secrets(url: str) -> str:
    """Return an address without name, password and query."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, host, parts.path.rstrip("/"), "", ""))
