"""A cleaned copy of a dataset; what is left out is listed in its ``failures.jsonl``, and rationales keep their text."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mrharm.audit.copies import Copies
from mrharm.audit.rationales import TEACHING
from mrharm.audit.reading import STAGE, Contents, Item
from mrharm.audit.run import Audit
from mrharm.errors import InputError
from mrharm.llm import looks_refused
from mrharm.memes.dataset import EVIDENCE, INFO, MEMES, RATIONALES, Dataset, DatasetInfo, count_splits
from mrharm.memes.fingerprints import PictureFacts
from mrharm.memes.importing import check_target
from mrharm.memes.pictures import link
from mrharm.progress import Progress, counting, no_progress
from mrharm.rationales.leakage import states_label
from mrharm.records import Failure, Label, Rationale, RationaleStatus, Record, read_records
from mrharm.store import FAILURES, folder_aside, sha256_file, write_json, write_records


@dataclass
class Fixed:
    """A cleaned copy: what it left out (reason -> memes) and marked (status -> rationales)."""

    folder: Path
    memes: int
    dropped: Counter[str] = field(default_factory=Counter)
    marked: Counter[str] = field(default_factory=Counter)

    def summary(self) -> dict[str, Any]:
        """Return it as one JSON object."""
        return {**vars(self), "folder": str(self.folder)}


def check_folder(folder: Path, source: Path, overwrite: bool) -> None:
    """Raise InputError where a cleaned copy may not be written: in the dataset or around it, or not empty."""
    if folder.resolve().is_relative_to(source.resolve()):
        raise InputError(
            f"{folder}: is inside the dataset itself; choose another folder for the cleaned copy"
        )
    check_target(folder.resolve(), source, overwrite)


def write_fixed(
    audited: Audit, folder: Path, *, overwrite: bool = False, progress: Progress = no_progress
) -> Fixed:
    """Write the cleaned copy into ``folder``, whole or not at all; pictures are hard-linked where possible.

    Raises:
        InputError: the folder may not be written, lies in the dataset, or no train meme would be left.
    """
    contents, facts = audited.contents, audited.facts
    source, train = contents.dataset.root, contents.train
    check_folder(folder, source, overwrite)
    # What is left out, what is kept, and what is marked.
    reasons = _choose_dropped(contents, audited.copies, facts)
    kept = [item for item in contents.items if item.number not in reasons]
    if train in contents.by_split and not any(train in item.splits for item in kept):
        raise InputError(f"{source}: no {train} meme would be left; each is in another split too")
    rationales, marked = _mark_rationales(contents, kept)
    fixed = Fixed(folder, len(kept), Counter(reasons.values()), marked)
    if contents.unreadable:
        fixed.dropped["line cannot be read"] = len(contents.unreadable)
    evidence = {item.id: item.evidence for item in kept if item.evidence}
    files: dict[str, Sequence[Record]] = {
        EVIDENCE: [*evidence.values()],
        RATIONALES: rationales,
        FAILURES: _list_failures(contents, reasons),
    }
    # The copy, written aside and renamed.
    with folder_aside(folder.resolve()) as aside:
        _link_pictures(kept, facts, source, aside, progress)
        write_records(aside / MEMES, [item.meme for item in kept])
        for name, rows in files.items():
            if rows:
                write_records(aside / name, rows)
        write_json(aside / INFO, _describe_copy(contents, kept, fixed, aside).model_dump(mode="json"))
        Dataset(aside).memes  # noqa: B018 - reads as training will, so that a faulty copy is never left behind
    return fixed


def _list_failures(contents: Contents, reasons: Mapping[int, str]) -> list[Failure]:
    """Return the dataset's failures, its lines that cannot be read, and the memes left out."""
    path = contents.dataset.root / FAILURES
    earlier = read_records(path, Failure) if path.is_file() else ()
    dropped = [(contents.items[number].id, reason) for number, reason in sorted(reasons.items())]
    return [
        *earlier,
        *contents.unreadable,
        *(Failure(item=meme_id, stage=STAGE, reason=reason, file=MEMES) for meme_id, reason in dropped),
    ]


def _link_pictures(
    kept: Sequence[Item], facts: Mapping[str, PictureFacts], source: Path, copy: Path, progress: Progress
) -> None:
    places = dict.fromkeys(place for item in kept for place in item.picture_places)
    with counting(progress, "linking pictures", len(places)) as advance:
        for place in places:
            if not facts[place].failure:
                (copy / place).parent.mkdir(parents=True, exist_ok=True)
                if not link(source / place, copy / place):
                    shutil.copyfile(source / place, copy / place)
            advance()


def _choose_dropped(contents: Contents, copies: Copies, facts: Mapping[str, PictureFacts]) -> dict[int, str]:
    """Return item number -> why it is left out: its picture, a copy in another split, or its id."""
    reasons: dict[int, str] = {}
    for item in contents.items:
        picture = facts.get(item.meme.image or "")
        if picture and picture.failure:
            reasons[item.number] = picture.failure
    train = contents.by_split.get(contents.train, [])
    for split in [*contents.held_out, contents.validation]:
        for item, _ in copies.pair_copies(train, contents.by_split.get(split, [])):
            if split not in item.splits:
                reasons.setdefault(item.number, f"in {split} too: removed from {contents.train}")
    ids: set[str] = set()
    # Rows of the evaluation splits keep their id.
    for item in sorted(contents.items, key=lambda item: (contents.train in item.splits, item.number)):
        if item.number in reasons:
            continue
        if item.id in ids:
            reasons[item.number] = "id repeated"
        ids.add(item.id)
    return reasons


def _mark_rationales(contents: Contents, kept: Sequence[Item]) -> tuple[list[Rationale], Counter[str]]:
    """Return the rationales of the memes kept, and how many got another status: they refuse, or state their label."""
    labels: dict[str, Label | None] = {item.id: item.meme.label for item in kept}
    rows = []
    marked: Counter[str] = Counter()
    for row in contents.rationales:
        if row.meme_id not in labels:
            continue
        label = row.label_given or labels[row.meme_id]
        status: RationaleStatus = row.status
        if status in TEACHING and looks_refused(row.text):
            status = "refused"
        elif status in TEACHING and label is not None and states_label(row.text, label):
            status = "leaks_label"
        marked[status] += status != row.status
        rows.append(row.model_copy(update={"status": status}))
    return rows, +marked


def _describe_copy(contents: Contents, kept: Sequence[Item], fixed: Fixed, copy: Path) -> DatasetInfo:
    """Return the dataset's description, true of the copy, with notes of what was left out and marked."""
    info = contents.dataset.info
    notes = [f"{count:,} memes left out ({why})" for why, count in fixed.dropped.items()]
    notes += [f"{count:,} rationales marked {status}" for status, count in fixed.marked.items()]
    changes = {
        "splits": count_splits([item.meme for item in kept]),
        "notes": [*info.notes, *(f"cleaned by mrharm audit: {note}" for note in notes)],
        "files": {path.name: sha256_file(path) for path in sorted(copy.glob("*.jsonl"))},
    }
    return info.model_copy(update=changes)
