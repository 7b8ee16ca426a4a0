"""Verdicts as the files that leaderboards take.

Sources of the formats: ``fhm``, the Hateful Memes Challenge (Kiela et al. 2020): CSV of ``id,proba,label``. ``mami``,
SemEval-2022 task 5 (Fersini et al. 2022), ``answer.txt``: tab-separated lines of a file name and one column for
subtask A or five for A and B, no header. ``fine-grained``, WOAH 5 (Mathias et al. 2021): JSON lines of ``id``,
``set_name`` and ``{label: score}`` under ``pred_hate``, ``pred_pc`` and ``pred_attack``.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pydantic import Field

from mrharm.errors import DataError, InputError
from mrharm.evaluation.predictions import judge_memes
from mrharm.evaluation.saved import set_aside, verdicts_file
from mrharm.memes.dataset import Dataset
from mrharm.memes.sources.hateful_memes import ATTACKS, CATEGORIES, HATE, NO_ATTACK, NO_CATEGORY
from mrharm.memes.sources.mami import KINDS
from mrharm.progress import Progress, no_progress
from mrharm.records import Failure, Meme, Record, Verdict, read_records
from mrharm.store import check_place, exclusive_lock, write_text
from mrharm.verdicts.detector import Detector

Types = Mapping[str, Mapping[str, float]]  # meme id -> type -> P(it is of that type)
_HALF = 0.5
_WITHOUT_TYPES = (
    "fine-grained: this detector says harmful or harmless, not against whom or how, and the task asks for a score for "
    f"each of {', '.join((*CATEGORIES, *ATTACKS))}; give them from another model with --submission-types FILE (JSONL "
    'of {"meme_id", "types": {name: score}}), or submit to fhm'
)


class TypeScores(Record):
    """How probably a meme is of each type, says another model: one line of a file of types."""

    meme_id: str = Field(min_length=1)
    types: dict[str, float]


@dataclass(frozen=True)
class Answers:
    """What is submitted: a split's memes, labelled or not, the verdict on each by id, and scores of types if any."""

    split: str
    memes: Sequence[Meme]
    verdicts: Mapping[str, Verdict]
    types: Types | None = None


def write_submission(kind: str, answers: Answers, file: Path, *, failures: Sequence[Failure] = ()) -> None:
    """Write one leaderboard's file.

    Args:
        kind: one of `SUBMISSIONS`.
        answers: what to submit. A meme that was answered with no label is given the side its score is on, because no
            leaderboard takes "neither". Scores of types are what a detector of harmful and harmless cannot say:
            ``mami`` writes subtask A without them, A and B with them; ``fine-grained`` needs them.
        file: where to.
        failures: why memes have no verdict.

    Raises:
        InputError: no such leaderboard, a meme without a verdict, or types that are wanted and not there.
        DataError: an id or a picture's name is none that the leaderboard knows.
    """
    if kind not in SUBMISSIONS:
        raise InputError(f"no submission called {kind!r}; there are: {', '.join(SUBMISSIONS)}")
    missing = [meme.id for meme in answers.memes if meme.id not in answers.verdicts]
    if missing:
        why = {failure.item: failure.reason for failure in failures}.get(missing[0], "no reason kept")
        raise InputError(
            f"{len(missing):,} of {len(answers.memes):,} memes have no verdict ({missing[0]}: {why}); a leaderboard "
            "takes all or none: mend them and run the same command again"
        )
    write_text(file, SUBMISSIONS[kind](answers))


@dataclass(frozen=True)
class Order:
    """A submission asked for: which leaderboard's, where to, and scores of types if any."""

    kind: str
    file: Path
    types: Types | None = None


def take_order(kind: str | None, file: Path | None, types: Path | None) -> Order | None:
    """What a person asked for -> an `Order`, or None; what cannot be is said here, before any work.

    Raises:
        InputError: half of an order, a file that cannot be written there, or types that are wanted and not there.
        DataError: the file of types is missing or something else.
    """
    if (kind is None) != (file is None):
        raise InputError("--submission and --submission-file go together: which leaderboard's, and where to")
    if kind is None or file is None:
        if types:
            raise InputError("--submission-types goes with --submission mami or fine-grained")
        return None
    if kind == "fine-grained" and types is None:
        raise InputError(_WITHOUT_TYPES)
    check_place(file, "--submission-file")
    return Order(kind, file, read_types(types) if types else None)


def rehearse(order: Order, dataset: Dataset, split: str) -> None:
    """Make what was ordered out of verdicts made up, and write nothing: what its memes lack is said before any work.

    Raises:
        InputError: no such split, or a meme without scores of types that are wanted.
        DataError: an id or a picture's name is none that the leaderboard knows.
    """
    own_name = dataset.split_name(split)
    memes = dataset.split(own_name)
    made_up = {
        meme.id: Verdict(
            meme_id=meme.id,
            harmful=True,
            score=1.0,
            threshold=_HALF,
            decision="flag",
            detector="none",
            recipe="none",
            created_at="",
        )
        for meme in memes
    }
    SUBMISSIONS[order.kind](Answers(own_name, memes, made_up, order.types))


