"""Pure functions of labels and scores, with intervals. Shapes are (memes,) throughout; True is harmful."""

from mrharm.metrics.decisions import (
    accuracy,
    auroc,
    auroc_interval,
    macro_f1,
    macro_f1_interval,
    score_summary,
    wilson_interval,
)
from mrharm.metrics.figures import Figure, bootstrap, figure_of_values

__all__ = [
    "Figure",
    "accuracy",
    "auroc",
    "auroc_interval",
    "bootstrap",
    "figure_of_values",
    "macro_f1",
    "macro_f1_interval",
    "score_summary",
    "wilson_interval",
]
