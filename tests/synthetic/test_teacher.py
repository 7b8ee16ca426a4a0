import random
import re
from itertools import product

import numpy as np
import pytest

from mrharm.baselines import Baseline, predict_from_texts
from mrharm.errors import DataError, MissingInputError
from mrharm.memes.dataset import Dataset
from mrharm.records import Label, Meme
from mrharm.synthetic import teacher
from mrharm.synthetic.concepts import CONCEPTS
from mrharm.synthetic.phrases import SENSES
from mrharm.synthetic.scenes import SCENES
from mrharm.synthetic.teacher import GeneratedTeacher, write_description, write_rationale
from mrharm.synthetic.truth import check_rationale
from tests.golden.pinned import STORED

LABEL_WORDS = re.compile(
    r"harm|offens|hate|hateful|\bnot harmful|somewhat|\bvery\b|\bsafe\b|acceptable|appropriate|allowed|should|toxic|"
    r"abus|benign|label|classif|verdict|\bbad\b|problem"
)


def whole_space():
    """The truth of every meme there can be."""
    for pairs in CONCEPTS.values():
        for pair, (tone, sense) in product(pairs, SENSES.items()):
            harmful = (sense == "straight") != (pair.polarity == "suits")
            yield {
                "concept": pair.concept, "scene": pair.scene, "tone": tone, "sense": sense,
                "polarity": pair.polarity, "relation": "undercuts" if harmful else "backs",
            }  # fmt: skip


def make_meme(truth, meme_id="m1"):
    return Meme(id=meme_id, text="x", label=Label(harmful=True), extra={"truth": truth})


def test_teacher_knows_every_scene_and_concept_of_the_benchmark():
    assert set(teacher.WORDS["scenes"]) == set(SCENES)
    assert set(teacher.WORDS["topics"]) == set(CONCEPTS)
    assert set(teacher.WORDS["tone_frames"]) == set(SENSES)


def list_texts(table):
    """All texts of a table of words, however deep."""
    if isinstance(table, str):
        return [table]
    return [
        text for row in (table.values() if isinstance(table, dict) else table) for text in list_texts(row)
    ]


def test_rationales_have_20_to_40_words_and_state_no_label():
    assert not [text for text in list_texts(teacher.WORDS) if LABEL_WORDS.search(text)]
    for number, truth in enumerate(whole_space()):
        text = write_rationale(truth, random.Random(number))
        assert not LABEL_WORDS.search(text)
        assert 20 <= len(text.split()) <= 40
        assert not LABEL_WORDS.search(write_description(truth, random.Random(number)))


def test_the_same_meme_gets_the_same_words_and_others_get_others():
    truth = next(whole_space())
    teacher = GeneratedTeacher()
    assert teacher.explain(make_meme(truth)) == teacher.explain(make_meme(truth))
    assert len({teacher.explain(make_meme(truth, f"m{number}")).text for number in range(40)}) > 25


def test_a_rationale_depends_on_truth_alone_and_says_who_wrote_it():
    meme = make_meme(next(whole_space()))
    other = meme.model_copy(update={"text": "y", "label": Label(harmful=False), "image": "z.png"})
    rationale = GeneratedTeacher().explain(meme)
    assert rationale.text == GeneratedTeacher().explain(other).text
    assert (rationale.status, rationale.teacher, rationale.prompt) == ("ok", "generated:v2", None)


def test_a_missing_or_broken_truth_is_named():
    with pytest.raises(MissingInputError, match=r"m1.*no truth"):
        GeneratedTeacher().explain(Meme(id="m1", text="x"))
    truth = next(whole_space())
    with pytest.raises(DataError, match=r"truth\.scene: .*'moon'"):
        GeneratedTeacher().explain(make_meme({**truth, "scene": "moon"}))
    with pytest.raises(DataError, match=r"truth\.tone"):
        GeneratedTeacher().explain(make_meme({key: value for key, value in truth.items() if key != "tone"}))


def explain_all(version):
    """Truths and a teacher's rationales of the space, four of each meme there can be."""
    truths = [truth for truth in whole_space() for _ in range(4)]
    by = GeneratedTeacher(version)
    return truths, [by.explain(make_meme(truth, f"m{number}")).text for number, truth in enumerate(truths)]


def test_for_half_of_the_concepts_the_second_version_leaves_the_relation_to_infer():
    truths, texts = explain_all("v2")
    checks = [check_rationale(text, truth) for text, truth in zip(texts, truths, strict=True)]
    assert all(check.all for check in checks)
    named = {truth["concept"] for truth, check in zip(truths, checks, strict=True) if check.names_relation}
    described = {
        truth["concept"] for truth, check in zip(truths, checks, strict=True) if not check.names_relation
    }
    assert len(named) == len(described) == len(CONCEPTS) / 2 and not named & described


def test_a_bag_of_words_does_not_read_the_label_off_a_rationale_that_only_describes():
    for version, (low, high) in {"v1": (0.99, 1.0), "v2": (0.35, 0.65)}.items():
        truths, texts = explain_all(version)
        harmful = np.array([truth["relation"] == "undercuts" for truth in truths])
        train, judged = np.split(np.random.default_rng(0).permutation(len(texts)), [len(texts) // 2])
        judged = np.array(
            [place for place in judged if truths[place]["concept"] in teacher.WORDS["described"]]
        )
        words = Baseline(np.array(texts, dtype=object), predict_from_texts)
        scores = words.score(harmful, train, judged)
        assert low <= np.mean((scores > 0.5) == harmful[judged]) <= high


def test_the_first_version_still_writes_what_it_wrote():
    dataset = Dataset(STORED / "data")
    explained = [meme for meme in dataset.memes if meme.id in dataset.rationales]
    assert [GeneratedTeacher("v1").explain(meme) for meme in explained] == [
        dataset.rationales[meme.id] for meme in explained
    ]


def test_what_the_second_version_names_it_words_as_the_first():
    truths, first = explain_all("v1")
    for truth, text, again in zip(truths, first, explain_all("v2")[1], strict=True):
        assert (again == text) == (truth["concept"] not in teacher.WORDS["described"])
