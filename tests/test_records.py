import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mrharm.errors import DataError
from mrharm.records import (
    Evidence,
    Label,
    Meme,
    Rationale,
    Record,
    TextBox,
    Verdict,
    meme_text,
    parse_record,
    read_records,
    text_is_stale,
    to_line,
    to_lines,
)

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
names = texts.filter(bool)
shares = st.floats(0, 1)
scalars = (
    st.none() | st.booleans() | st.integers(-(10**9), 10**9) | texts | st.floats(allow_nan=False, width=16)
)
finite = st.floats(-1e4, 1e4)
words = st.lists(texts, max_size=3).map(tuple)
labels = st.builds(
    Label, harmful=st.booleans(), severity=st.sampled_from([None, "none", "somewhat", "very"]), targets=words
)
memes = st.builds(
    Meme,
    id=names,
    image=st.none() | texts,
    text=st.none() | texts,
    label=st.none() | labels,
    split=st.none() | texts,
    source=st.none() | texts,
    extra=st.dictionaries(texts, scalars.filter(lambda value: value not in (float("inf"), -float("inf")))),
)
boxes = st.builds(TextBox, polygon=st.tuples(*[st.tuples(finite, finite)] * 4), text=texts, confidence=shares)
evidences = st.builds(
    Evidence, meme_id=names, caption=st.none() | texts, boxes=st.lists(boxes, max_size=2).map(tuple)
)
rationales = st.builds(
    Rationale,
    meme_id=names,
    text=texts,
    teacher=texts,
    label_given=st.none() | labels,
    status=st.just("ok"),
    messages=st.none() | st.lists(st.dictionaries(texts, texts), max_size=2).map(tuple),
    usage=st.none() | st.dictionaries(texts, st.integers()),
)
verdicts = st.builds(
    Verdict,
    meme_id=texts,
    harmful=st.sampled_from([None, True, False]),
    score=shares,
    threshold=shares,
    decision=st.just("review"),
    rationale=st.none() | texts,
    saliency=st.none(),
    evidence=st.none() | evidences,
    missing=words,
    detector=texts,
    recipe=texts,
    created_at=texts,
)


@settings(deadline=None, max_examples=60)
@given(st.one_of(memes, evidences, rationales, verdicts))
def test_every_record_comes_back_the_same_from_its_line(record: Record) -> None:
    line = to_line(record)
    assert "\n" not in line
    assert parse_record(line, type(record)) == record


@settings(deadline=None, max_examples=25)
@given(st.lists(memes, max_size=4))
def test_a_file_of_records_comes_back_in_order(tmp_path_factory: Any, many: list[Meme]) -> None:
    path = tmp_path_factory.mktemp("records") / "memes.jsonl"
    path.write_text(to_lines(many), encoding="utf-8")
    assert list(read_records(path, Meme)) == many


def test_an_unknown_key_is_refused_by_name_with_file_and_line() -> None:
    with pytest.raises(DataError, match=r"memes\.jsonl, line 7: Meme\.colour: unknown key; got 'red'"):
        parse_record('{"id": "a", "colour": "red"}', Meme, file="memes.jsonl", number=7)


def test_a_wrong_value_names_its_nested_key() -> None:
    with pytest.raises(DataError, match=r"Meme\.label\.severity.*got 'awful'"):
        parse_record('{"id": "a", "label": {"harmful": true, "severity": "awful"}}', Meme)


@pytest.mark.parametrize(
    "line",
    ['{"id": "a"', "", "[" * 100_000, '{"id": ' + "9" * 5000 + "}", '{"id": "a", "text": "\\ud800"}', "[1]"],
    ids=["cut short", "empty", "nested deep", "huge number", "half a surrogate", "array"],
)
def test_a_line_that_holds_no_record_is_a_data_error(line: str) -> None:
    with pytest.raises(DataError, match="line 3"):
        parse_record(line, Meme, number=3)


def test_a_whole_surrogate_pair_is_one_character() -> None:
    assert parse_record('{"id": "\\ud83d\\ude00"}', Meme).id == "\U0001f600"


def test_a_missing_file_says_what_was_expected(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file; expected one Meme a line"):
        list(read_records(tmp_path / "none.jsonl", Meme))


def test_a_file_that_is_not_utf8_says_so(tmp_path: Path) -> None:
    path = tmp_path / "memes.jsonl"
    path.write_bytes('{"id": "café"}\n'.encode("latin-1"))
    with pytest.raises(DataError, match="not UTF-8"):
        list(read_records(path, Meme))


def test_a_rationale_never_leaves_its_status_out():
    line = to_line(Rationale(meme_id="1", text="because", teacher="recorded"))
    assert json.loads(line) == {
        "meme_id": "1",
        "text": "because",
        "status": "unchecked",
        "teacher": "recorded",
    }


POSTED = Meme(id="m", text="you shine")


@pytest.mark.parametrize(
    ("meme", "evidence", "text"),
    [
        (POSTED, None, "you shine"),
        (POSTED, Evidence(meme_id="m", text="you swine", text_source="ocr"), "you swine"),
        (POSTED, Evidence(meme_id="m", text="you whine", text_source="given"), "you shine"),
        (Meme(id="m"), Evidence(meme_id="m", text="you dine", text_source="ocr"), "you dine"),
        (Meme(id="m"), None, None),
        (POSTED.model_copy(update={"text": ""}), Evidence(meme_id="m", text="you"), ""),
    ],
)
def test_the_words_of_a_meme_are_those_posted_unless_ocr_was_preferred_or_none_were(meme, evidence, text):
    assert meme_text(meme, evidence) == text


def test_evidence_of_a_text_edited_since_is_stale():
    assert text_is_stale(POSTED, Evidence(meme_id="m", text="you whine", text_source="given"))
    assert not text_is_stale(POSTED, Evidence(meme_id="m", text="you shine", text_source="given"))
    assert not text_is_stale(POSTED, Evidence(meme_id="m", text="you swine", text_source="ocr"))
    assert not text_is_stale(POSTED, None)
