"""Describe what pictures show: what a captioner answers, and the table of captioners.

A third party's captioner is an entry point in ``mrharm.captioners``; tests/evidence/test_captions.py runs over them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from PIL import Image

from mrharm import plugins
from mrharm.errors import MissingInputError
from mrharm.records import Meme


@dataclass(frozen=True)
class Described:
    """A picture to be described: the meme it is of, and the picture without its text."""

    meme: Meme
    image: Image.Image | None


class Captioner(Protocol):
    """Describes what pictures show. Made by calling its row with what follows the colon (``hf:MODEL``), or None."""

    version: str
    batch_size: int  # how many pictures it takes at a time

    def describe(self, pictures: Sequence[Described]) -> list[str | Exception]:
        """Return a caption for each picture, or why there is none; one that fails takes no other with it."""
        ...


def describe_images(
    pictures: Sequence[Described], describe: Callable[[list[Image.Image]], list[str | Exception]]
) -> list[str | Exception]:
    """Have the pictures that there are described; the others get a MissingInputError in their place."""
    images = [picture.image for picture in pictures if picture.image is not None]
    descriptions = iter(describe(images) if images else ())
    return [
        MissingInputError(f"{picture.meme.id}: no picture to describe")
        if picture.image is None
        else next(descriptions)
        for picture in pictures
    ]


CAPTIONERS = plugins.Table(
    "captioners",
    {
        "recorded": "mrharm.evidence.captions.recorded:RecordedCaptions",
        "hf": "mrharm.evidence.captions.local:LocalCaptions",
        "openai": "mrharm.evidence.captions.hosted:HostedCaptions",
    },
)
