"""Can this data be trusted? One look at a dataset folder, before anyone trains on it."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from mrharm.progress import Progress, no_progress

if TYPE_CHECKING:
    from mrharm.audit.run import Audit
    from mrharm.memes.dataset import Dataset
    from mrharm.recipe import Recipe


class _AuditPackage(ModuleType):
    """Makes the package callable: Python binds ``mrharm.audit`` to it once it is imported, over the public function."""

    def __call__(
        self,
        dataset: Dataset | Path | str,
        recipe: Recipe,
        *,
        workers: int = 2,
        progress: Progress = no_progress,
    ) -> Audit:
        """Audit a dataset folder, see `mrharm.audit.run.audit`."""
        from mrharm.audit.run import audit

        return audit(dataset, recipe, workers=workers, progress=progress)


sys.modules[__name__].__class__ = _AuditPackage
