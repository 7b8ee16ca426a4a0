from collections import defaultdict
from pathlib import Path

import pytest

from mrharm.errors import DataError, InputError
from mrharm.images import image_sha256, open_image
from mrharm.memes.dataset import ImportOptions
from mrharm.synthetic.checks import assert_balanced, assert_phrases, assert_vocabulary, split_words
from mrharm.synthetic.concepts import CONCEPTS
from mrharm.synthetic.importer import import_generated
from mrharm.synthetic.layouts import CAPITALS_ONLY, FONTS, LAYOUTS
from mrharm.synthetic.plan import count_quads, make_plan

SMALL = ImportOptions(memes=96, seed=3, workers=1)


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    folder = tmp_path_factory.mktemp("generated")
    return folder, import_generated(None, folder, SMALL)


def files(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): image_sha256(path) for path in sorted(folder.rglob("*.png"))}


def clean(folder, imported):
    return {row.meme_id: image_sha256(folder / row.clean_image) for row in imported.evidence}


def truths(imported):
    return [meme.extra["truth"] for meme in imported.memes]


def test_every_meme_has_its_files_and_evidence(small):
    folder, imported = small
    assert len({meme.id for meme in imported.memes}) == len(imported.memes) == len(imported.evidence)
    assert len(files(folder)) == 2 * len(imported.memes)
    for meme, row in zip(imported.memes, imported.evidence, strict=True):
        assert row.meme_id == meme.id
        assert row.image_sha256 == image_sha256(folder / meme.image)
        assert (row.text, row.text_source, row.caption) == (
            meme.text,
            "given",
            meme.extra["truth"]["caption"],
        )
        posted, bare = open_image(folder / meme.image), open_image(folder / row.clean_image)
        assert posted.size == bare.size
        assert all(256 <= side <= 400 for side in posted.size)
        assert posted.tobytes() != bare.tobytes()
    assert imported.rationales == []


def test_boxes_hold_the_words_as_drawn_and_lie_in_the_picture(small):
    folder, imported = small
    for meme, row in zip(imported.memes, imported.evidence, strict=True):
        assert " ".join(box.text for box in row.boxes) == meme.text
        width, height = open_image(folder / meme.image).size
        for box in row.boxes:
            assert all(-1 <= x <= width + 1 and -1 <= y <= height + 1 for x, y in box.polygon)


def test_quads_are_two_texts_on_two_pictures_in_one_split(small):
    folder, imported = small
    pictures, quads = clean(folder, imported), defaultdict(list)
    for meme in imported.memes:
        quads[meme.extra["truth"]["quad"]].append(meme)
    for quad in quads.values():
        assert len(quad) == 4
        assert len({meme.text for meme in quad}) == len({pictures[meme.id] for meme in quad}) == 2
        assert (
            len({meme.split for meme in quad}) == len({meme.extra["truth"]["concept"] for meme in quad}) == 1
        )
        assert sorted(meme.label.harmful for meme in quad) == [False, False, True, True]


def test_harm_follows_from_the_pair_alone(small):
    for meme in small[1].memes:
        truth = meme.extra["truth"]
        assert meme.label.harmful == ((truth["sense"] == "straight") != (truth["polarity"] == "suits"))
        assert meme.label.harmful == (truth["relation"] == "undercuts")
        assert meme.label.harmful == (meme.label.severity != "none")
        assert meme.label.targets == ("individual",)


def test_balance_holds_and_fails_on_a_broken_set(small):
    folder, imported = small
    memes, pictures = imported.memes, clean(folder, imported)
    assert_balanced(memes, pictures)
    with pytest.raises(DataError, match="tells the label"):
        assert_balanced(memes[1:], pictures)
    flipped = memes[0].model_copy(
        update={"label": memes[0].label.model_copy(update={"harmful": not memes[0].label.harmful})}
    )
    with pytest.raises(DataError, match="tells the label"):
        assert_balanced([flipped, *memes[1:]], pictures)
    with pytest.raises(DataError, match=r"another text on the same picture|clean picture"):
        assert_balanced(memes, {meme_id: str(number) for number, meme_id in enumerate(pictures)})
    with pytest.raises(DataError, match="expected a generated meme"):
        assert_balanced(memes, {})


def test_splits_keep_their_renderings_phrases_and_pairs_to_themselves(small):
    by_split = defaultdict(list)
    for truth in truths(small[1]):
        by_split[truth["quad"].split("-")[0]].append(truth)
    assert set(by_split) == {"train", "validation", "test", "composition", "lexical"}
    for name in ("rendering", "template", "phrase"):
        train, validation, test = (
            {row[name] for row in by_split[split]} for split in ("train", "validation", "test")
        )
        assert not train & validation
        assert not train & test
        assert not validation & test
    pairs = {split: {(row["concept"], row["scene"]) for row in rows} for split, rows in by_split.items()}
    assert not pairs["composition"] & (
        pairs["train"] | pairs["validation"] | pairs["test"] | pairs["lexical"]
    )


def test_the_same_seed_gives_the_same_bytes_with_any_number_of_workers(small, tmp_path):
    folder, imported = small
    again = import_generated(None, tmp_path, ImportOptions(memes=96, seed=3, workers=2))
    assert again.memes == imported.memes
    assert again.evidence == imported.evidence
    assert files(tmp_path) == files(folder)


def test_default_size_has_room_for_every_split():
    counts = {split: 4 * count for split, count in count_quads(2000).items()}
    assert counts == {"train": 1200, "validation": 200, "test": 600, "composition": 400, "lexical": 200}
    larger = {split: 4 * count for split, count in count_quads(4000).items()}
    assert larger == {**counts, "train": 3200}
    assert sum(count_quads(200)[split] for split in ("train", "validation", "test")) == 50


def test_too_few_memes_are_refused(tmp_path):
    with pytest.raises(InputError, match="at least 12"):
        import_generated(None, tmp_path, ImportOptions(memes=8))


def test_posted_words_are_whole_and_fonts_have_their_letters(small):
    for meme in small[1].memes:
        truth = meme.extra["truth"]
        assert truth["layout"] in LAYOUTS
        assert truth["font"] in FONTS
        assert meme.text.lower().rstrip("!.") == truth["template"].replace("{}", truth["phrase"])
        if truth["font"] in CAPITALS_ONLY:
            assert meme.text == meme.text.upper()


def test_plan_of_default_size_trains_every_word_pair_and_scene():
    plan = make_plan(2000, 0)
    texts, pairs = defaultdict(list), defaultdict(set)
    for quad in plan:
        texts[quad.split] += [row.text for row in quad.texts]
        pairs[quad.split] |= {(quad.concept, picture.pair.scene) for picture in quad.pictures}
    assert_phrases()
    assert_vocabulary(texts["train"], [*texts["validation"], *texts["test"], *texts["composition"]])
    with pytest.raises(DataError, match="no train text has"):
        assert_vocabulary(texts["train"], texts["lexical"])
    seen = set().union(*(split_words(text) for text in texts["train"]))
    assert all(split_words(text) - seen for text in texts["lexical"])
    assert pairs["validation"] | pairs["test"] | pairs["lexical"] <= pairs["train"]
    assert not pairs["composition"] & pairs["train"]
    for concept in CONCEPTS:
        assert {pair.polarity for pair in CONCEPTS[concept] if pair.held_out} == {"suits", "contradicts"}
    assert {scene for _, scene in pairs["composition"]} <= {scene for _, scene in pairs["train"]}
