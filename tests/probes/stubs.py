"""Stand-in detectors that decide by a rule; memes whose harm is in words and picture together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from mrharm.errors import MissingInputError
from mrharm.evaluation.predictions import Predictions, judge_split
from mrharm.images import open_image
from mrharm.memes.dataset import Dataset
from mrharm.recipe import ANSWERS
from mrharm.records import Evidence, Meme, Verdict
from mrharm.student.interface import compose_text
from mrharm.verdicts.card import DetectorCard
from mrharm.verdicts.inputs import DEFAULT_OPTIONS, JudgeOptions
from tests.audit.helpers import club, draw, meme, write_dataset

Decide = Callable[[str, Image.Image | None], float]


class Stub:
    """Answers `Detector.judge` by ``decide(composed text, picture shown)``; keeps what it was given."""

    key = "stub"

    def __init__(
        self,
        decide: Decide,
        *,
        reads: Sequence[str] = ("text",),
        takes_picture: bool = True,
        shown: str = "posted",
    ) -> None:
        self.decide = decide
        self.card = DetectorCard(
            recipe="stub",
            reads=tuple(reads),  # type: ignore[arg-type]
            picture_shown=shown,
            answers=ANSWERS["harmful"],
            label_template="The answer is: {label}",
            rationale_template="{rationale}",
            rationale_tokens=0,
            decoding="score",
            students=("label",),
            seed=0,
        )
        self.takes_picture = takes_picture
        self.given: list[tuple[str, str, Image.Image | None]] = []
        self.roots: set[Path] = set()

    def prepare(self, meme: Meme, options: JudgeOptions) -> Verdict:
        """As `Detector.prepare`: the errors of a meme come now."""
        return self._judge(meme, options)

    def judge_prepared(self, prepared: Sequence[Verdict], options: JudgeOptions) -> list[Verdict]:
        """As `Detector.judge_prepared`."""
        return list(prepared)

    def judge(
        self, memes: Sequence[Meme] | Meme, options: JudgeOptions = DEFAULT_OPTIONS, **changes: Any
    ) -> Any:
        """As `Detector.judge`; rationales and gathering are left out."""
        options = options.change(**changes)
        if isinstance(memes, Meme):
            return self._judge(memes, options)
        return [self._judge(shown, options) for shown in memes]

    def _judge(self, shown: Meme, options: JudgeOptions) -> Verdict:
        gathered = (options.evidence or {}).get(shown.id) or Evidence(meme_id=shown.id, text=shown.text)
        text, _ = compose_text(self.card.reads, shown, gathered, odd_text=self.card.odd_text)
        place = gathered.clean_image if self.card.picture_shown == "clean" else shown.image
        image = None
        if self.takes_picture and place:
            self.roots.add(options.root)
            image = open_image(options.root / place)
        if not text and image is None:
            raise MissingInputError(f"{shown.id}: nothing to judge")
        self.given.append((shown.id, text, image))
        score = self.decide(text, image)
        return Verdict(
            meme_id=shown.id,
            harmful=score >= 0.5,
            score=score,
            threshold=0.5,
            decision="flag" if score >= 0.5 else "allow",
            evidence=gathered,
            key=shown.id,
            detector=self.key,
            recipe="stub",
            created_at="2025-01-01T00:00:00+00:00",
        )


def reddish(image: Image.Image) -> bool:
    """Which of a quad's two pictures it is."""
    red, _, blue = np.asarray(image, dtype=float).mean((0, 1))
    return bool(red > blue)


def both(text: str, image: Image.Image | None) -> float:
    """Right on every meme of `quads`; 0.4 where it lacks either part."""
    if image is None or not text:
        return 0.4
    return 0.9 if ("smell" in text) == reddish(image) else 0.1


def words_alone(text: str, image: Image.Image | None) -> float:
    """A planted fault: whatever the picture."""
    return 0.9 if "smell" in text else 0.1


def picture_alone(text: str, image: Image.Image | None) -> float:
    """A planted fault: whatever the words."""
    return 0.9 if image is not None and reddish(image) else 0.1


def quads(
    folder: Path, test: int = 8, train: int = 4, *, captions: bool = False, clean: bool = False
) -> Dataset:
    """Quads of four memes: two texts, each on each of two pictures; harmful where "smell" stands on the reddish one.

    With ``clean`` the pictures without words lie in ``clean/``, and those posted are all alike but for a corner.
    """
    memes, evidence = [], []
    for number in range(test + train):
        split = "test" if number < test else "train"
        for which in range(2):
            place = f"pictures/{number}-{which}.png"
            pixels = np.array(Image.open(draw(folder / place, 2 * number + which)))
            pixels[..., 2 * which] = 255 - (255 - pixels[..., 2 * which]) // 4
            pixels[..., 2 - 2 * which] //= 2
            Image.fromarray(pixels).save(folder / place)
            for verb in ("smell", "shine"):
                meme_id = f"{split}-{number}-{which}-{verb}"
                text = f"you {verb} like the {club(number)} club"
                image = place
                if clean:
                    image = f"posted/{meme_id}.png"
                    posted = Image.new("RGB", (96, 96), "grey")
                    posted.putpixel((0, 0), (number, which, len(verb)))
                    (folder / "posted").mkdir(exist_ok=True)
                    posted.save(folder / image)
                memes.append(meme(meme_id, text, (verb == "smell") == (which == 0), split, image=image))
                if captions or clean:
                    caption = f"patches {number} {'red' if which == 0 else 'blue'}" if captions else None
                    gathered = Evidence(
                        meme_id=meme_id, text=text, caption=caption, clean_image=place if clean else None
                    )
                    evidence.append(gathered)
    return write_dataset(folder, memes, evidence)


def judged_by(stub: Stub, dataset: Dataset, split: str = "test") -> Predictions:
    """A split judged; what the stub was given on the way is forgotten."""
    predictions = judge_split(stub, dataset, split, rationales=False)  # type: ignore[arg-type]
    stub.given.clear()
    stub.roots.clear()
    return predictions
