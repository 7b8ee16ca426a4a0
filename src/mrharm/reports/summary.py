"""The verdict on a detector in plain sentences, made from an evaluation's figures alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mrharm.metrics import Estimate, counted, format_sentence, percent, points
from mrharm.metrics.estimate import FEWEST

if TYPE_CHECKING:
    from mrharm.evaluation.evaluate import Evaluation

RARE = 0.01  # harmful memes where there are few, for a sense of it
COARSE = 0.10  # calibration error that chance alone may give: smaller ones would not show
SMALL = 0.03  # calibration error that is of little matter, however many memes show it


def summarise(found: Evaluation) -> tuple[str, ...]:
    """Sentences from the most to the least important: the verdict, what it stands on, and what to beware of."""
    scores = found.scores
    sentences = [
        f"On {counted(found.memes, 'meme')} of {found.dataset} ({found.split}) it decides "
        f"{percent(scores.accuracy)} rightly; macro-F1 {percent(scores.macro_f1)}, AUROC {percent(scores.auroc)}."
    ]
    sentences += _seen_before(found)
    sentences += _beside(found)
    sentences += _reasons(found)
    if scores.recall.value is not None and scores.false_alarms.value is not None:
        sentences.append(
            f"It misses {100 * (1 - scores.recall.value):.0f} of 100 harmful memes and flags "
            f"{100 * scores.false_alarms.value:.0f} of 100 harmless ones, at a threshold of {found.threshold:.2f}"
            f"{'' if found.chosen else ', which nobody chose'}."
        )
        sentences += _elsewhere(found, scores.recall.value, scores.false_alarms.value)
    sentences += _band(found)
    sentences += _calibration(found)
    sentences += _published(found)
    sentences += _weakest(found)
    sentences += _beware(found)
    return tuple(sentences)


def _seen_before(found: Evaluation) -> list[str]:
    """What makes the figures kinder than those of new memes would be."""
    sentences = []
    if found.role and found.trained_on in (None, found.dataset):
        did = "learn from" if found.role == "train" else "are chosen on"
        sentences.append(
            f"Detectors of this dataset {did} this split: its figures say little of memes never seen before."
        )
    if found.chosen and (found.chosen.dataset, found.chosen.split) == (found.dataset, found.split):
        sentences.append(
            f"Its threshold was chosen on these very memes ({found.chosen.criterion}): figures of decisions are too "
            "kind."
        )
    if found.seen_words and found.role != "train" and found.trained_on in (None, found.dataset):
        sentences.append(
            f"{counted(found.seen_words, 'meme')} of these {found.memes:,} have the very words of a train meme; "
            "`mrharm audit` says more."
        )
    return sentences


def _beside(found: Evaluation) -> list[str]:
    rows = [row for row in found.beside if row.name != "majority"]
    if not found.beside:
        return [
            "No baseline stands beside it: that takes a train split with both labels, other than the split judged."
        ]
    best = max(rows or found.beside, key=lambda row: row.macro_f1.value or 0.0)
    gain, ranking = best.gains["macro_f1"], best.gains["auroc"]
    if gain.value is None or gain.low is None or gain.high is None:
        return []
    what = _what(best.name)
    theirs = f"{what} has a macro-F1 of {percent(best.macro_f1)}; this one's differs by {points(gain)}"
    if best.name != "majority":
        theirs += f", its AUROC by {points(ranking)}"
    if found.trained_on not in (None, found.dataset):
        theirs += f" (the baseline learned from {found.dataset}, the detector from {found.trained_on})"
    if found.memes < FEWEST:
        return [f"{theirs}. Fewer than {FEWEST} memes settle nothing."]
    (worse, better), (ranks_worse, ranks_better) = _sides(gain), _sides(ranking)
    known = what[0].lower() + what[1:]
    if better and not ranks_worse:
        verdict = f"It beats {known}."
    elif worse and not ranks_better:
        verdict = f"It does worse than {known}."
    elif worse or better or ranks_worse or ranks_better:
        verdict = f"Whether it beats {known} depends on the figure."
    else:
        verdict = f"It is not shown to do better than {known}."
    sentences = [f"{verdict} {theirs}."]
    if not any(row.name.startswith("words") for row in rows):
        sentences.append(
            "No bag of words stands beside it, as these memes or those of the train split have no words that were "
            "gathered: nothing here says that it does more than read surface signals."
        )
    return sentences


def _what(name: str) -> str:
    named = {
        "majority": "Always saying the commoner label",
        "pixels alone": "A model of small pictures (pixels alone)",
    }
    return named.get(name, f"A bag of words ({name})")


def _sides(gain: Estimate) -> tuple[bool, bool]:
    """Whether a difference is shown to be below 0, and whether above."""
    return gain.high is not None and gain.high < 0, gain.low is not None and gain.low > 0


def _reasons(found: Evaluation) -> list[str]:
    """What the probes say against its being right for the right reasons."""
    sentences = []
    parts = {"text": "the words", "image": "the picture"}
    ignored = [parts[part] for part in (found.probes.get("modality") or {}).get("ignores") or ()]
    if ignored:
        sentences.append(f"It hardly looks at {' and '.join(ignored)}.")
    for kind, missed in (("same_text", "picture"), ("same_picture", "words")):
        pairs = (found.probes.get("pairs") or {}).get(kind)
        if pairs and pairs["both_right"]["value"] is not None:
            both = Estimate.model_validate(pairs["both_right"])
            sentences.append(
                f"Of {counted(pairs['pairs'], 'pair')} that differ in {missed} and label alone, it gets both memes "
                f"right in {percent(both)}; guessing gets 25 % at most."
            )
    settings = (found.probes.get("robustness") or {}).get("settings") or ()
    lightest = [one for one in settings if one["strength"] == 1]
    if lightest:
        worst = max(lightest, key=lambda one: one["moved"]["flipped"]["value"] or 0.0)
        flipped = Estimate.model_validate(worst["moved"]["flipped"])
        change = worst["change"].replace("_", " ")
        strongest = [one for one in settings if one["strength"] == max(row["strength"] for row in settings)]
        worst = max(strongest, key=lambda one: one["moved"]["flipped"]["value"] or 0.0)
        utmost = Estimate.model_validate(worst["moved"]["flipped"])
        sentences.append(
            f"Of the changes at their lightest {change} flips the most decisions, {percent(flipped)}; at their "
            f"strongest {worst['change'].replace('_', ' ')}, {percent(utmost)}."
        )
    written = found.probes.get("rationale") or {}
    distinct, of = (written.get("written") or {}).get("distinct"), written.get("memes")
    if distinct and of and distinct < of / 2:
        sentences.append(
            f"It writes {distinct:,} different rationales for {of:,} memes: most say little of the meme."
        )
    truth = written.get("truth")
    if truth:
        true = Estimate.model_validate(truth["all"])
        sentences.append(f"Of its rationales {percent(true)} are true in all their parts.")
    return sentences


def _elsewhere(found: Evaluation, recall: float, alarms: float) -> list[str]:
    """What is left of precision where harmful memes are rare, as they are in most streams."""
    share = found.scores.harmful / max(found.memes, 1)
    flagged = RARE * recall + (1 - RARE) * alarms
    if share < 2 * RARE or not flagged:
        return []
    rightly = 100 * RARE * recall / flagged
    return [
        f"Of these memes {100 * share:.0f} in 100 are harmful; where 1 in 100 is, about {rightly:.0f} of 100 that it "
        "flags would be harmful (`mrharm threshold --prevalence`)."
    ]


def _band(found: Evaluation) -> list[str]:
    """What the band in force does, which the figures at the threshold do not tell."""
    does = found.band_figures
    if not found.band:
        return []
    return [
        f"In force is a band from {found.band[0]:.2f} to {found.band[1]:.2f}: it allows {percent(does['allowed'])} of "
        f"these memes ({percent(does['harmful_of_allowed'])} of them harmful), sends {percent(does['reviewed'])} to "
        f"people and flags {percent(does['flagged'])} ({percent(does['flag_precision'])} of them harmful); of the "
        f"harmful memes {percent(does['allowed_of_harmful'])} are allowed. The other figures are of the threshold "
        "within."
    ]


def _calibration(found: Evaluation) -> list[str]:
    ece, chance = found.scores.ece, found.scores.ece_by_chance
    if ece.value is None:
        return []
    what = f"off by {format_sentence(ece, unit=' points')} on average, and chance explains up to {100 * chance:.1f}"
    if chance > COARSE:
        return [f"Too few memes to say whether its scores can be read as probabilities: {what}."]
    if ece.value <= chance:
        return [f"Nothing here speaks against reading its scores as probabilities: {what}."]
    if ece.value <= SMALL:
        return [f"Read as probabilities its scores are a little off: {what}."]
    return [f"Its scores cannot be read as probabilities as they are: {what}."]


def _published(found: Evaluation) -> list[str]:
    rows = [row for row in found.published if row.comparable and not row.ours and row.accuracy is not None]
    if not rows or found.scores.accuracy.low is None or found.scores.accuracy.high is None:
        return []
    best = max(rows, key=lambda row: row.accuracy or 0.0)
    accuracy = best.accuracy or 0.0
    where = (
        "above" if accuracy > found.scores.accuracy.high
        else "below" if accuracy < found.scores.accuracy.low else "within"
    )  # fmt: skip
    return [
        f"The best accuracy published for a split of this name and size, {100 * accuracy:.1f} % ({best.system}, "
        f"{best.source}), lies {where} its interval; it has an interval of its own that its paper does not give."
    ]


def _weakest(found: Evaluation) -> list[str]:
    """The group furthest below all memes of its labels, of those whose whole interval lies below.

    A group of harmful memes alone has its recall for accuracy, and is held against the recall of all; likewise one of
    harmless memes alone.
    """
    alarms = found.scores.false_alarms.value
    spared = None if alarms is None or found.scores.unanswered else 1 - alarms
    below = []
    for row in found.groups:
        whole = {row.memes: found.scores.recall.value, 0: spared}.get(
            row.harmful, found.scores.accuracy.value
        )
        if whole is not None and row.accuracy.high is not None and row.accuracy.high < whole:
            below.append((whole - (row.accuracy.value or 0.0), row, whole))
    if not below:
        return []
    _, worst, whole = max(below, key=lambda one: one[0])
    of = {worst.memes: "all harmful memes", 0: "all harmless memes"}.get(worst.harmful, "all memes")
    return [
        f"Weakest on {worst.kind} “{worst.name}” ({worst.memes:,} memes): {percent(worst.accuracy)} rightly, of {of} "
        f"{100 * whole:.1f} %. Groups so far below with their whole interval: {len(below)} of "
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
    if found.texts_cut:
        sentences.append(
            f"{found.texts_cut:,} of {found.memes:,} texts are longer than it reads: what stands at their end had no "
            "say."
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
