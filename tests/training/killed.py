"""Trains a tiny student and, if asked, sends itself SIGKILL at the n-th passing of a point: KILL=point:n."""

from __future__ import annotations

import hashlib
import os
import signal
import sys
from pathlib import Path

import mrharm.training.trainer as trainer
from mrharm.training.run import train
from tests.training.helpers import tiny

POINT, _, COUNT = os.environ.get("KILL", "").partition(":")
passed = 0


def die_at(point: str) -> None:
    global passed
    if point == POINT:
        passed += 1
        if passed == int(COUNT):
            os.kill(os.getpid(), signal.SIGKILL)


def before(module: object, name: str, point: str) -> None:
    original = getattr(module, name)

    def wrapped(*args: object, **kwargs: object) -> object:
        die_at(point)
        return original(*args, **kwargs)

    setattr(module, name, wrapped)


before(trainer, "seal", "files-written")  # weights and optimiser are there, the manifest is not
before(trainer, "save_file", "best")  # the best weights are about to be written
original_write, original_rng = trainer.write_json, trainer.StageTrainer._save_rng_state


def write(path: Path, value: object) -> None:
    if path.name == trainer.MANIFEST:
        die_at("manifest")  # everything is flushed but the manifest
    original_write(path, value)


trainer.write_json = write


def rng(self: trainer.StageTrainer, folder: str) -> None:
    die_at("half-saved")  # model and optimiser are written, the random state is not
    original_rng(self, folder)


trainer.StageTrainer._save_rng_state = rng

detector = train(
    Path(sys.argv[1]),
    tiny(),
    Path(sys.argv[2]),
    device="cpu",
    say=print,
    progress=lambda what, done, total: die_at(f"step {what}"),
)

model = detector.label_student.model
digest = hashlib.sha256(b"".join(tensor.numpy().tobytes() for tensor in model.state_dict().values()))
sys.stdout.write(f"weights {digest.hexdigest()} {detector.card.temperature}\n")
