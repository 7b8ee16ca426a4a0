"""Run the probes that test whether a detector is right for the right reasons, and keep each one's record."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from mrharm import __version__
from mrharm.errors import InputError, MissingInputError, ModelUnavailableError
from mrharm.hub import model_version
from mrharm.plugins import Table
from mrharm.progress import Progress, no_progress
from mrharm.records import Record, read_records
from mrharm.store import JsonlStore, content_key

if TYPE_CHECKING:  # PyTorch stays out of --help
    from mrharm.evaluation.predictions import LabelledVerdicts
    from mrharm.verdicts.detector import Detector

Options = Mapping[str, Mapping[str, Any]]  # probe -> option -> value

# A row is `probe(predictions, *, seed=0, memes=500, progress=no_progress) -> Record`, perhaps with further options
# (`encoder` of `rationale`). It raises InputError or MissingInputError, with the reason, where it does not apply to a
# detector or a dataset. `mrharm.reports.summary` describes the records; a probe of another package may bring
# sentences in ``words``.
PROBES = Table(
    "probes",
    {
        "modality": "mrharm.probes.modality:probe",
        "pairs": "mrharm.probes.confounder_pairs:probe",
        "robustness": "mrharm.probes.robustness:probe",
        "identity": "mrharm.probes.identity:probe",
        "rationale": "mrharm.probes.rationale:probe",
        "saliency": "mrharm.probes.saliency:probe",
    },
)
FILE = "probes.jsonl"
# Raised when a probe comes to measure something else, so that older rows of FILE are passed over.
VERSIONS = {"modality": 3, "pairs": 3, "robustness": 3, "identity": 4, "saliency": 3, "rationale": 3}
# Of probes that judge each meme dozens of times: enough memes for a figure, in a minute or two.
MOST_MEMES = {"robustness": 200, "saliency": 100}


class ProbeRecord(Record):
    """What a probe measured; ``words``: its sentences, filled by the report."""

    words: tuple[str, ...] = ()


class NotMeasurableError(Exception):
    """A part of a probe cannot be measured on this split; the message says why."""


class Probed(Record):
    """A row of ``probes.jsonl``: the record of a probe (``found``), kept so that no evaluation runs it again."""

    key: str
    probe: str
    found: dict[str, Any]


@dataclass(frozen=True)
class Probing:
    """Which rows of `PROBES` to run on how many memes at most, and options of a probe alone (``encoder``)."""

    names: Sequence[str] = ()
    memes: int = 500
    options: Options | None = None


NO_PROBES = Probing()


def select_probes(names: str | Sequence[str]) -> tuple[str, ...]:
    """Return the names of the probes in ``all``, ``none``, names with commas between, or a list of names.

    Raises:
        InputError: no probe of that name; the message lists the probes.
    """
    if names in ("all", "none"):
        return tuple(PROBES.names()) if names == "all" else ()
    parts = [part.strip() for part in names.split(",")] if isinstance(names, str) else list(names)
    for name in parts:
        if name not in PROBES.names():
            raise InputError(f"no probe called {name!r}; expected {', '.join(PROBES.names())}, all or none")
    return tuple(dict.fromkeys(parts))


def run_probes(
    verdicts: LabelledVerdicts,
    detector: Detector,
    probing: Probing,
    *,
    seed: int = 0,
    folder: Path | None = None,
    progress: Progress = no_progress,
) -> tuple[dict[str, dict[str, Any]], dict[str, str]]:
    """Run probes on a detector and its verdicts; return the record of each as JSON values, and why others do not apply.

    A probe that has a row for the same verdicts in ``folder`` / ``probes.jsonl`` is not run; a row that is no record of
    the probe is passed over, so that what describes a record can rely on its fields.
    """
    from mrharm.evaluation.predictions import Predictions

    records: dict[str, dict[str, Any]] = {}
    skipped: dict[str, str] = {}
    store = JsonlStore(folder / FILE, Probed, "key") if folder else None
    saved = (
        {row.key: row.found for row in read_records(store.path, Probed)}
        if store and store.path.exists()
        else {}
    )
    # A probe reads the dataset besides the verdicts: labels, evidence, gold rationales.
    inputs = content_key(
        detector.key,
        [verdict.key for verdict in verdicts.verdicts],
        verdicts.dataset.fingerprint(),
        seed,
        probing.memes,
        __version__,
    )
    predictions = Predictions(
        detector=detector,
        dataset=verdicts.dataset,
        split=verdicts.split,
        memes=verdicts.memes,
        verdicts=verdicts.verdicts,
        failures=verdicts.failures,
    )
    for name in probing.names:
        options = (probing.options or {}).get(name, {})
        key = content_key(name, VERSIONS.get(name, 1), inputs, *([_identify(options)] if options else []))
        probe = PROBES.load(name)
        if key in saved and _is_record_of(probe, saved[key]):
            records[name] = saved[key]
            continue
        memes = min(probing.memes, MOST_MEMES.get(name, probing.memes))
        try:
            record: Record = probe(predictions, seed=seed, memes=memes, progress=progress, **options)
        except (InputError, MissingInputError, ModelUnavailableError) as error:
            skipped[name] = str(error)
            continue
        # By way of JSON, which has null for what is not a number.
        records[name] = json.loads(record.model_dump_json())
        if store:
            store.append(Probed(key=key, probe=name, found=records[name]))
    return records, skipped


def _is_record_of(probe: Callable[..., Record], row: Mapping[str, Any]) -> bool:
    """Tell whether a saved row is the record that a probe returns; one that was edited or is of older fields is not."""
    annotation = getattr(probe, "__annotations__", {}).get("return")
    kind = getattr(probe, "__globals__", {}).get(annotation, annotation)
    if not (isinstance(kind, type) and issubclass(kind, Record)):
        return True
    try:
        kind.model_validate(row)
    except ValidationError:
        return False
    return True


def _identify(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return options as part of a key, folders by their content: the same path may hold another model later."""
    return {
        name: model_version(str(value)) if isinstance(value, Path) else value
        for name, value in options.items()
    }
