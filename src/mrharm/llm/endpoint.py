"""An OpenAI-compatible endpoint, asked through the `openai` package, and what its errors mean."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from mrharm.errors import InputError, ModelUnavailableError, MrHarmError
from mrharm.llm.requests import AuthorizationError, CallError, Completion, FailureKind, Request, parse_answer

if TYPE_CHECKING:
    import openai

_CONNECT_S = 10.0
_ADDRESS = "expected http(s)://HOST/v1 in OPENAI_BASE_URL"
_NO_KEY = "no-key"  # the client wants one; local servers take any
_REFUSED = re.compile(
    r"content[_ ]?(filter|policy|management)|responsible ?ai|moderation|flagged|safety", re.IGNORECASE
)
_KINDS: dict[int, FailureKind] = {
    408: "timed_out",
    409: "server_error",
    425: "server_error",
    429: "rate_limited",
}
# A gateway that gave up waiting does not know whether the model behind it answered, and was paid.
_MAYBE_PAID = {408, 502, 504, 520, 522, 524}


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
        self.openai, self._httpx = openai, httpx2
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
        address = self._client.base_url
        self.url = str(address.copy_with(username=None, password=None, query=None)).rstrip("/")
        self._secrets = [part for part in (key if len(key) > 3 else "", address.password) if part]

    def ask(self, request: Request, deadline: float) -> Completion:
        """Ask a question until ``deadline`` (of time.monotonic).

        Raises:
            MrHarmError: there is no answer, as `translate_errors`.
        """
        seconds = max(0.01, deadline - time.monotonic())  # bounds each wait
        with self.translate_errors(request.model) as client:
            response = client.chat.completions.with_raw_response.create(
                model=request.model,
                messages=request.encode_messages(),  # type: ignore[arg-type]
                extra_body=dict(request.settings),
                timeout=self._httpx.Timeout(seconds, connect=min(_CONNECT_S, seconds)),
            )
        return parse_answer(self.without_secrets(response.content.decode("utf-8", "replace")), request.key)

    @contextmanager
    def translate_errors(self, model: str | None = None) -> Iterator[openai.OpenAI]:
        """Yield the `openai` client for calls about a model, or about batches and files.

        Raises:
            CallError: in place of the client's own errors, where only this call fails.
            MrHarmError: of any other kind: no call can succeed.
        """
        try:
            yield self._client
        except self.openai.APIStatusError as error:
            response = error.response
            raise self.classify(response.status_code, error.body, model, response.headers) from None
        except self.openai.APIConnectionError as error:
            raise self._classify_connection(error.__cause__ or error) from None

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def without_secrets(self, text: str) -> str:
        """Return a server's text without the key, fit to be written: some servers repeat what they are sent."""
        text = text.encode("utf-8", "replace").decode("utf-8")
        for secret in self._secrets:
            text = text.replace(secret, "[key]")
        return text

    def _classify_connection(self, cause: BaseException) -> MrHarmError:
        what, httpx = type(cause).__name__, self._httpx
        if isinstance(cause, httpx.ConnectError | httpx.ConnectTimeout | httpx.ProxyError):
            return CallError(f"no connection to {self.url} ({what})", "unreachable")
        if isinstance(cause, httpx.UnsupportedProtocol | httpx.InvalidURL):
            return InputError(f"{self.url}: no address; {_ADDRESS}")
        if isinstance(cause, httpx.TimeoutException):
            return CallError("no answer within the deadline", "timed_out", maybe_paid=True)
        why = f"the connection ended before the answer was whole ({what})"
        return CallError(why, "cut", maybe_paid=True)

    def classify(
        self, status: int, body: object, model: str | None, headers: Mapping[str, str] | None = None
    ) -> MrHarmError:
        """Return what an HTTP status that is not a success means, as `translate_errors`.

        ``body``: the error as the server describes it. ``model``: None for a call about files or batches.
        """
        error = body if isinstance(body, Mapping) else {}
        code = f"{error.get('code') or ''} {error.get('type') or ''}"
        text = self.without_secrets(str(error.get("message") or body or ""))
        is_refused = bool(_REFUSED.search(f"{code} {text}"))
        fatal = self._find_fatal(status, code, model, is_refused)
        if fatal:
            return fatal
        other: FailureKind = "refused" if is_refused else "bad_request"
        retry_after = None
        with suppress(ValueError):
            retry_after = max(0.0, float((headers or {}).get("retry-after", "")))
        return CallError(
            f"{self.url} answered {status}" + (f": {text[:200]}" if text else ""),
            _KINDS.get(status, "server_error" if status >= 500 else other),
            maybe_paid=status in _MAYBE_PAID,
            retry_after=retry_after,
        )

    def _find_fatal(self, status: int, code: str, model: str | None, is_refused: bool) -> MrHarmError | None:
        """Return the error that no other question can get past either, if the status means one."""
        if status == 401 or (status == 403 and not is_refused):
            # The server's own words about the key may hold a part of it.
            mend = "set OPENAI_API_KEY, or the key file, to one it takes"
            return AuthorizationError(f"{self.url} does not take the key ({status}); {mend}")
        if status == 404 and model is None:
            return ModelUnavailableError(f"{self.url} has no batch service (404); ask without --batch")
        if status == 404:
            mend = "name one it serves, or set OPENAI_BASE_URL to the address that ends in /v1"
            return ModelUnavailableError(f"{self.url} has no model {model!r} (404); {mend}")
        if status == 402 or (status == 429 and "insufficient_quota" in code):
            mend = "top it up and run again"
            return ModelUnavailableError(f"{self.url}: the account's credit is used up ({status}); {mend}")
        return None


def _read_key(file: Path) -> str:
    try:
        key = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        why = f"{file}: the key cannot be read ({type(error).__name__}); expected one line"
        raise InputError(why) from None
    if not key:
        raise InputError(f"{file}: empty; expected the key and nothing else")
    return key
