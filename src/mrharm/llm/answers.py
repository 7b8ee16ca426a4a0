"""JSON answers of language models: a pydantic model is the schema sent with a question and the check of its answer."""

from __future__ import annotations

import re
from typing import Any, TypeVar

from pydantic import ValidationError

from mrharm.errors import DataError
from mrharm.records import Record, parse_json

A = TypeVar("A", bound=Record)

_FENCE = re.compile(r"^```(?:json)?\s*|\s*```$", re.IGNORECASE)
_ABOUT_KEYS = ("missing", "extra_forbidden", "model_type")


def answer_schema(model: type[Record]) -> dict[str, Any]:
    """Return a model's JSON schema in the form that endpoints take as ``response_format``.

    The schema is part of a question's content key, so titles and docstrings, which may be reworded, are left out, and
    nested models are written in place.
    """
    schema = model.model_json_schema()
    definitions = schema.pop("$defs", {})

    def simplify(value: Any) -> Any:
        if isinstance(value, list):
            return [simplify(item) for item in value]
        if not isinstance(value, dict):
            return value
        if "$ref" in value:
            return simplify(definitions[value["$ref"].rpartition("/")[2]])
        return {
            key: simplify(item)
            for key, item in value.items()
            if key not in ("title", "description") or isinstance(item, dict)
        }

    simplified: dict[str, Any] = simplify(schema)
    return simplified


def read_json_answer(text: str, model: type[A]) -> A:
    """Parse the one JSON object of a model's answer, inside a Markdown fence or not.

    Raises:
        DataError: not JSON, other keys, or a value of another kind. The message is a clause that begins with "it is",
            "it has" or the key's name, and can be sent back to the language model.
    """
    expected = f"one JSON object with exactly the keys {', '.join(model.model_fields)} was asked for."
    try:
        value = parse_json(_FENCE.sub("", text.strip()))
    except ValueError:
        raise DataError(f"it is not JSON, where {expected}") from None
    try:
        return model.model_validate(value)
    except ValidationError as error:
        first = error.errors()[0]
    if first["type"] in _ABOUT_KEYS and len(first["loc"]) < 2:
        raise DataError(f"it has other keys, where {expected}")
    name = ".".join(map(str, first["loc"]))
    what = "a text" if first["type"] == "string_type" else f"as expected: {first['msg']}"
    raise DataError(f'"{name}" is not {what}.')
