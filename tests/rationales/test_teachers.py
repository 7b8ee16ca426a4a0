"""What every teacher in the table must do, and the files of recorded ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from mrharm.errors import DataError, InputError
from mrharm.llm import CallError, Completion
from mrharm.rationales.prompting import question_key
from mrharm.rationales.teachers import TEACHERS, Question, Teacher
from mrharm.rationales.teachers.openai import HostedTeacher
from mrharm.rationales.teachers.recorded import RecordedTeacher
from mrharm.records import Meme
from mrharm.synthetic.teacher import GeneratedTeacher
from tests.llm.conftest import MODEL, client
from tests.stub_server import Reply, StubServer


def asks(*names: str) -> list[Question]:
    return [
        Question(Meme(id=name), [{"role": "user", "content": f"why {name}"}], {"max_tokens": 50})
        for name in names
    ]


def recorded(tmp_path: Path, text: str) -> RecordedTeacher:
    file = tmp_path / "recorded.json"
    file.write_text(text, encoding="utf-8")
    return RecordedTeacher(str(file))


def test_the_table_names_the_teachers_there_are() -> None:
    assert TEACHERS.names()[:4] == ["openai", "hf", "recorded", "generated"]


@pytest.mark.parametrize("row", ["openai", "recorded", "hf"])
def test_a_teacher_that_wants_a_name_says_which(row: str) -> None:
    with pytest.raises(InputError, match=rf"{row}:\w+"):
        TEACHERS.load(row)(None)
    with pytest.raises(InputError, match=r"has no models.*v1, v2"):
        TEACHERS.load("generated")("large")


def check_contract(teacher: Teacher, known: str, unknown: str | None) -> None:
    assert teacher.name
    names = [known] + ([unknown] if unknown else [])
    answers = dict(teacher.answer(iter(asks(*names))))
    assert set(answers) == set(range(len(names)))
    first = answers[0]
    assert isinstance(first, Completion)
    assert first.text.strip()
    if unknown:
        assert isinstance(answers[1], CallError)
    assert list(teacher.answer([])) == []


def test_each_answers_every_question_or_says_why_not(tmp_path: Path) -> None:
    check_contract(recorded(tmp_path, '{"a": "because of the skunk"}'), "a", "b")
    truth = {
        "concept": "smell", "scene": "skunk", "tone": "praise", "sense": "straight", "polarity": "contradicts",
        "relation": "undercuts",
    }  # fmt: skip
    made = Question(Meme(id="a", extra={"truth": truth}), ())
    answers = dict(GeneratedTeacher().answer([made, *asks("b")]))
    assert isinstance(answers[0], Completion) and "skunk" in answers[0].text
    assert isinstance(answers[1], CallError)
    with StubServer(lambda text: Reply("a skunk") if "a" in text else Reply(status=400)) as server:
        check_contract(HostedTeacher(MODEL, client=client(server.url)), "a", "y")


def test_a_teachers_name_tells_two_files_apart(tmp_path: Path) -> None:
    one = recorded(tmp_path, '{"a": "x"}').name
    other = recorded(tmp_path, '{"a": "y"}').name
    assert one != other
    assert question_key(asks("a")[0], one) != question_key(asks("a")[0], other)


@pytest.mark.parametrize(
    "text",
    [
        '{"a": "because", "b": ""}',
        '{"id": "a", "text": "because"}\n{"meme_id": "b", "text": ""}\n',
        '{"id": "a", "rationale": "at first"}\n\n{"id": "a", "rationale": "because"}\n{"id": "b", "text": " "}\n',
        '\ufeff{"a": "because", "b": ""}',
    ],
)
def test_recorded_files_of_every_shape_are_read(tmp_path: Path, text: str) -> None:
    answers = dict(recorded(tmp_path, text).answer(asks("a", "b", "c")))
    assert isinstance(answers[0], Completion) and answers[0].text == "because"
    assert [answers[n].kind for n in (1, 2)] == ["empty", "bad_request"]  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[1, 2]", "expected an object with rationales by id"),
        ('{"a": 1}', "expected an id and its rationale; got 'a': '1'"),
        ('{"a": "x"}\nnonsense\n', "line 2: not JSON"),
    ],
)
def test_a_file_that_holds_no_rationales_is_refused_by_its_line(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(DataError, match=says):
        recorded(tmp_path, text)
    with pytest.raises(InputError, match="cannot be read"):
        RecordedTeacher(str(tmp_path / "nowhere"))
