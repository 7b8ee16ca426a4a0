"""Pure functions of labels and scores, with intervals. Shapes are (memes,) throughout; True is harmful.

A figure is a `Statistic` (``..._of``), and `mrharm.metrics.bootstrap.bootstrap` gives values and intervals of many.
"""

from mrharm.metrics.estimate import (
    SCORES,
    Estimate,
    counted,
    format_cell,
    format_figure,
    format_sentence,
    name_figure,
    share,
)

__all__ = [
    "SCORES",
    "Estimate",
    "counted",
    "format_cell",
    "format_figure",
    "format_sentence",
    "name_figure",
    "share",
]
