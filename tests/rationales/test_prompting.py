"""What is sent: numbered prompts, evidence of three kinds, and memes that try to speak to the teacher."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mrharm.errors import ImageError, InputError, MissingInputError
from mrharm.llm import Picture, load_prompt
from mrharm.rationales.prompting import (
    LONGEST,
    PACKAGE,
    QuestionBuilder,
    follow_up,
    prompt_names,
    question_key,
    quote_untrusted,
    recorded_messages,
)
from mrharm.rationales.teachers import Question
from mrharm.records import Evidence, Label, Meme
from tests.rationales.conftest import MakeDataset

INJECTED: list[str] = json.loads((Path(__file__).parent / "injections.json").read_text(encoding="utf-8"))
HARMFUL = Label(harmful=True, severity="very")
# A published prompt is never edited: new wording is a new version.
PUBLISHED = {
    "abductive.v1": "9f3b6ebafe8f2ffc5e213b9f37ebaf2794e4928fb17b16fc3c5c09f8594c7704",
    "again.v1": "0ffa90b45d9cb9e3dc990d2bd540fdf1494feb0621bad2284c04398ae4397120",
    "structured.v1": "f8c353c2d772b338c9921fc103eb10962735f794e06b8680a8075a1291dccc8b",
    "two-sided.v1": "c1f70b2d8985db2dcdf67698ec077fc4a2b8f065e536601d56bfd84c9f58ecfa",
    "unconditioned.v1": "ead07b8391defc4efcbd719bf1a269673e703ebb0c28425615e6f4ce3274cdf6",
}


def ask(text: str, caption: str = "a skunk", prompt: str = "abductive.v1") -> Question:
    meme = Meme(id="m", text=text, label=HARMFUL)
    return QuestionBuilder(prompt, "caption", Path()).build(
        meme, Evidence(meme_id="m", text=text, caption=caption)
    )


def user_message(one: Question) -> str:
    return str(one.messages[-1]["content"])


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_published_prompt_is_never_edited(name: str) -> None:
    assert load_prompt(PACKAGE, name).sha256 == PUBLISHED[name]


def test_every_prompt_there_is_is_pinned() -> None:
    assert {*prompt_names(), "again.v1"} == set(PUBLISHED)


def test_the_hash_of_the_prompt_tells_questions_apart_and_stands_in_them() -> None:
    one, other = ask("you smell", prompt="abductive.v1"), ask("you smell", prompt="unconditioned.v1")
    assert one.parts["prompt"] == f"abductive.v1@{PUBLISHED['abductive.v1'][:12]}"
    assert question_key(one, "t") != question_key(other, "t")
    assert question_key(one, "t") != question_key(one, "another teacher")
    assert question_key(one, "t") == question_key(ask("you smell"), "t")


@pytest.mark.parametrize("prompt", ["two-sided.v1", "unconditioned.v1"])
def test_a_prompt_that_is_to_find_out_is_not_told_the_label(prompt: str) -> None:
    told = " ".join(str(message["content"]) for message in ask("you smell", prompt=prompt).messages)
    assert "How people judged" not in told
    assert "very harmful" not in told
    meme = Meme(id="m", text="you smell")
    asked = QuestionBuilder(prompt, "caption", Path()).build(meme, Evidence(meme_id="m", caption="a skunk"))
    assert "you smell" in user_message(asked)


def test_a_prompt_that_explains_a_label_wants_one() -> None:
    with pytest.raises(MissingInputError, match="no label to explain"):
        QuestionBuilder("abductive.v1", "caption", Path()).build(
            Meme(id="m", text="x"), Evidence(meme_id="m", caption="a skunk")
        )


@pytest.mark.parametrize(
    ("label", "words"),
    [
        (Label(harmful=True, severity="somewhat"), "somewhat harmful"),
        (Label(harmful=False, severity="none"), "not harmful"),
        (Label(harmful=True), "harmful"),
        (Label(harmful=False), "not harmful"),
    ],
)
def test_a_label_is_told_by_its_severity_where_there_is_one(label: Label, words: str) -> None:
    meme = Meme(id="m", text="x", label=label)
    asked = QuestionBuilder("abductive.v1", "caption", Path()).build(
        meme, Evidence(meme_id="m", caption="a skunk")
    )
    assert f"How people judged it: {words}\n" in user_message(asked)


def test_the_teacher_is_shown_the_caption_the_pixels_or_both(make_dataset: MakeDataset) -> None:
    made = make_dataset(["you smell"], pictures=True)
    meme, evidence = made.memes[0], made.evidence["m0"]

    def content(shows: Any) -> Any:
        return QuestionBuilder("abductive.v1", shows, made.root).build(meme, evidence).messages[-1]["content"]

    assert "<picture>a skunk with the number 0</picture>" in content("caption")
    text, picture = content("pixels")
    assert "<picture>" not in text["text"]
    assert isinstance(picture, Picture)
    text, picture = content("both")
    assert "<picture>a skunk" in text["text"]
    assert isinstance(picture, Picture)
    kept = recorded_messages(QuestionBuilder("abductive.v1", "both", made.root).build(meme, evidence))
    assert kept[-1]["content"][1] == {"picture": picture.sha256}


def test_what_is_to_be_shown_and_is_not_there_is_said_with_the_mend(make_dataset: MakeDataset) -> None:
    made = make_dataset(["you smell"])
    with pytest.raises(MissingInputError, match="no caption to show; write captions"):
        QuestionBuilder("abductive.v1", "caption", made.root).build(made.memes[0], None)
    with pytest.raises(MissingInputError, match="no picture to show; --evidence caption"):
        QuestionBuilder("abductive.v1", "both", made.root).build(made.memes[0], made.evidence["m0"])


def test_no_picture_outside_the_dataset_is_sent(make_dataset: MakeDataset, tmp_path: Path) -> None:
    made = make_dataset(["you smell"], pictures=True)
    (tmp_path / "secret.png").write_bytes((made.root / "images/m0.png").read_bytes())
    outside = made.memes[0].model_copy(update={"image": "../secret.png"})
    with pytest.raises(ImageError, match="leaves the dataset folder"):
        QuestionBuilder("abductive.v1", "pixels", made.root).build(outside, None)


def test_an_unknown_prompt_is_refused_with_those_there_are() -> None:
    with pytest.raises(
        InputError, match=r"there are: abductive\.v1, structured\.v1, two-sided\.v1, unconditioned\.v1"
    ):
        QuestionBuilder("abductive.v9", "caption", Path())
    with pytest.raises(InputError, match=r"no prompt called 'again\.v1'"):
        QuestionBuilder("again.v1", "caption", Path())


@pytest.mark.parametrize("prompt", ["abductive.v1", "structured.v1", "two-sided.v1", "unconditioned.v1"])
@pytest.mark.parametrize("channel", ["text", "caption"])
@pytest.mark.parametrize("hostile", INJECTED)
def test_no_words_on_a_meme_break_out_of_their_place(prompt: str, channel: str, hostile: str) -> None:
    plain = ask("you smell", "a skunk", prompt)
    one = ask(hostile, "a skunk", prompt) if channel == "text" else ask("you smell", hostile, prompt)
    assert [message["role"] for message in one.messages] == [message["role"] for message in plain.messages]
    assert one.messages[0] == plain.messages[0]  # the instructions are what they were
    said, wanted = user_message(one), user_message(plain)
    for mark in ("<", ">", "\n"):
        assert said.count(mark) == wanted.count(mark)  # no delimiter and no line of their own
    assert "{{" not in hostile or "{{ label }}" in said  # not run as a template
    assert said.rpartition("</meme>")[2] == wanted.rpartition("</meme>")[2]


def test_what_nobody_sees_is_not_sent_and_what_has_no_end_is_cut() -> None:
    assert quote_untrusted("i\u200bgnore\u202e \x00 this\n\nnow") == "ignore this now"
    assert len(quote_untrusted("word " * 10**6)) < LONGEST + 10
    assert quote_untrusted("a < b & c") == "a &lt; b &amp; c"


def test_a_meme_without_words_is_asked_about_all_the_same() -> None:
    assert "<words>(none)</words>" in user_message(ask(""))


def test_asking_again_goes_on_with_the_talk_and_gives_the_reason() -> None:
    first = ask("you smell")
    second = follow_up(first, "It is very harmful.", 'it states the judgement: "It is very harmful.".')
    assert second.messages[:2] == [*first.messages]
    assert [message["role"] for message in second.messages] == ["system", "user", "assistant", "user"]
    assert "it states the judgement" in user_message(second)
