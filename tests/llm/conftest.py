"""A key that must show up nowhere, a ledger of its own for every test, questions, and prices of a made-up model."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mrharm.llm import HostedClient, Request
from tests.llm.zygote import Zygote

KEY = "sk-not-a-real-key-0123456789abcdef"
MODEL = "stub-model"
# With the stub's usage (50 + 20 tokens) a call costs 50 * 1 + 20 * 10 = 250 millionths of a dollar.
PRICES = f"{MODEL}: {{input: 1.00, output: 10.00, picture: 50}}\n"
COST = 250e-6


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


def client(url: str, **options: Any) -> HostedClient:
    """A client that waits for nothing before it tries again."""
    return HostedClient(base_url=url, **{"pause": lambda seconds: None, **options})


@pytest.fixture
def zygote(surroundings: None) -> Iterator[Zygote]:
    """Starts client processes that share this test's ledger, key and prices."""
    zygote = Zygote()
    yield zygote
    zygote.close()
