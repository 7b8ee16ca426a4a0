"""The provider's batch service: files up and down, batches made, found and looked at."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Any

from mrharm.errors import ModelUnavailableError
from mrharm.llm.endpoint import Endpoint, EndpointError

_TOKEN = "mrharm"  # the name of our token in a batch's metadata
_OVER = ("completed", "expired", "cancelled", "failed")
_CALL_S = 60.0
_TRANSFER_S = 3600.0  # of a file, up or down
_MOST_LINE = 8_000_000  # bytes
_CLOCKS_S = 86_400  # how far the provider's clock and ours may be apart


@dataclass(frozen=True)
class State:
    """How far a batch is at the provider: its status, how many questions are through, its files and complaints."""

    id: str
    status: str
    done: int
    output_file: str | None
    error_file: str | None
    code: str
    complaint: str

    @property
    def is_over(self) -> bool:
        """Whether nothing more will come."""
        return self.status in _OVER


class BatchService:
    """Batches at an endpoint. Every method raises `EndpointError`."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self.url = endpoint.url

    def upload(self, name: str, file: IO[bytes]) -> str:
        """Send a file of questions; its id."""
        file.seek(0)
        try:
            sent = self._call(
                lambda client, timeout: client.files.create(
                    file=(f"{name}.jsonl", file, "application/jsonl"), purpose="batch", timeout=timeout
                ),
                _TRANSFER_S,
            )
        except EndpointError as trouble:
            raise self._no_service(trouble) from None
        return _id(sent)

    def create(self, file: str, token: str) -> State:
        """Have a batch made of an uploaded file; the provider keeps ``token`` with it."""
        try:
            made = self._call(
                lambda client, timeout: client.batches.create(
                    completion_window="24h",
                    endpoint="/v1/chat/completions",
                    input_file_id=file,
                    metadata={_TOKEN: token},
                    timeout=timeout,
                )
            )
        except EndpointError as trouble:
            raise self._no_service(trouble) from None
        return self._state(made)

    def look(self, batch: str) -> State:
        """How far a batch is; trouble that is ``gone`` where the account has no such batch."""
        return self._state(
            self._call(lambda client, timeout: client.batches.retrieve(batch, timeout=timeout))
        )

    def find(self, token: str, file: str, since: float) -> State | None:
        """The batch with our token, or of our file, made after ``since`` (seconds since the epoch)."""

        def search(client: Any, timeout: Any) -> Any:
            for batch in client.batches.list(limit=100, timeout=timeout):
                metadata = getattr(batch, "metadata", None) or {}
                if metadata.get(_TOKEN) == token or getattr(batch, "input_file_id", None) == file:
                    return batch
                if (getattr(batch, "created_at", None) or since) < since - _CLOCKS_S:
                    break  # the newest come first
            return None

        found = self._call(search)
        return None if found is None else self._state(found)

    def has_file(self, file: str) -> bool:
        """Whether the account still has a file."""
        try:
            self._call(lambda client, timeout: client.files.retrieve(file, timeout=timeout))
        except EndpointError as trouble:
            if trouble.gone:
                return False
            raise
        return True

    def delete(self, file: str) -> None:
        """Take a file away: no batch can be made of it any more."""
        try:
            self._call(lambda client, timeout: client.files.delete(file, timeout=timeout))
        except EndpointError as trouble:
            if not trouble.gone:
                raise

    def lines(self, file: str) -> Iterator[bytes]:
        """A file's lines as they come. Raises in their midst where the connection ends before the file does."""
        deadline = time.monotonic() + _TRANSFER_S
        with (
            self._endpoint.judged() as client,
            client.files.with_streaming_response.content(
                file, timeout=self._endpoint.timeout(time.monotonic() + _CALL_S)
            ) as response,
        ):
            rest = bytearray()
            for chunk in response.iter_bytes():
                rest += chunk
                if time.monotonic() > deadline:
                    raise EndpointError("timed_out", "a file did not end within an hour", again=True)
                if b"\n" in chunk:  # of the file's lines, and nothing else that ends a line of text
                    *whole, last = rest.split(b"\n")
                    yield from (bytes(line) for line in whole if line.strip())
                    rest = last
                if len(rest) > _MOST_LINE:
                    del rest[_MOST_LINE // 2 :]  # no line of ours; what is left of it cannot be read
            if rest.strip():
                yield bytes(rest)

    def judge_row(self, status: int, body: object, model: str) -> EndpointError:
        """What the error of one question in a batch means."""
        return self._endpoint.judge(status, body, model)

    def without_secrets(self, text: str) -> str:
        """As `Endpoint.without_secrets`."""
        return self._endpoint.without_secrets(text)

    def _call(self, do: Any, seconds: float = _CALL_S) -> Any:
        timeout = self._endpoint.timeout(time.monotonic() + seconds)
        try:
            with self._endpoint.judged() as client:
                return do(client, timeout)
        except (ValueError, TypeError, AttributeError) as error:
            raise self._malformed(type(error).__name__) from None

    def _state(self, batch: Any) -> State:
        status, counts = getattr(batch, "status", None), getattr(batch, "request_counts", None)
        if not isinstance(status, str):
            raise self._malformed("no status")
        errors = getattr(getattr(batch, "errors", None), "data", None) or []
        done = [getattr(counts, name, None) or 0 for name in ("completed", "failed")]
        complaint = "; ".join(str(getattr(error, "message", None) or "") for error in errors[:3])
        return State(
            _id(batch),
            status,
            sum(count for count in done if isinstance(count, int)),
            getattr(batch, "output_file_id", None) or None,
            getattr(batch, "error_file_id", None) or None,
            self.without_secrets(" ".join(str(getattr(error, "code", None) or "") for error in errors))[:80],
            self.without_secrets(complaint)[:300],
        )

    def _malformed(self, what: str) -> EndpointError:
        return EndpointError(
            "malformed", f"{self.url}: expected a batch or a file, got something else ({what})", again=True
        )

    def _no_service(self, trouble: EndpointError) -> EndpointError:
        if trouble.gone:
            trouble.final = ModelUnavailableError(f"{self.url} has no batch service; ask without --batch")
        return trouble


def _id(thing: Any) -> str:
    got = getattr(thing, "id", None)
    if not isinstance(got, str) or not got:
        raise EndpointError("malformed", "expected a batch or a file with an id, got none", again=True)
    return got
