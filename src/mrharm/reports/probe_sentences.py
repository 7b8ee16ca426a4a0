"""Describe what each probe measured in plain sentences, made from its record alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from mrharm.metrics import Estimate, counted, format_sentence
from mrharm.metrics.estimate import FEWEST
from mrharm.probes.identity import FEWEST as FEWEST_NAMING
from mrharm.probes.identity import OFTEN, IdentityProbe
from mrharm.probes.llm_judge import CAP, JudgeReport
from mrharm.probes.modality import ModalityProbe
from mrharm.probes.pairs import ALIKE, PairsProbe
from mrharm.probes.pairs import FEWEST as FEWEST_PAIRS
from mrharm.probes.rationale import Agreement, RationaleProbe, Truth, Written
from mrharm.probes.reference_overlap import AgainstGold
from mrharm.probes.robustness import STRENGTHS, RobustnessProbe, Setting
from mrharm.probes.saliency import UNITS, Part, SaliencyProbe
from mrharm.probes.simulatability import Simulatability
from mrharm.records import Record

LEVEL = 0.05  # of a p value that shows a difference
_FLIPS_SHOWN = 3
_HALF = 0.5
# P(decision) that moves by less between all and nothing leaves no order anything to show.
_MOVES = 0.05


def describe_probe(name: str, record: Mapping[str, Any]) -> tuple[str, ...]:
    """Describe the record of a probe or of the judge, as it stands in report.json.

    A probe of another package brings sentences of its own in ``words``; these are returned as they are.
    """
    if name not in DESCRIBE:
        return tuple(record.get("words") or ())
    kind, describe = DESCRIBE[name]
    return describe(kind.model_validate(record))


def describe_modality(probe: ModalityProbe) -> tuple[str, ...]:
    """Describe what taking away or swapping words and picture does to decisions."""
    moved = [
        f"{_CONDITIONS[name]} {_whole_percent(condition.flipped)} of the decisions flip and P(harmful) moves by "
        f"{condition.moved.value or 0.0:.2f} on average"
        for name, condition in probe.conditions.items()
    ]
    sentences = [f"Of {probe.memes:,} memes: " + "; ".join(moved) + "."] if moved else []
    if probe.memes < FEWEST:
        sentences.append(f"Fewer than {FEWEST} memes are too few to tell whether it uses words and picture.")
    elif set(probe.ignores) == {"text", "image"}:
        sentences.append(
            "It decides the same whatever it is given: check its threshold and its training first."
        )
    elif probe.ignores:
        (part,) = probe.ignores
        sentences.append(f"It hardly uses the {_PARTS[part]}.")
    elif len(probe.uses) == 2:
        sentences.append("Its decisions depend on both the words and the picture.")
    else:
        unknown = " and on the ".join(words for part, words in _PARTS.items() if part not in probe.uses)
        sentences.append(f"These memes do not show that its decisions depend on the {unknown}.")
    return tuple(sentences)


_PARTS = {"text": "words", "image": "picture"}
_CONDITIONS = {
    "text_blanked": "without the words as text (those drawn on a posted picture stay)",
    "image_blanked": "without the picture",
    "image_swapped": "with another meme's picture",
    "caption_swapped": "with another meme's caption",
}


def describe_pairs(probe: PairsProbe) -> tuple[str, ...]:
    """Describe how many confounder pairs are decided rightly, and whether guessing would do as well."""
    sentences = []
    for what, missed, scores in (
        ("the same text on another picture", "picture", probe.same_text),
        ("the same picture under another text", "text", probe.same_picture),
    ):
        if scores is None:
            continue
        chance = scores.chance.value or 0.0
        sentence = (
            f"Of {counted(scores.pairs, 'pair')} with {what} and the other label it gets both memes right in "
            f"{_whole_percent(scores.both_right)}; guessing that flags as many would in {100 * chance:.0f} %."
        )
        if scores.unanswered.value:
            share = _whole_percent(Estimate(value=scores.unanswered.value))
            sentence += f" In {share} of them a meme got no label."
        if scores.pairs >= FEWEST_PAIRS and (scores.alike.value or 0.0) >= ALIKE:
            sentence += f" It decides both alike: the {missed} does not reach its decisions."
        elif scores.pairs >= FEWEST_PAIRS and (scores.both_right.high or 0.0) < chance:
            sentence += f" That is worse than guessing: the {missed} hardly reaches its decisions."
        sentences.append(sentence)
    return tuple(sentences)


def describe_robustness(probe: RobustnessProbe) -> tuple[str, ...]:
    """Describe which changes flip the most decisions at full strength, and how many flip at the lightest."""
    sentences = []
    strongest = [setting for setting in probe.settings if setting.strength == STRENGTHS[-1]]
    for kind in ("picture", "text"):
        settings = [setting for setting in strongest if setting.kind == kind]
        if not settings:
            continue
        worst = sorted(settings, key=lambda setting: setting.moved.flipped.value or 0.0, reverse=True)
        flips = ", ".join(
            f"{_plain_name(setting.change)} {_whole_percent(setting.moved.flipped)}"
            for setting in worst[:_FLIPS_SHOWN]
        )
        drop = min(setting.moved.macro_f1_change.value or 0.0 for setting in settings)
        sentences.append(
            f"Changed at full strength, the {kind} flips the most decisions by {flips}; macro-F1 changes by "
            f"{100 * drop:+.0f} points at worst."
        )
    sentences += _describe_unread(strongest)
    lightest = [
        setting.moved.flipped.value or 0.0 for setting in probe.settings if setting.strength == STRENGTHS[0]
    ]
    sentences.append(
        f"At the mildest strength, at most {100 * max(lightest):.0f} % of the decisions on {probe.memes:,} memes flip."
    )
    return tuple(sentences)


def _describe_unread(strongest: Sequence[Setting]) -> list[str]:
    """Name the changes that leave the input of most memes as it was."""
    unread = [
        _plain_name(setting.change) for setting in strongest if (setting.moved.reached.value or 0.0) < _HALF
    ]
    if unread:
        return [
            f"Nothing is shown about {', '.join(unread)}: for most memes the detector's input is the same with the "
            "change, which is undone before it reads, or is beyond what it reads."
        ]
    return []


def describe_identity(probe: IdentityProbe) -> tuple[str, ...]:
    """Describe whether swapping who is named moves decisions more than swapping other words."""
    return (
        f"{probe.without_term:,} of {probe.memes:,} memes have none of the identity terms and are left out.",
        "Swaps of one identity term are compared with swaps of as many other words in the same memes, at a "
        f"significance level of {100 * LEVEL:.0f} % over all axes.",
        *_describe_swaps(probe),
        *_describe_terms(probe),
    )


def _describe_swaps(probe: IdentityProbe) -> list[str]:
    groups: dict[str, list[str]] = {"more": [], "less": [], "alike": []}
    for axis, swapped in probe.swapped.items():
        kind = "alike" if swapped.more_p > LEVEL else "more" if (swapped.more.value or 0.0) > 0 else "less"
        flipped, control = (
            format_sentence(figure, digits=0).split(" ")[0] for figure in (swapped.flipped, swapped.control)
        )
        groups[kind].append(
            f"{_plain_name(axis)} {flipped} % against {control} %, "
            + format_sentence(swapped.more, digits=0, unit=" points", sign=True)
        )
    sentences = [
        f"{start} for {len(groups[kind])} of {len(probe.swapped)} axes: {'; '.join(groups[kind])}."
        for kind, start in (
            ("more", "Identity terms flip decisions more often than other words do"),
            ("alike", "They are not shown to flip decisions more or less often"),
            (
                "less",
                "They flip decisions less often, which proves nothing, as other words change the meaning more,",
            ),
        )
        if groups[kind]
    ]
    if few := [_plain_name(axis) for axis in probe.skipped]:
        sentences.append(f"In fewer than {FEWEST_NAMING} memes, too few to tell: {', '.join(few)}.")
    return sentences


def _describe_terms(probe: IdentityProbe) -> list[str]:
    shown, hidden = [], []
    for axis, swapped in probe.swapped.items():
        if swapped.terms_p is None:
            continue
        often = {term: mean for term, mean in swapped.terms.items() if swapped.times[term] >= OFTEN}
        if swapped.terms_p > LEVEL:
            hidden.append(_plain_name(axis))
        else:
            shown.append(f"{_plain_name(axis)} ({_p_value(swapped.terms_p)}{_extremes(often)})")
    sentences = []
    if shown:
        sentences.append(f"P(harmful) depends on which term is put into the same memes: {'; '.join(shown)}.")
    if hidden:
        sentences.append(f"Not shown to depend on the term: {', '.join(hidden)}.")
    return sentences


def _p_value(value: float) -> str:
    return f"p = {value:.3f}" if value >= 0.001 else "p < 0.001"


def _extremes(terms: Mapping[str, float]) -> str:
    """Name the terms with the highest and the lowest mean."""
    if len(terms) < 2:
        return ""
    high, low = max(terms, key=terms.__getitem__), min(terms, key=terms.__getitem__)
    return f", highest for {high} {terms[high]:+.2f}, lowest for {low} {terms[low]:+.2f}"


def describe_rationale(probe: RationaleProbe) -> tuple[str, ...]:
    """Describe what the rationales are worth, a sentence or two a part, what could not be measured last."""
    sentences = [_describe_written(probe.written, probe.memes)]
    if probe.simulatability:
        sentences += _describe_simulatability(probe.simulatability)
    sentences.append(_describe_agreement(probe.agreement))
    if probe.truth:
        sentences += _describe_truth(probe.truth)
    if probe.gold:
        sentences += _describe_gold(probe.gold)
    if probe.swap:
        sentences.append(
            f"Given the rationale of a meme with the opposite decision, {_percent(probe.swap.follows)} of the "
            f"decisions follow it; given that of one with the same decision, {_percent(probe.swap.strays)} change."
        )
    return (*sentences, *_not_measured(probe.skipped))


def _describe_written(written: Written, memes: int) -> str:
    length = f" of {written.words.value:.0f} words on average" if written.words.value is not None else ""
    return (
        f"{written.distinct:,} different rationales for {memes:,} memes{length}; "
        f"{_percent(written.states_label)} state a label, {_bare_percent(written.refused)} refuse, "
        f"{_bare_percent(written.blank)} are blank and {_bare_percent(written.copied)} are word for word "
        "those of another meme."
    )


def _describe_simulatability(simulated: Simulatability) -> list[str]:
    everything, rest = simulated.all, simulated.not_stating
    sentences = [
        f"A reader of the rationale alone recovers {_percent(everything.rationale)} of the decisions "
        f"({_bare_percent(everything.unstated)} once the sentences that state a label are cut), a reader of the "
        f"meme's text {_percent(everything.meme)}, of both {_percent(everything.both)}; always guessing the more "
        f"common decision recovers {_bare_percent(simulated.commoner)}."
    ]
    if rest.memes and rest.memes < everything.memes:
        sentences.append(
            f"Among the {rest.memes:,} rationales that state no label, the rationale alone recovers "
            f"{_percent(rest.rationale)}, and adds {_points(rest.gain)} to the meme's text."
        )
    gain = f"The rationale adds {_points(everything.gain)} to the meme's text"
    if simulated.adjusted.value is None:
        sentences.append(
            f"{gain}; either every rationale gives the decision away or none does, so there is nothing to "
            "adjust for."
        )
    else:
        adjusted = _points(simulated.adjusted)
        sentences.append(f"{gain}, {adjusted} once adjusted for rationales that give the decision away.")
    return sentences


def _describe_agreement(agreement: Agreement) -> str:
    how = "name what words and picture do together" if agreement.read_by == "relation" else "take a side"
    if agreement.agreeing.value is None:
        return f"No rationale was found to {how}, so agreement with the verdict cannot be measured."
    beyond = f" (kappa {_plain(agreement.kappa)})" if agreement.kappa.value is not None else ""
    return (
        f"{_percent(agreement.speaking)} of the rationales {how}; of these, {_percent(agreement.agreeing)} agree with "
        f"the verdict{beyond}."
    )


def _describe_truth(truth: Truth) -> list[str]:
    kinds = {"true": truth.accuracy_true, "not true": truth.accuracy_false}
    accuracies = [
        f"{_percent(accuracy)} when the rationale is {kind}"
        for kind, accuracy in kinds.items()
        if accuracy.value is not None
    ]
    return [
        f"Compared with what each generated meme shows and says, {_percent(truth.all)} of the rationales are true in "
        f"every part (scene {_bare_percent(truth.scene)}, tone {_bare_percent(truth.tone)}, relation "
        f"{_bare_percent(truth.relation)}).",
        f"Decisions are correct on {' and '.join(accuracies)}.",
    ]


def _describe_gold(gold: AgainstGold) -> list[str]:
    kinds = {"ROUGE-L": gold.rouge_l, f"BERTScore by {gold.encoder}": gold.bertscore}
    return [
        f"{kind} with human-written rationales of {gold.memes:,} of these memes is {_plain(likeness.own)}; with those "
        f"of another meme, {_plain(likeness.other)}."
        for kind, likeness in kinds.items()
        if likeness
    ]


def describe_saliency(probe: SaliencyProbe) -> tuple[str, ...]:
    """Describe whether saliency beats a random order, the words first, what could not be measured last."""
    sentences: list[str] = []
    for name, part in (("text", probe.text), ("picture", probe.picture)):
        if part:
            sentences += _describe_part(part, UNITS[name])
    return (*sentences, *_not_measured(probe.skipped))


def _describe_part(part: Part, units: str) -> list[str]:
    random = part.orders["random"]
    with_all, without_any = random.deletion_curve[0], random.deletion_curve[-1]
    sentence = (
        f"On {part.memes:,} memes P(decision) is {with_all:.2f} on average with all {units} "
        f"and {without_any:.2f} without any"
    )
    if abs(with_all - without_any) < _MOVES:
        sentence += f": the decision depends so little on the {units} that no order of them can show much"
    sentences = [f"{sentence}."]
    for kind, order in part.orders.items():
        if not (order.deletion_gain and order.insertion_gain):
            continue
        sentences.append(
            f"{kind.capitalize()} over {units}: removing the highest-weighted first {_verdict(order.deletion_gain)}, "
            f"{_areas(order.deletion, random.deletion, order.deletion_gain)}; adding them first "
            f"{_verdict(order.insertion_gain)}, "
            f"{_areas(order.insertion, random.insertion, order.insertion_gain)}. "
            + (
                _conclude(kind, units, order.deletion_gain, order.insertion_gain)
                if part.memes >= FEWEST
                else f"Fewer than {FEWEST} memes are too few to conclude anything."
            )
        )
    return sentences


def _verdict(gain: Estimate) -> str:
    if gain.low is None or gain.high is None:
        return "could not be compared with a random order"
    if gain.low > 0:
        return "beats a random order"
    if gain.high < 0:
        return "does worse than a random order"
    return "is not shown to beat a random order"


def _conclude(kind: str, units: str, deletion: Estimate, insertion: Estimate) -> str:
    better = [gain.low is not None and gain.low > 0 for gain in (deletion, insertion)]
    if all(better):
        return f"So {kind} finds {units} that the decisions rest on."
    if any(better):
        return f"So {kind} finds {units} that the decisions rest on, by one of the two tests."
    return f"So {kind} is not shown to find {units} that the decisions rest on: do not read it as a reason."


def _areas(area: Estimate, random_area: Estimate, gain: Estimate) -> str:
    first, second = (
        format_sentence(Estimate(value=figure.value), times=1, digits=3) for figure in (area, random_area)
    )
    return f"area {first} against {second}, gain {format_sentence(gain, times=1, digits=3, sign=True)}"


def describe_judge(report: JudgeReport) -> tuple[str, ...]:
    """Describe the marks a judge gave to rationales, and whether they mean anything."""
    invalid = report.asked - report.statuses.get("ok", 0)
    kinds = ", ".join(f"{count:,} {status}" for status, count in report.statuses.items() if status != "ok")
    sentences = [
        f"{report.judge} was asked {report.asked:,} times about {report.memes:,} rationales by {report.prompt}; "
        f"{invalid:,} answers are not valid and are not counted" + (f" ({kinds})." if kinds else ".")
    ]
    if not report.judged:
        return (*sentences, "No rationale got a valid answer.")
    marks = ", ".join(f"{name} {_mark(point.mean)}" for name, point in report.points.items())
    sentences.append(f"Marks from 1 to 5: {marks}.")
    sentences.append(
        f"With {report.wrong:,} wrong decisions capped at {CAP:.0f}, the overall mark is "
        f"{_mark(report.capped)}; before that it is {_mark(report.when_right)} where the decision is right and "
        f"{_mark(report.when_wrong)} where it is wrong; the judge does not see which."
    )
    true, false = report.when_true, report.when_false
    if true and false and None not in (true.value, false.value):
        sentences.append(
            f"It marks rationales that are true of their generated meme {_mark(true)}, and those that are not "
            f"{_mark(false)}."
        )
    spread = report.points["overall"].within_sd
    if spread.value is not None:
        sentences.append(
            f"Asked again about the same rationale, its overall mark differs by {_mark(spread)} (standard deviation)."
        )
    return tuple(sentences)


def _not_measured(skipped: Mapping[str, str]) -> list[str]:
    return [f"Not measured ({part}): {why}." for part, why in skipped.items()]


def _plain_name(name: str) -> str:
    return name.replace("_", " ")


def _percent(figure: Estimate) -> str:
    return format_sentence(figure, unit=" %")


def _whole_percent(figure: Estimate) -> str:
    return format_sentence(figure, digits=0, unit=" %")


def _bare_percent(figure: Estimate) -> str:
    """Format a share without its interval."""
    return _percent(Estimate(value=figure.value))


def _points(figure: Estimate) -> str:
    return format_sentence(figure, unit=" points")


def _plain(figure: Estimate) -> str:
    return format_sentence(figure, times=1, digits=3)


def _mark(figure: Estimate) -> str:
    return format_sentence(figure, times=1, digits=2)


# Name in report.json -> the record that stands there, and what describes it.
DESCRIBE: dict[str, tuple[type[Record], Callable[[Any], tuple[str, ...]]]] = {
    "modality": (ModalityProbe, describe_modality),
    "pairs": (PairsProbe, describe_pairs),
    "robustness": (RobustnessProbe, describe_robustness),
    "identity": (IdentityProbe, describe_identity),
    "rationale": (RationaleProbe, describe_rationale),
    "saliency": (SaliencyProbe, describe_saliency),
    "judge": (JudgeReport, describe_judge),
}
