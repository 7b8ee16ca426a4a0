import json
from pathlib import Path

import pytest

from mrharm.errors import DataError, InputError
from mrharm.memes.dataset import ImportOptions
from mrharm.memes.importing import import_memes
from mrharm.records import Label
from tests.memes.helpers import draw, failures


def table(tmp_path: Path, text: str | bytes, name: str = "posts.csv") -> Path:
    path = tmp_path / "in" / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def columns(**mapping: str) -> ImportOptions:
    return ImportOptions(columns=mapping)


def test_pictures_alone_become_unlabelled_memes_named_by_path(tmp_path: Path) -> None:
    draw(tmp_path / "in", "b.png", "a/b.jpg", "a/c.WEBP", ".hidden.png", ".cache/x.png")
    (tmp_path / "in/notes.txt").touch()
    dataset = import_memes("folder", tmp_path / "in", tmp_path / "out")
    assert [meme.id for meme in dataset.memes] == ["a/b", "a/c", "b"]
    assert all(meme.label is None and meme.split is None and meme.image for meme in dataset.memes)


def test_pictures_that_differ_by_suffix_alone_keep_it_in_their_ids(tmp_path: Path) -> None:
    draw(tmp_path / "in", "a.png", "a.jpg", "a.png.png", "b.png")
    dataset = import_memes("folder", tmp_path / "in", tmp_path / "out")
    assert sorted(meme.id for meme in dataset.memes) == ["a.jpg", "a.png", "a.png#2", "b"]


def test_linked_folders_are_followed_and_never_in_circles(tmp_path: Path) -> None:
    draw(tmp_path / "elsewhere", "a.png")
    (tmp_path / "in/sub").mkdir(parents=True)
    (tmp_path / "in/linked").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "in/sub/up").symlink_to(tmp_path / "in")
    dataset = import_memes("folder", tmp_path / "in", tmp_path / "out")
    assert [meme.id for meme in dataset.memes] == ["linked/a"]


def test_a_dataset_made_inside_the_folder_is_not_read_again(tmp_path: Path) -> None:
    draw(tmp_path / "in", "a.png")
    import_memes("folder", tmp_path / "in", tmp_path / "in/dataset")
    dataset = import_memes("folder", tmp_path / "in", tmp_path / "in/dataset", overwrite=True)
    assert [meme.id for meme in dataset.memes] == ["a"]


@pytest.mark.parametrize("delimiter", [",", "\t", ";"])
def test_a_csv_is_split_at_comma_tab_or_semicolon(tmp_path: Path, delimiter: str) -> None:
    rows = [["id", "text", "label", "split"], ["1", '"you; me, us"', "1", "train"], ["2", "hi", "0", "test"]]
    path = table(tmp_path, "\ufeff" + "\r\n".join(delimiter.join(row) for row in rows))
    dataset = import_memes("folder", path, tmp_path / "out")
    assert [(meme.id, meme.text, meme.split) for meme in dataset.memes] == [
        ("1", "you; me, us", "train"),
        ("2", "hi", "test"),
    ]


def test_columns_are_taken_as_told(tmp_path: Path) -> None:
    draw(tmp_path / "in/pictures", "x1.png")
    path = table(tmp_path, "key,words,file,bad,part,mood\n7,you,pictures/x1.png,yes,test,glum\n")
    options = columns(id="key", text="words", image="file", label="bad", split="part")
    dataset = import_memes("folder", path, tmp_path / "out", options)
    meme = dataset.memes[0]
    assert (meme.id, meme.text, meme.split, meme.image) == ("7", "you", "test", "images/7.png")
    assert meme.label == Label(harmful=True)
    assert meme.extra == {"mood": "glum"}
    assert not any("guessed" in note for note in dataset.info.notes)
    assert dataset.info.options["columns"] == options.columns


def test_guessed_columns_are_noted(tmp_path: Path) -> None:
    path = table(tmp_path, "Caption-Text,is_bad\nyou,1\nme,0\n")
    dataset = import_memes("folder", path, tmp_path / "out")
    assert [meme.text for meme in dataset.memes] == ["you", "me"]
    assert (
        "column 'Caption-Text' taken as text (guessed; to change it, use --column text=NAME)"
        in dataset.info.notes
    )
    assert (
        "column 'is_bad' taken as label (guessed; to change it, use --column label=NAME)"
        in dataset.info.notes
    )


