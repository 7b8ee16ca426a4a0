"""Prices of models, the most a question can cost before it is asked, and the budget.

Money is counted in whole billionths of a dollar, rounded up, so that sums are exact.
"""

from __future__ import annotations

import json
import os
import re
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal
from importlib.resources import files
from itertools import chain
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from mrharm.errors import InputError
from mrharm.llm.requests import NANO, CallError, Request

_PER_PICTURE = 4000  # tokens, where a price says nothing else
_PER_MESSAGE = 16  # tokens of role and delimiters; chat templates take 3 to 8
_MOST_TOKENS = 10**9  # of a call; a higher count is not believed
_DATED = re.compile(r"-(\d{4}-\d\d-\d\d|\d{4})$")


class Price(BaseModel):
    """A model's price in USD per million tokens, and the most tokens a picture can count for."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    input: Decimal = Field(ge=0)
    output: Decimal = Field(ge=0)
    picture: int = Field(default=_PER_PICTURE, ge=0)

    def nano_usd(self, prompt_tokens: int, completion_tokens: int) -> int:
        """Return the cost of a call in billionths of a dollar, rounded up."""
        cost = (self.input * prompt_tokens + self.output * completion_tokens) * NANO / 1_000_000
        return int(cost.to_integral_value(ROUND_CEILING))


@dataclass(frozen=True)
class Tokens:
    """A question's tokens before it is asked."""

    likely_prompt: int  # of the prompt, as English counts
    most_prompt: int  # of the prompt, at most
    most_completion: int | None  # of the longest answer allowed; None without a bound


class Budget:
    """What a client may spend, has spent, and has reserved for calls in flight, in billionths of a dollar.

    Raises:
        InputError: a limit in USD below 0.
    """

    def __init__(self, usd: float | None) -> None:
        if usd is not None and not usd >= 0:
            raise InputError(f"a budget of {usd} USD; expected 0 or more")
        self.limit = None if usd is None else round(usd * NANO)
        self.spent = 0
        self._reserved = 0
        self._changed = threading.Condition()

    def reserve(self, cost: int, stop: threading.Event | None = None, deadline: float = 0.0) -> None:
        """Reserve the most a call can cost.

        With ``stop``, waits until ``deadline`` (of time.monotonic) for what calls in flight give back.

        Raises:
            CallError: it does not fit, or ``stop`` is set.
        """
        with self._changed:
            while True:
                if stop and stop.is_set():
                    raise CallError("stopped before it was answered", "stopped")
                if self.limit is None or self.spent + self._reserved + cost <= self.limit:
                    break
                if self.spent + cost > self.limit or stop is None or time.monotonic() > deadline:
                    raise CallError(
                        f"it may cost {cost / NANO:.6f} USD; of the budget of {self.limit / NANO:.6f} USD, "
                        f"{self.spent / NANO:.6f} are spent and {self._reserved / NANO:.6f} reserved; run again "
                        "with a larger budget",
                        "over_budget",
                    )
                self._changed.wait(0.05)
            self._reserved += cost

    def settle(self, reserved: int, spent: int) -> None:
        """Give back what was reserved for a call, and count what it cost."""
        with self._changed:
            self._reserved -= reserved
            self.spent += spent
            self._changed.notify_all()


def load_prices(file: Path | None = None) -> dict[str, Price]:
    """Load model -> price: the package's table, overridden by ``file`` or by the file in MRHARM_PRICES.

    Raises:
        InputError: the file cannot be read, or a row is not a price.
    """
    table = files("mrharm.llm").joinpath("prices.yaml").read_text(encoding="utf-8")
    prices = _parse_prices(table, "prices.yaml")
    override = file or os.environ.get("MRHARM_PRICES")
    if override:
        try:
            prices |= _parse_prices(Path(override).read_text(encoding="utf-8"), str(override))
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"{override}: cannot be read ({error}); expected a table of prices") from None
    return prices


def find_price(
    prices: Mapping[str, Price], model: str, *, batch: bool = False, required: bool = False
) -> Price | None:
    """Return a model's price, or in a ``batch`` half of it, as OpenAI and compatible services sell it.

    A dated version (``-2026-05-01``, ``-0125``) costs what the undated name costs.

    Raises:
        InputError: it is ``required``, and the table has none.
    """
    price = prices.get(model) or prices.get(_DATED.sub("", model))
    if price is None and required:
        raise InputError(
            f"a budget needs the price of {model}; write it into a file, `{model}: "
            "{input: USD, output: USD}` per million tokens, and name that in --prices or MRHARM_PRICES"
        )
    if price and batch:
        return price.model_copy(update={"input": price.input / 2, "output": price.output / 2})
    return price


def count_tokens(request: Request, price: Price | None) -> Tokens:
    """Count a question's tokens before it is asked.

    A byte-level tokenizer, which hosted models have, makes at most one token of a byte; in English it makes about one
    of four characters.
    """
    messages = request.record["messages"]
    sent = {name: request.settings[name] for name in ("response_format", "tools") if name in request.settings}
    text = json.dumps([messages, sent], ensure_ascii=False)
    lists = [message["content"] for message in messages if isinstance(message["content"], list)]
    parts = [part for part in chain.from_iterable(lists) if isinstance(part, dict)]
    count = sum("picture" in part or part.get("type") == "image_url" for part in parts)
    pictures = count * (price.picture if price else _PER_PICTURE)
    longest = request.settings.get("max_completion_tokens", request.settings.get("max_tokens"))
    return Tokens(
        likely_prompt=len(text) // 4 + pictures,
        most_prompt=len(text.encode("utf-8")) + _PER_MESSAGE * (len(messages) + 1) + pictures,
        most_completion=longest if isinstance(longest, int) else None,
    )


def bound_cost(
    request: Request, prices: Mapping[str, Price], *, batch: bool = False, required: bool = False
) -> int:
    """Return the most a question can cost in billionths of a dollar, if the server keeps to ``max_tokens``.

    Raises:
        InputError: it is ``required`` (else 0), and the model has no price or the answer no bound.
    """
    price = find_price(prices, request.model, batch=batch, required=required)
    tokens = count_tokens(request, price)
    if tokens.most_completion is None and required:
        raise InputError(f"a budget needs a bound on the answer; set max_tokens for {request.model}")
    return (
        price.nano_usd(tokens.most_prompt, tokens.most_completion) if price and tokens.most_completion else 0
    )


def count_cost(usage: Mapping[str, Any] | None, price: Price | None) -> int | None:
    """Return what a call cost in billionths of a dollar by the server's count; None without a price or a count.

    Discounts for cached prompts are not taken off: at worst the sum is too high.
    """
    counts: list[Any] = [(usage or {}).get(name) for name in ("prompt_tokens", "completion_tokens")]
    if price is None or not all(type(count) is int and 0 <= count < _MOST_TOKENS for count in counts):
        return None
    return price.nano_usd(*counts)


def _parse_prices(text: str, name: str) -> dict[str, Price]:
    try:
        return TypeAdapter(dict[str, Price]).validate_python(yaml.safe_load(text))  # JSON is YAML
    except (yaml.YAMLError, ValidationError) as error:
        what = str(error.errors()[0]["msg"] if isinstance(error, ValidationError) else error)
        raise InputError(f"{name}: expected `MODEL: {{input: USD, output: USD}}` rows; {what}") from None
