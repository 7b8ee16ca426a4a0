"""Submissions: verdicts in the file formats of leaderboards.

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
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from mrharm.errors import DataError, InputError
from mrharm.evaluation.predictions import judge_memes
from mrharm.evaluation.saved_predictions import set_aside, verdicts_file
from mrharm.memes.dataset import Dataset
from mrharm.memes.sources.hateful_memes import ATTACKS, CATEGORIES, HATE, NO_ATTACK, NO_CATEGORY
from mrharm.memes.sources.mami import KINDS
from mrharm.progress import Progress, no_progress
from mrharm.records import Failure, Meme, Record, Verdict, read_records
from mrharm.store import check_place, exclusive_lock, write_text

if TYPE_CHECKING:
    from mrharm.verdicts.detector import Detector

TypeTable = Mapping[str, Mapping[str, float]]  # meme id -> type -> P(it is of that type)
THRESHOLD = 0.5  # of a type's score
TYPES_NEEDED = (
    "fine-grained: this detector says harmful or harmless, not against whom or how, and the task asks for a score for "
    f"each of {', '.join((*CATEGORIES, *ATTACKS))}; give them from another model with --submission-types FILE (JSONL "
    'of {"meme_id", "types": {name: score}}), or submit to fhm'
)


class TypeScores(Record):
    """A line of a file of types: how probably a meme is of each type, by another model."""

    meme_id: str = Field(min_length=1)
    types: dict[str, Annotated[float, Field(ge=0, le=1)]]


@dataclass(frozen=True)
class SubmissionRequest:
    """A submission asked for: a row of `FORMATS`, a file, a split by name or role, and scores of types if any."""

    kind: str
    file: Path
    split: str = "test"
    types: TypeTable | None = None


Verdicts = Mapping[str, Verdict]  # by meme id
Format = Callable[[SubmissionRequest, Sequence[Meme], Verdicts], str]


def parse_request(
    kind: str | None, file: Path | None, types: Path | None, split: str = "test"
) -> SubmissionRequest | None:
    """Make a request of the options of a command line, refusing before any work what cannot be; None without options.

    Raises:
        InputError: one of two options that go together, a place where no file can be written, or types that are missing
            or are not asked for.
        DataError: the file of types is missing or something else.
    """
    if (kind is None) != (file is None):
        raise InputError("--submission and --submission-file go together: which leaderboard's, and where to")
    if kind is None or file is None:
        if types:
            raise InputError("--submission-types goes with --submission mami or fine-grained")
        return None
    if kind == "fhm" and types:
        raise InputError(
            "--submission-types goes with --submission mami or fine-grained; fhm asks for no types, leave it out"
        )
    if kind == "fine-grained" and types is None:
        raise InputError(TYPES_NEEDED)
    check_place(file, "--submission-file")
    return SubmissionRequest(kind, file, split, read_types(types) if types else None)


def read_types(file: Path) -> TypeTable:
    """Read JSONL of ``{"meme_id", "types": {name: score from 0 to 1}}``; of two lines of a meme the later one counts.

    Raises:
        DataError: the file is missing, a line is something else, or a score is not from 0 to 1.
    """
    return {row.meme_id: row.types for row in read_records(file, TypeScores)}


def dry_run(request: SubmissionRequest, dataset: Dataset) -> None:
    """Format made-up verdicts and write nothing, so that what the memes lack is refused before any work.

    Raises:
        InputError: no such split, or a meme without the scores of types needed.
        DataError: an id or a picture's name that the leaderboard cannot know.
    """
    memes = dataset.split(request.split)
    decision: dict[str, Any] = {"harmful": True, "score": 1.0, "threshold": 0.5}
    made_up = Verdict.model_construct(**decision)
    FORMATS[request.kind](request, memes, {meme.id: made_up for meme in memes})


def submit(
    request: SubmissionRequest,
    detector: Detector,
    dataset: Dataset,
    *,
    folder: Path | None = None,
    rationales: bool = True,
    progress: Progress = no_progress,
) -> None:
    """Judge all memes of a split, labelled or not, and write the submission; verdicts in ``folder`` are reused.

    Raises as `write_submission`.
    """
    request = replace(request, split=dataset.split_name(request.split))
    memes = dataset.split(request.split)
    if folder:
        folder.mkdir(parents=True, exist_ok=True)
    out = verdicts_file(folder, request.split) if folder else None
    with exclusive_lock(folder, "evaluate") if folder else nullcontext():
        if out:
            set_aside(out, detector.key)
        verdicts, failures = judge_memes(
            detector, dataset, memes, out=out, rationales=rationales, progress=progress
        )
    write_submission(request, memes, verdicts, failures)


def write_submission(
    request: SubmissionRequest, memes: Sequence[Meme], verdicts: Verdicts, failures: Sequence[Failure] = ()
) -> None:
    """Write one leaderboard's file.

    A meme whose answer was no label counts as the side its score is on, as no leaderboard takes "neither". Without
    scores of types ``mami`` writes subtask A alone; ``fine-grained`` needs them. ``failures`` say why memes have no
    verdict.

    Raises:
        InputError: a meme without a verdict, or types that are needed and missing.
        DataError: an id or a picture's name that the leaderboard cannot know.
    """
    missing = [meme.id for meme in memes if meme.id not in verdicts]
    if missing:
        reasons = {failure.item: failure.reason for failure in failures}
        raise InputError(
            f"{len(missing):,} of {len(memes):,} memes have no verdict ({missing[0]}: "
            f"{reasons.get(missing[0], 'no reason kept')}); a leaderboard takes all or none: mend them and run the "
            "same command again"
        )
    write_text(request.file, FORMATS[request.kind](request, memes, verdicts))


def _format_fhm(request: SubmissionRequest, memes: Sequence[Meme], verdicts: Verdicts) -> str:
    text = io.StringIO()
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(("id", "proba", "label"))
    for meme in memes:
        verdict = verdicts[meme.id]
        # In full: rounded, the smallest scores would tie where scores are ranked.
        lines.writerow((_hateful_memes_number(meme), repr(verdict.score), int(_is_harmful(verdict))))
    return text.getvalue()


def _format_mami(request: SubmissionRequest, memes: Sequence[Meme], verdicts: Verdicts) -> str:
    lines = []
    for meme in memes:
        harmful = _is_harmful(verdicts[meme.id])
        columns = [harmful]
        if request.types is not None:
            scores = _scores_of_types(meme, request.types, KINDS)
            # The task's hierarchy: only a misogynous meme has kinds of misogyny.
            columns += [harmful and scores[kind] >= THRESHOLD for kind in KINDS]
        # The importer keeps a picture's name and may change its suffix; the task's pictures are all .jpg.
        name = f"{PurePosixPath(meme.id).name}.jpg"
        lines.append("\t".join([name, *(str(int(column)) for column in columns)]) + "\n")
    return "".join(lines)


def _format_fine_grained(request: SubmissionRequest, memes: Sequence[Meme], verdicts: Verdicts) -> str:
    if request.types is None:
        raise InputError(TYPES_NEEDED)
    hateful, not_hateful = HATE
    lines = []
    for meme in memes:
        score = verdicts[meme.id].score
        scores = _scores_of_types(meme, request.types, (*CATEGORIES, *ATTACKS))
        row = {
            "id": _hateful_memes_number(meme),
            "set_name": request.split,
            "pred_hate": {not_hateful: 1 - score, hateful: score},
            # The task gives a meme that is not hateful the category and the attack "none".
            "pred_pc": {NO_CATEGORY: 1 - score, **{name: scores[name] for name in CATEGORIES}},
            "pred_attack": {NO_ATTACK: 1 - score, **{name: scores[name] for name in ATTACKS}},
        }
        lines.append(json.dumps(row) + "\n")
    return "".join(lines)


FORMATS: dict[str, Format] = {
    "fhm": _format_fhm,
    "mami": _format_mami,
    "fine-grained": _format_fine_grained,
}


def _is_harmful(verdict: Verdict) -> bool:
    return verdict.score >= verdict.threshold if verdict.harmful is None else verdict.harmful


def _hateful_memes_number(meme: Meme) -> int:
    if not (meme.id.isascii() and meme.id.isdigit()):
        raise DataError(f"{meme.id}: expected the number of a Hateful Memes meme, as mrharm import gives it")
    return int(meme.id)


def _scores_of_types(meme: Meme, types: TypeTable, names: Sequence[str]) -> Mapping[str, float]:
    scores = types.get(meme.id)
    if scores is None:
        raise InputError(f"{meme.id}: no scores of types for it; the file of types must hold every meme")
    lacking = [name for name in names if name not in scores]
    if lacking:
        raise InputError(
            f"{meme.id}: no score for {', '.join(lacking)}; expected one for each of {', '.join(names)}"
        )
    return scores
