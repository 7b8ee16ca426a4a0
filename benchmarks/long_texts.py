"""Words added before or after a meme's text: how many decisions of a detector flip, and how many a person still sees.

    mrharm demo --out demo
    python -m benchmarks.long_texts demo/two-stage demo/memes [--limits 16 64] [--json]

The first 60 harmful and the first 60 harmless memes of the test split. ``--limits`` judges with other text limits in
tokens than the detector's own, whose weights stay.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from benchmarks.common import machine, show
from mrharm.memes.dataset import Dataset
from mrharm.records import Meme, Verdict
from mrharm.student.fused_t5 import FusedT5Student
from mrharm.verdicts.detector import Detector

EACH = 60  # memes of each side
SIXTEEN = "one two three four five six seven eight nine ten eleven twelve a b c d"
ADDED = {
    "nothing": "{text}",
    "a word before": "lol {text}",
    "a user name before": "@some_user123 {text}",
    "sixteen words before": f"{SIXTEEN} {{text}}",
    "sixteen words after": f"{{text}} {SIXTEEN}",
    "48 words before": f"{SIXTEEN} {SIXTEEN} {SIXTEEN} {{text}}",
    "320 words before": f"{' '.join([SIXTEEN] * 20)} {{text}}",
}


def judge(detector: Detector, dataset: Dataset, memes: list[Meme], template: str) -> list[Verdict]:
    """Judge memes with their texts in a template."""
    changed = [meme.model_copy(update={"text": template.format(text=meme.text)}) for meme in memes]
    return detector.judge(changed, root=dataset.root, rationales=False)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("detector", type=Path)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--limits", type=int, nargs="+", help="tokens; default: the detector's own")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    options = parser.parse_args()
    detector, dataset = Detector.from_pretrained(options.detector, device="cpu"), Dataset(options.dataset)
    student = detector.label_student
    assert isinstance(student, FusedT5Student)
    test = [meme for meme in dataset.split("test") if meme.label]
    sides = [[meme for meme in test if meme.label and meme.label.harmful is side] for side in (True, False)]
    memes = [meme for side in sides for meme in side[:EACH]]
    gold = [bool(meme.label and meme.label.harmful) for meme in memes]
    rows: list[dict[str, Any]] = []
    for limit in options.limits or [student.processor.max_text_tokens]:
        student.processor.max_text_tokens = limit
        before = judge(detector, dataset, memes, "{text}")
        for name, template in ADDED.items():
            after = judge(detector, dataset, memes, template)
            pairs = list(zip(before, after, strict=True))
            flips = [pair for pair in pairs if pair[0].harmful != pair[1].harmful]
            rows.append(
                {
                    "limit": limit,
                    "way": name,
                    "accuracy": f"{sum(v.harmful == g for v, g in zip(after, gold, strict=True)) / len(memes):.3f}",
                    "flips": len(flips),
                    "to harmless": sum(first.harmful for first, _ in flips),
                    "cut": sum(verdict.text_cut for verdict in after),
                    "flips not reviewed": sum(second.decision != "review" for _, second in flips),
                    "to harmless, not reviewed": sum(
                        bool(first.harmful) and second.decision == "allow" for first, second in flips
                    ),
                }
            )
    result = {"machine": machine("cpu"), "memes": len(memes), "rows": rows}
    show(f"{len(memes)} test memes with words added", rows, result, options.json)


if __name__ == "__main__":
    main()
