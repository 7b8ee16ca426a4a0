import json
from pathlib import Path

import pytest

from mrharm.rationales.leakage import (
    cut_label,
    denies,
    holds_label,
    holds_severity,
    sentences,
    speaks_of_caption,
    states_label,
    states_verdict,
)
from mrharm.records import Label

HARMFUL = Label(harmful=True, severity="somewhat")
HARMLESS = Label(harmful=False, severity="none")
HARM_C = Path(__file__).parents[3] / "shared/data/harm-c/rationales.json"
HAND = json.loads((Path(__file__).parent / "harm_c_hand_labels.json").read_text())


@pytest.mark.parametrize(
    ("text", "label", "severity", "own"),
    [
        ("it is Somewhat  Harmful to your club", HARMFUL, True, True),
        ("it is harmful to your club", HARMFUL, False, True),
        ("it is not harmful to your club", HARMFUL, False, False),
        ("it is harmless", HARMFUL, False, False),
        ("not harmful, and yet harmful", HARMFUL, False, True),
        ("it is not harmful", HARMLESS, True, True),
        ("a harmless joke", HARMLESS, False, True),
        ("it is harmful", HARMLESS, False, False),
        ("it mocks your club", HARMFUL, False, False),
        ("it is hateful", Label(harmful=True), False, True),
        ("it is not hateful", Label(harmful=True), False, False),
    ],
)
def test_a_label_is_held_by_its_own_words_alone(text: str, label: Label, severity: bool, own: bool) -> None:
    assert holds_severity(text, label) is severity
    assert holds_label(text, label) is own


@pytest.mark.parametrize(
    "sentence",
    [
        "It does not contain anything offensive.",
        "this could harm people who believe it",
        "It should be taken down.",
        "it should never be shared",
        "this is perfectly acceptable",
        "there is no ill will in it",
        "such a message is unacceptable",
        "it may cause offence",
        "it shouldn't be shared",
        "This should be deleted.",
        "it deserves to be removed",
        "such a message is not acceptable",
        "This is not appropriate.",
        "it is fine to share",
        "there is nothing wrong with it",
        "It goes against community guidelines.",
    ],
)
def test_a_sentence_that_pronounces_the_verdict_is_found(sentence: str) -> None:
    assert states_verdict(sentence)
    assert states_label(f"It shows a kettle. {sentence} You are in it.", HARMFUL)


@pytest.mark.parametrize(
    "sentence",
    [
        "It calls your club a kettle.",
        "this is derogatory towards your club",
        "it suggests that the council is causing harm to people",
        "you are mocked",
        "it spreads false claims about kettles",
        "he wore an acceptable hat",
        "it jokes about self-harm",
        "shops must be allowed to open on Sundays",
        "the charm of the harmonica",
    ],
)
def test_a_reason_is_not_taken_for_a_verdict(sentence: str) -> None:
    assert not states_verdict(sentence)


@pytest.mark.parametrize(
    ("text", "guess"),
    [
        ("it is Not  harmful", True),
        ("a harmless kettle", True),
        ("it may\nnot contain a kettle", True),
        ("it does not sing", True),
        ("it does sing", False),
        ("nothing is contained in it", False),
        ("", False),
    ],
)
def test_four_phrases_guess_that_a_meme_is_harmless(text: str, guess: bool) -> None:
    assert denies(text) is guess


def test_words_about_a_caption_are_told_by_that_word() -> None:
    assert speaks_of_caption("the image caption says so")
    assert not speaks_of_caption("the captain says so")


def test_sentences_end_at_their_marks() -> None:
    assert sentences(" It sings! Does it? Yes. ") == ["It sings!", "Does it?", "Yes."]
    assert sentences("") == []


def test_without_a_label_a_statement_of_either_is_found_and_cut() -> None:
    text = "It shows a kettle. It is harmless. You sing. This could harm people."
    assert states_label(text) and cut_label(text) == "It shows a kettle. You sing."
    assert cut_label("It is hateful. It is fine.", HARMFUL) == "It is fine."


@pytest.mark.skipif(not HARM_C.is_file(), reason="../shared/data/harm-c is not here")
def test_published_rationales_that_state_their_label_are_found_as_people_found_them() -> None:
    """200 rationales drawn by lot and read: at least 97 % of those that state their label are found."""
    texts = json.loads(HARM_C.read_text())
    stating = [meme_id for meme_id, states in HAND["rationales"].items() if states]
    found = sum(any(map(states_verdict, sentences(texts[meme_id]))) for meme_id in stating)
    assert len(HAND["rationales"]) == 200
    assert found >= 0.97 * len(stating)


@pytest.mark.skipif(not HARM_C.is_file(), reason="../shared/data/harm-c is not here")
@pytest.mark.parametrize("part", ["sentences", "held_out_sentences"])
def test_sentences_read_by_hand_are_told_apart(part: str) -> None:
    """The rules were written looking at ``sentences``; ``held_out_sentences`` were read afterwards."""
    texts = json.loads(HARM_C.read_text())
    flagged: dict[bool, list[bool]] = {True: [], False: []}
    for key, states in HAND[part].items():
        meme_id, number = key.split("#")
        flagged[states].append(states_verdict(sentences(texts[meme_id])[int(number)]))
    assert len(flagged[False]) >= 100
    assert sum(flagged[True]) >= 0.97 * len(flagged[True])
    assert sum(flagged[False]) < 0.02 * len(flagged[False])
