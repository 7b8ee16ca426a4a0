import pytest

from mrharm.hosted import looks_refused


@pytest.mark.parametrize(
    "text",
    [
        "I’m sorry, but I can't assist with that.",
        "I am unable to see the picture",
        "i won't analyse a meme of that kind",
        "We cannot comply with this",
        "As a language model I have no club",
        "As an artificial intelligence, I abstain.",
    ],
)
def test_a_refusal_is_told_from_reasons(text: str) -> None:
    assert looks_refused(text)


@pytest.mark.parametrize(
    "text",
    [
        "you cannot explain a kettle",
        "they are unable to sing",
        "the aim is as an air of mockery",
        "an AI club",
        "the words say: i'm sorry, but I cannot help with kettles",
    ],
)
def test_a_reason_is_no_refusal(text: str) -> None:
    assert not looks_refused(text)
