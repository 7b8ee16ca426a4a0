"""The detector's card: what it is, what it reads, what it must not be used for."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from mrharm import __version__
from mrharm.recipe import Answer, Part
from mrharm.store import content_key

FORMAT = 1


@dataclass(frozen=True)
class DetectorCard:
    """Everything a Detector knows besides its weights: ``detector.json``.

    ``files`` holds the SHA-256 of every other file but the README.
    """

    recipe: str
    reads: tuple[Part, ...]
    picture_shown: str
    answers: tuple[Answer, ...]
    label_template: str
    rationale_template: str
    rationale_tokens: int
    decoding: str
    students: tuple[str, ...]
    seed: int
    odd_text: str = "plain"
    temperature: float = 1.0
    threshold: float = 0.5
    files: tuple[tuple[str, str], ...] = ()

    def label_texts(self) -> list[str]:
        """The label strings a student is scored on, one an answer."""
        return [self.label_template.format(label=answer.word) for answer in self.answers]

    def key(self) -> str:
        """A short hash of what this Detector is, all its files included: same key, same verdicts."""
        return content_key({name: value for name, value in self.to_json().items() if name != "mrharm"})

    def to_json(self) -> dict[str, Any]:
        """JSON-able values, read back by `from_json`."""
        values = dataclasses.asdict(dataclasses.replace(self, answers=()))
        values["answers"] = [answer.model_dump() for answer in self.answers]
        values["files"] = dict(self.files)
        return {"format": FORMAT, "mrharm": __version__, **values}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> DetectorCard:
        """Read what `to_json` made; raises ValueError, KeyError or TypeError on anything else."""
        if values["format"] != FORMAT:
            raise ValueError(f"format {values['format']}, this mrharm reads format {FORMAT}")
        rest = {key: value for key, value in values.items() if key not in ("format", "mrharm")}
        rest["answers"] = tuple(Answer.model_validate(answer) for answer in rest["answers"])
        rest["files"] = tuple(sorted(rest["files"].items()))
        rest["reads"], rest["students"] = tuple(rest["reads"]), tuple(rest["students"])
        return cls(**rest)


def model_card(values: dict[str, Any]) -> str:
    """``detector.json``'s values -> the README.md beside it, with the hub's front matter."""
    words = ", ".join(f"“{answer['word']}”" for answer in values["answers"])
    explains = (
        "and writes the rationale behind it"
        if "rationale" in values["students"]
        else "and gives no rationale"
    )
    return f"""---
library_name: mrharm
pipeline_tag: image-text-to-text
tags: [harmful-memes, content-moderation, mr-harm]
---
# A harmful-meme detector (recipe `{values["recipe"]}`)

Reads {", ".join(values["reads"])} and the {values["picture_shown"]} picture, scores the answers {words} {explains}.

- calibration temperature, fitted on validation: {values["temperature"]:.3f}
- threshold: {values["threshold"]}
- seed: {values["seed"]}; mrharm {values["mrharm"]}

```python
from mrharm import Detector, Meme
print(Detector.from_pretrained("THIS_FOLDER").judge(Meme(id="1", image="photo.jpg", text="the words on it")))
```

A score is an opinion for a person to weigh. Do not let it act alone, and measure it on memes of your own first: a
detector knows only the kind of harm, language and time its training memes came from.
"""
