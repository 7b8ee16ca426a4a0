"""A key that must show up nowhere, a ledger of its own for every test, questions, and prices of a made-up model."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mrharm.llm import CallError, Completion, HostedClient, Request
from mrharm.llm.pricing import bound_cost, load_prices
from mrharm.llm.requests import NANO
from tests.stub_batches import Plan
from tests.stub_server import Reply, StubServer

KEY = "sk-not-a-real-key-0123456789abcdef"
MODEL = "stub-model"
# With the stub's usage (50 + 20 tokens) a call costs 50 * 1 + 20 * 10 = 250 millionths of a dollar.
PRICES = f"{MODEL}: {{input: 1.00, output: 10.00, picture: 50}}\n"
COST = 250e-6
HALF = COST / 2  # in a batch
NAMES = [f"question {number}" for number in range(6)]
Result = Completion | CallError


@pytest.fixture(autouse=True)
def surroundings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("MRHARM_LEDGER", str(tmp_path / "ledger.sqlite"))
    prices = tmp_path / "prices.yaml"
    prices.write_text(PRICES, encoding="utf-8")
    monkeypatch.setenv("MRHARM_PRICES", str(prices))


def question(text: str, *, max_tokens: int | None = 50, **more: Any) -> Request:
    settings = {"temperature": 0} | ({"max_tokens": max_tokens} if max_tokens else {})
    return Request([{"role": "user", "content": text}], MODEL, settings, **more)


def client(
    url: str | None,
    *,
    deadline: float = 120.0,
    attempts: int = 6,
    pause: Callable[[float], object] = lambda seconds: None,
    **options: Any,
) -> HostedClient:
    """A client that waits for nothing before it tries again."""
    asking = HostedClient(base_url=url, **options)
    asking.deadline_s, asking.attempts = deadline, attempts
    asking._pause = lambda event, seconds: pause(seconds)
    return asking


def ask(asking: HostedClient, request: Request) -> Completion:
    """The answer to one question, or the failure raised."""
    ((_, result),) = asking.complete_many([request])
    if isinstance(result, CallError):
        raise result
    return result


def echo(text: str) -> Reply:
    return Reply(f"answer to {text}")


def serve(*plans: Plan, script: Any = echo) -> StubServer:
    """A server whose batches go by these plans."""
    return StubServer(script, batches=plans or [Plan()])


def ask_many(asking: HostedClient, *texts: str, **options: Any) -> dict[str, Result]:
    """Text -> what became of it."""
    return {texts[index]: result for index, result in asking.complete_many(map(question, texts), **options)}


def ask_batch(asking: HostedClient, *texts: str) -> dict[str, Result]:
    """Text -> what became of it in a batch."""
    return {texts[index]: result for index, result in asking.complete_batch(map(question, texts))}


def words(results: dict[str, Result]) -> dict[str, str]:
    """An answer's text, or the kind of its failure."""
    return {
        text: result.kind if isinstance(result, CallError) else result.text
        for text, result in results.items()
    }


def answers(*texts: str) -> dict[str, str]:
    return {text: f"answer to {text}" for text in texts}


def worst(text: str, *, batch: bool = False) -> float:
    """The most a question can cost, in USD."""
    return bound_cost(question(text), load_prices(), batch=batch, required=True) / NANO


def sql(path: Path, statement: str, *values: object) -> list[tuple[Any, ...]]:
    db = sqlite3.connect(path)
    try:
        with db:
            return db.execute(statement, values).fetchall()
    finally:
        db.close()
