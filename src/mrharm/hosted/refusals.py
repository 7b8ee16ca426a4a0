"""Telling a model's refusal from its answer."""

from __future__ import annotations

import re

# A refusal opens an answer; the same words further in may be quoted or told.
_REFUSAL = re.compile(
    r"""[\s"'`\u201c]*(?:i'?m (?:\w+ )?sorry\b|i am (?:\w+ )?sorry\b|sorry, |i apologi[sz]e\b"""
    r"|as an? (?:ai|artificial intelligence)\b|as a (?:large )?language model\b|unfortunately, i\b"
    r"|we (?:cannot|can't|are unable to) (?:comply|assist|help|fulfil)"
    r"|i(?:'m| am) (?:unable|not able)\b|i (?:cannot|can ?not|can't|won't|will not) )",
    re.IGNORECASE,
)


def looks_refused(text: str) -> bool:
    """Whether an answer opens as a refusal does ("I'm sorry, but ...", "As an AI ...")."""
    return _REFUSAL.match(text.replace("\u2019", "'")) is not None
