"""Wrote ``stored/`` once, with the mrharm of commit d80c1f8; kept to say where it comes from, not to be run again.

Whatever mrharm becomes has to load these files as they are. ``python -m tests.golden.make_stored FOLDER`` makes a
folder of the same kind with the mrharm at hand.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import sys
from pathlib import Path

import torch
from PIL import Image
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import (
    PreTrainedTokenizerFast,
    ResNetConfig,
    ResNetModel,
    T5Config,
    T5ForConditionalGeneration,
)

from tests.golden.pinned import KEY, TEACHER, mrharm
from tests.stub_server import Reply, StubServer

PRICES = "stub-model: {input: 1.00, output: 10.00, picture: 50}\n"
BROKEN = "lexical-00003"
GOOD = "the picture shows a wilted flower. the words praise you. Together they make fun of how you care for plants."
SETTINGS = {
    "student.text_weights": "towers/text",
    "student.vision_weights": "towers/vision",
    "stages.rationale.steps": 60,
    "stages.rationale.learning_rate": 4.0e-3,
    "stages.rationale.evaluate_every": 30,
    "stages.label.steps": 40,
    "stages.label.learning_rate": 6.0e-3,
    "lengths.rationale": 24,
    "precision": "fp32",
}


def make(folder: Path) -> None:
    """Write data, two runs with their evaluations, and a ledger into ``folder``."""
    folder.mkdir(parents=True)
    with contextlib.chdir(folder):
        _data()
        _towers(Path("towers"))
        # Seeds whose scores lie far apart, on both sides of the threshold.
        for name, stages, seed in (("two-stage", "both", 3), ("joint", "joint", 2)):
            _run(name, stages, seed)
        shutil.rmtree("towers")
        _ledger()
        for path in (*Path().rglob(".*.lock"), Path("ledger.sqlite.room")):
            path.unlink()


def _data() -> None:
    """Generated memes; their pictures are made small, looked at anew, and one of them is broken."""
    _done(mrharm("import", "generated", "data", "--memes", 48), 0)
    shutil.copy("data/evidence.jsonl", "captions.jsonl")
    shutil.rmtree("data/clean")
    for path in sorted(Path("data/images").iterdir()):
        with Image.open(path) as picture:
            small = picture.convert("RGB").resize((picture.width // 3, picture.height // 3))
        small.quantize(16, dither=Image.Dither.NONE).save(path, optimize=True)
    broken = Path(f"data/images/{BROKEN}.png")
    broken.write_bytes(broken.read_bytes()[:300])
    _done(mrharm("gather", "data", "--captions", "recorded:captions.jsonl"), 1)
    Path("captions.jsonl").unlink()


def _towers(folder: Path) -> None:
    """Random towers far smaller than the recipe's own, which would weigh megabytes."""
    torch.manual_seed(0)
    text = T5Config(
        vocab_size=512,
        d_model=24,
        d_ff=32,
        d_kv=8,
        num_layers=1,
        num_heads=2,
        feed_forward_proj="gated-gelu",
        decoder_start_token_id=0,
    )
    T5ForConditionalGeneration(text).save_pretrained(folder / "text")
    _tokenizer().save_pretrained(folder / "text")
    sizes = {"embedding_size": 8, "hidden_sizes": [8, 16], "depths": [1, 1], "layer_type": "basic"}
    ResNetModel(ResNetConfig(**sizes)).save_pretrained(folder / "vision")


def _tokenizer() -> PreTrainedTokenizerFast:
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    core.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=512,
        special_tokens=["<pad>", "</s>", "<unk>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    why = [json.loads(line)["text"] for line in Path("data/rationales.jsonl").read_text("utf-8").splitlines()]
    core.train_from_iterator([*why, "Output: ", *["The answer is: harmful or harmless"] * 3], trainer)
    core.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    return PreTrainedTokenizerFast(
        tokenizer_object=core, pad_token="<pad>", eos_token="</s>", unk_token="<unk>"
    )


def _run(name: str, stages: str, seed: int) -> None:
    run = f"runs/{name}"
    what = ["--recipe", "tiny", "--stages", stages, "--seed", seed]
    settings = [word for key, value in SETTINGS.items() for word in ("--set", f"{key}={value}")]
    on_cpu = ["--device", "cpu"]
    _done(mrharm("train", "data", *what, "--out", run, *settings, *on_cpu), 0)
    for stage in Path(run).glob("stage*"):
        shutil.rmtree(stage)  # what training goes on from, and weights that the detector holds, too
    _done(mrharm("evaluate", run, "data", "--probes", "none", *on_cpu), 0)
    for page in ("report.html", "model-card.md", "detector/README.md"):
        Path(run, page).unlink()


def _ledger() -> None:
    """Questions of every ending: answered, asked again, refused, failed, and answered by a batch."""
    Path("prices.yaml").write_text(PRICES, encoding="utf-8")
    os.environ |= {"MRHARM_LEDGER": "ledger.sqlite", "MRHARM_PRICES": "prices.yaml", "OPENAI_API_KEY": KEY}
    os.environ["NO_PROXY"] = "127.0.0.1"
    socket.gethostname = lambda: "stored"  # owners of claims carry it
    asked: list[str] = []

    def reply(question: str) -> Reply:
        asked.append(question)
        endings = {
            1: Reply(f"{GOOD} This meme is harmful."),
            3: Reply("", refusal="I cannot help with that."),
            4: Reply(status=400, error={"message": "not this one"}),
        }
        return endings.get(len(asked), Reply(GOOD))

    with StubServer(reply) as server:
        base = ["abduce", "data", "--teacher", TEACHER, "--base-url", server.url, "--concurrency", 1]
        _done(mrharm(*base, "--split", "validation", "--out", "hosted.jsonl"), 1)
        _done(mrharm(*base, "--split", "composition", "--out", "hosted.jsonl", "--batch", "--limit", 2), 0)


def _done(outcome: tuple[int, str, str], code: int) -> None:
    if outcome[0] != code:
        raise SystemExit(f"expected exit code {code}, got {outcome[0]}: {outcome[2]}")


if __name__ == "__main__":
    make(Path(sys.argv[1]).resolve())
