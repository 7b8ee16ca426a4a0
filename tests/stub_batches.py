"""The stub server's files and batches: each batch goes by a plan, each question in it by the server's script.

with StubServer(lambda question: Reply("a cat"), batches=[Plan(status="expired", answered=2)]) as server: ...
"""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from email import message_from_bytes
from http.server import BaseHTTPRequestHandler
from typing import Any


@dataclass(frozen=True)
class Plan:
    """What becomes of a batch. Questions it answers are paid for when it is created."""

    status: str = "completed"  # when it is over; None of the others says more
    looks: int = 0  # so many times it is still in progress
    hold: threading.Event | None = None  # until this is set it is in progress, too
    answered: int | None = None  # only the first so many questions get their turn
    silent: bool = False  # the others get no line in the error file
    seed: int | None = None  # lines come back in another order
    repeat: bool = False  # each answer comes once more, in other words
    extra: tuple[bytes, ...] = ()  # lines among the answers
    errors: tuple[tuple[str, str], ...] = ()  # code and message of one that failed validation
    create: tuple[int, Mapping[str, Any]] | None = None  # status and error instead of a batch
    lost: bool = False  # it is created, but the word of it is lost on its way
    cut: int = 0  # so many downloads end in their midst
    gone_after: int | None = None  # nobody knows of it after so many looks


class Desk:
    """Files and batches; ``answer`` makes a question's status and body, and counts it as paid."""

    def __init__(self, plans: Iterable[Plan], answer: Callable[[dict[str, Any]], tuple[int, Any]]) -> None:
        self._plans, self._answer = list(plans), answer
        self._lock = threading.RLock()
        self.files: dict[str, bytes] = {}
        self.batches: dict[str, dict[str, Any]] = {}
        self.sent: list[list[dict[str, Any]]] = []  # the lines of each batch that was created
        self.uploads = self.downloads = 0
        self._of: dict[str, Plan] = {}
        self._looks: dict[str, int] = {}
        self._cuts: dict[str, int] = {}

    def post(self, handler: BaseHTTPRequestHandler, body: bytes) -> None:
        if handler.path == "/v1/files":
            _reply(handler, 200, self._upload(handler.headers["Content-Type"], body))
        else:
            status, said, lost = self._create(json.loads(body))
            if lost:
                handler.close_connection = True
            else:
                _reply(handler, status, said)

    def get(self, handler: BaseHTTPRequestHandler) -> None:
        kind, _, rest = handler.path.removeprefix("/v1/").partition("?")[0].partition("/")
        name, _, content = rest.partition("/")
        with self._lock:
            if kind == "batches" and not name:
                known = list(self.batches.values())[::-1]
                _reply(handler, 200, {"object": "list", "data": known, "has_more": False})
            elif kind == "batches" and name in self.batches and not self._is_gone(name):
                _reply(handler, 200, self._look(name))
            elif kind == "files" and name in self.files and content:
                self.downloads += 1
                cut = self._cuts.get(name, 0) > 0
                self._cuts[name] = self._cuts.get(name, 0) - 1
                _send(handler, 200, self.files[name], cut)
            else:
                _reply(handler, 404, {"error": {"message": f"no such thing as {name}"}})

    def _upload(self, kind: str, body: bytes) -> dict[str, Any]:
        message = message_from_bytes(f"Content-Type: {kind}\r\n\r\n".encode() + body)
        parts: Any = message.get_payload()
        (file,) = [part for part in parts if part.get_param("name", header="content-disposition") == "file"]
        with self._lock:
            self.uploads += 1
            return {"id": self._store("in", file.get_payload(decode=True)), "object": "file"}

    def _store(self, kind: str, data: bytes) -> str:
        name = f"file-{kind}-{self.uploads}-{len(self.files)}"
        self.files[name] = data
        return name

    def _create(self, asked: dict[str, Any]) -> tuple[int, Any, bool]:
        with self._lock:
            if asked["input_file_id"] not in self.files:
                return 400, {"error": {"message": "no such file"}}, False
            plan = self._plans.pop(0) if len(self._plans) > 1 else self._plans[0]
            if plan.create:
                return plan.create[0], {"error": plan.create[1]}, False
            name = f"batch_{len(self.batches) + 1}"
            lines = [json.loads(line) for line in self.files[asked["input_file_id"]].split(b"\n") if line]
            self.sent.append(lines)
            self._of[name] = plan
            batch = self.batches[name] = {
                "id": name,
                "object": "batch",
                "status": "validating",
                "created_at": int(time.time()),
                "endpoint": asked["endpoint"],
                "completion_window": asked["completion_window"],
                "input_file_id": asked["input_file_id"],
                "metadata": asked.get("metadata"),
                "request_counts": {"total": len(lines), "completed": 0, "failed": 0},
            }
            if not plan.errors:
                self._work(batch, plan, lines)
            return 200, dict(batch), plan.lost

    def _work(self, batch: dict[str, Any], plan: Plan, lines: list[dict[str, Any]]) -> None:
        out, bad = list(plan.extra), []
        for number, line in enumerate(lines):
            row: dict[str, Any] = {"id": f"r{number}", "custom_id": line["custom_id"], "error": None}
            if plan.answered is not None and number >= plan.answered:
                if not plan.silent:
                    code = "batch_expired" if plan.status == "expired" else "batch_cancelled"
                    bad.append(
                        _line({**row, "response": None, "error": {"code": code, "message": "too late"}})
                    )
                continue
            status, body = self._answer(line["body"])
            row["response"] = {"status_code": status, "request_id": "r", "body": body}
            (out if status == 200 else bad).append(_line(row))
            if plan.repeat and status == 200:
                body["choices"][0]["message"]["content"] = "something else"
                out.append(_line(row))
        if plan.seed is not None:
            random.Random(plan.seed).shuffle(out)
            random.Random(plan.seed).shuffle(bad)
        for kind, found in (("output", out), ("error", bad)):
            if found:
                batch[f"_{kind}"] = name = self._store(kind, b"".join(line + b"\n" for line in found))
                self._cuts[name] = plan.cut

    def _look(self, name: str) -> dict[str, Any]:
        batch, plan = self.batches[name], self._of[name]
        seen = self._looks[name] = self._looks.get(name, 0) + 1
        if seen <= plan.looks or (plan.hold and not plan.hold.is_set()):
            batch["status"] = "in_progress"
            batch["request_counts"]["completed"] = 1
        else:
            batch["status"] = plan.status
            batch["output_file_id"], batch["error_file_id"] = batch.get("_output"), batch.get("_error")
            batch["errors"] = {
                "object": "list",
                "data": [{"code": code, "message": said, "line": None} for code, said in plan.errors],
            }
        return batch

    def _is_gone(self, name: str) -> bool:
        after = self._of[name].gone_after
        return after is not None and self._looks.get(name, 0) >= after


def _line(row: Mapping[str, Any]) -> bytes:
    return json.dumps(row).encode()


def _reply(handler: BaseHTTPRequestHandler, status: int, said: Any) -> None:
    _send(handler, status, json.dumps(said).encode(), False)


def _send(handler: BaseHTTPRequestHandler, status: int, content: bytes, cut: bool) -> None:
    head = f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
    handler.wfile.write(head.encode() + (content[: len(content) // 2] if cut else content))
    handler.close_connection = handler.close_connection or cut
