"""Prices of models, and the most a question can cost before it is asked.

Money is counted in whole billionths of a dollar, rounded up, so that sums are exact.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, StrictInt, TypeAdapter, ValidationError

from mrharm.errors import InputError
from mrharm.llm.requests import NANO, Request

_PER_MESSAGE = 16  # tokens of role and delimiters; chat templates take 3 to 8
_DATED = re.compile(r"-(\d{4}-\d\d-\d\d|\d{4})$")


class Price(BaseModel):
    """A model's price in USD per million tokens, and the most tokens a picture can count for."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    input: Decimal = Field(ge=0)
    output: Decimal = Field(ge=0)
    picture: int = Field(default=4000, ge=0)

    def nano_usd(self, prompt_tokens: int, completion_tokens: int) -> int:
        """Return the cost of a call in billionths of a dollar, rounded up."""
        cost = (self.input * prompt_tokens + self.output * completion_tokens) * NANO / 1_000_000
        return int(cost.to_integral_value(ROUND_CEILING))

    @property
    def half(self) -> Price:
        """Return the price in a batch: half, as OpenAI and compatible services sell it."""
        return self.model_copy(update={"input": self.input / 2, "output": self.output / 2})


@dataclass(frozen=True)
class Tokens:
    """A question's tokens before it is asked."""

    likely_prompt: int  # of the prompt, as English counts
    most_prompt: int  # of the prompt, at most
    most_completion: int | None  # of the longest answer allowed; None without a bound


class _Usage(BaseModel):
    prompt_tokens: StrictInt = Field(ge=0, lt=10**9)  # a higher count is not believed
    completion_tokens: StrictInt = Field(ge=0, lt=10**9)


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


def find_price(prices: Mapping[str, Price], model: str) -> Price | None:
    """Return a model's price; a dated version (``-2026-05-01``, ``-0125``) costs what the undated name costs."""
    return prices.get(model) or prices.get(_DATED.sub("", model))


def require_price(prices: Mapping[str, Price], model: str) -> Price:
    """Return a model's price.

    Raises:
        InputError: the table has none, so that no budget can be kept.
    """
    price = find_price(prices, model)
    if price is None:
        raise InputError(
            f"a budget needs the price of {model}; write it into a file, `{model}: "
            "{input: USD, output: USD}` per million tokens, and name that in --prices or MRHARM_PRICES"
        )
    return price


def count_tokens(request: Request, price: Price | None) -> Tokens:
    """Count a question's tokens before it is asked.

    A byte-level tokenizer, which hosted models have, makes at most one token of a byte; in English it makes about one
    of four characters.
    """
    sent = {name: request.settings[name] for name in ("response_format", "tools") if name in request.settings}
    text = json.dumps([request.record["messages"], sent], ensure_ascii=False)
    pictures = (price or Price(input=Decimal(0), output=Decimal(0))).picture * _count_pictures(request)
    framing = _PER_MESSAGE * (len(request.messages) + 1)
    longest = request.settings.get("max_completion_tokens", request.settings.get("max_tokens"))
    return Tokens(
        likely_prompt=len(text) // 4 + pictures,
        most_prompt=len(text.encode("utf-8")) + framing + pictures,
        most_completion=longest if isinstance(longest, int) else None,
    )


def bound_cost(request: Request, prices: Mapping[str, Price], *, required: bool) -> int:
    """Return the most a question can cost in billionths of a dollar, if the server keeps to ``max_tokens``.

    Raises:
        InputError: it is ``required`` (else 0), and the model has no price or the answer no bound.
    """
    if not required and find_price(prices, request.model) is None:
        return 0
    price = require_price(prices, request.model)
    tokens = count_tokens(request, price)
    if tokens.most_completion is None and required:
        raise InputError(f"a budget needs a bound on the answer; set max_tokens for {request.model}")
    return price.nano_usd(tokens.most_prompt, tokens.most_completion) if tokens.most_completion else 0


def count_cost(usage: Mapping[str, Any] | None, price: Price | None) -> int | None:
    """Return what a call cost in billionths of a dollar by the server's count; None without a price or a count.

    Discounts for cached prompts are not taken off: at worst the sum is too high.
    """
    try:
        count = _Usage.model_validate(usage)
    except ValidationError:
        return None
    return price.nano_usd(count.prompt_tokens, count.completion_tokens) if price else None


def _count_pictures(request: Request) -> int:
    contents = [message["content"] for message in request.record["messages"]]
    lists = [content for content in contents if isinstance(content, list)]
    parts = [part for parts in lists for part in parts]
    return sum(
        "picture" in part or part.get("type") == "image_url" for part in parts if isinstance(part, dict)
    )


def _parse_prices(text: str, name: str) -> dict[str, Price]:
    try:
        return TypeAdapter(dict[str, Price]).validate_python(yaml.safe_load(text))  # JSON is YAML
    except yaml.YAMLError as error:
        raise InputError(f"{name}: neither YAML nor JSON ({error})") from None
    except ValidationError as error:
        first = error.errors()[0]
        raise InputError(
            f"{name}: {first['msg']} at {first['loc']}; expected `MODEL: {{input: USD, output: USD}}` rows, "
            f"got {str(first['input'])[:80]}"
        ) from None
