from collections import Counter, defaultdict
from pathlib import Path

import pytest

from mrharm.errors import InputError
from mrharm.images import image_sha256, open_image
from mrharm.memes.dataset import ImportOptions
from mrharm.synthetic.concepts import CONCEPTS
from mrharm.synthetic.importer import import_generated
from mrharm.synthetic.layouts import CAPITALS_ONLY, FONTS, LAYOUTS
from mrharm.synthetic.plan import count_quads, make_plan
from tests.synthetic.test_tables import split_words

MEASURED = ("validation", "test", "composition", "lexical")
FACTS = ("scene", "tone", "layout", "font", "case", "rendering", "template", "phrase", "caption")


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    folder = tmp_path_factory.mktemp("generated")
    return folder, import_generated(None, folder, ImportOptions(memes=96, seed=3, workers=1))


def files(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): image_sha256(path) for path in sorted(folder.rglob("*.png"))}


def clean(folder, imported):
    return {row.meme_id: image_sha256(folder / row.clean_image) for row in imported.evidence}


def test_every_meme_has_its_files_and_evidence_and_its_words_in_boxes(small):
    folder, imported = small
    assert len({meme.id for meme in imported.memes}) == len(imported.memes) == len(imported.evidence)
    assert len(files(folder)) == 2 * len(imported.memes)
    for meme, row in zip(imported.memes, imported.evidence, strict=True):
        assert (row.meme_id, row.image_sha256) == (meme.id, image_sha256(folder / meme.image))
        assert (row.text, row.text_source) == (meme.text, "given")
        assert row.caption == meme.extra["truth"]["caption"]
        posted, bare = open_image(folder / meme.image), open_image(folder / row.clean_image)
        assert posted.size == bare.size and posted.tobytes() != bare.tobytes()
        assert all(256 <= side <= 400 for side in posted.size)
        assert " ".join(box.text for box in row.boxes) == meme.text
        for x, y in [point for box in row.boxes for point in box.polygon]:
            assert -1 <= x <= posted.width + 1 and -1 <= y <= posted.height + 1


def test_quads_are_two_texts_on_two_pictures_in_one_split(small):
    folder, imported = small
    pictures, quads = clean(folder, imported), defaultdict(list)
    for meme in imported.memes:
        quads[meme.extra["truth"]["quad"]].append(meme)
    for quad in quads.values():
        assert len(quad) == 4
        assert len({meme.text for meme in quad}) == len({pictures[meme.id] for meme in quad}) == 2
        assert len({(meme.split, meme.extra["truth"]["concept"]) for meme in quad}) == 1
        assert sorted(meme.label.harmful for meme in quad) == [False, False, True, True]


def test_harm_follows_from_the_pair_alone(small):
    for meme in small[1].memes:
        truth = meme.extra["truth"]
        assert meme.label.harmful == ((truth["sense"] == "straight") != (truth["polarity"] == "suits"))
        assert meme.label.harmful == (truth["relation"] == "undercuts")
        assert meme.label.harmful == (meme.label.severity != "none")
        assert meme.label.targets == ("individual",)


@pytest.mark.parametrize("fact", ["text", "picture", *FACTS])
def test_no_single_fact_tells_the_label(small, fact):
    folder, imported = small
    pictures, excess = clean(folder, imported), Counter()
    for meme in imported.memes:
        facts = {**meme.extra["truth"], "text": meme.text, "picture": pictures[meme.id]}
        excess[meme.split, facts[fact]] += 1 if meme.label.harmful else -1
    assert not any(excess.values())


def test_splits_keep_their_renderings_phrases_pictures_and_pairs_to_themselves(small):
    folder, imported = small
    pictures, values = clean(folder, imported), defaultdict(lambda: defaultdict(set))
    for meme in imported.memes:
        truth = meme.extra["truth"]
        assert truth["quad"].startswith(f"{meme.split}-")
        for name in ("rendering", "template", "phrase"):
            values[name][meme.split].add(truth[name])
        values["picture"][meme.split].add(pictures[meme.id])
        values["pair"][meme.split].add((truth["concept"], truth["scene"]))
    assert set(values["picture"]) == {"train", *MEASURED}
    for name in ("rendering", "template", "phrase", "picture"):
        train, validation, test = (values[name][split] for split in ("train", "validation", "test"))
        assert not train & validation and not train & test and not validation & test
    composition = values["pair"].pop("composition")
    assert not composition & set().union(*values["pair"].values())


def test_the_same_seed_gives_the_same_bytes_with_any_number_of_workers(small, tmp_path):
    folder, imported = small
    again = import_generated(None, tmp_path, ImportOptions(memes=96, seed=3, workers=2))
    assert (again.memes, again.evidence) == (imported.memes, imported.evidence)
    assert files(tmp_path) == files(folder)
    assert make_plan(96, 3) == make_plan(96, 3) != make_plan(96, 4)


def test_default_size_has_room_for_every_split():
    counts = {split: 4 * count for split, count in count_quads(2000).items()}
    assert counts == {"train": 1200, "validation": 200, "test": 600, "composition": 400, "lexical": 200}
    larger = {split: 4 * count for split, count in count_quads(4000).items()}
    assert larger == {**counts, "train": 3200}
    assert sum(count_quads(200)[split] for split in ("train", "validation", "test")) == 50
    with pytest.raises(InputError, match="at least 12"):
        count_quads(8)


def test_posted_words_are_whole_and_fonts_have_their_letters(small):
    for meme in small[1].memes:
        truth = meme.extra["truth"]
        assert truth["layout"] in LAYOUTS and truth["font"] in FONTS
        assert meme.text.lower().rstrip("!.") == truth["template"].replace("{}", truth["phrase"])
        if truth["font"] in CAPITALS_ONLY:
            assert meme.text == meme.text.upper()


@pytest.mark.parametrize("seed", range(3))
def test_plan_of_default_size_trains_every_word_pair_and_scene(seed):
    words, pairs = defaultdict(set), defaultdict(set)
    for quad in make_plan(2000, seed):
        pairs[quad.split] |= {(quad.concept, picture.pair.scene) for picture in quad.pictures}
        for text in quad.texts:
            words[quad.split] |= split_words(text.text)
            assert quad.split != "lexical" or split_words(text.text) - words["train"]
    assert words["validation"] | words["test"] | words["composition"] <= words["train"]
    assert pairs["validation"] | pairs["test"] | pairs["lexical"] <= pairs["train"]
    assert not pairs["composition"] & pairs["train"]
    scenes = {pair.scene for row in CONCEPTS.values() for pair in row}
    assert scenes == {scene for _, scene in pairs["train"]}
    for concept in CONCEPTS:
        assert {pair.polarity for pair in CONCEPTS[concept] if pair.held_out} == {"suits", "contradicts"}
