"""Questions in batches: a server of plans, asking, and what came of it in words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mrharm.llm import CallError, Completion, HostedClient
from mrharm.llm.batch_rows import WINDOW
from mrharm.llm.client import Tally
from mrharm.llm.pricing import NANO, load_prices, worst_case
from tests.llm.conftest import COST, MODEL, question
from tests.llm.test_ledger import sql
from tests.stub_batches import Plan
from tests.stub_server import Reply, StubServer

NAMES = [f"question {number}" for number in range(6)]
HALF = COST / 2
Result = Completion | CallError


def echo(text: str) -> Reply:
    return Reply(f"answer to {text}")


def serve(*plans: Plan, script: Any = echo) -> StubServer:
    return StubServer(script, batches=plans or [Plan()])


def ask(asking: HostedClient, *texts: str, **options: Any) -> dict[str, Result]:
    """Text -> what became of it in a batch."""
    return {
        texts[index]: result for index, result in asking.complete_batch([*map(question, texts)], **options)
    }


def words(results: dict[str, Result]) -> dict[str, str]:
    """An answer's text, or the kind of its failure."""
    return {
        text: result.kind if isinstance(result, CallError) else result.text
        for text, result in results.items()
    }


def answers(*texts: str) -> dict[str, str]:
    return {text: f"answer to {text}" for text in texts}


def batches(path: Path) -> list[dict[str, Any]]:
    """The ledger's batches in the order they were made, each with how it ended."""
    rows = sql(path, "SELECT state, id, questions, outcome, token FROM batches ORDER BY made")
    names = ("state", "id", "questions", "outcome", "token")
    made = [dict(zip(names, row, strict=True)) for row in rows]
    return [{**row, **json.loads(str(row["outcome"] or "{}"))} for row in made]


def leave(asking: HostedClient, *texts: str) -> None:
    """Send a batch, and go away once it is under way."""

    def stop(tally: Tally) -> None:
        if tally.waiting:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ask(asking, *texts, progress=stop)


def half_worst(text: str) -> float:
    prices = {MODEL: load_prices()[MODEL].half}
    return worst_case(question(text), prices) / NANO


def overdue(path: Path) -> None:
    """Let the window of every batch have ended."""
    sql(path, "UPDATE batches SET made = made - ?, sent = sent - ?", 2 * WINDOW, 2 * WINDOW)
    sql(path, "UPDATE calls SET lease = lease - ?", 2 * WINDOW)
