"""A real HTTP server on 127.0.0.1 that speaks chat completions, files and batches as scripted; it counts what is paid.

with StubServer(lambda question: Reply("a cat")) as server: ...    # OPENAI_BASE_URL is server.url
python -m tests.stub_server [ANSWER]                                # its own process; prints its URL (benchmarks)
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.stub_batches import Desk, Plan

USAGE = {"prompt_tokens": 50, "completion_tokens": 20, "total_tokens": 70}


@dataclass(frozen=True)
class Reply:
    """What the server does with a question. A status of 200 is a paid call, whatever becomes of the answer."""

    text: str | None = "a cat on a mat"
    status: int = 200
    finish: str = "stop"
    refusal: str | None = None
    usage: Mapping[str, Any] | None = field(default_factory=lambda: dict(USAGE))
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None  # sent as it is
    error: Mapping[str, Any] = field(default_factory=dict)  # of a status that is not 200
    wait: threading.Event | float | None = None  # before anything is sent
    cut: bool = False  # the connection is closed before the answer is whole


def rate_limited(after: str | None = None) -> Reply:
    return Reply(
        status=429,
        headers={"Retry-After": after} if after else {},
        error={"message": "slow down", "code": "rate_limit_exceeded"},
    )


class StubServer:
    """``script`` says what to reply: a function of the question's text, or replies in turn (the last for ever).

    ``batches`` are the plans of batches in turn (the last for ever); their questions go by the script, too.
    """

    def __init__(
        self,
        script: Callable[[str], Reply] | Iterable[Reply] = (Reply(),),
        batches: Iterable[Plan] = (Plan(),),
    ) -> None:
        self.paid: Counter[str] = Counter()  # by the question's text
        self.calls: Counter[str] = Counter()
        self.requests: list[dict[str, Any]] = []
        self.keep_requests = True
        self.keys: set[str] = set()
        self.hits = 0  # requests of any kind
        self.desk = Desk(batches, self._answer_in_batch)
        self._script = script if callable(script) else _in_turn(list(script))
        self._lock = threading.Condition()
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.stub = self
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def __enter__(self) -> StubServer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def decide(self, request: dict[str, Any], key: str) -> Reply:
        question = question_of(request)
        reply = self._script(question)
        with self._lock:
            self.calls[question] += 1
            self.paid[question] += reply.status == 200
            self.keys |= {key} if key else set()
            if self.keep_requests:
                self.requests.append(request)
            self._lock.notify_all()
        return reply

    def wait_for_calls(self, count: int, or_until: Callable[[], bool]) -> None:
        """Wait until there were ``count`` calls in all, or ``or_until`` holds."""
        with self._lock:
            while self.calls.total() < count and not or_until():
                self._lock.wait(0.01)

    def hit(self, key: str) -> None:
        """A request has come."""
        with self._lock:
            self.hits += 1
            self.keys.add(key)
            self._lock.notify_all()

    def _answer_in_batch(self, request: dict[str, Any]) -> tuple[int, Any]:
        reply = self.decide(request, "")
        return reply.status, json.loads(_body(request, reply))


def question_of(request: Mapping[str, Any]) -> str:
    """The texts of the last message."""
    content = request["messages"][-1]["content"]
    return content if isinstance(content, str) else " ".join(part.get("text", "") for part in content).strip()


def _in_turn(replies: list[Reply]) -> Callable[[str], Reply]:
    lock = threading.Lock()

    def next_reply(question: str) -> Reply:
        with lock:
            return replies.pop(0) if len(replies) > 1 else replies[0]

    return next_reply


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256
    stub: StubServer

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that was killed is no news."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_POST(self) -> None:
        content = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.stub.hit(self.headers.get("Authorization", ""))
        if self.path != "/v1/chat/completions":
            self.server.stub.desk.post(self, content)
            return
        body = json.loads(content)
        reply = self.server.stub.decide(body, self.headers.get("Authorization", ""))
        if isinstance(reply.wait, threading.Event):
            reply.wait.wait(60)
        elif reply.wait:
            time.sleep(reply.wait)
        content = _body(body, reply)
        head = f"HTTP/1.1 {reply.status} X\r\nContent-Type: application/json\r\nContent-Length: {len(content)}\r\n"
        head += "".join(f"{name}: {value}\r\n" for name, value in reply.headers.items()) + "\r\n"
        if reply.cut:
            self.wfile.write(head.encode() + content[: len(content) // 2])
            self.close_connection = True
        else:
            self.wfile.write(head.encode() + content)

    def do_GET(self) -> None:
        self.server.stub.hit(self.headers.get("Authorization", ""))
        self.server.stub.desk.get(self)

    def log_message(self, format: str, *args: Any) -> None:
        pass


def _body(request: Mapping[str, Any], reply: Reply) -> bytes:
    if reply.body is not None:
        return reply.body
    if reply.status != 200:
        return json.dumps({"error": reply.error}).encode()
    message = {"role": "assistant", "content": reply.text, "refusal": reply.refusal}
    answer = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": request["model"],
        "choices": [{"index": 0, "message": message, "finish_reason": reply.finish}],
        "usage": reply.usage,
    }
    return json.dumps(answer).encode()


if __name__ == "__main__":
    with StubServer([Reply(*sys.argv[1:2])]) as server:
        server.keep_requests = False
        sys.stdout.write(server.url + "\n")
        sys.stdout.flush()
        sys.stdin.read()  # until whoever started it goes away
