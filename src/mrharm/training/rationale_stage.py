"""Stage 1, reasoning distillation: which rationales teach, what the student writes, and how it is validated.

Imports no PyTorch, so that a dataset without rationales is refused at once.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Literal

from mrharm.errors import InputError
from mrharm.memes.dataset import Dataset
from mrharm.memes.splits import TRAIN
from mrharm.rationales.staleness import stale_rationales
from mrharm.recipe import Recipe
from mrharm.records import Rationale

if TYPE_CHECKING:
    from torch import Tensor

    from mrharm.student.model import MrHarmForConditionalGeneration

_GATED = ("ok", "deleaked")
_NEVER = ("refused", "empty")


def usable_rationales(dataset: Dataset, recipe: Recipe) -> dict[str, Rationale]:
    """Return the rationales that may teach by the recipe's gate, by meme id.

    ``gate: on`` takes only those that passed a gate (ok, deleaked), and none that was written for other words than its
    meme has now; ``gate: off`` takes everything that explains, also rationales imported unchecked. Refusals and empty
    answers never teach.
    """
    gated = recipe.gate == "on"
    stale = stale_rationales(dataset.memes, dataset.evidence, dataset.rationales) if gated else ()
    return {
        meme_id: rationale
        for meme_id, rationale in dataset.rationales.items()
        if rationale.text.strip()
        and (rationale.status in _GATED and meme_id not in stale if gated else rationale.status not in _NEVER)
    }


def require_rationales(dataset: Dataset, recipe: Recipe) -> dict[str, Rationale]:
    """Return `usable_rationales`, which the training split must have.

    Raises:
        InputError: the dataset has none, or the recipe's gate lets none through; the message names the mend.
    """
    usable = usable_rationales(dataset, recipe)
    if any(meme.id in usable for meme in dataset.split(TRAIN)):
        return usable
    if not dataset.rationales:
        raise InputError(
            f"{dataset.root}: no rationales to distil; have a teacher write them (`mrharm abduce {dataset.root} "
            "--teacher ...`), or train on labels alone with --stages label"
        )
    raise InputError(
        f"{dataset.root}: none of {len(dataset.rationales)} rationales may teach under `gate: on` (they are unchecked, "
        "were held back, or were written for other words); have them checked or written again, take them as they are "
        "with --set gate=off, or train on labels alone with --stages label"
    )


def rationale_target(recipe: Recipe, rationale: Rationale) -> str:
    """Return the text the student should write about a meme."""
    text = rationale.text.strip()
    return recipe.templates.rationale.format(
        rationale=text.lower() if recipe.rationale_case == "lower" else text
    )


def validate_rationales(
    model: MrHarmForConditionalGeneration,
    batches: Iterable[dict[str, Tensor]],
    mean_of: Literal["tokens", "batches"] = "tokens",
) -> dict[str, float]:
    """Compute the token cross-entropy of the validation split's rationales: the mean of all tokens, or, as the official
    code has it, of the batches' means.
    """
    total, weights = 0.0, 0
    for batch in batches:
        weight = int((batch["labels"] >= 0).sum()) if mean_of == "tokens" else 1
        total += float(model(**batch).loss) * weight
        weights += weight
    return {"loss": total / max(weights, 1)}
