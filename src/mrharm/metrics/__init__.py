"""Pure functions of labels and scores, with intervals. Shapes are (memes,) throughout; True is harmful.

A figure is a `Statistic` (``..._of``), and `mrharm.metrics.bootstrap.bootstrap` gives values and intervals of many.
"""

from mrharm.metrics.estimate import Estimate, counted, format_cell, format_sentence, share

__all__ = ["Estimate", "counted", "format_cell", "format_sentence", "share"]
