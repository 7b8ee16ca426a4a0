"""Can this data be trusted? One look at a dataset folder, before anyone trains on it."""

from __future__ import annotations

import inspect
import sys
from types import ModuleType
from typing import Any


class _AuditPackage(ModuleType):
    """Makes the package callable: Python binds ``mrharm.audit`` to it once it is imported, over the public function."""

    def __call__(self, *args: Any, **options: Any) -> Any:
        """Audit a dataset folder, see `mrharm.audit.run.audit`."""
        from mrharm.audit.run import audit

        return audit(*args, **options)

    @property
    def __signature__(self) -> inspect.Signature:
        from mrharm.audit.run import audit

        return inspect.signature(audit)


sys.modules[__name__].__class__ = _AuditPackage
