"""Findings about evidence and rationales of words that a meme no longer has, because its text was edited since."""

from __future__ import annotations

from collections.abc import Sequence

from mrharm.audit.findings import Example, Finding, examples
from mrharm.audit.reading import Contents, Item
from mrharm.rationales.stale import rationale_is_stale
from mrharm.records import text_is_stale


def stale_findings(contents: Contents) -> list[Finding]:
    """Return a finding for stale evidence and one for stale rationales, where there are any."""
    rationales = {rationale.meme_id: rationale for rationale in contents.rationales}
    items = contents.items
    evidence = [item for item in items if text_is_stale(item.meme, item.evidence)]
    explained = [item for item in items if item.id in rationales]
    stale = [item for item in explained if rationale_is_stale(item.meme, item.evidence, rationales[item.id])]
    root = contents.dataset.root
    return [
        *_finding(
            "evidence-stale",
            f"of {len(items):,} memes had their text edited after their evidence was gathered",
            f"gather again: mrharm gather {root}",
            evidence,
            len(items),
        ),
        *_finding(
            "rationale-stale",
            f"of {len(explained):,} rationales were written for other words than their meme has now; a recipe with "
            "gate: on does not learn from them",
            f"have them written again: mrharm abduce {root} --teacher ...",
            stale,
            len(explained),
        ),
    ]


def _finding(code: str, what: str, mend: str, stale: Sequence[Item], of: int) -> list[Finding]:
    if not stale:
        return []
    return [
        Finding(
            code=code,
            level="warning",
            message=f"{len(stale):,} {what}",
            count=len(stale),
            of=of,
            mend=mend,
            examples=examples(Example(memes=(item.id,), text=item.meme.text or "") for item in stale),
        )
    ]
