"""Evidence and rationales that were made for words a meme no longer has, because its text was edited since."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from mrharm.memes.dataset import Dataset
from mrharm.rationales.prompting import quote_words
from mrharm.records import Evidence, Meme, Rationale, meme_text, text_is_stale

# Every prompt shows a meme's words between these, and `quote_words` keeps the words from writing them.
_SHOWN_WORDS = re.compile(r"<words>(.*?)</words>", re.DOTALL)


def rationale_is_stale(meme: Meme, evidence: Evidence | None, rationale: Rationale) -> bool:
    """Tell whether a rationale was written for other words than its meme has now, by the question that it keeps.

    One without a question (imported, recorded, generated, or written by a person) is never stale.
    """
    asked = next((message for message in rationale.messages or () if message.get("role") == "user"), {})
    content = asked.get("content") or ""
    # Beside pictures the words are one of several parts.
    parts = [content] if isinstance(content, str) else [part.get("text", "") for part in content]
    shown = _SHOWN_WORDS.search("\n".join(parts))
    return shown is not None and shown[1] != quote_words(meme_text(meme, evidence))


def stale_rationales(
    memes: Sequence[Meme], evidence: Mapping[str, Evidence], rationales: Mapping[str, Rationale]
) -> set[str]:
    """Return the ids of the memes whose rationale was written for other words."""
    explained = [meme for meme in memes if meme.id in rationales]
    return {
        meme.id for meme in explained if rationale_is_stale(meme, evidence.get(meme.id), rationales[meme.id])
    }


def describe_stale(dataset: Dataset, memes: Sequence[Meme]) -> list[str]:
    """Describe how many memes have evidence or a rationale of an earlier text, each with the mend; often an empty list.

    Raises:
        DataError: a record file of the dataset cannot be read.
    """
    sentences = []
    if stale := sum(text_is_stale(meme, dataset.evidence.get(meme.id)) for meme in memes):
        sentences.append(
            f"the text of {stale:,} of {len(memes):,} memes was edited after their evidence was gathered; "
            f"run mrharm gather {dataset.root} again"
        )
    if stale := len(stale_rationales(memes, dataset.evidence, dataset.rationales)):
        sentences.append(
            f"the rationales of {stale:,} of {len(memes):,} memes were written for other words than the memes have "
            f"now, and a recipe with gate: on does not learn from them; run mrharm abduce {dataset.root} again"
        )
    return sentences
