from __future__ import annotations

import json
from pathlib import Path

import pytest

from mrharm.rationales.stated_side import stated_side

HARM_C = Path(__file__).parents[3] / "shared/data/harm-c"


SIDES = {
    True: (
        "a kettle is shown, so this is harmful.",
        "it does not name anyone, but it is harmful to your club.",
        "while the meme may not be offensive or harmful, it is still somewhat harmful.",
        "the words are not kind. this is offensive to your club!",
        "it should not be shared.",
        "it should be taken down.",
        "this is unacceptable",
        "it repeats no facts, making it harmful",
    ),
    False: (
        "a kettle is shown, so this is not harmful.",
        "it is harmless.",
        "it may seem harmful. it isn't offensive to anyone.",
        "there is no reference to any harmful or offensive content in either words or picture.",
        "while the picture may be seen as inappropriate, the whole is not harmful.",
        "based on the absence of anything harmful, it stays as it is",
        "this is perfectly acceptable",
        "it should not be removed.",
        "it should be allowed.",
        "there is no ill will in it",
        "a benign joke",
    ),
    None: ("", "it calls your club a kettle.", "you are mocked", "a kettle is not a spoon."),
}


@pytest.mark.parametrize(("side", "text"), [(side, text) for side, texts in SIDES.items() for text in texts])
def test_a_rationale_is_on_the_side_of_its_last_verdict(side: bool | None, text: str) -> None:
    assert stated_side(text) is side


@pytest.mark.skipif(not HARM_C.exists(), reason="Harm-C (../shared/data/harm-c) is not here")
def test_the_sides_of_the_published_rationales_are_their_labels() -> None:
    labels = {}
    for split in ("train", "val", "test"):
        for line in (HARM_C / f"{split}.jsonl").read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            labels[row["id"]] = row["labels"][0] != "not harmful"
    texts = json.loads((HARM_C / "rationales.json").read_text(encoding="utf-8"))
    sides = [(stated_side(text), labels[name]) for name, text in texts.items() if name in labels]
    speaking = [(side, label) for side, label in sides if side is not None]
    assert len(speaking) > 0.99 * len(sides)
    assert sum(side == label for side, label in speaking) > 0.99 * len(speaking)
