"""Rationales: do they state the label, tell what was decided and why, and are they true?

What is measured here is text. That a rationale agrees with its verdict, or lets a reader foresee it, does not show that
the verdict was reached by it: that takes a student that reads its rationale, and the swap at the end of this probe.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mrharm.errors import InputError
from mrharm.evaluation.predictions import Predictions
from mrharm.llm import looks_refused
from mrharm.metrics.bootstrap import bootstrap, mean_of_values, share_of, share_within
from mrharm.metrics.significance import kappa_of
from mrharm.probes.gold_rationales import against_gold, gold_of
from mrharm.probes.rationale_results import (
    Agreement,
    RationaleProbe,
    Swap,
    Truth,
    Written,
)
from mrharm.probes.simulatability import Simulatability, simulate, too_few
from mrharm.progress import Progress, no_progress
from mrharm.rationales.leakage import sentences
from mrharm.rationales.stated_side import stated_side, states_a_side
from mrharm.records import Meme
from mrharm.student.interface import compose_text
from mrharm.synthetic import truth
from mrharm.texts import fold

PARTS = ("scene", "tone", "relation", "all")


def probe(
    predictions: Predictions,
    *,
    seed: int = 0,
    memes: int = 500,
    encoder: Path | None = None,
    progress: Progress = no_progress,
) -> RationaleProbe:
    """Measure a split's rationales.

    Args:
        judged: memes and verdicts, with rationales.
        seed: of what is drawn by lot, and of the intervals.
        memes: how many memes at most.
        encoder: a folder with an encoder for BERTScore against gold rationales.
        progress: told how many parts are done.

    Raises:
        InputError: the verdicts have no rationales.
        ModelUnavailableError: no encoder can be read from the folder named.
    """
    predictions = predictions.sample(memes, seed)
    texts = rationales_of(predictions)
    skipped: dict[str, str] = {}
    done = 0

    def next_part() -> None:
        nonlocal done
        done += 1
        progress("probing rationales", done, 6)

    stating = np.array([any(states_a_side(one) for one in sentences(text)) for text in texts])
    written = _written(predictions, texts, stating, seed)
    next_part()
    simulated = _simulated(predictions, texts, stating, seed, skipped)
    next_part()
    generated = all(truth.is_known(meme) for meme in predictions.memes)
    agreement = _agreement(predictions, texts, generated, seed)
    next_part()
    checked = _truth(predictions, texts, seed) if generated else None
    if checked is None:
        skipped["truth"] = "only generated memes are known well enough to say"
    next_part()
    gold = against_gold(
        texts,
        [gold_of(meme, predictions.dataset) for meme in predictions.memes],
        clusters=predictions.clusters,
        encoder=encoder,
        seed=seed,
    )
    if gold is None:
        skipped["gold"] = "no two of these memes have a rationale written by people"
    elif encoder is None:
        skipped["bertscore"] = "no local encoder was named"
    next_part()
    swap = _swap(predictions, texts, seed, skipped)
    next_part()
    return RationaleProbe(
        memes=len(texts),
        written=written,
        simulatability=simulated,
        agreement=agreement,
        truth=checked,
        gold=gold,
        swap=swap,
        skipped=skipped,
    )


def rationales_of(predictions: Predictions) -> list[str]:
    """The detector's rationales, in order; a blank one where it wrote none.

    Raises:
        InputError: it wrote none at all.
    """
    if all(verdict.rationale is None for verdict in predictions.verdicts):
        raise InputError(
            f"the verdicts on {predictions.split} have no rationales; judge with rationales, or train a detector that "
            "writes them (mrharm train --stages both)"
        )
    return [verdict.rationale or "" for verdict in predictions.verdicts]


def _written(
    predictions: Predictions, texts: Sequence[str], stating: NDArray[np.bool_], seed: int
) -> Written:
    plain = [" ".join(text.lower().split()) for text in texts]
    counts = Counter(plain)
    statistics = {
        "blank": mean_of_values(np.array([not text for text in plain]), share=True),
        "refused": mean_of_values(np.array([looks_refused(text) for text in plain]), share=True),
        "states_label": mean_of_values(stating, share=True),
        "words": mean_of_values(np.array([len(text.split()) for text in plain])),
        "copied": mean_of_values(np.array([counts[text] > 1 for text in plain]), share=True),
    }
    figures = bootstrap(statistics, len(texts), seed=seed, clusters=predictions.clusters)
    return Written(distinct=len(counts), **figures)


def _simulated(
    predictions: Predictions,
    texts: Sequence[str],
    stating: NDArray[np.bool_],
    seed: int,
    skipped: dict[str, str],
) -> Simulatability | None:
    decided = np.array([one is not None for one in predictions.predicted])
    decisions = predictions.predicted[decided].astype(bool)
    card = predictions.detector.card
    # A text stands for the picture where there is one: a simulator that reads words only would otherwise gain from
    # every rationale that says what is shown.
    reads = [*card.reads]
    if predictions.detector.takes_picture and "caption" not in reads:
        reads.append("caption")
    shown = [
        compose_text(reads, meme, verdict.evidence, odd_text=card.odd_text)[0]
        for meme, verdict in zip(predictions.memes, predictions.verdicts, strict=True)
    ]
    twins = [_twins(meme) for meme in predictions.memes]
    unstated = [" ".join(one for one in sentences(text) if not states_a_side(one)) for text in texts]

    def kept(some: Sequence[str]) -> list[str]:
        return [text for text, there in zip(some, decided, strict=True) if there]

    found = simulate(
        decisions,
        kept(texts),
        kept(unstated),
        kept(shown),
        stating[decided],
        kept(twins),
        clusters=predictions.clusters[decided],
        seed=seed,
    )
    if found is None:
        skipped["simulatability"] = too_few(decisions)
    return found


def _twins(meme: Meme) -> str:
    """What memes made to differ in one thing share: a generated meme's quad, else the words."""
    return truth.quad_of(meme) or fold(meme.text or "") or meme.id


