"""Many processes at one ledger, and processes killed at any moment."""

from __future__ import annotations

import random
import time
from collections import Counter

import pytest

from mrharm.llm import Ledger
from tests.llm.conftest import question
from tests.llm.zygote import Zygote
from tests.stub_server import Reply, StubServer


def test_eight_processes_at_the_same_questions_pay_each_once(zygote: Zygote) -> None:
    texts = [f"question {number}" for number in range(40)]
    with StubServer(lambda text: Reply(f"answer to {text}")) as server:
        for seed in range(8):
            random.Random(seed).shuffle(texts)
            zygote.start(server.url, texts)
        ends = zygote.wait()
    assert [end["answered"] for end in ends] == [40] * 8
    assert server.paid == dict.fromkeys(texts, 1)
    assert len([row for row in Ledger().rows() if row.status == "answered"]) == 40


def kill_often(zygote: Zygote, kills: int, questions: int) -> None:
    """Kill a client again and again, and check what was promised after each kill and at the end."""
    rng = random.Random(0)
    texts = {question(f"question {number}").key: f"question {number}" for number in range(questions)}
    ledger, in_flight, committed = Ledger(), Counter[str](), dict[str, object]()
    with StubServer(lambda text: Reply(f"answer to {text}")) as server:
        for _ in range(kills):
            more = server.calls.total() + rng.randrange(2 * questions // kills + 2)
            pid = zygote.start(server.url, list(texts.values()))
            server.wait_for_calls(more, lambda pid=pid: pid in zygote.ended)  # type: ignore[misc]
            time.sleep(rng.choice([0, 0, 0.001, 0.004]))
            zygote.kill(pid)
            rows = {row.key: row for row in ledger.rows()}
            for key, row in committed.items():
                assert rows[key] == row  # whole, and never asked again
            committed = {key: row for key, row in rows.items() if row.status == "answered"}
            in_flight.update(texts[key] for key, row in rows.items() if row.status == "claimed")
        zygote.start(server.url, list(texts.values()))
        ended = zygote.wait()[-1]
    assert ended["answered"] == questions
    assert {row.key for row in ledger.rows() if row.status == "answered"} == set(texts)
    assert all(f"answer to {texts[row.key]}" in str(row.raw) for row in ledger.rows())
    assert in_flight  # kills did meet questions in flight
    # A question is paid again only for a kill that met it in flight.
    assert all(1 <= server.paid[text] <= 1 + in_flight[text] for text in texts.values())
    assert server.paid.total() <= questions + in_flight.total()


def test_kills_at_any_moment_lose_no_answer_and_repay_only_what_was_in_flight(zygote: Zygote) -> None:
    kill_often(zygote, kills=20, questions=100)


@pytest.mark.slow
def test_three_hundred_kills_lose_no_answer_and_repay_only_what_was_in_flight(zygote: Zygote) -> None:
    kill_often(zygote, kills=300, questions=1200)
