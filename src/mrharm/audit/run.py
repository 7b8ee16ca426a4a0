"""Audit a dataset folder: run every part, and give the verdict in plain words."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mrharm.audit.copies import Copies, find_copies
from mrharm.audit.findings import LEVELS, AuditReport, Finding, Fitness, Purpose
from mrharm.audit.labels import audit_labels, find_label_errors
from mrharm.audit.overlap import audit_copies
from mrharm.audit.pictures import audit_pictures, fingerprint_pictures
from mrharm.audit.rationales import audit_rationales
from mrharm.audit.reading import Contents, read_contents
from mrharm.audit.shortcuts import find_shortcuts, make_signals, score_shortcuts
from mrharm.audit.texts import audit_texts
from mrharm.memes.dataset import Dataset
from mrharm.memes.fingerprints import PictureFacts
from mrharm.progress import Progress, no_progress
from mrharm.recipe import Recipe, load_recipe

PURPOSES: dict[Purpose, str] = {"training": "to train on", "publishing": "to publish numbers on"}


@dataclass(frozen=True)
class Audit:
    """An audit's report, and what it read, for the page and the cleaned copy."""

    report: AuditReport
    contents: Contents
    copies: Copies
    facts: dict[str, PictureFacts]


def audit(
    dataset: Dataset | Path | str,
    recipe: Recipe | str,
    *,
    workers: int = 2,
    progress: Progress = no_progress,
) -> Audit:
    """Audit a dataset folder; lines that cannot be read are findings, not errors.

    ``recipe`` (or what `load_recipe` takes: its name, a YAML file) is what would be trained: its lengths and templates
    decide what would be cut. ``workers`` processes open the pictures.

    Raises:
        InputError: no dataset is there.
        DataError: its dataset.json does not hold.
    """
    folder = dataset if isinstance(dataset, Dataset) else Dataset(dataset)
    recipe = load_recipe(recipe) if isinstance(recipe, str) else recipe
    contents = read_contents(folder)
    # What the parts share: fingerprints of pictures, which memes are copies, and surface signals.
    facts = fingerprint_pictures(contents, workers=workers, progress=progress)
    copies = find_copies(contents, facts)
    signals = make_signals(contents.items, facts)
    # The parts: each returns findings and the counts behind them.
    parts: dict[str, tuple[list[Finding], dict[str, Any]]] = {
        "copies": audit_copies(contents, copies),
        "labels": audit_labels(contents),
        "texts": audit_texts(contents),
        "rationales": audit_rationales(contents, recipe),
    }
    shortcuts = score_shortcuts(contents, copies, signals, progress)
    suspects, label_errors = find_label_errors(contents, copies, signals, progress)
    findings = [*contents.findings, *audit_pictures(contents, facts)]
    for part, _ in parts.values():
        findings += part
    findings += [*find_shortcuts(shortcuts), *suspects]
    findings.sort(key=lambda finding: LEVELS.index(finding.level))
    report = AuditReport(
        dataset=str(folder.root),
        name=folder.info.name,
        fingerprint=folder.fingerprint(),
        memes=len(contents.items),
        splits={split: len(items) for split, items in contents.by_split.items()},
        recipe=recipe.name,
        verdict=judge_fitness(findings),
        findings=tuple(findings),
        tables={name: counts for name, (_, counts) in parts.items()},
        shortcuts=tuple(shortcuts),
        label_errors=tuple(label_errors),
    )
    return Audit(report, contents, copies, facts)


def judge_fitness(findings: Sequence[Finding]) -> Fitness:
    """Return what the data is fit for: each purpose unless an error bars it, and why not."""
    errors = [finding for finding in findings if finding.level == "error"]
    words = []
    fit = {}
    for purpose, what in PURPOSES.items():
        reasons = [_shorten(finding.message) for finding in errors if purpose in finding.bars]
        fit[purpose] = not reasons
        if not reasons:
            words.append(f"Fit {what}.")
            continue
        more = f"; and {len(reasons) - 3} more" if len(reasons) > 3 else ""
        words.append(f"Not fit {what}: {'; '.join(reasons[:3])}{more}.")
    mends = dict.fromkeys(finding.mend for finding in errors if finding.mend)
    if mends:
        words.append("To mend: " + "; ".join(mends) + ".")
    return Fitness(fit_to_train=fit["training"], fit_to_publish=fit["publishing"], words=tuple(words))


def _shorten(message: str) -> str:
    """Return a message up to its first semicolon or bracket."""
    return re.sub(r" \(.*", "", message.partition("; ")[0]).rstrip(".")
