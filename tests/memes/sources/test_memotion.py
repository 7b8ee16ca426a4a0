from pathlib import Path

from mrharm.memes.dataset import Dataset, ImportOptions
from mrharm.memes.importing import import_memes
from mrharm.records import Label
from tests.memes.helpers import by_id, failures, write

HEADER = ",image_name,text_ocr,text_corrected,humour,sarcasm,offensive,motivational,overall_sentiment\n"
ROWS = (
    "0,image_1.jpg,YOUR CLUB,YOUR CLUB,hilarious,general,not_offensive,not_motivational,very_positive\n"
    '1,image_2.jpeg,YOUR  CLVB,"YOUR CLUB\nSINGS",not_funny,general,slight,motivational,positive\n'
    "2,image_3.JPG,YOUR KETTLE,,very_funny,not_sarcastic,very_offensive,not_motivational,neutral\n"
    "3,image_4.png,,YOUR OWL,funny,twisted_meaning,hateful_offensive,not_motivational,negative\n"
)


def load(tmp_path: Path, text: str = HEADER + ROWS) -> Dataset:
    write(tmp_path / "in/labels.csv", text)
    return import_memes("memotion", tmp_path / "in", tmp_path / "out", ImportOptions(validation_share=0))


def test_how_offensive_is_the_severity(tmp_path: Path) -> None:
    memes = by_id(load(tmp_path))
    assert [meme.label for meme in memes.values()] == [
        Label(harmful=False, severity="none"),
        Label(harmful=True, severity="somewhat"),
        Label(harmful=True, severity="very"),
        Label(harmful=True, severity="very"),
    ]
    assert [meme.extra.get("label_as_given") for meme in memes.values()] == [
        None,
        None,
        None,
        {"offensive": "hateful_offensive"},
    ]


def test_the_corrected_text_goes_before_the_read_one_and_both_are_kept_where_they_differ(
    tmp_path: Path,
) -> None:
    memes = by_id(load(tmp_path))
    assert [meme.text for meme in memes.values()] == [
        "YOUR CLUB",
        "YOUR CLUB\nSINGS",
        "YOUR KETTLE",
        "YOUR OWL",
    ]
    assert memes["image_1"].extra == {
        "humour": "hilarious",
        "sarcasm": "general",
        "motivational": "not_motivational",
        "overall_sentiment": "very_positive",
    }
    assert memes["image_2"].extra["text_ocr"] == "YOUR  CLVB"
    assert memes["image_2"].extra["text_corrected"] == "YOUR CLUB\nSINGS"


def test_all_memes_are_train(tmp_path: Path) -> None:
    dataset = load(tmp_path)
    assert dataset.info.splits == {"train": 4}
    assert failures(dataset) == []