def _agreement(predictions: Predictions, texts: Sequence[str], generated: bool, seed: int) -> Agreement:
    if generated:
        relations = {"undercuts": True, "backs": False, None: None}
        sides = [relations[truth.named_relation(text)] for text in texts]
    else:
        sides = [stated_side(text) for text in texts]
    speaking = np.array([side is not None for side in sides])
    side = np.array([bool(one) for one in sides])[speaking]
    # Where no label was answered, the rationale's side is not the decision, whichever it is.
    decision = np.array(
        [not one if said is None else said for one, said in zip(sides, predictions.predicted, strict=True)]
    )
    decision = decision[speaking].astype(bool)
    return Agreement(
        read_by="relation" if generated else "verdict",
        speaking=share_of(speaking, seed=seed, clusters=predictions.clusters),
        **bootstrap(
            {"agreeing": mean_of_values(side == decision, share=True), "kappa": kappa_of(side, decision)},
            len(side),
            seed=seed,
            clusters=predictions.clusters[speaking],
        ),
    )


def _truth(predictions: Predictions, texts: Sequence[str], seed: int) -> Truth:
    checks = [
        truth.check(text, meme.extra["truth"]) for text, meme in zip(texts, predictions.memes, strict=True)
    ]
    parts = {part: np.array([getattr(check, part) for check in checks]) for part in PARTS}
    right = np.array(
        [said == gold for said, gold in zip(predictions.predicted, predictions.gold, strict=True)]
    )
    statistics = {part: mean_of_values(values, share=True) for part, values in parts.items()}
    statistics["accuracy_true"] = share_within(right, parts["all"])
    statistics["accuracy_false"] = share_within(right, ~parts["all"])
    return Truth(**bootstrap(statistics, len(texts), seed=seed, clusters=predictions.clusters))


def _swap(predictions: Predictions, texts: Sequence[str], seed: int, skipped: dict[str, str]) -> Swap | None:
    if not predictions.detector.reads_rationale:
        skipped["swap"] = (
            "this detector's label student reads no rationale "
            f"(it reads {', '.join(predictions.detector.card.reads)}), so none can be swapped"
        )
        return None
    decided = [bool(one) for one in predictions.predicted]
    sides = {side: np.flatnonzero(np.array(decided) == side) for side in (False, True)}
    if min(map(len, sides.values())) < 2:
        skipped["swap"] = "fewer than two memes are decided one of the ways; there are no rationales to swap"
        return None
    rng = np.random.default_rng(seed)
    donors = {
        "other": [int(rng.choice(sides[not own])) for own in decided],
        "alike": [int(rng.choice(sides[own][sides[own] != place])) for place, own in enumerate(decided)],
    }
    changed, moved = {}, {}
    for name, given in donors.items():
        again = predictions.judge_again(
            predictions.memes,
            given_rationales={
                meme.id: texts[donor] for meme, donor in zip(predictions.memes, given, strict=True)
            },
        )
        changed[name] = np.array([bool(one.harmful) != own for one, own in zip(again, decided, strict=True)])
        moved[name] = np.where(decided, -1, 1) * (np.array([one.score for one in again]) - predictions.scores)
    statistics = {
        "follows": mean_of_values(changed["other"], share=True),
        "strays": mean_of_values(changed["alike"], share=True),
        "drift": mean_of_values(moved["other"]),
    }
    figures = bootstrap(statistics, len(texts), seed=seed, clusters=predictions.clusters)
    return Swap(memes=len(texts), **figures)
