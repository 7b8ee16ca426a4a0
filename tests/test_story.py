"""The whole way on a few memes: drawn, explained, learned from, judged, checked."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mrharm import Dataset, Detector, import_memes, predict
from mrharm.errors import DataError, InputError
from mrharm.evaluation.scores import headline_row
from mrharm.memes.dataset import ImportOptions
from mrharm.rationales.abduce import abduce
from mrharm.rationales.prompting import QuestionBuilder
from mrharm.synthetic.teacher import GeneratedTeacher
from mrharm.synthetic.truth import measure_true_share
from mrharm.training.run import train
from tests.training.helpers import tiny


def test_memes_become_verdicts(tmp_path):
    made = import_memes("generated", None, tmp_path / "memes", ImportOptions(memes=40, workers=1))
    builder = QuestionBuilder("abductive.v1", "caption", made.root)
    learnt_from = [*made.split("train"), *made.split("validation")]
    abduce(made, learnt_from, GeneratedTeacher(), builder)
    data = Dataset(made.root)
    assert {row.status for row in data.rationales.values()} == {"ok"}
    assert {meme.id for meme in data.split("train")} <= set(data.rationales)
    assert not {meme.id for meme in data.split("test")} & set(data.rationales)
    train(data, tiny(stages__rationale__epochs=1, stages__label__epochs=1), tmp_path / "run", device="cpu")
    detector = Detector.from_pretrained(tmp_path / "run", device="cpu")
    memes = Dataset(tmp_path / "memes").split("test")
    verdicts = detector.judge(memes, root=data.root, evidence=data.evidence)
    gold = [meme.label.harmful for meme in memes]
    summary = headline_row(
        gold,
        [one.harmful for one in verdicts],
        [one.score for one in verdicts],
        np.arange(len(gold)),
    )
    assert summary["n"] == len(memes) and summary["auroc"] is not None
    assert set(measure_true_share(memes, verdicts)) == {"scene", "tone", "relation", "all", "names_relation"}
    assert verdicts[0].evidence is not None and verdicts[0].evidence.caption


def write_posts(folder: Path) -> None:
    """Write ``posts.csv`` as people have it, with pictures of two colours; and a photo to judge."""
    rows = [("image", "text", "label", "split")]
    for split, count in (("train", 24), ("validation", 12), ("test", 12)):
        for number in range(count):
            name = f"{split}-{number}.png"
            colour = (220, 30, 30) if number % 2 else (30, 40, 220)
            Image.new("RGB", (40, 30), tuple(part + number % 20 for part in colour)).save(folder / name)
            rows.append((name, f"you are number {number}", str(number % 2), split))
    with (folder / "posts.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(rows)
    Image.new("RGB", (40, 30), (90, 90, 90)).save(folder / "photo.jpg")


def test_the_ten_lines_of_the_readme_go_the_whole_way(tmp_path, monkeypatch, capsys):
    page = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    (lines,) = re.findall(r"<!-- the whole way -->\n```python\n(.*?)```", page, re.S)
    assert len(lines.splitlines()) <= 10
    write_posts(tmp_path)
    monkeypatch.chdir(tmp_path)
    exec(lines.replace('": 12}', '": 1}'), {})
    run = tmp_path / "runs" / "first"
    assert Detector.from_pretrained(run).card.chosen.criterion == "recall >= 0.9"
    for name in ("report.json", "report.html", "model-card.md", "verdicts.test.jsonl", "judged.test.json"):
        assert (run / name).exists(), name
    assert "mrharm evaluate runs/first " in (run / "report.html").read_text(encoding="utf-8")
    *words, last = capsys.readouterr().out.splitlines()
    assert " correct on 12 memes of posts (test)" in words[0]
    score, decision = last.split()
    assert 0 <= float(score) <= 1 and decision in ("allow", "review", "flag")
    # What cannot be judged is an error, unless a list is there to note it in.
    (tmp_path / "broken.png").write_text("not a picture")
    (verdict,) = predict(run, "photo.jpg", "you dance well", rationales=False)
    assert (verdict.meme_id, verdict.missing) == ("photo.jpg", ())
    with pytest.raises(DataError, match=r"1 of 2 cannot be judged, the first is broken.png"):
        predict(run, ["photo.jpg", "broken.png"])
    failures = []
    assert len(predict(run, ["photo.jpg", "broken.png"], failures=failures)) == 1
    assert [failure.item for failure in failures] == ["broken.png"]
    with pytest.raises(InputError, match="no such file or folder"):
        predict(run, "lost.png")
