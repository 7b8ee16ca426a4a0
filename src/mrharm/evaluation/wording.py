"""The verdict on a detector in plain sentences, made from an evaluation's figures alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mrharm.metrics import Figure, spell

if TYPE_CHECKING:
    from mrharm.evaluation.evaluate import Evaluation


def percent(figure: Figure, *, sign: bool = False) -> str:
    """``81.1 (77.1 to 85.0)``, in percent or points; a dash where there is no figure."""
    return spell(figure, sign=sign, unknown="-")


def counted(count: int, what: str) -> str:
    """``1 meme``, ``1,200 memes``."""
    return f"{count:,} {what}" + ("" if count == 1 else "s")


def verdict_words(found: Evaluation) -> tuple[str, ...]:
    """Sentences from the most to the least important: the verdict, what it stands on, and what to beware of."""
    scores = found.scores
    sentences = [
        f"On {counted(found.memes, 'meme')} of {found.dataset} ({found.split}) it decides "
        f"{percent(scores.accuracy)} % rightly; macro-F1 {percent(scores.macro_f1)}, AUROC {percent(scores.auroc)}."
    ]
    sentences += _beside(found)
    if scores.recall.value is not None and scores.false_alarms.value is not None:
        sentences.append(
            f"It misses {100 * (1 - scores.recall.value):.0f} of 100 harmful memes and flags "
            f"{100 * scores.false_alarms.value:.0f} of 100 harmless ones, at a threshold of {found.threshold:.2f}."
        )
    sentences += _calibration(found)
    sentences += _published(found)
    sentences += _weakest(found)
    sentences += _beware(found)
    return tuple(sentences)


def _beside(found: Evaluation) -> list[str]:
    words = [row for row in found.beside if row.name != "majority"] or list(found.beside)
    if not words:
        return [
            "No baseline stands beside it: that takes a train split with both labels, other than the split judged."
        ]
    best = max(words, key=lambda row: row.macro_f1.value or 0.0)
    gain = best.gains["macro_f1"]
    if gain.value is None or gain.low is None or gain.high is None:
        return []
    name = "Always saying the commoner label" if best.name == "majority" else f"A bag of words ({best.name})"
    what = f"{name} has a macro-F1 of {percent(best.macro_f1)}; this one's differs by {percent(gain, sign=True)} points"
    if gain.low > 0:
        return [f"It beats surface signals. {what}."]
    if gain.high < 0:
        return [f"It does worse than surface signals. {what}."]
    return [f"It is not shown to do better than surface signals. {what}, which may be chance."]


def _calibration(found: Evaluation) -> list[str]:
    ece, chance = found.scores.ece, found.scores.ece_by_chance
    if ece.value is None:
        return []
    what = f"off by {percent(ece)} points on average, and chance explains up to {100 * chance:.1f}"
    if ece.value > chance:
        return [f"Its scores cannot be read as probabilities as they are: {what}."]
    return [f"Nothing speaks against reading its scores as probabilities: {what}."]


def _published(found: Evaluation) -> list[str]:
    rows = [row for row in found.published if row.comparable and row.accuracy is not None]
    if not rows or found.scores.accuracy.low is None or found.scores.accuracy.high is None:
        return []
    best = max(rows, key=lambda row: row.accuracy or 0.0)
    accuracy = best.accuracy or 0.0
    where = (
        "above" if accuracy > found.scores.accuracy.high
        else "below" if accuracy < found.scores.accuracy.low else "within"
    )  # fmt: skip
    return [
        f"The best accuracy published for a split of this name and size, {100 * accuracy:.1f} % ({best.system}), lies "
        f"{where} its interval."
    ]


def _weakest(found: Evaluation) -> list[str]:
    """The group whose accuracy lies lowest, where its whole interval lies below the accuracy of all."""
    whole = found.scores.accuracy.value or 0.0
    below = [row for row in found.groups if row.accuracy.high is not None and row.accuracy.high < whole]
    if not below:
        return []
    worst = min(below, key=lambda row: row.accuracy.value or 0.0)
    return [
        f"Weakest on {worst.kind} “{worst.name}” ({worst.memes:,} memes): {percent(worst.accuracy)} % rightly. "
        f"Groups below the accuracy of all with their whole interval: {len(below)} of "
        f"{sum(not row.too_few for row in found.groups)} looked at."
    ]


def _beware(found: Evaluation) -> list[str]:
    sentences = []
    if found.scores.unanswered:
        sentences.append(
            f"{found.scores.unanswered:,} of {found.memes:,} answers were no label and count as wrong."
        )
    for part, count in found.missing.items():
        sentences.append(
            f"{count:,} of {found.memes:,} memes were judged without {part}, which its recipe wants."
        )
    if found.failures:
        sentences.append(
            f"{counted(len(found.failures), 'meme')} could not be judged, in no figure "
            f"({found.failures[0].item}: {found.failures[0].reason})."
        )
    few = [row for row in found.groups if row.too_few]
    if few:
        sentences.append(f"Without figures, for fewer than 10 memes: {counted(len(few), 'group')}.")
    return sentences
