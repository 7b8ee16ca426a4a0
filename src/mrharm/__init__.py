"""mrharm detects harmful memes, picture and text together, and says why.

The public names are loaded on first use, so that ``import mrharm`` stays instant.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from mrharm._version import __version__

_WHERE = {
    "Detector": "mrharm.verdicts.detector",
    "Dataset": "mrharm.memes.dataset",
    "Evidence": "mrharm.records",
    "Label": "mrharm.records",
    "Meme": "mrharm.records",
    "MrHarmError": "mrharm.errors",
    "Rationale": "mrharm.records",
    "Verdict": "mrharm.records",
    "audit": "mrharm.audit.run",
    "evaluate": "mrharm.reports.evaluation",
    "import_memes": "mrharm.memes.importing",
    "load_recipe": "mrharm.recipe",
    "predict": "mrharm.verdicts.batch",
    "read_memes": "mrharm.memes.importing",
    "threshold": "mrharm.reports.policy",
    "train": "mrharm.training.run",
}

__all__ = [*sorted(_WHERE), "__version__"]

if TYPE_CHECKING:
    from mrharm.audit.run import audit
    from mrharm.errors import MrHarmError
    from mrharm.memes.dataset import Dataset
    from mrharm.memes.importing import import_memes, read_memes
    from mrharm.recipe import load_recipe
    from mrharm.records import Evidence, Label, Meme, Rationale, Verdict
    from mrharm.reports.evaluation import evaluate
    from mrharm.reports.policy import threshold
    from mrharm.training.run import train
    from mrharm.verdicts.batch import predict
    from mrharm.verdicts.detector import Detector


def __getattr__(name: str) -> Any:
    if name in _WHERE:
        return getattr(import_module(_WHERE[name]), name)
    raise AttributeError(f"module 'mrharm' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
