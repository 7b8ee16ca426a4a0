"""What the audit says of rationales, signals and labels; the cleaned copy; the page. On datasets made here."""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from mrharm.errors import InputError
from mrharm.evaluation.audit.fix import write_fixed
from mrharm.evaluation.audit.label_errors import confident_errors
from mrharm.evaluation.audit.page import write_page
from mrharm.evaluation.audit.rationales import nearly_identical, rationale_findings
from mrharm.evaluation.audit.run import Audit, audit
from mrharm.memes.dataset import Dataset
from mrharm.recipe import load_recipe
from mrharm.records import Failure, Label, Meme, Rationale, read_records
from tests.evaluation.audit.helpers import (
    bytes_of,
    club,
    codes,
    draw,
    meme,
    only,
    read,
    sound,
    write_dataset,
)

RECIPE = load_recipe("mr-harm")
CHROMIUM = shutil.which("chromium")


def why(meme_id: str, text: str, harmful: bool, **fields: object) -> Rationale:
    return Rationale(
        meme_id=meme_id,
        text=text,
        teacher="made up",
        label_given=Label(harmful=harmful),
        **fields,  # type: ignore[arg-type]
    )


def told(folder: Path, memes: int = 120) -> Dataset:
    """Train memes whose words give the label away, and a test split that they give away, too."""
    rows: list[Meme] = []
    for number in range(memes):
        harmful = number % 2 == 0
        word = "kettle" if harmful else "teapot"
        split = "test" if number % 6 > 3 else "train"
        rows.append(meme(f"m{number:03d}", f"you {word} and the {club(number)} club", harmful, split))
    return write_dataset(folder, rows)


def test_rationales_are_counted_by_what_may_teach_and_a_later_line_wins(tmp_path: Path) -> None:
    rows = [
        why("train-0", "it is harmful to you", True),
        why("train-0", "you are a kettle", True),
        why("train-1", "I'm sorry, but I cannot help with that", False),
        why("train-2", "this states it", True, status="leaks_label"),
        why("train-3", "the caption shows a kettle", False),
        why("nobody", "of no meme", True),
    ]
    data = write_dataset(tmp_path, sound(), rationales=rows)
    findings, table = rationale_findings(read(data), RECIPE)
    assert table["coverage"]["train"] == {"count": 3, "of": 8}
    assert table["stated"]["label"] == 0
    assert only(findings, "rationale-refused").count == 1
    assert only(findings, "rationale-speaks-of-caption").count == 1
    assert only(findings, "rationales-missing").count == 5


def test_rationales_are_cut_by_no_fewer_than_their_words(tmp_path: Path) -> None:
    rows = [why(f"train-{number}", "kettle " * (30 + 2 * number), number % 2 == 0) for number in range(8)]
    data = write_dataset(tmp_path, sound(), rationales=rows)
    finding = only(rationale_findings(read(data), load_recipe("paper"))[0], "rationale-cut")
    # "Output:" before and an end token behind: 38 words fill 40 tokens.
    assert (finding.count, finding.of, finding.level) == (3, 8, "warning")
    assert only(rationale_findings(read(data), RECIPE)[0], "rationale-cut").level == "note"


def test_nearly_identical_texts_are_paired_with_the_most_like() -> None:
    words = [club(number) for number in range(40)]
    one, near, other = " ".join(words), " ".join([*words[:39], "kettle"]), " ".join(reversed(words))
    assert nearly_identical([one, other, near, "you", "you"]) == {0: 2, 2: 0}


def test_words_that_tell_the_label_are_found_by_words_and_by_nothing_else(tmp_path: Path) -> None:
    report = audit(told(tmp_path), RECIPE).report
    scores = {row.signal: row.scores["split"].macro_f1 for row in report.shortcuts}
    assert scores["text"] == 1.0
    assert scores["majority"] < 0.5
    assert only(report.findings, "shortcut-text").level == "warning"
    assert set(report.shortcuts[0].scores) == {"cross_validated", "split"}


def test_a_number_in_the_id_that_tells_the_label_is_found(tmp_path: Path) -> None:
    rows = [meme(f"m{number:03d}", f"you {club(number)}", number < 60, "train") for number in range(120)]
    report = audit(write_dataset(tmp_path, rows), RECIPE).report
    assert only(report.findings, "shortcut-metadata").level == "warning"


def test_planted_label_errors_come_first(tmp_path: Path) -> None:
    data = told(tmp_path, 180)
    flipped = {"m010", "m033", "m090"}
    rows = [
        row.model_copy(update={"label": Label(harmful=not row.label.harmful)})
        if row.id in flipped and row.label
        else row
        for row in data.memes
    ]
    report = audit(write_dataset(tmp_path / "again", rows), RECIPE).report
    assert {error.meme for error in report.label_errors[:3]} == flipped


