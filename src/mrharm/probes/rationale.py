"""Measure rationales: do they state the label, tell what was decided and why, and are they true?

That they agree with verdicts does not show that verdicts were reached by them: only the swap at the end can.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mrharm.errors import InputError
from mrharm.evaluation.predictions import LabelledVerdicts, Predictions
from mrharm.llm import looks_refused
from mrharm.metrics import Estimate
from mrharm.metrics.bootstrap import bootstrap, mean_of_values, share_of, share_within
from mrharm.metrics.significance import kappa_of
from mrharm.probes.reference_overlap import AgainstGold, compare_with_gold, gold_rationales
from mrharm.probes.run import NotMeasurableError, ProbeRecord
from mrharm.probes.simulatability import Simulatability, simulate
from mrharm.progress import Progress, no_progress
from mrharm.rationales.leakage import cut_label, states_label
from mrharm.rationales.stated_side import stated_side
from mrharm.records import Record
from mrharm.student.interface import compose_text
from mrharm.synthetic import truth
from mrharm.texts import fold


class Written(Record):
    """What the rationales look like; shares are of memes.

    Attributes:
        words: mean length in words.
        copied: share that are, but for case and spaces, the rationale of another meme, too.
        distinct: how many different ones there are.
    """

    blank: Estimate
    refused: Estimate
    states_label: Estimate
    words: Estimate
    copied: Estimate
    distinct: int


class Agreement(Record):
    """Whether rationales and verdicts agree. A meme without a decision (no label answered) agrees with nothing.

    Attributes:
        read_by: ``relation``, what a generated meme's rationale says that words and picture do together; ``verdict``,
            the side that another states.
        speaking: share of rationales that take a side.
        agreeing: of these, the share whose side is the decision.
        kappa: the same beyond chance.
    """

    read_by: Literal["relation", "verdict"]
    speaking: Estimate
    agreeing: Estimate
    kappa: Estimate


class Truth(Record):
    """Shares of rationales that are true of their generated meme (`mrharm.synthetic.truth`).

    Attributes:
        scene, tone, relation: share that name rightly what is shown, how the words speak, how the two combine.
        names_relation: share that say how the two combine, rightly or not, rather than only describe them.
        all: share that are true in all that they name; a scene and a tone have to be named.
        accuracy_true, accuracy_false: of the decisions on memes whose rationale is true in all that, and on the rest.
    """

    scene: Estimate
    tone: Estimate
    relation: Estimate
    all: Estimate
    names_relation: Estimate = Estimate()
    accuracy_true: Estimate
    accuracy_false: Estimate


class Swap(Record):
    """Verdicts of a student that is given another meme's rationale in place of its own.

    Attributes:
        follows: given that of a meme decided the other way, the share of decisions that change.
        strays: given that of a meme decided alike, the share that change.
        drift: how far P(harmful) moves to the other side, on average.
    """

    memes: int
    follows: Estimate
    strays: Estimate
    drift: Estimate


class RationaleProbe(ProbeRecord):
    """What the rationales of a split are worth.

    Attributes:
        simulatability: whether they tell what was decided.
        truth: of generated memes.
        gold: how like they are to people's.
        swap: whether the label follows them.
        skipped: part -> why it cannot be measured.
    """

    memes: int
    written: Written
    simulatability: Simulatability | None = None
    agreement: Agreement
    truth: Truth | None = None
    gold: AgainstGold | None = None
    swap: Swap | None = None
    skipped: dict[str, str]


@dataclass(frozen=True)
class _Rationales:
    """The rationales of a split: their texts, whether each states a label, and whether all memes are generated."""

    predictions: Predictions
    texts: list[str]
    stating: NDArray[np.bool_]
    generated: bool
    seed: int

    def bootstrap(
        self, statistics: dict[str, Any], members: NDArray[np.bool_] | None = None
    ) -> dict[str, Any]:
        """Compute figures of all memes, or of some, with intervals over their clusters."""
        clusters = self.predictions.clusters if members is None else self.predictions.clusters[members]
        return bootstrap(statistics, len(clusters), seed=self.seed, clusters=clusters)


def probe(
    predictions: Predictions,
    *,
    seed: int = 0,
    memes: int = 500,
    encoder: Path | None = None,
    progress: Progress = no_progress,
) -> RationaleProbe:
    """Measure a split's rationales.

    ``encoder``: a folder with an encoder for BERTScore against gold rationales.

    Raises:
        InputError: the verdicts have no rationales.
        ModelUnavailableError: no encoder can be read from the folder.
    """
    predictions = predictions.sample(memes, seed)
    texts = read_rationales(predictions)
    stating = np.array([states_label(text) for text in texts])
    generated = all(map(truth.has_truth, predictions.memes))
    rationales = _Rationales(predictions, texts, stating, generated, seed)
    gold = [gold_rationales(meme, predictions.dataset) for meme in predictions.memes]
    measures: dict[str, Callable[[_Rationales], Record]] = {
        "written": _measure_writing,
        "simulatability": _measure_simulatability,
        "agreement": _measure_agreement,
        "truth": _measure_truth,
        "gold": lambda _: compare_with_gold(texts, gold, predictions.clusters, encoder=encoder, seed=seed),
        "swap": _measure_swap,
    }
    parts: dict[str, Any] = {}
    skipped: dict[str, str] = {}
    for done, (name, measure) in enumerate(measures.items(), 1):
        try:
            parts[name] = measure(rationales)
        except NotMeasurableError as reason:
            skipped[name] = str(reason)
        progress("probing rationales", done, len(measures))
    if "gold" in parts and encoder is None:
        skipped["bertscore"] = "no local encoder was named"
    return RationaleProbe(memes=len(texts), skipped=skipped, **parts)


def read_rationales(predictions: LabelledVerdicts) -> list[str]:
    """Return the detector's rationales, in order; a blank one for a meme it wrote none of.

    Raises:
        InputError: it wrote none at all.
    """
    if all(verdict.rationale is None for verdict in predictions.verdicts):
        raise InputError(
            f"the verdicts on {predictions.split} have no rationales; judge with rationales, or train a detector that "
            "writes them (mrharm train --stages both)"
        )
    return [verdict.rationale or "" for verdict in predictions.verdicts]


def _measure_writing(rationales: _Rationales) -> Written:
    texts = [" ".join(text.lower().split()) for text in rationales.texts]
    counts = Counter(texts)
    shares = {
        "blank": np.array([not text for text in texts]),
        "refused": np.array([looks_refused(text) for text in texts]),
        "states_label": rationales.stating,
        "copied": np.array([counts[text] > 1 for text in texts]),
    }
    statistics = {name: mean_of_values(values, share=True) for name, values in shares.items()}
    statistics["words"] = mean_of_values(np.array([len(text.split()) for text in texts]))
    return Written(distinct=len(counts), **rationales.bootstrap(statistics))


def _measure_simulatability(rationales: _Rationales) -> Simulatability:
    predictions, card = rationales.predictions, rationales.predictions.detector.card
    reads = [*card.reads]
    if predictions.detector.takes_picture and "caption" not in reads:
        # A caption stands for the picture: a simulator that reads words alone would otherwise gain from every rationale
        # that says what is shown.
        reads.append("caption")
    # Only memes with a decision have one to recover.
    places = [place for place, decision in enumerate(predictions.predicted) if decision is not None]
    decided = [predictions.memes[place] for place in places]
    texts = [rationales.texts[place] for place in places]
    evidence = [predictions.verdicts[place].evidence for place in places]
    columns = {
        "rationale": texts,
        "unstated": [cut_label(text) for text in texts],
        "meme": [
            compose_text(reads, meme, known, odd_text=card.odd_text)[0]
            for meme, known in zip(decided, evidence, strict=True)
        ],
    }
    return simulate(
        predictions.predicted[places].astype(bool),
        columns,
        rationales.stating[places],
        # Memes made to differ in one thing share a generated meme's quad, else the words.
        groups=[truth.quad_of(meme) or fold(meme.text or "") or meme.id for meme in decided],
        clusters=predictions.clusters[places],
        seed=rationales.seed,
    )


def _measure_agreement(rationales: _Rationales) -> Agreement:
    predictions = rationales.predictions
    if rationales.generated:
        relations = {"undercuts": True, "backs": False, None: None}
        sides = [relations[truth.find_named_relation(text)] for text in rationales.texts]
    else:
        sides = [stated_side(text) for text in rationales.texts]
    speaking = np.array([side is not None for side in sides])
    side = np.array(sides, dtype=bool)[speaking]
    predicted = predictions.predicted[speaking]
    # Where no label was answered the rationale disagrees, whichever its side is.
    unanswered = np.array([decision is None for decision in predicted], dtype=bool)
    decision = np.where(unanswered, ~side, predicted.astype(bool))
    statistics = {"agreeing": mean_of_values(side == decision, share=True), "kappa": kappa_of(side, decision)}
    return Agreement(
        read_by="relation" if rationales.generated else "verdict",
        speaking=share_of(speaking, seed=rationales.seed, clusters=predictions.clusters),
        **rationales.bootstrap(statistics, speaking),
    )


def _measure_truth(rationales: _Rationales) -> Truth:
    if not rationales.generated:
        raise NotMeasurableError("only generated memes are known well enough to say")
    predictions = rationales.predictions
    checks = [
        truth.check_rationale(text, meme.extra["truth"])
        for text, meme in zip(rationales.texts, predictions.memes, strict=True)
    ]
    parts = {part: np.array([getattr(check, part) is True for check in checks]) for part in truth.PARTS}
    right = (predictions.predicted == predictions.gold).astype(bool)
    statistics = {part: mean_of_values(values, share=True) for part, values in parts.items()}
    statistics["accuracy_true"] = share_within(right, parts["all"])
    statistics["accuracy_false"] = share_within(right, ~parts["all"])
    return Truth(**rationales.bootstrap(statistics))


def _measure_swap(rationales: _Rationales) -> Swap:
    predictions = rationales.predictions
    if not predictions.detector.reads_rationale:
        raise NotMeasurableError(
            "this detector's label student reads no rationale "
            f"(it reads {', '.join(predictions.detector.card.reads)}), so none can be swapped"
        )
    decisions = [bool(decision) for decision in predictions.predicted]
    places = {side: np.flatnonzero(np.array(decisions) == side) for side in (False, True)}
    if min(map(len, places.values())) < 2:
        raise NotMeasurableError(
            "fewer than two memes are decided one of the ways; no rationales can be swapped"
        )
    rng = np.random.default_rng(rationales.seed)
    donors = {
        "follows": [int(rng.choice(places[not side])) for side in decisions],
        "strays": [
            int(rng.choice(places[side][places[side] != place])) for place, side in enumerate(decisions)
        ],
    }
    statistics = {}
    for name, numbers in donors.items():
        # Each meme is judged with its donor's rationale.
        donated = {
            meme.id: rationales.texts[donor] for meme, donor in zip(predictions.memes, numbers, strict=True)
        }
        verdicts = predictions.judge_again(predictions.memes, given_rationales=donated)
        changed = np.array([bool(verdict.harmful) for verdict in verdicts]) != decisions
        statistics[name] = mean_of_values(changed, share=True)
        if name == "follows":
            move = np.array([verdict.score for verdict in verdicts]) - predictions.scores
            statistics["drift"] = mean_of_values(np.where(decisions, -move, move))
    return Swap(memes=len(decisions), **rationales.bootstrap(statistics))
