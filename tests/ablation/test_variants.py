from __future__ import annotations

from collections import Counter

import pytest

from mrharm.ablation import variants
from mrharm.ablation.arms import ARMS, UNCONDITIONED, select_arms, split_possible
from mrharm.ablation.variants import make_variant, select_subset
from mrharm.errors import InputError
from mrharm.memes.dataset import Dataset, ImportOptions
from mrharm.memes.importing import import_memes
from mrharm.rationales.leakage import states_label
from mrharm.records import Label, Meme, Rationale
from mrharm.store import write_records
from mrharm.synthetic.teacher import GeneratedTeacher
from mrharm.synthetic.truth import check_rationale
from tests.training.helpers import tiny


@pytest.fixture(scope="module")
def generated(tmp_path_factory) -> Dataset:
    options = ImportOptions(memes=60, workers=1)
    return import_memes(
        "generated", None, tmp_path_factory.mktemp("g") / "d", options, GeneratedTeacher().explain
    )


@pytest.fixture
def memes() -> list[Meme]:
    return [
        Meme(id=f"{split}{number}", text="you", label=Label(harmful=number % 2 == 1), split=split)
        for split, count in (("train", 12), ("validation", 6))
        for number in range(count)
    ]


@pytest.fixture
def rationales(memes) -> dict[str, Rationale]:
    return {
        meme.id: Rationale(meme_id=meme.id, text=f"because {meme.id} says so", status="ok", teacher="test")
        for meme in memes
    }


def test_shuffled_gives_each_meme_anothers_rationale_of_its_label_and_split(memes, rationales):
    mixed = variants.shuffle_rationales(memes, rationales, seed=3)
    donor = {row.text: name for name, row in rationales.items()}
    by_id = {meme.id: meme for meme in memes}
    assert list(mixed) == [meme.id for meme in memes]
    for name, row in mixed.items():
        other = by_id[donor[row.text]]
        assert other.id != name
        assert (other.label, other.split) == (by_id[name].label, by_id[name].split)
    assert sorted(row.text for row in mixed.values()) == sorted(row.text for row in rationales.values())
    assert (
        mixed
        == variants.shuffle_rationales(memes, rationales, seed=3)
        != variants.shuffle_rationales(memes, rationales, seed=4)
    )


def test_label_only_says_the_label_and_leaking_adds_it_to_the_reasons(memes, rationales):
    bare, leaks = (variants.REPLACEMENTS[name](memes, rationales, 0) for name in ("label_only", "leaking"))
    for meme in memes:
        assert states_label(bare[meme.id].text, meme.label) and states_label(leaks[meme.id].text, meme.label)
        assert not states_label(rationales[meme.id].text, meme.label)
        assert leaks[meme.id].text.startswith(rationales[meme.id].text)
    assert len({row.text for row in bare.values()}) == 2


def test_unconditioned_tells_what_is_shown_and_said_but_not_how_they_meet(generated):
    learnt = generated.split("train")
    unconditioned = variants.read_unconditioned(generated, learnt)
    for meme in learnt:
        checked = check_rationale(unconditioned[meme.id].text, meme.extra["truth"])
        assert (checked.scene, checked.tone, checked.relation) == (True, True, None)


def test_elsewhere_unconditioned_rationales_are_read_from_their_file_or_asked_for(squares, tmp_path):
    folder = Dataset(squares)
    with pytest.raises(InputError, match=r"--prompt unconditioned\.v1"):
        variants.read_unconditioned(folder, folder.split("train"))
    for name in ("dataset.json", "memes.jsonl"):
        (tmp_path / name).write_bytes((squares / name).read_bytes())
    written = [Rationale(meme_id="train-0", text="a square is shown", status="ok", teacher="test")]
    write_records(tmp_path / UNCONDITIONED, written)
    assert list(variants.read_unconditioned(Dataset(tmp_path), Dataset(tmp_path).memes)) == ["train-0"]


def test_first_words_cuts_and_some_keeps_a_share_of_training_alone(memes, rationales):
    assert {row.text for row in variants.cut_to_words(rationales, 1).values()} == {"because"}
    learnt = {meme.id for meme in memes if meme.split == "train"}
    kept = variants.draw_share(memes, rationales, 0.5, 0, training=learnt)
    by_split = [sum(name.startswith(split) for name in kept) for split in ("train", "validation")]
    assert by_split == [6, 6]
    assert sum(int(name[5:]) % 2 for name in kept if name.startswith("train")) == 3


def test_subsets_are_nested_and_hold_each_label_in_its_share(memes):
    learnt = [meme for meme in memes if meme.split == "train"]
    small, large = ({meme.id for meme in select_subset(learnt, size)} for size in (4, 8))
    assert small < large
    assert sum(meme.label.harmful for meme in learnt if meme.id in small) == 2
    with pytest.raises(InputError, match="13 training memes asked for, 12 there"):
        select_subset(learnt, 13)


def test_a_variant_has_a_fingerprint_of_its_own_and_leaves_the_folder_alone(squares):
    folder, recipe = Dataset(squares), tiny()
    before = folder.fingerprint()
    made = {
        name: make_variant(folder, recipe, ARMS[name], size, 0)
        for name, size in (("two-stage", 48), ("shuffled", 48), ("leaking", 48), ("labels-only", 24))
    }
    assert len({variant.fingerprint() for variant in made.values()}) == 4
    assert [len(variant.split("train")) for variant in made.values()] == [48, 48, 48, 24]
    assert {len(variant.split("test")) for variant in made.values()} == {16}
    assert Dataset(squares).fingerprint() == before


def test_only_rationales_that_pass_the_gate_are_passed_on(squares, tmp_path):
    for name in ("dataset.json", "memes.jsonl"):
        (tmp_path / name).write_bytes((squares / name).read_bytes())
    held = [
        row.model_copy(update={"status": "leaks_label"})
        for row in list(Dataset(squares).rationales.values())[:40]
    ]
    write_records(tmp_path / "rationales.jsonl", [*list(Dataset(squares).rationales.values())[40:], *held])
    texts = {
        row.text
        for row in make_variant(Dataset(tmp_path), tiny(), ARMS["shuffled"], 48, 0).rationales.values()
    }
    assert len(make_variant(Dataset(tmp_path), tiny(), ARMS["shuffled"], 48, 0).rationales) == 24
    assert texts <= {row.text for row in Dataset(squares).rationales.values()}


def test_arms_are_chosen_by_name_with_the_reference_first(squares):
    assert [arm.name for arm in select_arms("shuffled, labels-only")] == [
        "two-stage",
        "labels-only",
        "shuffled",
    ]
    assert len(select_arms("all")) == len(ARMS)
    with pytest.raises(InputError, match="no arm called one-legged; the arms are: two-stage, labels-only"):
        select_arms("one-legged,shuffled")


def test_arms_that_would_say_nothing_are_left_out_with_the_reason(squares, generated):
    _, reasons = split_possible(select_arms("all"), Dataset(squares), tiny(student__vision_tower="none"))
    assert set(reasons) == {"no-picture", "no-fusion", "late-fusion", "unconditioned"}
    assert "sees no picture" in reasons["no-picture"] and "abduce" in reasons["unconditioned"]
    assert split_possible(select_arms("all"), generated, tiny())[1] == {}


def test_a_subset_of_generated_memes_takes_whole_quads(generated):
    learnt = generated.split("train")
    quads = Counter(meme.extra["truth"]["quad"] for meme in select_subset(learnt, 16))
    assert set(quads.values()) == {4}
    assert sum(meme.label.harmful for meme in select_subset(learnt, 16)) == 8
