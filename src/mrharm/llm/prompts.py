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
    """A prompt template."""

    name: str  # ``name.vN``
    sha256: str  # hash of its file
    messages: tuple[tuple[str, str], ...]  # role and template of each message

    @property
    def version(self) -> str:
        """Return the name and enough of the hash to tell an edited file."""
        return f"{self.name}@{self.sha256[:12]}"

    def render(self, **values: Any) -> list[Mapping[str, Any]]:
        """Return the chat messages with ``values`` filled in.

        Raises:
            jinja2.UndefinedError: a value is missing.
        """
        return [
            {"role": role, "content": Template(text, undefined=StrictUndefined).render(values)}
            for role, text in self.messages
        ]


def load_prompt(package: str, name: str) -> Prompt:
    """Load the prompt ``name.vN`` from the ``*.jinja`` files of a package's ``prompts`` folder.

    Raises:
        InputError: no such prompt; the message lists the prompts of the package.
    """
    folder = files(package).joinpath("prompts")
    names = sorted(
        file.name.removesuffix(".jinja") for file in folder.iterdir() if file.name.endswith(".jinja")
    )
    if name not in names:
        raise InputError(f"no prompt called {name!r}; there are: {', '.join(names)}")
    data = folder.joinpath(f"{name}.jinja").read_bytes()
    parts = _ROLE.split(data.decode("utf-8"))[1:]
    messages = tuple((role, text.strip()) for role, text in zip(parts[::2], parts[1::2], strict=True))
    return Prompt(name, hashlib.sha256(data).hexdigest(), messages)
