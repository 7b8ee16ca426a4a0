import ast
import random
from itertools import product
from pathlib import Path

import pytest

from mrharm.errors import DataError
from mrharm.records import Meme
from mrharm.synthetic import truth as module
from mrharm.synthetic.concepts import CONCEPTS
from mrharm.synthetic.phrases import SENSES
from mrharm.synthetic.scenes import SCENES, describe_scene
from mrharm.synthetic.teacher import write_rationale
from mrharm.synthetic.truth import TruthCheck, check_rationale, has_truth

SKUNK = {"scene": "skunk", "tone": "praise", "relation": "undercuts"}
ROSES = {"scene": "roses", "tone": "comparison", "relation": "backs"}
DESERT = {"scene": "desert", "tone": "contrast", "relation": "backs"}
CROWD = {"scene": "crowd", "tone": "relief", "relation": "undercuts"}

# Truth, the parts that are false, and the text.
CASES = [
    (
        SKUNK,
        "",
        "A skunk fills the frame while the caption flatters your scent, which makes it a jab at you.",
    ),
    (SKUNK, "", "The text praises your smell, yet over this skunk the praise turns into mockery."),
    (SKUNK, "", "Words of admiration meet a skunk; put together they ridicule you."),
    (SKUNK, "", "There are no roses here but a skunk, so the compliment on your scent is not kind at all."),
    (ROSES, "", "A bouquet of red roses is likened to your scent, and the picture supports that."),
    (ROSES, "", "Your smell is compared with roses, a friendly thing to say."),
    (ROSES, "", "The writer finds your scent just like roses; nobody is mocked, it is sincere."),
    (DESERT, "", "Sand dunes stretch out, and your fame is the opposite of that, so the line stays kind."),
    (DESERT, "", "The line sets your fan club apart from an empty desert without mocking you."),
    (DESERT, "", "Your popularity is not at all like this desert, which is a kind thing to hear."),
    (
        CROWD,
        "",
        "A cheering crowd; the poster is glad your party isn't like it: the joke is at your expense.",
    ),
    (CROWD, "", "Thankful that your club is nothing like this crowd, the words make fun of you."),
    (SKUNK, "", "A skunk fills the frame; the text praises your smell."),
    (SKUNK, "scene tone", ""),
    (SKUNK, "scene tone", "A recipe for soup needs onions and salt."),
    (SKUNK, "scene", "Roses are shown, the text praises your smell."),
    (SKUNK, "scene", "Roses are shown, the text praises your smell and mocks you."),
    (SKUNK, "scene", "A skunk and roses are shown, the text praises your smell and mocks you."),
    (SKUNK, "scene", "There is no skunk, the text praises your smell and mocks you."),
    (SKUNK, "tone", "A skunk is shown, the text compares your smell and mocks you."),
    (SKUNK, "tone", "A skunk; the text praises your smell in contrast to it and mocks you."),
    (SKUNK, "tone", "A skunk; the text does not praise your smell, and mocks you."),
    (SKUNK, "relation", "A skunk is shown, the text praises your smell and stays kind."),
    (SKUNK, "relation", "A skunk is shown, the text praises your smell, kind words that mock you."),
    (SKUNK, "relation", "A skunk is shown, the text praises your smell and does not mock you."),
    (SKUNK, "", "A skunk is shown, the text praises this kind of smell."),
    (DESERT, "tone", "An empty desert, and your fame is just like this, which is kind."),
    (DESERT, "tone", "An empty desert; glad your fame is nothing like it, which is kind."),
    (CROWD, "scene", "A crowd of empty chairs, glad it is not so, and mocks you."),
    (CROWD, "tone", "A crowd; your fame is unlike it, and that mocks you."),
]


@pytest.mark.parametrize(("truth", "false", "text"), CASES)
def test_each_part_is_true_or_false_by_itself(truth, false, text):
    checked = check_rationale(text, truth)
    parts = {"scene": checked.scene, "tone": checked.tone, "relation": checked.relation}
    assert {part for part, true in parts.items() if true is False} == set(false.split())
    assert checked.all == (not false)


def test_a_relation_that_is_not_named_is_neither_true_nor_false():
    checked = check_rationale("A skunk is shown, the text praises this kind of smell.", SKUNK)
    assert (checked.relation, checked.names_relation, checked.all) == (None, False, True)
    named = check_rationale("A skunk is shown, the text praises your smell and mocks you.", SKUNK)
    assert (named.relation, named.names_relation, named.all) == (True, True, True)


def test_it_imports_nothing_of_what_it_checks():
    tree = ast.parse(Path(module.__file__).read_text(encoding="utf-8"))
    imported = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    imported |= {name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names}
    own = {name for name in imported if name and name.startswith("mrharm")}
    # What both sides hand over, and nothing that draws or explains.
    assert own == {"mrharm.errors", "mrharm.records", "mrharm.texts"}


def test_every_caption_names_its_scene_and_no_other():
    for scene, rendering in product(SCENES, range(10)):
        truth = {"scene": scene, "tone": "praise", "relation": "backs"}
        assert check_rationale(describe_scene(scene, rendering), truth) == TruthCheck(True, False, None)


def quads():
    """Truths of quads over the whole benchmark: the same two tones on a scene that suits and one that contradicts."""
    for concept, pairs in CONCEPTS.items():
        suits = [pair.scene for pair in pairs if pair.polarity == "suits"]
        contradicts = [pair.scene for pair in pairs if pair.polarity == "contradicts"]
        for good, poor, tones in product(
            suits, contradicts, product(("praise", "comparison"), ("contrast", "relief"))
        ):
            yield [
                {
                    "concept": concept, "scene": scene, "polarity": polarity, "tone": tone, "sense": SENSES[tone],
                    "relation": "undercuts" if (SENSES[tone] == "straight") != (polarity == "suits") else "backs",
                }
                for scene, polarity in ((good, "suits"), (poor, "contradicts"))
                for tone in tones
            ]  # fmt: skip


def test_teacher_is_true_of_its_own_meme_and_false_of_confounders_in_what_changed():
    total = right = 0
    for number, quad in enumerate(quads()):
        for row, mine in enumerate(quad):
            text = write_rationale(mine, random.Random(f"{number}/{row}"))
            for other in quad:
                checked = check_rationale(text, other)
                total += 1
                right += (checked.scene, checked.tone, checked.relation) == tuple(
                    mine[part] == other[part] for part in ("scene", "tone", "relation")
                )
    assert total > 8000
    assert right / total >= 0.995


def test_an_unknown_truth_is_named():
    with pytest.raises(DataError, match=r"truth\.scene.*'moon'"):
        check_rationale("a moon", {"scene": "moon", "tone": "praise", "relation": "backs"})


def test_a_field_called_truth_of_another_dataset_is_not_held_for_a_generated_memes():
    truth_of_roses = {"scene": "roses", "tone": "praise", "relation": "backs"}
    for truth, generated in (
        (truth_of_roses, True),
        ({**truth_of_roses, "scene": ["roses"]}, False),
        ({"by": "us"}, False),
        ("x", False),
    ):
        assert has_truth(Meme(id="1", text="you", extra={"truth": truth})) is generated
    assert not has_truth(Meme(id="1", text="you"))
