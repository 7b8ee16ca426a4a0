from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import BertConfig, BertModel, BertTokenizer, T5Config, T5Model

from mrharm.errors import DataError, InputError, ModelUnavailableError
from mrharm.probes.reference_overlap import bertscore, check_encoder, rouge_l

WORDS = ["you", "sing", "like", "a", "kettle", "and", "smell", "of", "cheese", "the", "club", "is", "kind"]


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT of one layer, random."""
    folder = tmp_path_factory.mktemp("encoder")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]
    tokenizer = BertTokenizer(vocab={word: number for number, word in enumerate(words)})
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    torch.manual_seed(0)
    config = BertConfig(vocab_size=len(words), max_position_embeddings=16, initializer_range=1.0, **sizes)
    BertModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def by_hand(folder: Path, candidate: str, reference: str) -> float:
    """The definition, a text at a time and token by token."""
    model, tokenizer = BertModel.from_pretrained(folder).eval(), BertTokenizer.from_pretrained(folder)

    def vectors(text: str) -> np.ndarray:
        with torch.inference_mode():
            states = model(**tokenizer(text, return_tensors="pt")).last_hidden_state[0, 1:-1]
        return states.double().numpy()

    def best(row: np.ndarray, rows: np.ndarray) -> float:
        return max(row @ each / np.linalg.norm(row) / np.linalg.norm(each) for each in rows)

    first, second = vectors(candidate), vectors(reference)
    precision = np.mean([best(row, second) for row in first])
    recall = np.mean([best(row, first) for row in second])
    return float(2 * precision * recall / (precision + recall))


def test_scores_are_those_of_the_definition_whatever_is_padded_beside(encoder: Path) -> None:
    pairs = [("you sing", "you smell of cheese"), ("the club is kind and you sing like cheese", "kind")]
    scores = bertscore(
        encoder, [candidate for candidate, _ in pairs], [[reference] for _, reference in pairs]
    )
    assert scores == pytest.approx(
        [by_hand(encoder, candidate, reference) for candidate, reference in pairs], abs=1e-5
    )
    assert all(scores < 0.999)


def test_the_same_text_scores_one_and_the_likest_reference_counts(encoder: Path) -> None:
    text = "you sing like a kettle"
    (alone,) = bertscore(encoder, [text], [["the club"]])
    (best,) = bertscore(encoder, [text], [["the club", text]])
    assert (best, alone < 0.999) == (pytest.approx(1.0), True)


def test_nothing_to_match_scores_nothing(encoder: Path) -> None:
    assert bertscore(encoder, ["", "you", "you"], [["you"], [""], []]).tolist() == [0.0, 0.0, 0.0]


def test_a_text_longer_than_the_encoder_reads_is_cut(encoder: Path) -> None:
    (scores,) = bertscore(encoder, ["you sing " * 50], [["you sing " * 60]])
    assert scores == pytest.approx(1.0)


def test_an_encoder_with_a_decoder_is_read_without_it(encoder: Path, tmp_path: Path) -> None:
    sizes = {"d_model": 16, "d_kv": 8, "d_ff": 32, "num_layers": 1, "num_heads": 2}
    torch.manual_seed(0)
    T5Model(T5Config(vocab_size=len(WORDS) + 5, decoder_start_token_id=0, **sizes)).save_pretrained(tmp_path)
    BertTokenizer.from_pretrained(encoder).save_pretrained(tmp_path)
    same, reference = bertscore(tmp_path, ["you sing", "you sing"], [["you sing"], ["the club"]])
    assert same == pytest.approx(1.0) and reference < same


def test_a_folder_without_an_encoder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailableError, match="no such folder"):
        bertscore(tmp_path / "nowhere", ["you"], [["you"]])
    with pytest.raises(ModelUnavailableError, match=r"expected config\.json, tokenizer and safetensors"):
        bertscore(tmp_path, ["you"], [["you"]])


def test_an_encoder_whose_weights_are_not_whole_is_refused_and_one_without_a_pooler_is_not(
    encoder: Path, tmp_path: Path
) -> None:
    """What is missing would be random, and so would the score."""
    shutil.copytree(encoder, tmp_path / "copy")
    file = tmp_path / "copy" / "model.safetensors"
    weights = load_file(file)
    for left_out in ("pooler", "attention"):
        kept = {name: tensor for name, tensor in weights.items() if left_out not in name}
        save_file(kept, file, metadata={"format": "pt"})
        if left_out == "pooler":
            check_encoder(tmp_path / "copy")
            (scores,) = bertscore(tmp_path / "copy", ["you sing"], [["the club"]])
            assert scores == bertscore(encoder, ["you sing"], [["the club"]])[0]
    with pytest.raises(DataError, match="tensors are not there"):
        bertscore(tmp_path / "copy", ["you"], [["you"]])
    file.write_bytes(file.read_bytes()[:500])
    with pytest.raises(InputError, match="cannot be loaded"):
        check_encoder(tmp_path / "copy")


POLICE = "police killed the gunman"  # the example of Lin 2004, section 3.2


@pytest.mark.parametrize(
    ("candidate", "reference", "expected"),
    [
        ("police kill the gunman", POLICE, 3 / 4),  # police, the, gunman
        ("the gunman kill police", POLICE, 2 / 4),  # the, gunman
        ("the gunman", POLICE, 2 * 1.0 * 0.5 / 1.5),  # precision 1, recall 1/2
        ("the cat sat on the mat", "the cat was on the mat", 5 / 6),
        ("Police, killed: THE gunman!", POLICE, 1.0),
        ("ein Kätzchen, ja", "das kätzchen", 2 * 1 / 5),
        ("a kettle", POLICE, 0.0),
        ("", POLICE, 0.0),
        ("!", "?", 0.0),
    ],
)
def test_rouge_l_is_as_computed_by_hand(candidate: str, reference: str, expected: float) -> None:
    assert rouge_l(candidate, [reference]) == pytest.approx(expected)
    assert rouge_l(reference, [candidate]) == pytest.approx(expected)  # with beta = 1 both ways are one


def test_the_likest_of_several_references_counts_and_without_one_it_is_nothing() -> None:
    assert rouge_l("you sing like a kettle", ["a spoon", "you sing like a kettle", "you"]) == 1.0
    assert rouge_l("you sing like a kettle", []) == 0.0
