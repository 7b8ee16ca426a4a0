from pathlib import Path

from mrharm.memes.dataset import Dataset
from mrharm.memes.importing import import_memes
from mrharm.records import Label
from tests.memes.helpers import by_id, draw, failures, write

HEADER = "name,text,split,hate,target,stance,humour\n"
ROWS = (
    'img_1.png,"you, and your ""club""\nsing",train,0,,1,1\n'
    "img_2.png,your club sings,train,1,0.0,2,0\n"
    "img_3.jpg,your kettle sings,train,1,1.0,2,1\n"
    "img_4.png,your owls sing,val,1,2,0,1\n"
    "img_5.png,your choir sings,test,1,3,2,1\n"
    "img_6.png,you hum,test,0,NA,0,0\n"
)


def load(tmp_path: Path, text: str = HEADER + ROWS) -> Dataset:
    write(tmp_path / "in/PrideMM.csv", text)
    return import_memes("pridemm", tmp_path / "in", tmp_path / "out")


def test_hate_is_harmful_and_its_target_is_named(tmp_path: Path) -> None:
    memes = by_id(load(tmp_path))
    assert {meme_id: meme.label for meme_id, meme in memes.items()} == {
        "img_1": Label(harmful=False),
        "img_2": Label(harmful=True),
        "img_3": Label(harmful=True, targets=("individual",)),
        "img_4": Label(harmful=True, targets=("community",)),
        "img_5": Label(harmful=True, targets=("organization",)),
        "img_6": Label(harmful=False),
    }
    assert memes["img_3"].extra["label_as_given"] == {"hate": "1", "target": "1.0"}
    assert memes["img_6"].extra["label_as_given"] == {"hate": "0", "target": "NA"}


def test_stance_and_humour_are_kept(tmp_path: Path) -> None:
    memes = by_id(load(tmp_path))
    assert memes["img_4"].extra == {"stance": "0", "humour": "1"}
    assert memes["img_1"].text == 'you, and your "club"\nsing'


def test_the_splits_are_called_train_validation_and_test(tmp_path: Path) -> None:
    dataset = load(tmp_path)
    assert dataset.info.splits == {"train": 3, "validation": 1, "test": 2}
    assert failures(dataset) == []


def test_the_text_none_is_no_text_and_kept(tmp_path: Path) -> None:
    draw(tmp_path / "in/Images", "img_7.png")
    meme = load(tmp_path, HEADER + "img_7.png,None,train,0,,0,0\n").memes[0]
    assert meme.text is None
    assert meme.extra["text"] == "None"


def test_bad_rows_fail_with_their_reasons(tmp_path: Path) -> None:
    bad = "img_7.png,you,dunno,0,,0,0\nimg_10.png,None,test,0,,0,0\n"
    failed = {line: (item, why) for item, _, line, why in failures(load(tmp_path, HEADER + ROWS + bad))}
    assert failed[9] == ("img_7", "split: expected train, val or test, got 'dunno'")
    assert failed[10] == ("img_10", "neither a text nor a picture")
