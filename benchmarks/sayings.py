"""Made-up texts for drawn memes: harmless, or mocking "you" and clubs and creatures that do not exist."""

from __future__ import annotations

import random
from collections.abc import Callable

Draw = random.Random

_WHO = (
    "you", "my cat", "the Spoon Society", "every Blimblom", "a tired goose", "the Moon Club", "that one pigeon",
    "Grandpa's tractor", "the Fnarfs", "my Wi-Fi", "the whole Pickle Guild", "nobody", "Captain Turnip", "the printer",
    "a Zorbling", "the night bus", "your plant", "Team Mustard", "the Gloop Union", "some potato", "I", "the dog",
)  # fmt: skip
_DOES = (
    "opened the fridge", "lost the remote", "ate my last biscuit", "joined the meeting", "fell off a chair",
    "can't find the exit", "won't stop singing", "bought 12 umbrellas", "slept for 14 hours", "broke the toaster",
    "forgot the password again", "said it's fine", "painted the wall beige", "knows a shortcut", "sat on the cake",
    "sent 47 messages", "watered the plastic plant", "didn't read the manual", "called it a night", "missed the bus",
    "drew a square wheel", "keeps the receipt", "tried yoga once", "chased its own tail", "wore two left shoes",
)  # fmt: skip
_WHEN = (
    "at 3 a.m.", "on Monday", "before coffee", "in 2019", "for 10 years", "after lunch", "at the wrong door",
    "during the quiz", "without any plan", "in front of everyone", "since last June", "just in case", "as usual",
    "on a boat", "100% on purpose", "because why not", "again and again", "with great joy", "in the rain", "by mistake",
)  # fmt: skip
_OPENING = (
    "When", "Me when", "Nobody:", "POV:", "Breaking news:", "Fun fact:", "How it feels when", "That moment when",
    "Remember when", "Imagine if", "No one:", "Scientists:", "Meanwhile,", "Day 27:", "Rule #1:", "Honestly,",
)  # fmt: skip
_PUNCH = (
    "and it shows", "I'm not even mad", "OK", "this is a fine plan", "nailed it!", "what could go wrong?",
    "best day ever",
    "you had one job", "10/10 would do it again", "no regrets", "it's a lifestyle", "tell me more...", "not today",
    "so that's a no?", "still better than you", "you smell of soup", "your hat is on fire", "we don't talk about it",
    "welcome to the club", "only $4.99", "I need a nap", "you are a sandwich", "please don't clap", "a true hero",
    "that's my secret", "it was me all along", "and I took that personally", "change my mind", "wait, what?", "yes",
)  # fmt: skip
_LABEL = (
    "you", "me", "my diet", "the cake", "Monday", "my 8 alarms", "sleep", "one sock", "the Blimbloms", "free pizza",
    "homework", "the Moon Club", "common sense", "a spoon", "my bank account", "3 unread emails", "OK plan", "soup",
    "your advice", "bad ideas", "the gym", "the last slice", "adulthood", "Zorblings", "rent", "tea", "my 1 brain cell",
)  # fmt: skip
_FIRST = (
    "Gus",
    "Mabel",
    "Otto",
    "Pip",
    "Wanda",
    "Bartholomew",
    "Quinn",
    "Lady Fern",
    "Dr. Noodle",
    "Sir Bleep",
)
_LAST = (
    "Turnip",
    "Moonbeam",
    "of Blim",
    "McSpoon",
    "Featherby",
    "Q. Pickle",
    "Waffle",
    "O'Goose",
    "",
    "(real)",
)
_CASES: tuple[Callable[[str], str], ...] = (str, str, str.upper, str.lower, str.capitalize)


def label(rng: Draw) -> str:
    """What a part of a picture is called: one to three words."""
    return rng.choice(_LABEL)


def clause(rng: Draw) -> str:
    """Somebody did something: three to ten words."""
    return " ".join(
        (rng.choice(_WHO), rng.choice(_DOES), *([rng.choice(_WHEN)] if rng.random() < 0.5 else []))
    )


def setup(rng: Draw) -> str:
    """The upper half of a joke: four to thirteen words."""
    return f"{rng.choice(_OPENING)} {clause(rng)}"


def punchline(rng: Draw) -> str:
    """The lower half of a joke: one to eight words, or a clause."""
    return rng.choice(_PUNCH) if rng.random() < 0.6 else clause(rng)


def short(rng: Draw) -> str:
    """A caption of one to eight words."""
    return rng.choice(_PUNCH) if rng.random() < 0.5 else f"{rng.choice(_WHO)} {rng.choice(_DOES)}"


def post(rng: Draw, words: int) -> str:
    """A text of about ``words`` words (at most 40) in sentences, as people write under a name."""
    sentences: list[str] = []
    while len(" ".join(sentences).split()) < words:
        text = rng.choice((setup, clause, punchline, clause))(rng)
        text = text[:1].upper() + text[1:]
        sentences.append(
            text if text[-1] in ".!?:" else text + rng.choice((".", ".", "!", ",", ";", " -", "..."))
        )
    return " ".join(" ".join(sentences).split()[:40]).rstrip(",;- ")


def name(rng: Draw) -> str:
    """A person's name, as shown."""
    return f"{rng.choice(_FIRST)} {rng.choice(_LAST)}".strip()


def handle(rng: Draw) -> str:
    """An @name."""
    first = rng.choice(_FIRST).lower().replace(" ", "_").replace(".", "")
    middle, last = rng.choice(("_", "", ".", "_the_")), rng.choice(("spoon", "goose", "blim", "soup"))
    return f"@{first}{middle}{last}{rng.choice(('', '7', '42', '1999'))}"


def date(rng: Draw) -> str:
    """When a tweet was sent."""
    clock = f"{rng.randint(1, 12)}:{rng.randint(10, 59)} {rng.choice('AP')}M"
    return f"{clock} - {rng.randint(1, 28)} Jun {rng.randint(2012, 2024)}"


def posted(text: str, rng: Draw) -> str:
    """The text in some case people use."""
    return rng.choice(_CASES)(text)
