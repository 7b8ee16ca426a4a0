"""What the other rooms know of a student: what it reads, the calls it answers, and what those return; without PyTorch.

Another kind of student (a vision-language model with adapters, say) is a class that answers the calls of `Student`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mrharm.records import Evidence, Meme, Saliency, meme_text
from mrharm.texts import plain

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class StudentInput:
    """One meme as a student reads it.

    Fields:
        text: the composed text, see `compose_text`.
        pixels: the fitted picture, *Shape:* (side, side, 3); None for a meme without a picture.
        features: precomputed image features in place of ``pixels``. *Shape:* (patches, d_image)
        missing: the parts that the recipe reads and the meme does not have.
        rationale: for a student that reads one, the rationale that replaces the one it would write.
    """

    text: str
    pixels: Pixels | None = None
    features: NDArray[Any] | None = None
    missing: tuple[str, ...] = ()
    rationale: str | None = None


@dataclass(frozen=True)
class Frame:
    """The square of pixels that a picture is fitted to and that a student's patches divide.

    Fields:
        side: of the square, in pixels.
        fit: ``whole`` (the picture is padded) or ``crop`` (its middle is kept).
        patch: side of a patch in pixels, for a tower that cuts the square into patches. None for convolutions: their
            features divide the square evenly, but each depends on pixels far beyond its share, so that its place is
            uncertain by half a share in every direction.
    """

    side: int
    fit: str
    patch: int | None = None

    def edges(self, count: int) -> list[int]:
        """Return where ``count`` patches in a row begin and end, in pixels of the square. *Length:* count + 1"""
        if self.patch:
            return [index * self.patch for index in range(count + 1)]
        return [round(index * self.side / count) for index in range(count + 1)]


@dataclass(frozen=True)
class Attribution:
    """Signed parts of one decision: above 0 they speak for harmful, below 0 for harmless.

    The parts add up: ``odds = blank_odds + words + patches + rest`` (Sundararajan et al. 2017, completeness).

    Fields:
        words: (word, part), in reading order.
        patches: *Shape:* (rows, columns), or (0, 0) without a picture.
        rest: the part of image features that have no place on the picture (a class token).
        odds: log P(harmful) - log P(harmless), uncalibrated.
        blank_odds: the same for the blank meme, whose words are padding and whose picture has one colour.
    """

    words: tuple[tuple[str, float], ...]
    patches: NDArray[np.float64]
    rest: float
    odds: float
    blank_odds: float

    def saliency(self) -> Saliency:
        """Return the absolute shares of words and of patches, each summing to 1: how much each mattered."""
        words = [word for word, _ in self.words]
        weights = _absolute_shares(np.array([weight for _, weight in self.words], dtype=np.float64))
        patches = _absolute_shares(self.patches).tolist()
        return Saliency(
            words=tuple(zip(words, weights.tolist(), strict=True)),
            patches=tuple(tuple(row) for row in patches),
        )


def _absolute_shares(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return absolute values over their sum; equal shares where all values are 0."""
    size = np.abs(values)
    return size / size.sum() if size.sum() > 0 else np.full_like(size, 1 / max(size.size, 1))


class Student(Protocol):
    """The calls that a Detector makes on a student; each takes one batch."""

    @property
    def takes_picture(self) -> bool:
        """Whether a picture changes the student's answers."""

    @property
    def reads_rationale(self) -> bool:
        """Whether its label follows a rationale: the one it writes, or the one a `StudentInput` carries."""

    @property
    def frame(self) -> Frame | None:
        """The square its patches divide; None where it takes no picture."""

    def fit(self, image: Image.Image) -> Pixels:
        """Fit an RGB picture to the pixels a `StudentInput` carries."""

    def text_tokens(self, text: str) -> int:
        """Count the tokens of a text, for batches of similar lengths."""

    def cuts(self, text: str) -> bool:
        """Whether a text is longer than the student reads."""

    def features(self, inputs: Sequence[StudentInput]) -> list[dict[str, NDArray[np.float32]]]:
        """Return features of each meme's parts, not fused: of ``text`` and of ``image``, where it has them. *Shape:*
        (width,)
        """

    def score(self, inputs: Sequence[StudentInput], answers: Sequence[str]) -> NDArray[np.float64]:
        """Sum the token log-probabilities of each answer, end token included. *Shape:* (batch, answers)"""

    def write(self, inputs: Sequence[StudentInput], max_new_tokens: int) -> list[str]:
        """Generate a text for each input, greedily."""

    def attend(self, inputs: Sequence[StudentInput]) -> list[Saliency]:
        """Return the attention over words and patches, one `Saliency` an input."""

    def attribute(
        self, inputs: Sequence[StudentInput], answers: Sequence[str], harmful: Sequence[bool]
    ) -> list[Attribution]:
        """Attribute each decision to words and patches; ``harmful`` says which answers mean harm."""


# Where a part that `compose_text` names begins, its separator included.
_PART = re.compile(r"(?= \| (?:caption|entities|demographics): )")


def split_parts(text: str) -> list[str]:
    """Split a composed text where each part that it names begins; joined, they are the text."""
    return _PART.split(text)


def compose_text(
    reads: Sequence[str], meme: Meme, evidence: Evidence | None, *, odd_text: str = "plain"
) -> tuple[str, tuple[str, ...]]:
    """Compose the text a student reads; returns it and the parts of ``reads`` that the meme does not have.

    The words of the meme (`meme_text`) come first and bare; other parts follow, each after its name, so that one
    student can tell a caption from words on the picture. ``odd_text="plain"`` reads hidden and disguised letters as
    the letters they look like.
    """
    values = {
        "text": meme_text(meme, evidence),
        "caption": evidence.caption if evidence else None,
        "entities": evidence.entities if evidence else None,
        "demographics": evidence.demographics if evidence else None,
    }
    pieces = []
    for part in reads:
        value = " ".join((values[part] or "").split())
        value = " ".join((plain(value) if odd_text == "plain" else value).split())
        if value:
            pieces.append(value if part == "text" else f"{part}: {value}")
    missing = tuple(part for part in reads if values[part] is None)
    return " | ".join(pieces), missing
