"""One optimiser step at paper size: the official way against ours, same batch, same texts, optimiser included.

Official: the frozen vision tower run every step, texts padded to 40 tokens and targets to 32, fp32. Ours: the tower's
features read from the disk cache, texts and targets padded to the batch, bf16 where the hardware has it.

    python -m benchmarks.training [--device cuda] [--json]
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.common import (
    draw_inputs,
    draw_text,
    machine,
    paper_student,
    peak_memory_mb,
    reset_peak_memory,
    run_in_process,
    show,
)
from mrharm.hub import bf16_pays
from mrharm.student.interface import StudentInput

TEXT, TARGET = 40, 32
LABEL_TARGETS = ("The answer is : harmful", "The answer is : harmless")


def batch_of(size: int, stage: str) -> tuple[list[StudentInput], list[str]]:
    """The batch both ways train on: one of those our length-bucketed sampler makes of 16 x ``size`` memes."""
    rng = np.random.default_rng(1)
    pool = sorted(draw_inputs(16 * size, side=1, seed=1), key=lambda one: len(one.text.split()))
    at = 8 * size  # the middle one of sixteen: neither the shortest nor the longest texts
    inputs = [
        StudentInput(one.text, rng.integers(0, 255, (224, 224, 3), dtype=np.uint8))
        for one in pool[at : at + size]
    ]
    if stage == "label":
        return inputs, [LABEL_TARGETS[index % 2] for index in range(size)]
    # Rationales are longer than 32 tokens throughout, so both ways learn 32 of them.
    return inputs, [draw_text(TARGET, rng) for _ in range(size)]


def step_time(way: str, stage: str, size: int, steps: int, device: str) -> dict[str, Any]:
    """Median seconds a step, after one to warm up."""
    model, processor = paper_student(device)
    model.train()
    inputs, targets = batch_of(size, stage)
    rows = [processor.tokenize(one.text) for one in inputs]
    labels = [processor.tokenize_target(target, TARGET) for target in targets]
    optimiser = torch.optim.AdamW(
        [p for p in model.parameters() if p.requires_grad], lr=5e-5, weight_decay=0.01
    )
    bf16 = way == "ours" and bf16_pays(torch.device(device))
    with tempfile.TemporaryDirectory() as folder:
        if way == "ours":
            with torch.inference_mode():
                for index, one in enumerate(inputs):
                    pixels = processor.normalise([one.pixels]).to(device)
                    np.save(Path(folder) / f"{index}.npy", model.encoder.see(pixels)[0].cpu().numpy())

        def step() -> None:
            if way == "ours":
                shown = [StudentInput("", features=np.load(Path(folder) / f"{i}.npy")) for i in range(size)]
                batch = {**processor.batch_text(rows), **processor.batch_pictures(shown)}
                batch["labels"] = processor.pad(labels, -100)
            else:
                # Extra empty row pads to the official lengths, then is dropped again.
                batch = {**processor.batch_text([*rows, [0] * TEXT]), **processor.batch_pictures(inputs)}
                batch["input_ids"], batch["attention_mask"] = (
                    batch["input_ids"][:-1],
                    batch["attention_mask"][:-1],
                )
                batch["labels"] = processor.pad([*labels, [-100] * TARGET], -100)[:-1]
            batch = {name: tensor.to(device) for name, tensor in batch.items()}
            with torch.autocast(device.split(":")[0], torch.bfloat16, enabled=bf16):
                loss = model(**batch).loss
            loss.backward()
            optimiser.step()
            optimiser.zero_grad()
            if device.startswith("cuda"):
                torch.cuda.synchronize()

        reset_peak_memory(device)
        step()
        seconds = []
        for _ in range(steps):
            start = time.perf_counter()
            step()
            seconds.append(time.perf_counter() - start)
    return {"seconds": float(np.median(seconds)), "peak_mb": peak_memory_mb(device), "bf16": bf16}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--json", action="store_true", help="one JSON object")
    options = parser.parse_args()
    result: dict[str, Any] = {"machine": machine(options.device), "batch_size": options.batch_size}
    rows = []
    for stage in ("label", "rationale"):
        ways = {
            way: run_in_process(step_time, way, stage, options.batch_size, options.steps, options.device)
            for way in ("official", "ours")
        }
        for way, found in ways.items():
            found["ratio"] = ways["official"]["seconds"] / found["seconds"]
            rows.append(
                {
                    "stage": stage,
                    "way": f"{way}, {'bf16' if found['bf16'] else 'fp32'}",
                    "s/step": f"{found['seconds']:.2f}",
                    "times official": f"{found['ratio']:.2f}",
                    "peak MB": found["peak_mb"],
                }
            )
        result[stage] = ways
    show(f"one optimiser step at paper size, batch {options.batch_size}", rows, result, options.json)


if __name__ == "__main__":
    main()
