"""Name -> implementation tables, resolved lazily: naming an engine costs no import until it is used.

A third party adds a row from its own package with an entry point in the group ``mrharm.<table>``
(for example ``[project.entry-points."mrharm.memes"]``) and touches nothing here.
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

from mrharm.errors import InputError


class Table:
    """A named table of ``name -> "module:object"`` rows; entry points of ``mrharm.<table>`` are added to it."""

    def __init__(self, name: str, rows: dict[str, str]) -> None:
        self.name = name
        self._rows = rows

    def names(self) -> list[str]:
        """Return every row's name: first those of mrharm, then those of third parties."""
        plugins = [point.name for point in entry_points(group=f"mrharm.{self.name}")]
        return [*self._rows, *(name for name in plugins if name not in self._rows)]

    def load(self, name: str) -> Any:
        """Import and return the row's object.

        Raises:
            InputError: no such row; the message lists the rows there are.
        """
        if name in self._rows:
            module, _, attribute = self._rows[name].partition(":")
            return getattr(import_module(module), attribute)
        for point in entry_points(group=f"mrharm.{self.name}"):
            if point.name == name:
                return point.load()
        raise InputError(f"no {self.name} called {name!r}; there are: {', '.join(self.names())}")