def test_where_nothing_tells_the_label_no_error_is_claimed(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rows = [meme(f"m{number}", f"you {club(number)}", bool(rng.random() < 0.5)) for number in range(120)]
    report = audit(write_dataset(tmp_path, rows), RECIPE).report
    assert report.label_errors == ()
    assert "label-errors-unknown" in codes(report.findings)


def test_confident_errors_are_those_the_paper_would_name() -> None:
    gold = np.array([True, True, True, False, False, False])
    probabilities = np.array([0.9, 0.8, 0.1, 0.2, 0.1, 0.75])
    # Thresholds: harmful (0.9 + 0.8 + 0.1) / 3 = 0.6, harmless (0.8 + 0.9 + 0.25) / 3 = 0.65.
    assert confident_errors(gold, probabilities) == [2, 5]


@pytest.fixture
def ill(tmp_path: Path) -> Audit:
    """Overlap, a repeated id, a broken picture, a cut line, a rationale that states its label, and one refusal."""
    folder = tmp_path / "ill"
    pictures = {"a": 1, "b": 2}
    for name, seed in pictures.items():
        draw(folder / "images" / f"{name}.png", seed)
    (folder / "images/broken.png").write_bytes(b"no picture")
    rows = [
        *sound(),
        meme("twin", sound()[-1].text, True),
        meme("train-0", "another of that name", False),
        meme("broken", "<script>alert(1)</script></style>", True, image="images/broken.png"),
        meme("a", "you and the teapot", True, image="images/a.png"),
        meme("b", "you and the kettle", False, "test", image="images/b.png"),
    ]
    why_rows = [
        why("train-1", "it is not harmful", False),
        why("train-2", "I'm sorry, but I cannot help with that", True),
        why("train-3", "you are a kettle", False),
        why("twin", "you are two", True),
    ]
    write_dataset(folder, rows, rationales=why_rows)
    with (folder / "memes.jsonl").open("a") as file:
        file.write('{"id": "cut')
    (folder / "failures.jsonl").write_text('{"item": "old", "stage": "import", "reason": "was so"}\n')
    return audit(folder, RECIPE)


def test_the_cleaned_copy_drops_and_marks_what_it_says_and_loses_nothing(ill: Audit, tmp_path: Path) -> None:
    source = ill.contents.dataset.root
    before = bytes_of(source)
    fixed = write_fixed(ill, tmp_path / "fixed")
    assert bytes_of(source) == before
    data = Dataset(tmp_path / "fixed")
    assert {meme.id for meme in data.memes} == {row.id for row in sound()} | {"a", "b"}
    reasons = {row.item: row.reason for row in read_records(data.root / "failures.jsonl", Failure)}
    assert reasons["old"] == "was so"
    assert reasons["twin"] == "in test too: removed from train"
    assert reasons["train-0"] == "id repeated"
    assert "not a PNG" in reasons["broken"]
    assert "not JSON" in reasons[f"memes.jsonl:{len(sound()) + 6}"]
    assert fixed.memes == len(data.memes)
    statuses = {key: row.status for key, row in data.rationales.items()}
    assert statuses == {"train-1": "leaks_label", "train-2": "refused", "train-3": "unchecked"}
    assert data.rationales["train-1"].text == "it is not harmful"
    assert data.info.splits["train"] == 9
    assert (data.root / "images/a.png").stat().st_ino == (source / "images/a.png").stat().st_ino
    assert any("rationales marked leaks_label" in note for note in data.info.notes)
    assert audit(data.root, RECIPE).report.errors == []


def test_a_cleaned_copy_is_not_written_over_another_nor_empty(ill: Audit, tmp_path: Path) -> None:
    write_fixed(ill, tmp_path / "fixed")
    with pytest.raises(InputError, match="--overwrite"):
        write_fixed(ill, tmp_path / "fixed")
    write_fixed(ill, tmp_path / "fixed", overwrite=True)
    rows = [
        meme(f"{split}-{n}", f"you {club(n)}", n % 2 == 0, split)
        for split in ("train", "test")
        for n in range(4)
    ]
    found = audit(write_dataset(tmp_path / "same", rows), RECIPE)
    with pytest.raises(InputError, match="not one train meme would be left"):
        write_fixed(found, tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_the_page_is_one_file_that_asks_for_nothing_and_escapes_what_memes_say(
    ill: Audit, tmp_path: Path
) -> None:
    write_page(ill, tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    assert "http://" not in page and "https://" not in page
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)" in page
    assert "Not fit to publish numbers on" in page
    assert "filter: blur" in page


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium here: apt-get install chromium")
def test_a_browser_shows_the_page_at_a_phones_width(ill: Audit, tmp_path: Path) -> None:
    write_page(ill, tmp_path / "page.html")
    flags = (
        "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking"
    )
    more = "--disable-component-update --disable-sync --window-size=390,844 --virtual-time-budget=2000 --dump-dom"
    shown = subprocess.run(
        [str(CHROMIUM), *flags.split(), *more.split(), f"--user-data-dir={tmp_path / 'profile'}",
         (tmp_path / "page.html").as_uri()],
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    assert "Not fit to publish numbers on" in shown.stdout
    assert shown.stdout.count("<details") == len(ill.report.findings)