def submit(
    order: Order,
    detector: Detector,
    dataset: Dataset,
    split: str,
    *,
    folder: Path | None = None,
    rationales: bool = True,
    progress: Progress = no_progress,
) -> None:
    """Judge all memes of a split, labelled or not, and write what was ordered; verdicts in ``folder`` are not made
    again. Raises as `write_submission` does.
    """
    own_name = dataset.split_name(split)
    memes = dataset.split(own_name)
    if folder:
        folder.mkdir(parents=True, exist_ok=True)
    out = verdicts_file(folder, own_name) if folder else None
    with exclusive_lock(folder, "evaluate") if folder else nullcontext():
        if out:
            set_aside(out, detector.key)
        verdicts, failures = judge_memes(
            detector, dataset, memes, out=out, rationales=rationales, progress=progress
        )
    write_submission(
        order.kind, Answers(own_name, memes, verdicts, order.types), order.file, failures=failures
    )


def read_types(file: Path) -> Types:
    """JSONL of ``{"meme_id", "types": {name: score from 0 to 1}}`` -> meme id -> type -> score; the later line wins.

    Raises:
        DataError: the file is missing, a line is something else, or a score is not from 0 to 1.
    """
    found: dict[str, dict[str, float]] = {}
    for row in read_records(file, TypeScores):
        odd = [name for name, score in row.types.items() if not 0 <= score <= 1]
        if odd:
            raise DataError(
                f"{file}: {row.meme_id}: {odd[0]}: expected a score from 0 to 1, got {row.types[odd[0]]}"
            )
        found[row.meme_id] = row.types
    return found


def _fhm(answers: Answers) -> str:
    text = io.StringIO()
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(("id", "proba", "label"))
    for meme in answers.memes:
        verdict = answers.verdicts[meme.id]
        # In full: rounded, the smallest scores would tie where scores are ranked.
        lines.writerow((_number(meme), repr(verdict.score), int(_says(verdict))))
    return text.getvalue()


def _mami(answers: Answers) -> str:
    lines = []
    for meme in answers.memes:
        harmful = _says(answers.verdicts[meme.id])
        columns = [harmful]
        if answers.types is not None:
            own = _types_of(meme, answers.types, KINDS)
            # A kind of misogyny is a kind of something that is there: the task's own hierarchy.
            columns += [harmful and own[kind] >= _HALF for kind in KINDS]
        # The importer keeps a picture's name and may change its suffix; the task's pictures are all .jpg.
        name = f"{PurePosixPath(meme.id).name}.jpg"
        lines.append("\t".join([name, *(str(int(one)) for one in columns)]) + "\n")
    return "".join(lines)


def _fine_grained(answers: Answers) -> str:
    if answers.types is None:
        raise InputError(_WITHOUT_TYPES)
    lines = []
    for meme in answers.memes:
        score = answers.verdicts[meme.id].score
        hateful, not_hateful = HATE
        own = _types_of(meme, answers.types, (*CATEGORIES, *ATTACKS))
        row = {
            "id": _number(meme),
            "set_name": answers.split,
            "pred_hate": {not_hateful: 1 - score, hateful: score},
            # No category and no attack is what the task calls a meme that is not hateful.
            "pred_pc": {NO_CATEGORY: 1 - score, **{name: own[name] for name in CATEGORIES}},
            "pred_attack": {NO_ATTACK: 1 - score, **{name: own[name] for name in ATTACKS}},
        }
        lines.append(json.dumps(row) + "\n")
    return "".join(lines)


SUBMISSIONS: dict[str, Callable[[Answers], str]] = {
    "fhm": _fhm,
    "mami": _mami,
    "fine-grained": _fine_grained,
}


def _says(verdict: Verdict) -> bool:
    return verdict.score >= verdict.threshold if verdict.harmful is None else verdict.harmful


def _number(meme: Meme) -> int:
    if not (meme.id.isascii() and meme.id.isdigit()):
        raise DataError(f"{meme.id}: expected the number of a Hateful Memes meme, as mrharm import gives it")
    return int(meme.id)


def _types_of(meme: Meme, types: Types, names: Sequence[str]) -> Mapping[str, float]:
    own = types.get(meme.id)
    if own is None:
        raise InputError(f"{meme.id}: no scores of types for it; the file of types must hold every meme")
    lacking = [name for name in names if name not in own]
    if lacking:
        raise InputError(
            f"{meme.id}: no score for {', '.join(lacking)}; expected one for each of {', '.join(names)}"
        )
    return own
