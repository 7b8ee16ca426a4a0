"""What a call costs: a table of prices, and how much a question can cost at most before it is asked.

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
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mrharm.errors import InputError
from mrharm.llm.requests import Request

NANO = 10**9
_MOST_TOKENS = 10**9  # of a call; a server that counts more cannot count
_PER_MESSAGE = 16  # tokens of role and delimiters; chat templates take 3 to 8
_DATED = re.compile(r"-(\d{4}-\d\d-\d\d|\d{4})$")


class Price(BaseModel):
    """A model's price in USD per million tokens, and the most tokens a picture can count for."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    input: Decimal = Field(ge=0)
    output: Decimal = Field(ge=0)
    picture: int = Field(default=4000, ge=0)

    def nano_usd(self, prompt_tokens: int, completion_tokens: int) -> int:
        """The cost in billionths of a dollar, rounded up."""
        cost = (self.input * prompt_tokens + self.output * completion_tokens) * NANO / 1_000_000
        return int(cost.to_integral_value(ROUND_CEILING))

    @property
    def half(self) -> Price:
        """The price in a batch, as OpenAI and those after it sell it."""
        return self.model_copy(update={"input": self.input / 2, "output": self.output / 2})


@dataclass(frozen=True)
class Tokens:
    """A question's tokens: what its prompt likely counts and can count at most, and the longest answer it allows."""

    likely_prompt: int
    most_prompt: int
    most_completion: int | None


def load_prices(file: Path | None = None) -> dict[str, Price]:
    """Model -> price: the table in the package, overridden by ``file`` or what MRHARM_PRICES names.

    Raises:
        InputError: the file is missing, or a row is no price.
    """
    prices = _read(files("mrharm.llm").joinpath("prices.yaml").read_text(encoding="utf-8"), "prices.yaml")
    named = file or (Path(os.environ["MRHARM_PRICES"]) if os.environ.get("MRHARM_PRICES") else None)
    if named:
        try:
            prices |= _read(named.read_text(encoding="utf-8"), str(named))
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"{named}: cannot be read ({error}); expected a table of prices") from None
    return prices


def find_price(prices: Mapping[str, Price], model: str) -> Price | None:
    """A model's price; a dated version (``-2026-05-01``, ``-0125``) costs what its name without the date costs."""
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
    """Tokens of a question before it is asked.

    A byte-level tokenizer, which hosted models have, makes at most one token of a byte; in English it makes about one
    of four characters.
    """
    sent = {name: request.settings[name] for name in ("response_format", "tools") if name in request.settings}
    text = json.dumps([request.kept["messages"], sent], ensure_ascii=False)
    pictures = (price or Price(input=Decimal(0), output=Decimal(0))).picture * count_pictures(request)
    framing = _PER_MESSAGE * (len(request.messages) + 1)
    longest = request.settings.get("max_completion_tokens", request.settings.get("max_tokens"))
    return Tokens(
        likely_prompt=len(text) // 4 + pictures,
        most_prompt=len(text.encode("utf-8")) + framing + pictures,
        most_completion=longest if isinstance(longest, int) else None,
    )


def count_pictures(request: Request) -> int:
    """How many content parts of the messages are pictures."""
    contents = [message["content"] for message in request.kept["messages"]]
    parts = [part for content in contents if isinstance(content, list) for part in content]
    return sum(
        "picture" in part or part.get("type") == "image_url" for part in parts if isinstance(part, dict)
    )


def worst_case(request: Request, prices: Mapping[str, Price]) -> int:
    """The most a question can cost, in billionths of a dollar; the server keeps to ``max_tokens``.

    Raises:
        InputError: no price for the model, or no bound on the answer.
    """
    price = require_price(prices, request.model)
    tokens = count_tokens(request, price)
    if tokens.most_completion is None:
        raise InputError(f"a budget needs a bound on the answer; set max_tokens for {request.model}")
    return price.nano_usd(tokens.most_prompt, tokens.most_completion)


def cost_of(usage: Mapping[str, Any] | None, price: Price | None) -> int | None:
    """What a call cost by the server's own count; None without a price or a count.

    Discounts for cached prompts are not taken off: at worst the sum is too high.
    """
    if usage is None or price is None:
        return None
    counts = [usage.get(name) for name in ("prompt_tokens", "completion_tokens")]
    if not all(isinstance(count, int) and 0 <= count < _MOST_TOKENS for count in counts):
        return None
    prompt, completion = (int(count or 0) for count in counts)
    return price.nano_usd(prompt, completion)


def _read(text: str, name: str) -> dict[str, Price]:
    try:
        rows = yaml.safe_load(text)  # JSON is YAML
        if not isinstance(rows, dict):
            raise InputError(f"{name}: expected `MODEL: {{input: USD, output: USD}}` rows")
        # By way of text, so that 0.15 is exactly that.
        plain = {str(model): _texts(row) for model, row in rows.items()}
        return {model: Price.model_validate(row) for model, row in plain.items()}
    except yaml.YAMLError as error:
        raise InputError(f"{name}: neither YAML nor JSON ({error})") from None
    except ValidationError as error:
        first = error.errors()[0]
        raise InputError(
            f"{name}: {first['msg']} at {first['loc']}; got {str(first['input'])[:80]}"
        ) from None


def _texts(row: Any) -> Any:
    if not isinstance(row, dict):
        return row
    return {key: str(value) if isinstance(value, float) else value for key, value in row.items()}
