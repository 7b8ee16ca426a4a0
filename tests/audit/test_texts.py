from __future__ import annotations

from pathlib import Path

import pytest

from mrharm.audit.findings import Finding
from mrharm.audit.texts import LONG_TEXT, audit_texts
from tests.audit.helpers import codes, meme, only, read, shown, write_dataset


def found(folder: Path, *texts: str | None) -> tuple[list[Finding], dict[str, int]]:
    """What is said of memes called 0, 1, 2 ... of these texts."""
    memes = [meme(str(number), text) for number, text in enumerate(texts)]
    return audit_texts(read(write_dataset(folder, memes)))


def test_plain_texts_give_no_finding(tmp_path: Path) -> None:
    findings, table = found(tmp_path, "You, at the club?", "naïve café, you!", "tab\tand\nline\r\nbreaks")
    assert findings == []
    assert table == {"empty": 0, "long": 0, "foreign": 0, "invisible": 0}


def test_empty_texts_are_counted_blank_ones_too(tmp_path: Path) -> None:
    findings, table = found(tmp_path, "you", "", None, " \n ")
    finding = only(findings, "text-empty")
    assert (finding.level, finding.count, finding.of) == ("note", 3, 4)
    assert sorted(shown(finding)) == [("1",), ("2",), ("3",)]
    assert table["empty"] == 3


def test_long_texts_are_counted_the_longest_first(tmp_path: Path) -> None:
    findings, _ = found(tmp_path, "y" * LONG_TEXT, "y" * (LONG_TEXT + 1), "y" * 3 * LONG_TEXT)
    finding = only(findings, "text-long")
    assert (shown(finding), finding.count) == ([("2",), ("1",)], 2)
    assert finding.examples[0].what == "3,000 characters"


@pytest.mark.parametrize(
    ("text", "script"),
    [
        ("ты в клубе", "cyrillic"),
        ("you and me in the клубе шляп", "cyrillic"),  # most of the letters are Latin
        ("你在俱乐部", "cjk"),
        ("أنت في النادي", "arabic"),
    ],
)
def test_another_script_is_named(tmp_path: Path, text: str, script: str) -> None:
    findings, _ = found(tmp_path, text, "you")
    assert codes(findings) == ["text-foreign"]
    assert (findings[0].examples[0].memes, findings[0].examples[0].what) == (("0",), script)


def test_a_few_foreign_letters_make_no_foreign_text(tmp_path: Path) -> None:
    assert found(tmp_path, "you and the whole club say да", "12345 !!!")[0] == []


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("yo\u200bu are in\u200b", "U+200B x2"),  # zero-width space
        ("you \u202eera\u202c", "U+202E x1, U+202C x1"),  # right-to-left override
        ("you \U000e0061\U000e0062", "U+E0061 x1, U+E0062 x1"),  # tag characters
        ("\ufeffyou", "U+FEFF x1"),
        ("you\x1b[2J", "U+001B x1"),
    ],
)
def test_invisible_characters_are_named_by_code_point(tmp_path: Path, text: str, named: str) -> None:
    findings, _ = found(tmp_path, text, "you")
    assert codes(findings) == ["text-invisible"]
    assert (findings[0].level, findings[0].count, findings[0].examples[0].what) == ("warning", 1, named)


def test_emoji_made_with_joiners_and_selectors_are_not_reported(tmp_path: Path) -> None:
    assert found(tmp_path, "you 👩‍🍳 ❤️ 👍🏽 👨‍👩‍👧")[0] == []
