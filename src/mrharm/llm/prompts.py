"""Numbered prompt templates: files ``name.vN.jinja`` in a package, published once and never edited.

A line ``--- system``, ``--- user`` or ``--- assistant`` starts a message. The file is cut at these lines before
anything is filled in, so that no text put into it can start a message of its own.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from jinja2 import StrictUndefined, Template

from mrharm.errors import InputError

_ROLE = re.compile(r"^--- (system|user|assistant)\n", re.MULTILINE)


@dataclass(frozen=True)
class Prompt:
    """A prompt: its ``name.vN``, the hash of its file, and its messages' roles and templates."""

    name: str
    sha256: str
    messages: tuple[tuple[str, str], ...]

    @property
    def version(self) -> str:
        """The name and enough of the hash to tell an edited file."""
        return f"{self.name}@{self.sha256[:12]}"

    def render(self, **values: Any) -> list[Mapping[str, Any]]:
        """The chat messages with ``values`` filled in; a value that is missing is an error of the caller's."""
        return [
            {"role": role, "content": Template(text, undefined=StrictUndefined).render(values)}
            for role, text in self.messages
        ]


def load_prompt(package: str, name: str) -> Prompt:
    """The prompt ``name.vN`` among the ``*.jinja`` files of a package's ``prompts`` folder.

    Raises:
        InputError: no such prompt; the message lists those there are.
    """
    folder = files(package).joinpath("prompts")
    there = sorted(
        file.name.removesuffix(".jinja") for file in folder.iterdir() if file.name.endswith(".jinja")
    )
    if name not in there:
        raise InputError(f"no prompt called {name!r}; there are: {', '.join(there)}")
    data = folder.joinpath(f"{name}.jinja").read_bytes()
    parts = _ROLE.split(data.decode("utf-8"))[1:]
    messages = tuple((role, text.strip()) for role, text in zip(parts[::2], parts[1::2], strict=True))
    return Prompt(name, hashlib.sha256(data).hexdigest(), messages)