def test_a_column_that_is_not_there_lists_those_that_are(tmp_path: Path) -> None:
    path = table(tmp_path, "a,b\n1,2\n")
    with pytest.raises(InputError, match=r"posts\.csv has only 'a', 'b'"):
        import_memes("folder", path, tmp_path / "out", columns(text="words"))
    with pytest.raises(InputError, match="no such part; there are: id, text, image"):
        import_memes("folder", path, tmp_path / "out", columns(colour="a"))
    with pytest.raises(InputError, match=r"no column looks like a text or an image.*'a', 'b'"):
        import_memes("folder", path, tmp_path / "out")


LABELS = {
    "1": (True, None),
    "0": (False, None),
    "1.0": (True, None),
    "TRUE": (True, None),
    "false": (False, None),
    "Harmful": (True, None),
    "harmless": (False, None),
    "not  harmful": (False, "none"),
    "somewhat harmful": (True, "somewhat"),
    "very harmful": (True, "very"),
}


def test_labels_are_read_as_people_write_them(tmp_path: Path) -> None:
    path = table(tmp_path, "text,label\n" + "".join(f"t{n},{word}\n" for n, word in enumerate(LABELS)))
    dataset = import_memes("folder", path, tmp_path / "out", ImportOptions(validation_share=0))
    labels = [(meme.label.harmful, meme.label.severity) for meme in dataset.memes if meme.label]
    assert labels == list(LABELS.values())
    assert {meme.split for meme in dataset.memes} == {"train"}
    assert any("no split column" in note for note in dataset.info.notes)


def test_an_unknown_label_is_a_failure_and_an_empty_one_is_none(tmp_path: Path) -> None:
    path = table(tmp_path, "text,label\na,1\nb,\nc,maybe\nd,2\n")
    dataset = import_memes("folder", path, tmp_path / "out")
    assert [(meme.text, meme.label is None) for meme in dataset.memes] == [("a", False), ("b", True)]
    assert [(line, why[-11:]) for *_, line, why in failures(dataset)] == [
        (4, "got 'maybe'"),
        (5, "ty; got '2'"),
    ]


def test_a_json_file_may_be_lines_or_one_array(tmp_path: Path) -> None:
    for number, text in enumerate(('{"text": "you"}\n{"text": "me"}\n', '[{"text": "you"}, {"text": "me"}]')):
        dataset = import_memes("folder", table(tmp_path, text, "m.json"), tmp_path / f"out{number}")
        assert [meme.text for meme in dataset.memes] == ["you", "me"]


def test_a_label_may_be_a_json_bool_number_or_label(tmp_path: Path) -> None:
    values = [True, 0, 1.0, {"harmful": True, "severity": "very"}]
    lines = "".join(json.dumps({"text": f"t{n}", "label": value}) + "\n" for n, value in enumerate(values))
    dataset = import_memes("folder", table(tmp_path, lines, "m.jsonl"), tmp_path / "out")
    assert [meme.label.harmful for meme in dataset.memes if meme.label] == [True, False, True, True]
    assert dataset.memes[3].label == Label(harmful=True, severity="very")


def test_targets_are_a_list_or_a_comma_separated_cell(tmp_path: Path) -> None:
    lines = '{"text": "a", "label": 1, "targets": ["x", "y"]}\n{"text": "b", "label": 1, "targets": "x, z"}\n'
    dataset = import_memes("folder", table(tmp_path, lines, "m.jsonl"), tmp_path / "out")
    assert [meme.label.targets for meme in dataset.memes if meme.label] == [("x", "y"), ("x", "z")]


def test_val_and_dev_are_validation_and_own_names_stay(tmp_path: Path) -> None:
    path = table(tmp_path, "text,label,split\na,1,train\nb,0,Val\nc,1,dev\nd,1,hard\ne,0,\n")
    dataset = import_memes("folder", path, tmp_path / "out")
    assert [meme.split for meme in dataset.memes] == ["train", "validation", "dev", "hard", None]
    assert dataset.info.splits["(none)"] == 1


