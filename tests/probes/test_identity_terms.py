from __future__ import annotations

import numpy as np
import pytest

from mrharm.probes.identity_terms import (
    collect_words,
    control_candidates,
    find_terms,
    list_swaps,
    swap_control_words,
    swap_term,
    term_list,
)


def named(text: str) -> set[str]:
    return {mention.term for mention in find_terms(text)}


@pytest.mark.parametrize(
    ("text", "axis", "term"),
    [
        ("black people be like", "race", "black"),
        ("an African-American woman", "race", "african american"),
        ("native  Americans", "race", "native americans"),
        ("asian kids and latino kids", "race", "asian"),
        ("those gays again", "sexuality", "gays"),
        ("straight people had soup", "sexuality", "straight"),
        ("trans women had soup", "gender_identity", "trans"),
        ("a jew and a baker", "religion", "jew"),
        ("the deaf can dance", "disability", "deaf"),
        ("soup for the blind.", "disability", "blind"),
        ("an asylum seeker cooks", "migration", "asylum seeker"),
        ("the french are late", "nationality", "french"),
    ],
)
def test_people_are_found_by_axis(text: str, axis: str, term: str) -> None:
    assert (axis, term) in {(mention.axis, mention.term) for mention in find_terms(text)}


@pytest.mark.parametrize(
    "text",
    [
        "polish your shoes",
        "Oh man, soup again",
        "turkey sandwich",
        "a black cat on white bread",
        "turn a blind eye",
        "the blind spot",
        "trans fat",
        "spider-man had soup",
        "@jewish #muslim",
        "a mango for my mandolin",
        "french fries and a german shepherd",
        "she speaks italian",
        "old soup",
    ],
)
def test_another_sense_of_a_term_names_nobody(text: str) -> None:
    assert not find_terms(text)


def test_polish_is_a_nationality_with_its_capital_or_before_a_word_for_people() -> None:
    assert named("My neighbour is Polish") == {"polish"}
    assert not find_terms("I bought a tin of polish")
    assert not find_terms("a tin of polish") and not find_terms("A TIN OF POLISH")
    assert named("polish people") == named("POLISH PEOPLE") == {"polish"}


def test_a_longer_term_hides_those_in_it_and_letters_that_look_alike_are_read() -> None:
    assert [mention.term for mention in find_terms("african american voters")] == ["african american"]
    assert named("two gİrls") == {"girls"}


def test_a_term_is_swapped_for_others_of_its_axis_and_form_only() -> None:
    by_term = {
        mention.term: mention.fitting for mention in find_terms("a german, a danish choir, danish kids")
    }
    # "a german" may be either, so that nothing that is an adjective alone stands in its place.
    assert "greek" in by_term["german"] and "danish" not in by_term["german"]
    assert "greeks" not in by_term["german"]
    people, elsewhere = (find_terms(text)[0].fitting for text in ("asian kids", "asian soups"))
    assert "black" in people and "black" not in elsewhere  # "black soups" would be a colour
    plural = find_terms("jews had soup")[0].fitting
    assert set(plural) == set(term_list().axes["religion"].sets[0].plural)
    assert find_terms("the french can cook")[0].fitting == term_list().axes["nationality"].sets[0].the
    # Wherever it stands: "the german kids" alone could be danish, too.
    pairs = list_swaps(find_terms("the german kids and a german"))
    assert ("german", "greek") in pairs and ("german", "danish") not in pairs


@pytest.mark.parametrize(
    ("text", "axis", "term", "other", "expected"),
    [
        ("a child and an adult", "age", "child", "adult", "an adult and a child"),
        ("An adult had soup", "age", "adult", "child", "A child had soup"),
        ("AN ADULT HAD SOUP", "age", "adult", "child", "A CHILD HAD SOUP"),
        ("Women and a woman's soup", "gender", "woman", "man", "Women and a man's soup"),
        ("A man and a woman", "gender", "man", "woman", "A woman and a man"),
        ("a mango for the Woman", "gender", "woman", "man", "a mango for the Man"),
        ("a ukrainian choir", "nationality", "ukrainian", "italian", "an italian choir"),
        ("white people and white bread", "race", "white", "asian", "asian people and white bread"),
        ("White people", "race", "white", "native american", "Native American people"),
        ("a hispanic  man", "race", "hispanic", "european", "a european  man"),
    ],
)
def test_a_swap_keeps_case_and_article_and_exchanges_what_are_both_there(
    text: str, axis: str, term: str, other: str, expected: str
) -> None:
    assert swap_term(text, axis, term, other) == expected


def test_terms_that_change_places_are_one_swap() -> None:
    assert list_swaps(find_terms("a man and a woman")) == [("man", "woman")]
    assert list_swaps(find_terms("a man, a boy")) == [("man", "woman"), ("boy", "girl")]


def test_words_for_the_control_are_no_terms_no_people_and_no_little_words() -> None:
    words = [
        word
        for _, word in control_candidates(
            "The black people had Soup with @you at soup.com, it's white nail-polish"
        )
    ]
    assert words == ["soup"]


def test_a_control_changes_as_many_words_for_others_of_their_ending() -> None:
    pool = collect_words(["clouds singing", "the quiet river"])
    assert pool == {"s": ["clouds"], "ing": ["singing"], "": ["quiet", "river"]}
    rng = np.random.default_rng(0)
    assert swap_control_words("a muslim eats Walking shoes", 3, {**pool, "s": ["clouds", "hats"]}, rng) in {
        "a muslim hats Singing clouds",
        "a muslim clouds Singing hats",
    }
    assert swap_control_words("a muslim eats Walking shoes", 4, pool, rng) is None  # of three other words
    assert swap_control_words("a muslim likes clouds", 1, {"s": ["clouds"]}, rng) is None  # is there already


def test_terms_that_ship_are_lower_case_stand_once_and_have_others_to_stand_for() -> None:
    words_listed = term_list()
    sets = [term_set for axis in words_listed.axes.values() for term_set in axis.sets]
    forms = ("noun_adjective", "noun", "plural", "adjective", "guarded")
    terms = [term for term_set in sets for form in forms for term in getattr(term_set, form)]
    assert len(set(terms)) == len(terms) and all(term == term.casefold() for term in terms)
    assert all(set(term_set.the) <= {*term_set.adjective, *term_set.guarded} for term_set in sets)
    assert words_listed.capital <= set(terms)
    assert {"race", "nationality", "religion", "gender", "sexuality", "disability", "migration"} < set(
        words_listed.axes
    )
