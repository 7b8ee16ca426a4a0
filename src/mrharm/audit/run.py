"""The audit as a whole: everything there is to ask of a dataset folder, and the verdict in plain words."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from mrharm.audit.copies import Copies, find_copies
from mrharm.audit.findings import LEVELS, AuditReport, Finding, Fitness, Purpose
from mrharm.audit.label_errors import find_label_errors
from mrharm.audit.labels import label_findings
from mrharm.audit.overlap import copy_findings
from mrharm.audit.pictures import fingerprint_pictures, picture_findings
from mrharm.audit.rationales import rationale_findings
from mrharm.audit.reading import Contents, read_contents
from mrharm.audit.shortcuts import shortcut_findings, shortcut_table, signals
from mrharm.audit.stale import stale_findings
from mrharm.audit.texts import text_findings
from mrharm.memes.dataset import Dataset
from mrharm.memes.fingerprints import PictureFacts
from mrharm.progress import Progress, no_progress
from mrharm.recipe import Recipe

PURPOSES: dict[Purpose, str] = {"training": "to train on", "publishing": "to publish numbers on"}


@dataclass(frozen=True)
class Audit:
    """An audit's report, and what it looked at, for the page and the cleaned copy to show and mend."""

    report: AuditReport
    contents: Contents
    copies: Copies
    facts: dict[str, PictureFacts]


def audit(
    dataset: Dataset | Path | str,
    recipe: Recipe,
    *,
    workers: int = 2,
    progress: Progress = no_progress,
) -> Audit:
    """Everything an audit finds in a dataset folder; lines that cannot be read are findings, not errors.

    Args:
        dataset: the folder.
        recipe: what would be trained: its lengths and templates say what would be cut.
        workers: processes that look at pictures.
        progress: draws a bar for long work.

    Raises:
        InputError: no dataset is there.
        DataError: its dataset.json does not hold.
    """
    folder = dataset if isinstance(dataset, Dataset) else Dataset(Path(dataset))
    contents = read_contents(folder)
    facts = fingerprint_pictures(contents, workers=workers, progress=progress)
    copies = find_copies(contents, facts)
    found = [*contents.findings, *picture_findings(contents, facts)]
    of_copies, copies_table = copy_findings(contents, copies)
    of_labels, labels_table = label_findings(contents)
    of_texts, texts_table = text_findings(contents)
    of_rationales, rationales_table = rationale_findings(contents, recipe)
    available = signals(contents.items, facts)
    table = shortcut_table(contents, copies, available, progress)
    of_errors, label_errors = find_label_errors(contents, copies, available, progress)
    found += [*of_copies, *of_labels, *of_texts, *stale_findings(contents), *of_rationales]
    found += [*shortcut_findings(table), *of_errors]
    found.sort(key=lambda one: LEVELS.index(one.level))
    report = AuditReport(
        dataset=str(folder.root),
        name=folder.info.name,
        fingerprint=folder.fingerprint(),
        memes=len(contents.items),
        splits={split: len(items) for split, items in contents.by_split.items()},
        recipe=recipe.name,
        verdict=judge(found),
        findings=tuple(found),
        tables={
            "copies": copies_table,
            "labels": labels_table,
            "texts": texts_table,
            "rationales": rationales_table,
        },
        shortcuts=tuple(table),
        label_errors=tuple(label_errors),
    )
    return Audit(report, contents, copies, facts)


def judge(findings: list[Finding]) -> Fitness:
    """What the data is fit for: each purpose unless an error bars it, and why not."""
    words = []
    fit = {}
    for purpose, what in PURPOSES.items():
        reasons = [one for one in findings if one.level == "error" and purpose in one.bars]
        fit[purpose] = not reasons
        if not reasons:
            words.append(f"Fit {what}.")
            continue
        because = "; ".join(_because(one) for one in reasons[:3])
        more = f"; and {len(reasons) - 3} more" if len(reasons) > 3 else ""
        words.append(f"Not fit {what}: {because}{more}.")
    mends = dict.fromkeys(one.mend for one in findings if one.level == "error" and one.mend)
    if mends:
        words.append("To mend: " + "; ".join(mends) + ".")
    return Fitness(fit_to_train=fit["training"], fit_to_publish=fit["publishing"], words=tuple(words))


def _because(finding: Finding) -> str:
    return re.sub(r" \(.*", "", finding.message.partition("; ")[0]).rstrip(".")
