"""Pure functions of labels and scores, with intervals. Shapes are (memes,) throughout; True is harmful.

A figure is a `Statistic` to draw (``..._of``), and `figures` gives values and intervals of many at once.
"""

from mrharm.metrics.bootstrap import Statistic, average, bootstrap, mean_of_values
from mrharm.metrics.calibration import brier_of, classwise_ece_of, ece_by_chance, reliability
from mrharm.metrics.classification import (
    accuracy_of,
    false_alarms_of,
    macro_f1_of,
    precision_of,
    recall_of,
    settle,
)
from mrharm.metrics.decisions import (
    accuracy,
    auroc,
    auroc_interval,
    macro_f1,
    macro_f1_interval,
    score_summary,
    wilson_interval,
)
from mrharm.metrics.estimate import (
    Estimate,
    bootstrap_indexes,
    format_cell,
    format_sentence,
    mean_with_interval,
)
from mrharm.metrics.means import mean_of, share, share_of
from mrharm.metrics.paired import mcnemar
from mrharm.metrics.ranking import auprc_of, auroc_of, pr_points, roc_points
from mrharm.metrics.selective import aurc_of, confidence_of, risk_coverage_points

__all__ = [
    "Estimate",
    "Statistic",
    "accuracy",
    "accuracy_of",
    "auprc_of",
    "aurc_of",
    "auroc",
    "auroc_interval",
    "auroc_of",
    "average",
    "bootstrap",
    "bootstrap_indexes",
    "brier_of",
    "classwise_ece_of",
    "confidence_of",
    "ece_by_chance",
    "false_alarms_of",
    "format_cell",
    "format_sentence",
    "macro_f1",
    "macro_f1_interval",
    "macro_f1_of",
    "mcnemar",
    "mean_of",
    "mean_of_values",
    "mean_with_interval",
    "pr_points",
    "precision_of",
    "recall_of",
    "reliability",
    "risk_coverage_points",
    "roc_points",
    "score_summary",
    "settle",
    "share",
    "share_of",
    "wilson_interval",
]
