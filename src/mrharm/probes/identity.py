"""Test whether it matters to a verdict who is named: swap neutral terms for groups of people for others of their kind.

As some decisions flip whatever is changed, as many other words of the same memes are swapped as a control.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from mrharm.errors import InputError
from mrharm.evaluation.predictions import Predictions
from mrharm.metrics import Estimate
from mrharm.metrics.bootstrap import bootstrap, mean_of_values
from mrharm.metrics.significance import leads_of, permutation_p, sign_flip_p
from mrharm.probes.changed_memes import Case, judge_cases, make_cases
from mrharm.probes.identity_terms import (
    collect_words,
    find_terms,
    list_swaps,
    swap_control_words,
    swap_term,
    term_list,
)
from mrharm.probes.run import ProbeRecord
from mrharm.progress import Progress, no_progress
from mrharm.records import Record

FEWEST = 10  # memes that name a group of an axis; fewer show nothing of it
SWAPS = 3  # of one axis in one meme at most
OFTEN = 5  # times a term is put in before its mean is worth naming


@dataclass(frozen=True)
class TermSwap:
    """A term of one meme replaced by another wherever it is; where the meme names both, they change places.

    Attributes:
        case: the meme unchanged.
        exchanged: whether the meme names both.
        changed: the meme with the terms swapped.
        control: the meme with as many other words swapped.
    """

    case: Case
    term: str
    replacement: str
    exchanged: bool
    changed: Case
    control: Case


class AxisSwaps(Record):
    """Single swaps of one axis; the swaps of a cluster of memes are resampled together.

    Attributes:
        memes: in which terms were swapped.
        flipped, control: share that change the decision, of the swaps and of as many other words in the same memes.
        more: ``flipped`` minus ``control``.
        moved, control_moved: mean absolute move of P(harmful).
        terms: term put in -> how much higher P(harmful) is than with the rest put into the same meme, on average.
        times: term -> how often that was, in one meme of a cluster.
        more_p: p value of no difference between swaps and controls, times the number of axes (Bonferroni).
        terms_p: the same of no difference between terms, by permutation; None where no meme was given two.
    """

    memes: int
    swaps: int
    flipped: Estimate
    control: Estimate
    more: Estimate
    moved: Estimate
    control_moved: Estimate
    terms: dict[str, float]
    times: dict[str, int]
    more_p: float
    terms_p: float | None


class IdentityProbe(ProbeRecord):
    """Whether it matters who is named.

    Attributes:
        memes: of the split.
        without_term: memes that hold no term, left out.
        without_control: swaps left out because the meme has too few other words.
        swapped: axis -> what swaps do.
        skipped: axis -> why it cannot be tested.
    """

    memes: int
    without_term: int
    without_control: int
    swapped: dict[str, AxisSwaps]
    skipped: dict[str, str]


def probe(
    predictions: Predictions, *, seed: int = 0, memes: int = 500, progress: Progress = no_progress
) -> IdentityProbe:
    """Swap who is named in the memes, and as many other words.

    The label stays only as far as the text means the same of another group: a flip is a reason to look, not yet a
    fault. Other words change the meaning more than another group's name does: a difference above 0 shows that the term
    matters more than they do, and one of 0 shows no fairness. Words drawn on a picture and pronouns stay.

    Raises:
        InputError: the detector reads no words; or fewer than `FEWEST` memes name a group of any axis.
    """
    card = predictions.detector.card
    if "text" not in card.reads:
        raise InputError(f"the detector reads {', '.join(card.reads)}: there are no words to swap")
    cases = make_cases(predictions)
    naming = [case for case in cases if find_terms(case.text)]
    # Drawn among those that name a group: they are few, and a draw among all memes would lose most of them.
    drawn = np.sort(np.random.default_rng(seed).permutation(len(naming))[:memes])
    pool = collect_words(case.text for case in cases if not predictions.gold[case.place])
    swaps, without_control = _draw_swaps([naming[place] for place in drawn], pool, seed)
    counts = {axis: len({swap.case.place for swap in of_axis}) for axis, of_axis in swaps.items()}
    few = {axis: count for axis, count in counts.items() if count < FEWEST}
    enough = {axis: of_axis for axis, of_axis in swaps.items() if axis not in few}
    if not enough:
        raise InputError(
            f"{len(naming):,} of {len(cases):,} memes hold a term for a group; {FEWEST} of one axis are needed: probe "
            "a dataset that names people"
        )
    return IdentityProbe(
        memes=len(cases),
        without_term=len(cases) - len(naming),
        without_control=without_control,
        swapped=_judge_swaps(predictions, enough, seed, progress),
        skipped={
            axis: f"terms can be swapped in {count} memes; {FEWEST} are needed" for axis, count in few.items()
        },
    )


def _draw_swaps(
    cases: Sequence[Case], pool: Mapping[str, Sequence[str]], seed: int
) -> tuple[dict[str, list[TermSwap]], int]:
    """Draw at most `SWAPS` swaps a meme and axis; return them by axis, and how many have no control."""
    rng, control_rng = np.random.default_rng(seed), np.random.default_rng([seed, 1])
    swaps: dict[str, list[TermSwap]] = {axis: [] for axis in term_list().axes}
    without_control = 0
    for case, axis in product(cases, swaps):
        mentions = [mention for mention in find_terms(case.text) if mention.axis == axis]
        named = [mention.term for mention in mentions]
        pairs = list_swaps(mentions)
        for number in np.sort(rng.permutation(len(pairs))[:SWAPS]):
            term, replacement = pairs[number]
            count = sum(len(name.split()) for name in named if name in (term, replacement))
            control = swap_control_words(case.text, count, pool, control_rng)
            if control is None:
                without_control += 1
                continue
            changed = case.with_text(swap_term(case.text, axis, term, replacement))
            exchanged = replacement in named
            swaps[axis].append(TermSwap(case, term, replacement, exchanged, changed, case.with_text(control)))
    return swaps, without_control


def _judge_swaps(
    predictions: Predictions, swaps: Mapping[str, Sequence[TermSwap]], seed: int, progress: Progress
) -> dict[str, AxisSwaps]:
    cases = {swap.case.place: swap.case for of_axis in swaps.values() for swap in of_axis}
    before = dict(zip(cases, judge_cases(predictions, list(cases.values())), strict=True))
    axes: dict[str, AxisSwaps] = {}
    for axis, of_axis in swaps.items():
        # Judged in one call: swaps first, then their controls.
        changed = [swap.changed for swap in of_axis] + [swap.control for swap in of_axis]
        after = judge_cases(predictions, changed, progress=progress, what=f"identity: {axis}")
        places = [swap.case.place for swap in of_axis]
        pairs = list(zip([before[place] for place in places] * 2, after, strict=True))
        all_flips = np.array([old.harmful != new.harmful for old, new in pairs], dtype=np.bool_)
        flips, control_flips = all_flips.reshape(2, -1)
        moves, control_moves = np.array([new.score - old.score for old, new in pairs]).reshape(2, -1)
        clusters = predictions.clusters[places]
        flipped, control = mean_of_values(flips, share=True), mean_of_values(control_flips, share=True)
        statistics = {
            "flipped": flipped,
            "control": control,
            "more": flipped - control,
            "moved": mean_of_values(np.abs(moves)),
            "control_moved": mean_of_values(np.abs(control_moves)),
        }
        more_p = sign_flip_p(flips.astype(np.int64) - control_flips, clusters)
        leads, terms_p = _compare_terms(of_axis, moves, clusters, seed)
        axes[axis] = AxisSwaps(
            memes=len(set(places)),
            swaps=len(of_axis),
            **bootstrap(statistics, len(of_axis), seed=seed, clusters=clusters),
            terms={term: float(np.mean(values)) for term, values in leads.items()},
            times={term: len(values) for term, values in leads.items()},
            more_p=min(1.0, len(swaps) * more_p),
            terms_p=None if terms_p is None else min(1.0, len(swaps) * terms_p),
        )
    return axes


def _compare_terms(
    swaps: Sequence[TermSwap], moves: NDArray[np.float64], clusters: NDArray[np.int64], seed: int
) -> tuple[dict[str, NDArray[np.float64]], float | None]:
    """Return term put in -> its leads over the rest put in the same place; and the p value of no difference."""
    # Where two terms change places no term is put in; the term that was there came with its meme and was not drawn; and
    # of a cluster's memes the first alone counts, as permuting terms within each of them would take them for many.
    first_meme: dict[int, int] = {}
    counted = np.array(
        [
            not swap.exchanged and first_meme.setdefault(cluster, swap.case.place) == swap.case.place
            for swap, cluster in zip(swaps, clusters.tolist(), strict=True)
        ],
        dtype=bool,
    )
    # A block is a place of one meme into which several terms were put.
    places = np.array([f"{swap.case.place} {swap.term}" for swap in swaps])[counted]
    names = np.array([swap.replacement for swap in swaps])[counted]
    blocks = np.unique(places, return_inverse=True)[1]
    leads = leads_of(moves[counted], blocks)
    comparable = np.isfinite(leads)
    leads, blocks, names = leads[comparable], blocks[comparable], names[comparable]
    if not len(leads):
        return {}, None
    terms, term_numbers = np.unique(names, return_inverse=True)
    p = permutation_p(leads, term_numbers, blocks, seed=seed)
    return {str(term): leads[names == term] for term in terms}, p
