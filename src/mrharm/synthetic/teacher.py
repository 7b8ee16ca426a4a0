"""The ``generated`` teacher: writes why a generated meme has its label, from the meme's truth, without stating it.

A rationale says what the picture shows, how the words speak to you and, but for half of the concepts, how the two
combine. Its wording is drawn from small shared tables by the meme's id, so that a small student can learn to write it.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from mrharm.errors import DataError, InputError, MissingInputError, MrHarmError
from mrharm.llm import CallError, Completion
from mrharm.rationales.teachers import Question
from mrharm.records import Meme, Rationale
from mrharm.store import content_key

WORDS: dict[str, Any] = yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text(encoding="utf-8"))

TEACHER = "generated"
# The first version names how words and picture combine in every rationale, so that a bag of words reads the label off
# it; the second only describes the memes of every other concept. What the second names it words as the first does.
VERSIONS = ("v1", "v2")
# The table that a part of a truth chooses from.
_TABLES = {
    "concept": "topics", "scene": "scenes", "tone": "tone_frames",
    "sense": "senses", "polarity": "polarities", "relation": "outcomes",
}  # fmt: skip


class GeneratedTeacher:
    """Writes rationales from ``meme.extra["truth"]`` alone; ``version`` is one of ``VERSIONS``, None for the last.

    Raises:
        InputError: no such version.
    """

    reads_prompt = False
    sees_pictures = False

    def __init__(self, version: str | None = None) -> None:
        version = version or VERSIONS[-1]
        if version not in VERSIONS:
            raise InputError(
                f"generated:{version}: the generated teacher has no models; expected --teacher generated, or a version "
                f"of it: {', '.join(VERSIONS)}"
            )
        # Records of the first version name none.
        self.name = TEACHER if version == "v1" else f"{TEACHER}:{version}"
        self._describes: Collection[str] = () if version == "v1" else WORDS["described"]

    def answer(self, asks: Iterable[Question]) -> Iterator[tuple[int, Completion | CallError]]:
        """Yield the rationale of each meme, or why there is none; no message is read."""
        for index, ask in enumerate(asks):
            try:
                text = self.explain(ask.meme).text
            except MrHarmError as error:
                yield index, CallError(str(error), "bad_request")
                continue
            yield (
                index,
                Completion(text, None, text, "stop", False, None, content_key(self.name, ask.meme.id)),
            )

    def explain(self, meme: Meme) -> Rationale:
        """Return the rationale of a generated meme; the same meme gets the same words every time.

        Raises:
            MissingInputError: the meme has no truth, as every meme that was not generated.
            DataError: the truth lacks a part, or names something this teacher does not know.
        """
        truth = _read_truth(meme)
        write = write_description if truth["concept"] in self._describes else write_rationale
        text = write(truth, random.Random(f"{TEACHER}/{meme.id}"))
        return Rationale(meme_id=meme.id, label_given=meme.label, text=text, status="ok", teacher=self.name)


def explain_without_outcome(meme: Meme) -> Rationale:
    """Write a rationale without a conclusion, as by a teacher not told the label: what is shown, how the words speak.

    Raises:
        MissingInputError, DataError: as `GeneratedTeacher.explain`.
    """
    truth, rng = _read_truth(meme), random.Random(f"{TEACHER}/{meme.id}")
    scene, tone = _describe_meme(truth, rng)
    return Rationale(meme_id=meme.id, text=f"{scene} {tone}", status="ok", teacher=f"{TEACHER}/unconditioned")


def _read_truth(meme: Meme) -> Mapping[str, Any]:
    """Return a meme's truth; every part of it is in ``WORDS``."""
    truth = meme.extra.get("truth")
    if not isinstance(truth, Mapping):
        raise MissingInputError(
            f"{meme.id}: no truth to explain it from; the generated teacher knows generated memes only"
        )
    for part, table in _TABLES.items():
        if str(truth.get(part)) not in WORDS[table]:
            raise DataError(
                f"truth.{part}: expected one of {', '.join(WORDS[table])}; got {truth.get(part)!r}"
            )
    return truth


def _describe_meme(truth: Mapping[str, Any], rng: random.Random) -> tuple[str, str]:
    """Return a sentence on the picture and one on the words."""
    scene = rng.choice(WORDS["scene_frames"]).format(rng.choice(WORDS["scenes"][truth["scene"]]))
    return scene, rng.choice(WORDS["tone_frames"][truth["tone"]]).format(WORDS["topics"][truth["concept"]][0])


def write_description(truth: Mapping[str, Any], rng: random.Random) -> str:
    """Write one wording of what the picture shows and how the words speak; how they combine has to be inferred."""
    scene, tone = _describe_meme(truth, rng)
    return f"{scene} {tone}" if rng.random() < 0.6 else f"{tone} {scene}"


def write_rationale(truth: Mapping[str, Any], rng: random.Random) -> str:
    """Write one wording of the rationale for a whole truth, lower case, 20 to 40 words."""
    scene, tone = _describe_meme(truth, rng)
    lead = rng.choice(WORDS["leads"]).format(
        quality=WORDS["topics"][truth["concept"]][1],
        share=WORDS["senses"][truth["sense"]],
        **WORDS["polarities"][truth["polarity"]],
    )
    outcome = rng.choice(WORDS["outcomes"][truth["relation"]])
    first, second = (scene, tone) if rng.random() < 0.6 else (tone, scene)
    # Half reason towards the outcome, half from it. A student that only ever writes the outcome last learns to read it
    # off its own words and cannot say it at once, as the label stage asks: with the outcome last alone, that stage
    # stayed at chance (docs/log.md).
    if rng.random() < 0.5:
        return f"{outcome}: {first} {second} {lead}."
    return f"{first} {second} {lead}, so {outcome}."
