"""The client of hosted models (captions, teachers, judges), with its budget and its ledger of paid calls."""

from mrharm.llm.client import Estimate, HostedClient
from mrharm.llm.prompts import Prompt, load_prompt
from mrharm.llm.requests import (
    PICTURE_SIDE,
    AuthorizationError,
    CallError,
    Completion,
    LedgerError,
    Picture,
    Request,
    looks_refused,
    picture_from_file,
    picture_from_image,
    settings_for,
)

__all__ = [
    "PICTURE_SIDE",
    "AuthorizationError",
    "CallError",
    "Completion",
    "Estimate",
    "HostedClient",
    "LedgerError",
    "Picture",
    "Prompt",
    "Request",
    "load_prompt",
    "looks_refused",
    "picture_from_file",
    "picture_from_image",
    "settings_for",
]
