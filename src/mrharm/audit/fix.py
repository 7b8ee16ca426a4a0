"""A cleaned copy of a dataset: overlap out of train, unreadable rows and pictures out, leaking rationales marked.

Nothing is lost: every meme left out stands in the copy's ``failures.jsonl`` with its reason, every rationale keeps its
text, and the dataset audited stays as it is.
"""

from __future__ import annotations

import shutil
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mrharm.audit.copies import Copies
from mrharm.audit.rationales import TEACHING
from mrharm.audit.reading import STAGE, Contents, Item
from mrharm.audit.run import Audit
from mrharm.errors import InputError
from mrharm.llm import looks_refused
from mrharm.memes.dataset import EVIDENCE, INFO, MEMES, RATIONALES, Dataset, count_splits
from mrharm.memes.fingerprints import PictureFacts
from mrharm.memes.importing import check_target
from mrharm.memes.pictures import link
from mrharm.progress import Progress, counting, no_progress
from mrharm.rationales.leakage import states_label
from mrharm.records import Evidence, Failure, Label, Rationale, RationaleStatus, read_records
from mrharm.store import FAILURES, folder_aside, sha256_file, write_json, write_records


@dataclass
class Fixed:
    """What a cleaned copy left out and marked: reason -> how many."""

    folder: Path
    memes: int
    dropped: Counter[str] = field(default_factory=Counter)
    marked: Counter[str] = field(default_factory=Counter)

    def summary(self) -> dict[str, Any]:
        """As one JSON object."""
        return {
            "folder": str(self.folder),
            "memes": self.memes,
            "dropped": dict(self.dropped),
            "marked": dict(self.marked),
        }


def check_folder(folder: Path, source: Path, overwrite: bool) -> None:
    """Raise InputError where a cleaned copy may not be written: in the dataset or around it, taken, or not empty."""
    if folder.resolve().is_relative_to(source.resolve()):
        raise InputError(f"{folder}: lies in the dataset itself; choose another folder for the cleaned copy")
    check_target(folder.resolve(), source, overwrite)


def write_fixed(
    found: Audit, folder: Path, *, overwrite: bool = False, progress: Progress = no_progress
) -> Fixed:
    """Write the cleaned copy into ``folder``, whole or not at all; pictures are hard-linked where possible.

    Raises:
        InputError: the folder may not be written, lies in the dataset, or not one train meme would be left.
    """
    contents, copies, facts = found.contents, found.copies, found.facts
    source = contents.dataset.root
    target = folder.resolve()
    check_folder(folder, source, overwrite)
    fates = _fates(contents, copies, facts)
    kept = [item for item in contents.items if item.number not in fates]
    if any(contents.train in item.splits for item in contents.items) and not any(
        contents.train in item.splits for item in kept
    ):
        raise InputError(
            f"{source}: not one {contents.train} meme would be left; every one is in another split too"
        )
    fixed = Fixed(folder, len(kept), Counter(fates.values()))
    if contents.unreadable:
        fixed.dropped["line cannot be read"] = len(contents.unreadable)
    failures = contents.unreadable + [
        Failure(item=item.id, stage=STAGE, reason=fates[item.number], file=MEMES)
        for item in contents.items
        if item.number in fates
    ]
    rationales = _marked(contents, kept, fixed)
    with folder_aside(target) as aside:
        places = dict.fromkeys(place for item in kept for place in item.picture_places)
        with counting(progress, "linking pictures", len(places)) as advance:
            for place in places:
                look = facts.get(place)
                if look and not look.failure:
                    (aside / place).parent.mkdir(parents=True, exist_ok=True)
                    if not link(source / place, aside / place):
                        shutil.copyfile(source / place, aside / place)
                advance()
        _write_records(contents, kept, rationales, failures, aside)
        _write_info(contents, kept, fixed, aside)
    return fixed


def _fates(contents: Contents, copies: Copies, facts: dict[str, PictureFacts]) -> dict[int, str]:
    """Item number -> why it is left out."""
    fates: dict[int, str] = {}
    for item in contents.items:
        look = facts.get(item.meme.image or "")
        if look and look.failure:
            fates[item.number] = look.failure
    train = contents.by_split.get(contents.train, [])
    for split in [*contents.held_out, contents.validation]:
        for item in copies.seen_in(train, contents.by_split.get(split, [])):
            if split not in item.splits:
                fates.setdefault(item.number, f"in {split} too: removed from {contents.train}")
    first: set[str] = set()
    # Rows of the evaluation splits keep their id.
    for item in sorted(contents.items, key=lambda item: (contents.train in item.splits, item.number)):
        if item.number in fates:
            continue
        if item.id in first:
            fates[item.number] = "id repeated"
        first.add(item.id)
    return fates


def _marked(contents: Contents, kept: list[Item], fixed: Fixed) -> list[Rationale]:
    labels: dict[str, Label | None] = {item.id: item.meme.label for item in kept}
    rows = []
    for row in contents.rationales:
        if row.meme_id not in labels:
            continue
        label = row.label_given or labels[row.meme_id]
        status: RationaleStatus = row.status
        if status in TEACHING and looks_refused(row.text):
            status = "refused"
        elif status in TEACHING and label is not None and states_label(row.text, label):
            status = "leaks_label"
        if status != row.status:
            fixed.marked[status] += 1
        rows.append(row.model_copy(update={"status": status}))
    return rows


def _write_records(
    contents: Contents, kept: list[Item], rationales: list[Rationale], failures: list[Failure], aside: Path
) -> None:
    write_records(aside / MEMES, [item.meme for item in kept])
    evidence: dict[str, Evidence] = {item.id: item.evidence for item in kept if item.evidence}
    if evidence:
        write_records(aside / EVIDENCE, evidence.values())
    if rationales:
        write_records(aside / RATIONALES, rationales)
    earlier = contents.dataset.root / FAILURES
    rows = [*(read_records(earlier, Failure) if earlier.is_file() else ()), *failures]
    if rows:
        write_records(aside / FAILURES, rows)


def _write_info(contents: Contents, kept: list[Item], fixed: Fixed, aside: Path) -> None:
    info = contents.dataset.info
    notes = [
        f"cleaned by mrharm audit: {count:,} memes left out ({why})" for why, count in fixed.dropped.items()
    ]
    notes += [
        f"cleaned by mrharm audit: {count:,} rationales marked {status}"
        for status, count in fixed.marked.items()
    ]
    whole = info.model_copy(
        update={
            "splits": count_splits([item.meme for item in kept]),
            "notes": [*info.notes, *notes],
            "files": {path.name: sha256_file(path) for path in sorted(aside.glob("*.jsonl"))},
        }
    )
    write_json(aside / INFO, whole.model_dump(mode="json"))
    Dataset(aside).memes  # noqa: B018 - reads as training will, so that a faulty copy is never left behind
