"""The probes that ask whether a detector is right for the right reasons: a table of them, run and kept one by one."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mrharm._version import __version__
from mrharm.errors import InputError, MissingInputError, ModelUnavailableError
from mrharm.hub import model_version
from mrharm.plugins import Table
from mrharm.progress import Progress
from mrharm.records import Record, read_records
from mrharm.store import JsonlStore, content_key

if TYPE_CHECKING:  # PyTorch stays out of --help
    from mrharm.evaluation.predictions import Predictions

Options = Mapping[str, Mapping[str, Any]]  # probe -> its own options by name

# A row is `probe(judged, *, seed=0, memes=500, progress=no_progress) -> Record`, perhaps with options of its own
# (`encoder` of `rationale`); its record has `words`, plain sentences. One that does not apply to a detector or a
# dataset raises InputError or MissingInputError, which says why.
PROBES = Table(
    "probes",
    {
        name: f"mrharm.probes.{name}:probe"
        for name in ("modality", "pairs", "robustness", "identity", "rationale", "saliency")
    },
)
FILE = "probes.jsonl"
# Of what a probe does and says: goes up when that changes, so that older rows of FILE are not taken for new ones.
VERSIONS = {"modality": 2, "pairs": 2, "robustness": 2, "identity": 2, "saliency": 2, "rationale": 2}
# Memes of probes that judge each of them dozens of times: enough for a figure, in a minute or two.
MOST = {"robustness": 200, "saliency": 100}


class Probed(Record):
    """One line of ``probes.jsonl``: what a probe found, kept so that a stopped evaluation does not probe again."""

    key: str
    probe: str
    found: dict[str, Any]


def chosen(names: str | Sequence[str]) -> tuple[str, ...]:
    """``all``, ``none``, names with commas between, or a list of names -> names of probes.

    Raises:
        InputError: no probe of that name; the message lists those there are.
    """
    if names in ("all", "none"):
        return tuple(PROBES.names()) if names == "all" else ()
    parts = [part.strip() for part in names.split(",")] if isinstance(names, str) else list(names)
    for name in parts:
        if name not in PROBES.names():
            raise InputError(
                f"no probe called {name!r}; there are: {', '.join(PROBES.names())}, all and none"
            )
    return tuple(dict.fromkeys(parts))


def run_probes(
    predictions: Predictions,
    names: Sequence[str],
    *,
    seed: int = 0,
    memes: int = 500,
    options: Options | None = None,
    folder: Path | None = None,
    progress: Progress,
) -> tuple[dict[str, dict[str, Any]], dict[str, str]]:
    """Run probes in order -> what each found, as JSON-able values, and why others do not apply.

    Args:
        judged: what they start from.
        names: rows of `PROBES`.
        seed: of what they draw by lot.
        memes: how many memes a probe looks at, at most.
        options: what else is told to a probe of that name (``{"rationale": {"encoder": Path(...)}}``); a folder among
            them is known by what lies in it.
        folder: where ``probes.jsonl`` keeps what was found; what is there for the same verdicts is not made again.
        progress: told how far each is.
    """
    found: dict[str, dict[str, Any]] = {}
    skipped: dict[str, str] = {}
    store = JsonlStore(folder / FILE, Probed, "key") if folder else None
    kept = {one.key: one for one in read_records(store.path, Probed)} if store and store.path.exists() else {}
    verdicts = [verdict.key for verdict in predictions.verdicts]
    # What a probe reads besides the verdicts lies in the dataset: labels, evidence, gold rationales.
    given = content_key(
        predictions.detector.key, verdicts, predictions.dataset.fingerprint(), seed, memes, __version__
    )
    for name in names:
        own = (options or {}).get(name, {})
        key = content_key(name, VERSIONS.get(name, 1), given, *([_known(own)] if own else []))
        if key in kept:
            found[name] = kept[key].found
            continue
        try:
            record: Record = PROBES.load(name)(
                predictions, seed=seed, memes=min(memes, MOST.get(name, memes)), progress=progress, **own
            )
        except (InputError, MissingInputError, ModelUnavailableError) as error:
            skipped[name] = str(error)
            continue
        # By way of JSON, where what is not a number is null.
        found[name] = json.loads(record.model_dump_json())
        if store:
            store.append(Probed(key=key, probe=name, found=found[name]))
    return found, skipped


def _known(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options as a part of a key: the same path may hold another model tomorrow."""
    return {
        name: model_version(str(value)) if isinstance(value, Path) else value
        for name, value in options.items()
    }