def test_a_cell_may_hold_line_breaks_and_failures_name_the_first_line(tmp_path: Path) -> None:
    path = table(tmp_path, 'text,label\n"one\ntwo",1\n"three\nfour",odd\n\nfive,0,extra\nsix\n')
    dataset = import_memes("folder", path, tmp_path / "out")
    assert [meme.text for meme in dataset.memes] == ["one\ntwo"]
    assert [line for *_, line, _ in failures(dataset)] == [7, 8, 4]
    assert failures(dataset)[0][3] == "3 cells, but the header has 2"


def test_an_unclosed_quote_is_named_where_it_opens(tmp_path: Path) -> None:
    path = table(tmp_path, 'text,label\nfine,1\n"never closed,0\nswallowed,1\n')
    dataset = import_memes("folder", path, tmp_path / "out")
    assert [meme.text for meme in dataset.memes] == ["fine"]
    assert [(line, "quote unclosed" in why) for *_, line, why in failures(dataset)] == [(3, True)]


def test_a_csv_in_another_encoding_is_named_with_the_mend(tmp_path: Path) -> None:
    for encoding, likely in (("latin-1", "WINDOWS-1252"), ("utf-16", "UTF-16")):
        path = table(tmp_path, "text,label\nhello,1\ncafé,1\n".encode(encoding))
        with pytest.raises(DataError, match=rf"not UTF-8 \(line .*iconv -f {likely} -t UTF-8 posts\.csv"):
            import_memes("folder", path, tmp_path / "out")


def test_a_header_that_repeats_a_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="header names 'text' twice"):
        import_memes("folder", table(tmp_path, "text,text\na,b\n"), tmp_path / "out")


def test_a_repeated_id_names_both_lines(tmp_path: Path) -> None:
    dataset = import_memes("folder", table(tmp_path, "id,text\n1,a\n1,b\n,c\n"), tmp_path / "out")
    assert [(line, why) for *_, line, why in failures(dataset)] == [
        (3, "id '1' is already in posts.csv, line 2"),
        (4, "id: empty; every meme needs an id"),
    ]


def test_a_table_whose_pictures_did_not_come_along_goes_in_as_texts(tmp_path: Path) -> None:
    path = table(tmp_path, "text,image\nyou,img/a.png\n,img/b.png\n")
    dataset = import_memes("folder", path, tmp_path / "out")
    assert [(meme.text, meme.image) for meme in dataset.memes] == [("you", None)]
    assert [why for *_, why in failures(dataset)] == ["neither a text nor a picture"]
    assert any("none of the pictures it names came with the source" in note for note in dataset.info.notes)


def test_several_tables_in_a_folder_must_be_told_apart(tmp_path: Path) -> None:
    table(tmp_path, "text\na\n", "a.csv")
    table(tmp_path, '{"text": "b"}\n', "b.jsonl")
    with pytest.raises(InputError, match=r"several tables \(a\.csv, b\.jsonl\); name the one"):
        import_memes("folder", tmp_path / "in", tmp_path / "out")


def test_a_source_that_is_nothing_of_the_kind_says_what_is_expected(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "a.xlsx").touch()
    for source in (tmp_path / "none", tmp_path / "empty", tmp_path / "a.xlsx"):
        with pytest.raises(InputError, match="expected"):
            import_memes("folder", source, tmp_path / "out")


def test_our_own_memes_file_comes_in_again(tmp_path: Path) -> None:
    draw(tmp_path / "in", "x.png")
    path = table(tmp_path, "id,text,image,label,split\n1,you,x.png,1,test\n")
    first = import_memes("folder", path, tmp_path / "first")
    again = import_memes("folder", first.root / "memes.jsonl", tmp_path / "again")
    assert [(m.id, m.text, m.image, m.label, m.split) for m in again.memes] == [
        (m.id, m.text, m.image, m.label, m.split) for m in first.memes
    ]
