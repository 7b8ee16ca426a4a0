"""Memes a second at paper size: the official way, one at a time in fp32 by greedy generation, against ours.

Fair by construction: random weights, memes of the same draw (ours judges more of them), the vision tower in both and
picture decoding in neither, and output lengths forced equal (8 tokens for a verdict, 64 for a rationale).

    python -m benchmarks.verdicts [--device cuda] [--json]
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import numpy as np
import torch

from benchmarks.common import (
    LABELS,
    draw_inputs,
    machine,
    paper_student,
    peak_memory_mb,
    reset_peak_memory,
    run_in_process,
    show,
)
from mrharm.hub import bf16_pays
from mrharm.recipe import ANSWERS
from mrharm.student.fused_t5 import FusedT5Student
from mrharm.verdicts.scoring import batch_by_length, harm_probability, score_answers

VERDICT_TOKENS, RATIONALE_TOKENS = 8, 64


def official(kind: str, count: int, device: str) -> dict[str, Any]:
    """One meme at a time, fp32, greedy generation."""
    model, processor = paper_student(device)
    tokens = VERDICT_TOKENS if kind == "verdicts" else RATIONALE_TOKENS
    inputs = draw_inputs(count + 1)

    def one(index: int) -> None:
        arguments = {name: tensor.to(device) for name, tensor in processor([inputs[index]]).items()}
        model.generate(**arguments, min_new_tokens=tokens, max_new_tokens=tokens, do_sample=False)

    reset_peak_memory(device)
    with torch.inference_mode():
        one(0)
        seconds = timed(lambda: [one(index) for index in range(1, count + 1)], device)
    return {"memes_per_s": count / seconds, "peak_mb": peak_memory_mb(device)}


def ours(kind: str, count: int, device: str, dtype: str, batch_size: int) -> dict[str, Any]:
    """Batches of alike length; verdicts by teacher forcing over one shared encoding."""
    model, processor = paper_student(device)
    student = FusedT5Student(model, processor, device, getattr(torch, dtype))
    inputs = draw_inputs(count)
    scores = np.zeros((count, 2))
    if kind == "rationales":
        model.generation_config.min_new_tokens = RATIONALE_TOKENS

    def judge() -> None:
        nonlocal scores
        scores = score_answers(student, inputs, LABELS, batch_size)

    def explain() -> None:
        for batch in batch_by_length(student, inputs, batch_size):
            student.write([inputs[index] for index in batch], RATIONALE_TOKENS)

    assert {len(processor.tokenize_target(label)) for label in LABELS} == {VERDICT_TOKENS}
    reset_peak_memory(device)
    student.score(inputs[:2], LABELS)
    seconds = timed(judge if kind == "verdicts" else explain, device)
    found = harm_probability(scores, ANSWERS["harmful"])
    return {"memes_per_s": count / seconds, "peak_mb": peak_memory_mb(device), "scores": found.tolist()}


def timed(work: Any, device: str) -> float:
    """Seconds that ``work`` takes, the device's queue drained before and after."""
    if device.startswith("cuda"):
        torch.cuda.synchronize()
    start = time.perf_counter()
    work()
    if device.startswith("cuda"):
        torch.cuda.synchronize()
    return time.perf_counter() - start


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--memes", type=int, default=64, help="memes judged our way")
    parser.add_argument("--official-memes", type=int, default=12, help="memes judged the official way")
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--json", action="store_true", help="one JSON object")
    options = parser.parse_args()
    result: dict[str, Any] = {"machine": machine(options.device)}
    rows = []
    hardware = bf16_pays(torch.device(options.device))
    for kind in ("verdicts", "rationales"):
        base = run_in_process(official, kind, options.official_memes, options.device)
        ways = {"official: one at a time, fp32, greedy": base}
        # Emulated bfloat16 is many times slower and its speed says nothing; its scores still do.
        dtypes = ("float32", "bfloat16") if kind == "verdicts" or hardware else ("float32",)
        for dtype in dtypes:
            name = f"ours: batches of {options.batch_size}, {dtype}"
            ways[name] = run_in_process(ours, kind, options.memes, options.device, dtype, options.batch_size)
        if kind == "verdicts":
            fp32, bf16 = (np.array(way["scores"]) for name, way in ways.items() if "scores" in way)
            gap = np.abs(fp32 - bf16)
            result["bf16_score_difference"] = {"mean": float(gap.mean()), "max": float(gap.max())}
        for name, way in ways.items():
            way.pop("scores", None)
            way["ratio"] = way["memes_per_s"] / base["memes_per_s"]
            rows.append(
                {
                    "": kind,
                    "way": name,
                    "memes/s": f"{way['memes_per_s']:.2f}",
                    "times official": f"{way['ratio']:.2f}",
                    "peak MB": way["peak_mb"],
                }
            )
        result[kind] = ways
    show("memes a second at paper size, random weights", rows, result, options.json)
    if not options.json:
        gap = result["bf16_score_difference"]
        print(f"P(harmful), bf16 against fp32: mean difference {gap['mean']:.4f}, at most {gap['max']:.4f}")
        if not hardware:
            print(
                "no bfloat16 multiplication here: bf16 is emulated, its speed means nothing, rationales left out"
            )


if __name__ == "__main__":
    main()
