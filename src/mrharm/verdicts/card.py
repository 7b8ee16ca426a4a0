"""The detector's card: what it is, what it reads, what it must not be used for."""

from __future__ import annotations

from typing import Any


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
