"""What a file of rationales holds, and what the gate makes of it again."""

from __future__ import annotations

import pytest

from mrharm.rationales.gate import PEOPLE, first_answer, regate
from mrharm.rationales.stats import measure
from mrharm.records import Rationale
from tests.rationales.answers import explained
from tests.rationales.conftest import MakeDataset

GOOD = explained("skunk", "Kite Club", 0)
LEAKY = f"{GOOD} This meme is very harmful."


def row(number: int, text: str, status: str, **more: object) -> Rationale:
    return Rationale.model_validate(
        {"meme_id": f"m{number}", "text": text, "status": status, "teacher": "t", **more}
    )


def test_figures_of_a_file_by_hand(make_dataset: MakeDataset) -> None:
    made = make_dataset(["you smell"] * 8)  # even ones harmful, aimed at an individual
    talk = [{"role": "user", "content": "why"}, {"role": "assistant", "content": LEAKY}]
    rationales = [
        row(0, GOOD, "ok", messages=talk, raw=GOOD, usage={"calls": 2, "prompt_tokens": 7, "usd": 0.5}),
        row(1, GOOD, "ok", usage={"calls": 1, "prompt_tokens": 3, "usd": 0.25}),
        row(2, GOOD, "deleaked", raw=LEAKY),
        row(3, "", "refused", raw="{}"),
        row(4, "I cannot help with that.", "refused", raw="I cannot help with that."),
        row(5, GOOD[:40], "truncated", raw=GOOD[:40]),
    ]
    found = measure(made.memes, {one.meme_id: one for one in rationales}, made.evidence)
    assert (found.memes, found.written, found.teaching.count) == (8, 6, 3)
    assert {name: share.count for name, share in found.before.items()} == {
        "leaks_label": 2,
        "ok": 1,
        "refused": 2,
        "truncated": 1,
    }
    assert {name: share.count for name, share in found.after.items()} == {
        "ok": 2,
        "deleaked": 1,
        "refused": 2,
        "truncated": 1,
    }
    assert (found.asked_again, found.usd, found.tokens) == (1, 0.75, {"prompt_tokens": 10})
    assert found.words["longest"] == len(GOOD.split())
    groups = {one.name: one for one in found.groups}
    assert (groups["harmful"].memes, groups["harmful"].teaching, groups["harmful"].refused) == (4, 2, 1)
    assert (groups["target: individual"].written, groups["harmless"].refused) == (3, 1)
    # Half of the memes are harmful, and two of the three that teach.
    assert found.bias and found.bias.harmful_share == 0.5
    assert found.bias.points == pytest.approx(100 * (2 / 3 - 1 / 2))
    # Of the six written, three are harmful; without the two refused, two of four.
    assert found.bias.points_refused == pytest.approx(0.0)


def test_a_dataset_without_rationales_has_figures_too(make_dataset: MakeDataset) -> None:
    made = make_dataset(["you smell"] * 2)
    found = measure(made.memes, {}, made.evidence)
    assert (found.written, found.bias, found.words) == (0, None, {})


def test_the_first_answer_is_the_one_before_it_was_asked_again() -> None:
    talk = [{"role": "assistant", "content": "first"}, {"role": "assistant", "content": "second"}]
    rationales = [row(0, "third", "ok", messages=talk), row(1, "b", "ok", raw="a"), row(2, "c", "ok")]
    assert [first_answer(rationale) for rationale in rationales] == ["first", "a", "c"]


def test_stored_answers_are_classed_anew_and_nothing_is_lost_by_cutting(make_dataset: MakeDataset) -> None:
    made = make_dataset(["you smell"] * 8)
    memes = {meme.id: meme for meme in made.memes}
    before = [
        row(0, LEAKY, "unchecked"),
        row(1, GOOD, "unchecked"),
        row(2, "", "refused", raw='{"choices": []}'),
        row(4, LEAKY, "leaks_label", teacher=PEOPLE),
        row(6, GOOD[:50], "truncated", raw=GOOD[:50]),
        row(9, LEAKY, "unchecked"),
    ]
    done = regate(before, memes, made.evidence)
    after = {rationale.meme_id: rationale for rationale in done}
    assert (after["m0"].status, after["m0"].text, after["m0"].raw) == ("deleaked", GOOD, LEAKY)
    assert after["m1"].status == "ok"
    assert after["m2"] == before[2]
    assert (after["m4"].status, after["m4"].text) == ("leaks_label", LEAKY)  # a person's words are not cut
    assert after["m6"].status == "truncated"
    assert after["m9"] == before[5]  # of no meme here
    assert regate(done, memes, made.evidence) == done
