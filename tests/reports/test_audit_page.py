from __future__ import annotations

import html
import re
from pathlib import Path

import pytest

from mrharm.audit.run import Audit, audit
from mrharm.audit.shortcuts import PROTOCOLS
from mrharm.memes.dataset import Dataset
from mrharm.recipe import load_recipe
from mrharm.records import Evidence, Meme, Rationale
from mrharm.reports.audit_page import SHOWN_ERRORS, write_page
from tests.audit.helpers import club, draw, meme, sound, write_dataset
from tests.browser import (
    HOSTILE,
    Tags,
    assert_self_contained,
    browse,
    measure_on_a_phone,
    needs_chromium,
)


def page_of(found: Audit, folder: Path) -> str:
    write_page(found, folder / "page.html")
    return (folder / "page.html").read_text(encoding="utf-8")


def ill(folder: Path) -> Dataset:
    """A dataset with an error, pictures and copies: each train meme of the last two stands in test, too."""
    rows = sound()
    for name, seed in (("a", 1), ("b", 2)):
        draw(folder / f"images/{name}.png", seed)
        rows.append(meme(name, f"you and the {name}", True, image=f"images/{name}.png"))
        (folder / f"images/{name}{name}.png").write_bytes((folder / f"images/{name}.png").read_bytes())
        rows.append(meme(name * 2, f"you and the {name}", False, "test", image=f"images/{name * 2}.png"))
    return write_dataset(folder, rows)


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Audit:
    return audit(ill(tmp_path_factory.mktemp("page") / "data"), load_recipe("mr-harm"))


def test_the_verdict_stands_first_and_every_picture_is_inside(found: Audit, tmp_path: Path) -> None:
    page = page_of(found, tmp_path)
    assert_self_contained(page)
    words = Tags(page).words
    at = [words.index(one) for one in (*found.report.verdict.words, "Findings")]
    assert at == sorted(at)
    assert all(html.unescape(one.message) in words for one in found.report.findings)
    pictures = [attributes["alt"] or "" for tag, attributes in Tags(page).tags if tag == "img"]
    named = {name for alt in pictures for name in re.findall(r"picture of (\w+),", alt)}
    assert named == {"a", "b", "aa", "bb"}


def hostile(folder: Path) -> Dataset:
    """Every word that a dataset can bring onto the page is markup."""
    draw(folder / "a.png", 1)
    (folder / "b.png").write_bytes((folder / "a.png").read_bytes())
    rows: list[Meme] = [
        *sound(),
        meme(f'"><b {HOSTILE}', f"{HOSTILE} you", True, image="a.png"),
        meme(f"'{HOSTILE}", f"{HOSTILE} you", False, HOSTILE, image="b.png"),
        meme("gone", HOSTILE, True, image=f"{HOSTILE}.png"),
    ]
    why = [Rationale(meme_id=row.id, text=f"harmful {HOSTILE}", teacher=HOSTILE) for row in rows]
    info = {"name": HOSTILE, "options": {"label_version": f"unknown {HOSTILE}"}}
    return write_dataset(folder, rows, [Evidence(meme_id=HOSTILE)], why, **info)


def test_what_a_dataset_says_is_shown_and_never_markup(tmp_path: Path) -> None:
    found = audit(hostile(tmp_path / "d"), load_recipe("mr-harm"))
    page = page_of(found, tmp_path)
    seen = Tags(page)
    assert HOSTILE in seen.words
    assert {tag for tag, _ in seen.tags} & {"script", "b"} <= {"b"}
    assert page.count("</style>") == 1
    assert all(set(attributes) <= {"style"} for tag, attributes in seen.tags if tag == "b")
    assert not [name for _, attributes in seen.tags for name in attributes if name.startswith("on")]
    labels = [one["aria-label"] or "" for tag, one in seen.tags if "aria-label" in one]
    assert any(HOSTILE in label for label in labels)


