"""Money: what a call may cost is reserved before it is asked, and a budget is never passed."""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from mrharm.errors import InputError
from mrharm.llm import CallError, Request
from mrharm.llm.pricing import bound_cost, count_cost, find_price, load_prices
from mrharm.llm.requests import NANO
from tests.llm.conftest import COST, MODEL, ask, ask_many, client, question, words, worst
from tests.stub_server import Reply, StubServer, rate_limited

STORM = [
    Reply(),
    Reply(usage=None),
    rate_limited(),
    Reply(status=500),
    Reply(status=504),
    Reply(cut=True),
    Reply(body=b"not JSON"),
    Reply(text=None, finish="content_filter"),
]


@pytest.mark.parametrize("seed", range(3))
def test_a_budget_is_not_passed_in_a_storm_of_retries(seed: int) -> None:
    rng, lock = random.Random(seed), threading.Lock()

    def script(text: str) -> Reply:
        with lock:
            return rng.choice(STORM)

    budget, texts = 0.035, [f"{number:03}" for number in range(120)]
    assert 120 * COST < budget < 120 * worst("000")
    with StubServer(script) as server, client(server.url, budget=budget) as asking:
        results = ask_many(asking, *texts, concurrency=32)
        spent = asking.spent
    # What the provider took: every answer it sent, whole or not, at most at its worst.
    assert server.paid.total() * COST <= spent <= budget
    assert len(results) == 120
    kinds = Counter(words(results).values())
    assert kinds["over_budget"] and kinds["a cat on a mat"]


def test_a_call_that_was_not_paid_costs_nothing() -> None:
    replies = [Reply(status=500)] * 3 + [Reply(status=400), Reply()]
    with StubServer(replies) as server, client(server.url, budget=1.5 * worst("0"), attempts=3) as asking:
        for _ in range(2):
            with pytest.raises(CallError):
                ask(asking, question("0"))
        assert asking.spent == 0
        assert ask(asking, question("0")).usd == asking.spent == pytest.approx(COST)


def test_an_answer_lost_on_its_way_counts_as_spent_at_its_worst() -> None:
    with StubServer([Reply(cut=True)]) as server, client(server.url, budget=2.5 * worst("0")) as asking:
        with pytest.raises(CallError, match="run again with a larger budget") as caught:
            ask(asking, question("0"))
        assert (caught.value.kind, server.paid.total()) == ("over_budget", 2)
        assert asking.spent == pytest.approx(2 * worst("0"))


def test_an_answer_without_a_count_costs_what_was_reserved() -> None:
    counts = [None, {"prompt_tokens": 10**30, "completion_tokens": -1}]
    with StubServer([Reply(usage=count) for count in counts]) as server, client(server.url) as asking:
        assert [ask(asking, question(text)).usd for text in "01"] == [pytest.approx(worst("0"))] * 2
        assert asking.spent == pytest.approx(2 * worst("0"))


def test_what_calls_in_flight_give_back_is_used_by_others() -> None:
    questions = [question(text, max_tokens=500) for text in "0123456789"]
    most = bound_cost(questions[0], load_prices(), required=True) / NANO
    budget = 10 * COST + most
    assert budget < 2 * most  # room for one at a time, and for ten one after another
    with StubServer() as server, client(server.url, budget=budget) as asking:
        results = [result for _, result in asking.complete_many(questions, concurrency=8)]
    assert not [result for result in results if isinstance(result, CallError)]


def test_what_does_not_fit_is_not_asked_and_what_is_answered_is_free() -> None:
    with StubServer() as server:
        with client(server.url) as asking:
            ask(asking, question("0"))
        with client(server.url, budget=0) as asking:
            assert ask(asking, question("0")).cached
            with pytest.raises(CallError, match="run again with a larger budget") as caught:
                ask(asking, question("1"))
    assert (caught.value.kind, server.calls.total()) == ("over_budget", 1)


@pytest.mark.parametrize(
    ("make", "mend"),
    [
        (
            lambda: Request(question("what?").messages, "unheard-of", {"max_tokens": 5}),
            "write it into a file",
        ),
        (lambda: question("what?", max_tokens=None), "set max_tokens"),
    ],
)
def test_a_budget_wants_a_price_and_a_bound_on_the_answer(make: Callable[[], Request], mend: str) -> None:
    with StubServer() as server:
        with client(server.url, budget=1) as asking, pytest.raises(InputError, match=mend):
            ask(asking, make())
        assert server.calls.total() == 0
        with client(server.url) as asking:
            assert ask(asking, make()).text


def test_a_check_says_before_any_call_what_would_keep_a_model_from_answering(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with StubServer() as server:
        with client(server.url, budget=1) as asking:
            asking.check(MODEL)
            with pytest.raises(InputError, match="needs the price of unheard-of"):
                asking.check("unheard-of")
        with client(server.url) as asking:
            asking.check("unheard-of")
    monkeypatch.delenv("OPENAI_API_KEY")
    with client(None) as asking, pytest.raises(InputError, match="set OPENAI_API_KEY"):
        asking.check(MODEL)
    assert server.hits == 0


def test_an_estimate_asks_nothing_and_bounds_what_asking_will_cost() -> None:
    questions = [question(text) for text in ("a", "b", "c", "c")]
    with StubServer() as server, client(server.url) as asking:
        ask(asking, question("a"))
        before = asking.spent
        estimate = asking.estimate(questions)
        assert (estimate.questions, estimate.cached, estimate.calls) == (3, 1, 2)
        assert estimate.completion_tokens == 100
        assert server.calls.total() == 1
        list(asking.complete_many(questions))
        assert estimate.usd_at_most is not None and estimate.usd_likely is not None
        assert asking.spent - before <= estimate.usd_at_most
        assert 0 < estimate.usd_likely <= estimate.usd_at_most
        assert asking.estimate([Request([], "unheard-of")]).usd_at_most is None


def test_prices_are_exact_and_a_dated_model_costs_what_its_name_does(tmp_path: Path) -> None:
    prices = load_prices()
    mini = find_price(prices, "gpt-4o-mini-2024-07-18")
    assert mini and mini is prices["gpt-4o-mini"]
    assert mini.nano_usd(1, 0) == 150 and mini.nano_usd(1_000_000, 1_000_000) == 750_000_000
    assert find_price(prices, "gpt-4o-minimal") is None
    assert count_cost({"prompt_tokens": 50, "completion_tokens": 20}, prices[MODEL]) == 250_000
    file = tmp_path / "mine.json"
    file.write_text('{"gpt-4o-mini": {"input": 0, "output": 0}}', encoding="utf-8")
    assert load_prices(file)["gpt-4o-mini"].nano_usd(1000, 1000) == 0


@pytest.mark.parametrize(
    "text", ["[", "[]", "m: {input: 1}", "m: {input: -1, output: 1}", "m: 7", "m: {in: 1}"]
)
def test_a_table_that_holds_no_prices_is_refused_by_its_name(tmp_path: Path, text: str) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=r"mine\.yaml"):
        load_prices(file)
    with pytest.raises(InputError, match="cannot be read"):
        load_prices(tmp_path / "none.yaml")


def test_a_budget_below_nothing_is_refused() -> None:
    for budget in (-1.0, float("nan")):
        with pytest.raises(InputError, match="expected 0 or more"):
            client("http://127.0.0.1:1/v1", budget=budget)
