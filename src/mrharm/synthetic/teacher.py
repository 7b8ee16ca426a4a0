"""The ``generated`` teacher: writes why a generated meme has its label, from the meme's truth, without stating it.

A rationale has three parts: what the picture shows, how the words speak to you, and how the two combine. Its wording is
drawn from small shared tables by the meme's id, so that a small student can learn to write it.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from mrharm.errors import DataError, InputError, MissingInputError, MrHarmError
from mrharm.llm import CallError, Completion
from mrharm.rationales.teachers import Question
from mrharm.records import Meme, Rationale
from mrharm.store import content_key

SCENES: dict[str, tuple[str, ...]] = {
    "roses": ("red roses", "a bunch of roses"),
    "cake": ("a birthday cake", "a pink cake"),
    "skunk": ("a skunk", "a black and white skunk"),
    "garbage": ("garbage", "a can of garbage"),
    "toast": ("burnt toast", "a slice of burnt toast"),
    "crowd": ("a crowd", "a cheering crowd"),
    "heart": ("heart balloons", "red heart balloons"),
    "desert": ("a desert", "an empty desert"),
    "chairs": ("empty chairs", "rows of empty chairs"),
    "scarecrow": ("a scarecrow", "a ragged scarecrow"),
    "trophy": ("a trophy", "a golden trophy"),
    "songbird": ("a songbird", "a blue songbird"),
    "donkey": ("a donkey", "a braying donkey"),
    "lion": ("a lion", "a roaring lion"),
    "rocket": ("a rocket", "a red and white rocket"),
    "race_car": ("a race car", "a yellow race car"),
    "storm": ("a storm", "a storm with lightning"),
    "snail": ("a snail", "a brown snail"),
    "snowman": ("a snowman", "a snowman with a hat"),
    "elephant": ("an elephant", "a huge elephant"),
    "wall": ("a brick wall", "a red brick wall"),
    "mouse": ("a mouse", "a tiny mouse"),
    "wilted": ("a wilted flower", "a wilted flower in a pot"),
    "bookshelf": ("a bookshelf", "a neat bookshelf"),
    "gem": ("a diamond", "a blue diamond"),
    "scribble": ("a scribble", "a wild scribble"),
    "sun": ("a smiling sun", "a yellow sun"),
    "swan": ("a swan", "a white swan"),
    "dolphin": ("a dolphin", "a leaping dolphin"),
    "peacock": ("a peacock", "a green peacock"),
    "crash": ("a crashed car", "a crashed blue car"),
    "ship": ("a sinking ship", "a ship that sinks"),
    "rainbow": ("a rainbow", "a whole rainbow"),
}

# concept: (whose quality the words speak of, the quality itself)
TOPICS: dict[str, tuple[str, str]] = {
    "smell": ("your smell", "smell"),
    "popularity": ("your popularity", "popularity"),
    "cooking": ("your cooking", "cooking"),
    "singing": ("your singing", "singing"),
    "speed": ("your speed", "speed"),
    "strength": ("your strength", "strength"),
    "tidiness": ("your tidiness", "tidiness"),
    "gardening": ("your gardening", "gardening"),
    "dancing": ("your dancing", "dancing"),
    "wit": ("your wit", "wit"),
    "style": ("your style", "style"),
    "driving": ("your driving", "driving"),
    "drawing": ("your drawing", "drawing"),
    "welcome": ("your welcome", "warmth"),
    "bravery": ("your courage", "courage"),
    "swimming": ("your swimming", "swimming"),
}

SCENE_FRAMES = ("the picture shows {}.", "we see {}.", "the image shows {}.", "the picture has {} in it.")

TONE_FRAMES: dict[str, tuple[str, ...]] = {
    "praise": (
        "the words praise {}.",
        "the text pays {} a compliment.",
        "the text is full of praise for {}.",
    ),
    "comparison": (
        "the words compare {} to it.",
        "the text says {} is just like this.",
        "the words say {} is the same.",
    ),
    "contrast": (
        "the words say {} is nothing like this.",
        "the text says {} is the opposite.",
        "the words set {} apart.",
    ),
    "relief": (
        "the words are glad that {} is not like this.",
        "the text is relieved that {} is not so.",
        "the words give thanks that {} is not this.",
    ),
}

# What the words do with the quality, and what the picture is to it.
LEADS = (
    "you {share} {quality} at its {best}",
    "you {share} this {fine} sight",
    "you {share} such {fine} {quality}",
)
POLARITIES: dict[str, dict[str, str]] = {
    "suits": {"best": "best", "fine": "fine"},
    "contradicts": {"best": "worst", "fine": "poor"},
}
SENSES: dict[str, str] = {"straight": "share", "flipping": "lack"}

OUTCOMES: dict[str, tuple[str, ...]] = {
    "backs": (
        "the picture backs the words and they stay kind",
        "together they are kind to you",
        "the words stay friendly to you",
    ),
    "undercuts": (
        "the picture undercuts the words and they mock you",
        "together they make fun of you",
        "the words turn into mockery of you",
    ),
}

TEACHER = "generated"
_NEEDED = ("concept", "scene", "tone", "sense", "polarity", "relation")


class GeneratedTeacher:
    """Writes rationales from ``meme.extra["truth"]`` alone."""

    name = TEACHER
    reads_prompt = False
    sees_pictures = False

    def __init__(self, what: str | None = None) -> None:
        if what:
            raise InputError(
                f"generated:{what}: the generated teacher has no models; say --teacher generated"
            )

    def answer(self, asks: Iterable[Question]) -> Iterator[tuple[int, Completion | CallError]]:
        """Yield the rationale of each meme, or why there is none; no message is read."""
        for index, ask in enumerate(asks):
            try:
                text = self.explain(ask.meme).text
            except MrHarmError as error:
                yield index, CallError(str(error), "bad_request")
                continue
            yield index, Completion(text, None, text, "stop", False, None, content_key(TEACHER, ask.meme.id))

    def explain(self, meme: Meme) -> Rationale:
        """Return the rationale of a generated meme; the same meme gets the same words every time.

        Raises:
            MissingInputError: the meme has no truth, as every meme that was not generated.
            DataError: the truth lacks a part, or names something this teacher does not know.
        """
        text = write_rationale(_truth(meme), random.Random(f"{TEACHER}/{meme.id}"))
        return Rationale(meme_id=meme.id, label_given=meme.label, text=text, status="ok", teacher=TEACHER)


def explain_without_outcome(meme: Meme) -> Rationale:
    """Write a rationale without a conclusion, as by a teacher not told the label: what is shown, how the words speak.

    Raises:
        MissingInputError, DataError: as `GeneratedTeacher.explain`.
    """
    truth, rng = _truth(meme), random.Random(f"{TEACHER}/{meme.id}")
    try:
        scene, tone = _describe_meme(truth, rng)
    except KeyError as error:
        raise DataError(f"truth lacks or misnames {error.args[0]!r}") from None
    return Rationale(meme_id=meme.id, text=f"{scene} {tone}", status="ok", teacher=f"{TEACHER}/unconditioned")


def _describe_meme(truth: Mapping[str, Any], rng: random.Random) -> tuple[str, str]:
    """Return a sentence on the picture and one on the words; raises KeyError for what is unknown here."""
    scene = rng.choice(SCENE_FRAMES).format(rng.choice(SCENES[truth["scene"]]))
    return scene, rng.choice(TONE_FRAMES[truth["tone"]]).format(TOPICS[truth["concept"]][0])


def _truth(meme: Meme) -> Mapping[str, Any]:
    truth = meme.extra.get("truth")
    if not isinstance(truth, Mapping):
        raise MissingInputError(
            f"{meme.id}: no truth to explain it from; the generated teacher knows generated memes only"
        )
    return truth


def write_rationale(truth: Mapping[str, Any], rng: random.Random) -> str:
    """Write one wording of the rationale for a truth, lower case, 20 to 40 words.

    Raises:
        DataError: the truth lacks a part or holds an unknown one.
    """
    if missing := [name for name in _NEEDED if name not in truth]:
        raise DataError(f"truth without {', '.join(missing)}; expected {', '.join(_NEEDED)}")
    try:
        scene, tone = _describe_meme(truth, rng)
        lead = rng.choice(LEADS).format(
            quality=TOPICS[truth["concept"]][1], share=SENSES[truth["sense"]], **POLARITIES[truth["polarity"]]
        )
        outcome = rng.choice(OUTCOMES[truth["relation"]])
    except KeyError as error:
        raise DataError(f"truth names {error.args[0]!r}, which the generated teacher does not know") from None
    first, second = (scene, tone) if rng.random() < 0.6 else (tone, scene)
    # Half reason towards the outcome, half from it. A student that only ever writes the outcome last learns to read it
    # off its own words and cannot say it at once, as the label stage asks: with the outcome last alone, that stage
    # stayed at chance (docs/log.md).
    if rng.random() < 0.5:
        return f"{outcome}: {first} {second} {lead}."
    return f"{first} {second} {lead}, so {outcome}."
