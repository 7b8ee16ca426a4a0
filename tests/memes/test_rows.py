import csv
import io
import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mrharm.errors import DataError
from mrharm.memes.rows import read_csv_rows, read_json_array, read_json_rows, read_tab_rows
from mrharm.records import Failure


def read(
    reader: Any, path: Path, text: str | bytes
) -> tuple[list[tuple[int, dict[str, Any]]], list[Failure]]:
    """((line, values) of every row, what failed)."""
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    failures: list[Failure] = []
    return [(row.line, row.values) for row in reader(path, path.name, failures)], failures


def test_a_json_array_gives_rows_that_know_their_place_in_it(tmp_path: Path) -> None:
    text = '\ufeff[{"a": 1},\n 5, {"a": "caf\u00e9 \\u00e9"}]\n'
    rows, failed = read(read_json_array, tmp_path / "x.json", text)
    assert rows == [(1, {"a": 1}), (3, {"a": "café é"})]
    assert [(failure.item, failure.line, failure.reason) for failure in failed] == [
        ("x.json:2", 2, "expected a JSON object, got int"),
    ]


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ('[{"a": 1}, {"a": "your cl', r"25 characters came, the last are '.*your cl'; fetch it again"),
        ('{"a": 1}\n{"a": 2}\n', r"JSON lines with `jq -s \. x\.json"),
        ('{"a": 1}', "expected one JSON array, got dict"),
        ("[" * 100_000 + "]" * 100_000, "nested too deep"),
        (b'[{"a": "caf\xe9"}]', "not UTF-8"),
    ],
)
def test_a_file_that_is_no_whole_array_is_named_with_what_came(
    tmp_path: Path, text: str | bytes, wrong: str
) -> None:
    with pytest.raises(DataError, match=rf"x\.json: .*{wrong}"):
        read(read_json_array, tmp_path / "x.json", text)


def test_odd_json_lines_fail_by_number_and_the_rest_goes_on(tmp_path: Path) -> None:
    text = b'\xef\xbb\xbf\n["a"]\n{"a": "caf\xe9"}\n{"a": "\\ud800"}\n{"a": 1}\n{"a": "cut'
    rows, failed = read(read_json_rows, tmp_path / "x.jsonl", text)
    assert rows == [(5, {"a": 1})]
    reasons = [
        "expected a JSON object, got list",
        "not UTF-8 (byte 0xe9 at column 11)",
        "surrogate",
        "may be cut short",
    ]
    assert [failure.line for failure in failed] == [2, 3, 4, 6]
    assert all(reason in failure.reason for reason, failure in zip(reasons, failed, strict=True))


@pytest.mark.parametrize(
    ("text", "mend"),
    [("{}".encode("utf-16"), "iconv -f UTF-16"), (b'[{"id": "a"}]', "one JSON object a line")],
)
def test_a_file_of_another_format_is_named_with_its_mend(tmp_path: Path, text: bytes, mend: str) -> None:
    with pytest.raises(DataError, match=mend):
        read(read_json_rows, tmp_path / "x.jsonl", text)


@pytest.mark.parametrize("reader", [read_csv_rows, read_tab_rows])
def test_a_header_without_a_column_names_those_expected_and_found(tmp_path: Path, reader: Any) -> None:
    with pytest.raises(DataError, match=r"x\.csv: no column 'b'; expected 'a', 'b'; the header has 'a', 'c'"):
        read(partial(reader, columns=("a", "b")), tmp_path / "x.csv", "a\tc\n1\t2\n")


def test_a_stray_quote_swallows_no_following_row(tmp_path: Path) -> None:
    text = 'name\tbad\ttext\r\n1\t0\t"You sing\r\n2\t1\t"you" sing"\r\n3\t0\tlike "a kettle\r\n4\t1\t"\r\n'
    rows, failed = read(read_tab_rows, tmp_path / "x.csv", text)
    assert [(line, row["text"]) for line, row in rows] == [
        (2, '"You sing'),
        (3, '"you" sing"'),
        (4, 'like "a kettle'),
        (5, '"'),
    ]
    assert failed == []


def test_a_quoted_text_may_run_over_lines(tmp_path: Path) -> None:
    text = 'name\tbad\ttext\n1\t0\t"you\n\nsing ""so"""\n2\t1\tclub\n'
    rows, failed = read(read_tab_rows, tmp_path / "x.csv", text)
    assert [(line, row["text"]) for line, row in rows] == [(2, 'you\n\nsing "so"'), (5, "club")]
    assert failed == []


def test_lines_that_are_no_rows_fail_one_by_one(tmp_path: Path) -> None:
    text = 'name\tbad\ttext\n1\t0\t"you\nsing\n2\t1\tclub\tmore\n3\t1\tclub\n'
    rows, failed = read(read_tab_rows, tmp_path / "x.csv", text)
    assert [(line, row["text"]) for line, row in rows] == [(2, '"you'), (5, "club")]
    assert [(failure.line, failure.reason) for failure in failed] == [
        (3, "1 cells, but the header has 3"),
        (4, "4 cells, but the header has 3"),
    ]


def test_a_file_without_a_header_is_given_one(tmp_path: Path) -> None:
    reader = partial(read_tab_rows, header=("name", "bad"))
    assert read(reader, tmp_path / "x.txt", "1.jpg\t1\n\n2.jpg\t0\n")[0] == [
        (1, {"name": "1.jpg", "bad": "1"}),
        (3, {"name": "2.jpg", "bad": "0"}),
    ]


TEXTS = st.text(st.sampled_from('ab "\n\r,;é'), max_size=12)


@settings(deadline=None)
@given(st.lists(TEXTS, max_size=8))
def test_whatever_the_csv_module_writes_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str]
) -> None:
    file = io.StringIO(newline="")
    writer = csv.writer(file, delimiter="\t")
    writer.writerows([("name", "text"), *((f"{number}.jpg", text) for number, text in enumerate(texts))])
    rows, failed = read(read_tab_rows, tmp_path_factory.mktemp("t") / "x.csv", file.getvalue())
    assert [row["text"] for _, row in rows] == texts
    assert failed == []


@settings(deadline=None)
@given(st.lists(st.text(st.sampled_from('ab "'), max_size=8), max_size=8))
def test_as_many_rows_come_out_as_lines_went_in_whatever_their_quotes(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str]
) -> None:
    text = "name\ttext\n" + "".join(f"{number}.jpg\t{text}\n" for number, text in enumerate(texts))
    rows, failed = read(read_tab_rows, tmp_path_factory.mktemp("t") / "x.csv", text)
    assert [row["name"] for _, row in rows] == [f"{number}.jpg" for number in range(len(texts))]
    assert json.dumps(failed) == "[]"
