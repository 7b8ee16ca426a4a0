"""The whole way on a few memes: drawn, explained, learned from, judged, checked."""

from __future__ import annotations

import numpy as np

from mrharm import Dataset, Detector, import_memes
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
