import pytest

from mrharm.llm import looks_refused


@pytest.mark.parametrize(
    "text",
    [
        "I’m sorry, but I can't assist with that.",
        "I am unable to see the picture",
        "i won't analyse a meme of that kind",
        "We cannot comply with this",
        "As a language model I have no club",
        "As an artificial intelligence, I abstain.",
        "I must decline to explain this.",
        "I respectfully decline.",
        "My apologies, but I am not comfortable with that.",
        "Sorry. I can't do this.",
        "This request goes against my policies.",
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
        "As an AI-drawn picture, it shows a kettle",
        "“I can't even” say the words, and the kettle nods",
        "I won't forget you, say the words",
        "The request goes against the club's own rules, say the words",
        "the words say: i'm sorry, but I cannot help with kettles",
    ],
)
def test_a_reason_is_no_refusal(text: str) -> None:
    assert not looks_refused(text)
