"""Results of an ablation: what each arm reaches over seeds, how far it is from another, and what that settles.

Differences are paired: both arms with the same training memes and the same seed, one difference a seed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mrharm.ablation.arms import ARMS, REFERENCE
from mrharm.ablation.run import RunRow
from mrharm.evaluation.baseline_comparison import WORDS_RIGHT, WORDS_WRONG
from mrharm.metrics import Estimate
from mrharm.metrics.estimate import Sign, mean_with_interval, sign_of
from mrharm.records import Record

FIGURES = ("accuracy", "macro_f1", "auroc")
TRUTH = "truth"
BY_BASELINE = (WORDS_WRONG, WORDS_RIGHT)
_GAINED = ("macro_f1", "auroc")
_FEWEST_SEEDS = 3  # two differences that happen to be equal have no spread and settle nothing


class Cell(Record):
    """One arm with one number of training memes (``size``), over its seeds.

    Attributes:
        figures: accuracy, macro_f1, auroc, and where they are measured truth (share of rationales true in all they
            name), words_wrong and words_right (accuracy where words alone are wrong, right): the mean over seeds with
            its 95 % interval by Student's t.
        paired: the seeds that the reference has a run of, too; empty for the reference.
        differences: this arm minus the reference over the paired seeds; empty for the reference.
    """

    arm: str
    size: int
    seeds: tuple[int, ...]
    figures: dict[str, Estimate]
    paired: tuple[int, ...] = ()
    differences: dict[str, Estimate] = {}


class Gain(Record):
    """How much more one arm reaches than another, over seeds, in macro-F1 and in AUROC.

    Students at chance differ in macro-F1 by how often they predict either label, which is no gain: a settled difference
    must show in both.
    """

    seeds: int
    macro_f1: Estimate
    auroc: Estimate

    @property
    def sign(self) -> Sign:
        """Tell whether both figures are shown to be above 0, or both below."""
        signs = {sign_of(self.macro_f1), sign_of(self.auroc)}
        return signs.pop() if len(signs) == 1 and self.seeds >= _FEWEST_SEEDS else "open"


class Answer(Record):
    """A question, the answer in words, and the gains it rests on, by what is compared."""

    question: str
    words: str
    rests_on: dict[str, Gain]


@dataclass(frozen=True)
class SplitRuns:
    """The runs of an ablation, read for one split."""

    rows: Sequence[RunRow]
    split: str

    @property
    def sizes(self) -> list[int]:
        """Return the numbers of training memes, from small to large."""
        return sorted({row.size for row in self.rows})

    def values(self, arm: str, size: int, figure: str) -> dict[int, float]:
        """Return seed -> figure of the runs that have it; ``n`` is the number of memes judged."""
        rows = [row for row in self.rows if (row.arm, row.size) == (arm, size) and self.split in row.splits]
        if figure == TRUTH and any(_is_truth_current(row) for row in rows):
            rows = [row for row in rows if _is_truth_current(row)]  # two rules have no mean
        values = {row.seed: self._value(row, figure) for row in sorted(rows, key=lambda row: row.seed)}
        return {seed: float(value) for seed, value in values.items() if value is not None}

    def _value(self, row: RunRow, figure: str) -> float | None:
        if figure != TRUTH:
            return row.splits[self.split].get(figure)
        # Rationales are written for the main split alone.
        return row.truth["all"] if row.truth and self.split == next(iter(row.splits)) else None

    def differences(self, arm: str, baseline: str, size: int, figure: str) -> dict[int, float]:
        """Return seed -> the arm's figure minus the baseline's, for the seeds that both have."""
        first, second = self.values(arm, size, figure), self.values(baseline, size, figure)
        return {seed: first[seed] - second[seed] for seed in sorted(first.keys() & second.keys())}

    def difference(self, arm: str, baseline: str, size: int, figure: str = "macro_f1") -> Estimate:
        """Compute the mean difference over paired seeds and its 95 % interval."""
        return mean_with_interval(list(self.differences(arm, baseline, size, figure).values()))

    def growth(self, arm: str, baseline: str, sizes: tuple[int, int]) -> Gain:
        """Compute how much larger the gain is at the second size than at the first, paired by seed."""
        figures = {}
        for figure in _GAINED:
            small, large = (self.differences(arm, baseline, size, figure) for size in sizes)
            figures[figure] = mean_with_interval(
                [large[seed] - small[seed] for seed in sorted(small.keys() & large.keys())]
            )
        seeds = min(len(self.differences(arm, baseline, size, "accuracy")) for size in sizes)
        return Gain(seeds=seeds, **figures)

    def gains(self, arm: str, baseline: str) -> dict[int, Gain]:
        """Return size -> gain, for the sizes at which both arms have a seed in common."""
        gains = {}
        for size in self.sizes:
            if seeds := len(self.differences(arm, baseline, size, "accuracy")):
                figures = {name: self.difference(arm, baseline, size, name) for name in _GAINED}
                gains[size] = Gain(seeds=seeds, **figures)
        return gains


def _is_truth_current(row: RunRow) -> bool:
    return "names_relation" in (row.truth or {})


def tabulate(rows: Sequence[RunRow], split: str) -> list[Cell]:
    """Return a cell for every size and arm with runs; sizes from small to large, arms in the order of `ARMS`."""
    runs = SplitRuns(rows, split)
    cells = []
    for size in runs.sizes:
        for arm in ARMS:
            seeds = tuple(runs.values(arm, size, "n"))
            if not seeds:
                continue
            values = {
                name: list(runs.values(arm, size, name).values()) for name in (*FIGURES, TRUTH, *BY_BASELINE)
            }
            figures = {name: mean_with_interval(of_seeds) for name, of_seeds in values.items() if of_seeds}
            paired = () if arm == REFERENCE else tuple(runs.differences(arm, REFERENCE, size, "accuracy"))
            compared = FIGURES if paired else ()
            differences = {name: runs.difference(arm, REFERENCE, size, name) for name in compared}
            cell = Cell(
                arm=arm, size=size, seeds=seeds, figures=figures, paired=paired, differences=differences
            )
            cells.append(cell)
    return cells


_HELPS: dict[Sign, str] = {"more": "it helps", "less": "it hurts", "open": "not settled"}
# Question -> what is compared to answer it, and what each sign of the gain means.
QUESTIONS: dict[str, dict[tuple[str, str], dict[Sign, str]]] = {
    "Does distillation help, and by how much as data grows?": {(REFERENCE, "labels-only"): _HELPS},
    "Is it the meme's own rationale, or just the extra text?": {
        (REFERENCE, "shuffled"): {
            "more": "the meme's own rationale does better than another meme's",
            "less": "another meme's rationale does better than its own",
            "open": "a meme's own rationale is not shown to differ from another's",
        },
        ("shuffled", "labels-only"): {
            "more": "the extra text alone helps, too",
            "less": "the extra text alone hurts",
            "open": "the extra text alone is not shown to help or hurt",
        },
    },
    "Does it hurt when rationales state their label?": {("leaking", REFERENCE): _HELPS},
}


def answer_questions(rows: Sequence[RunRow], split: str) -> list[Answer]:
    """Answer the questions that there are runs for, in words with figures."""
    runs = SplitRuns(rows, split)
    answers = []
    for question, comparisons in QUESTIONS.items():
        sentences: dict[int, list[str]] = {}  # size -> a clause for each comparison
        rests_on: dict[str, Gain] = {}
        for number, ((arm, baseline), meanings) in enumerate(comparisons.items()):
            for size, gain in runs.gains(arm, baseline).items():
                # What is compared first decides at which sizes the question is answered.
                if number == 0 or size in sentences:
                    sentences.setdefault(size, []).append(_describe(gain, meanings))
                    rests_on[f"{arm} - {baseline}, {size} memes"] = gain
        parts = [f"with {size:,} memes {', and '.join(clauses)}" for size, clauses in sentences.items()]
        if "grows" in question and len(sentences) > 1:
            small, large = min(sentences), max(sentences)
            growth = runs.growth(REFERENCE, "labels-only", (small, large))
            rests_on[f"gain at {large} memes - gain at {small}"] = growth
            than = f"at {large:,} memes than at {small:,}"
            meanings = {
                "more": f"the gain is larger {than}",
                "less": f"the gain is smaller {than}",
                "open": f"whether the gain is larger {than} is not settled",
            }
            parts.append(_describe(growth, meanings))
        if parts:
            words = "; ".join(parts)
            words = f"{words[0].upper()}{words[1:]}."
            answers.append(Answer(question=question, words=words, rests_on=rests_on))
    return answers


def _describe(gain: Gain, meanings: Mapping[Sign, str]) -> str:
    macro_f1, auroc = (format_plus_minus(figure, signed=True) for figure in (gain.macro_f1, gain.auroc))
    few = f", {gain.seeds} seed{'s' * (gain.seeds > 1)}" if gain.seeds < _FEWEST_SEEDS else ""
    return f"{meanings[gain.sign]} (macro-F1 {macro_f1}, AUROC {auroc}{few})"


def format_plus_minus(figure: Estimate, *, signed: bool = False) -> str:
    """Format ``0.963 ± 0.012``; without an interval the value alone."""
    if figure.value is None:
        return "-"
    value = f"{figure.value:+.3f}" if signed else f"{figure.value:.3f}"
    return value if figure.high is None else f"{value} ± {figure.high - figure.value:.3f}"
