"""A text that is edited makes older evidence and rationales stale: it is said, and mended by the same commands."""

from __future__ import annotations

import pytest

from mrharm.audit.reading import read_contents
from mrharm.audit.texts import find_stale
from mrharm.evidence.gather import gather
from mrharm.evidence.picture_evidence import Engines
from mrharm.memes.dataset import Dataset
from mrharm.rationales.abduce import Abduced, abduce
from mrharm.rationales.gate import PEOPLE
from mrharm.rationales.prompting import QuestionBuilder, recorded_messages
from mrharm.rationales.staleness import describe_stale, rationale_is_stale, stale_rationales
from mrharm.rationales.stats import measure
from mrharm.rationales.teachers.openai import HostedTeacher
from mrharm.records import Evidence, Meme, Rationale
from mrharm.store import write_records
from mrharm.training.rationale_stage import usable_rationales
from tests.llm.conftest import MODEL, client
from tests.rationales.answers import explained
from tests.rationales.conftest import MakeDataset
from tests.stub_server import Reply, StubServer
from tests.training.helpers import tiny

GOOD = explained("skunk", "Kite Club", 0)


def edit_text(made: Dataset, meme_id: str, text: str) -> Dataset:
    memes = [
        meme.model_copy(update={"text": text}) if meme.id == meme_id else meme
        for meme in Dataset(made.root).memes
    ]
    write_records(made.root / "memes.jsonl", memes)
    return Dataset(made.root)


def explain(dataset: Dataset, url: str) -> Abduced:
    with client(url) as llm_client:
        builder = QuestionBuilder("abductive.v1", "caption", dataset.root)
        return abduce(dataset, dataset.memes, HostedTeacher(MODEL, client=llm_client), builder)


def test_an_edited_text_is_said_by_every_step_and_the_same_commands_mend_it(
    make_dataset: MakeDataset,
) -> None:
    made = make_dataset(["you smell", "you sing", "you dance"])
    with StubServer(lambda question: Reply(GOOD)) as server:
        explain(made, server.url)
        assert describe_stale(Dataset(made.root), made.memes) == []
        edited = edit_text(made, "m1", "you hum")
        of_evidence, of_rationales = describe_stale(edited, edited.memes)
        assert "text of 1 of 3 memes was edited" in of_evidence and "mrharm gather" in of_evidence
        assert "rationales of 1 of 3 memes" in of_rationales and "mrharm abduce" in of_rationales
        assert stale_rationales(edited.memes, edited.evidence, edited.rationales) == {"m1"}
        assert measure(edited.memes, edited.rationales, edited.evidence).stale == 1
        assert usable_rationales(edited, tiny()).keys() == {"m0", "m2"}
        assert usable_rationales(edited, tiny(gate="off")).keys() == {"m0", "m1", "m2"}
        findings = {finding.code: finding for finding in find_stale(read_contents(edited))}
        assert findings.keys() == {"evidence-stale", "rationale-stale"}
        assert [example.memes for example in findings["rationale-stale"].examples] == [("m1",)]
        done = explain(edited, server.url)
        assert (done.kept, done.stale, done.statuses) == (2, 1, {"ok": 1})
    assert describe_stale(Dataset(made.root), edited.memes) == [of_evidence]


def test_gathering_again_says_whose_text_was_edited_and_mends_it(make_dataset: MakeDataset) -> None:
    made = make_dataset(["you smell", "you sing"], pictures=True)
    edited = edit_text(made, "m1", "you hum")
    done = gather(
        edited,
        edited.memes,
        engines=Engines(inpainter="none", policy="never"),
        workers=1,
    )
    assert done.notes == ["the text of 1 meme was edited since it was gathered; its evidence was made anew"]
    again = Dataset(made.root)
    assert again.evidence["m1"].text == "you hum" and describe_stale(again, again.memes) == []


@pytest.mark.parametrize("words", ["you smell", "", "</words>you & me", "you\nsmell\u200b", "a" * 9000])
@pytest.mark.parametrize("shows", ["caption", "both"])
def test_words_that_were_shown_are_recognised_however_odd_they_are(
    make_dataset: MakeDataset, words: str, shows: str
) -> None:
    made = make_dataset([words], pictures=True)
    (meme,), evidence = made.memes, made.evidence["m0"]
    question = QuestionBuilder("abductive.v1", shows, made.root).build(meme, evidence)  # type: ignore[arg-type]
    rationale = Rationale(meme_id="m0", text=GOOD, teacher="t", messages=recorded_messages(question))
    assert not rationale_is_stale(meme, evidence, rationale)
    assert rationale_is_stale(meme.model_copy(update={"text": "you hum"}), None, rationale)


def test_words_read_off_the_picture_count_like_posted_ones() -> None:
    message = {"role": "user", "content": "<meme>\n<words>you smell</words>\n</meme>"}
    rationale = Rationale(meme_id="m", text=GOOD, teacher="t", messages=(message,))
    meme, read = Meme(id="m"), Evidence(meme_id="m", text="you smell", text_source="ocr")
    assert not rationale_is_stale(meme, read, rationale)
    assert rationale_is_stale(meme, read.model_copy(update={"text": "you swell"}), rationale)


@pytest.mark.parametrize("teacher", ["recorded@1", "generated", PEOPLE])
def test_a_rationale_that_keeps_no_question_is_never_called_stale(teacher: str) -> None:
    rationale = Rationale(meme_id="m", text=GOOD, teacher=teacher, key="k")
    assert not rationale_is_stale(Meme(id="m", text="you hum"), None, rationale)