def test_pictures_that_are_broken_or_gone_since_do_not_stop_the_page(tmp_path: Path) -> None:
    dataset = ill(tmp_path / "d")
    (dataset.root / "images/b.png").write_bytes(b"no picture")
    found = audit(dataset, load_recipe("mr-harm"))
    (dataset.root / "images/a.png").unlink()
    page = page_of(found, tmp_path)
    assert "picture of aa," in page
    assert "picture of a," not in page and "picture of b," not in page
    assert "you and the a" in page and "not a PNG" in page


@pytest.mark.parametrize("rows", [[], [meme("a", "you")]])
def test_a_dataset_of_next_to_nothing_has_a_page(tmp_path: Path, rows: list[Meme]) -> None:
    found = audit(write_dataset(tmp_path / "d", rows), load_recipe("mr-harm"))
    assert "Not fit to train on" in page_of(found, tmp_path)


def test_signals_and_suspect_labels_are_shown(tmp_path: Path) -> None:
    rows = [
        meme(
            str(n),
            f"{'kettle' if n % 2 else 'teapot'} kettle{n % 7} {club(n)}",
            (n % 2 == 0) != (n % 11 == 0),
            "train" if n < 60 else "test",
        )
        for n in range(90)
    ]
    found = audit(write_dataset(tmp_path / "d", rows), load_recipe("mr-harm"))
    page = page_of(found, tmp_path)
    assert 'id="bare"' not in page and "<img" not in page  # there is no picture to show
    assert_self_contained(page)
    assert 0 < len(found.report.label_errors) < SHOWN_ERRORS
    assert "Labels to look at" in page
    assert f"P(harmful) {found.report.label_errors[0].probability:.2f}" in page
    score = next(row for row in found.report.shortcuts if row.signal == "text").scores["split"]
    assert f"{100 * score.macro_f1:.1f} <small>" in page


def test_the_heading_counts_as_its_finding_does_and_long_lists_are_folded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mrharm.audit.labels.LISTED", 9)
    rows = [
        meme(str(n), f"{'kettle' if n % 2 else 'teapot'} {club(n)}", (n % 2 == 0) != (n % 9 == 0), "train")
        for n in range(120)
    ]
    found = audit(write_dataset(tmp_path / "d", rows), load_recipe("mr-harm"))
    (finding,) = [row for row in found.report.findings if row.code == "label-errors"]
    assert finding.count is not None and finding.count > len(found.report.label_errors) == 9
    page = page_of(found, tmp_path)
    words = " ".join(Tags(page).words.split())
    assert f"Labels to look at ({finding.count} contradicted by the rest of the data; the first 9)" in words
    assert f"7 more of {finding.count} in all" in words  # of the examples below the finding
    (cards,) = re.findall(r"<summary>1 more</summary>.*?</details>", page, re.S)
    assert cards.count("P(harmful)") == 1


def test_the_column_that_decides_stands_first(found: Audit, tmp_path: Path) -> None:
    page = page_of(found, tmp_path)
    assert "in the first too</th><th>by any of these</th><th>by id</th>" in page
    assert [*PROTOCOLS][:2] == ["overlap_removed", "split"]


@needs_chromium
@pytest.mark.parametrize("kind", ["ill", "hostile"])
def test_in_a_browser_the_page_holds_its_verdict_and_fits_a_phone(tmp_path: Path, kind: str) -> None:
    long = "you" * 200
    dataset = {"ill": ill, "hostile": hostile}[kind](tmp_path / "d")
    rows = [*dataset.memes, meme(long, long, True), meme(long[3:], long, True, "test")]
    found = audit(write_dataset(dataset.root, rows, name=long[:120]), load_recipe("mr-harm"))
    page = page_of(found, tmp_path)
    assert measure_on_a_phone(page, tmp_path) == {
        "width": 390,
        "beyond": 0,
        "blurred": True,
        "pictures": page.count("<img "),
        "decoded": True,
        "faint": [],
        "unreachable": [],
        "dark": True,
    }
    screen = tmp_path / "screen.png"
    dom = browse(tmp_path / "page.html", tmp_path / "profile", "--dump-dom", f"--screenshot={screen}").stdout
    assert "Not fit to publish numbers on" in dom
    assert "<script" not in dom
    assert dom.count("<details") - dom.count('<details class="more"') == len(found.report.findings)
    assert screen.stat().st_size > 10_000
