"""What the benchmarks share: a paper-size student with random weights, texts of realistic lengths, tables, fairness."""

from __future__ import annotations

import contextlib
import json
import platform
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from mrharm.hub import bf16_pays
from mrharm.recipe import PictureRecipe, StudentRecipe
from mrharm.student.backbones import build_student
from mrharm.student.interface import StudentInput
from mrharm.student.model import MrHarmForConditionalGeneration
from mrharm.student.processor import MrHarmProcessor

T = TypeVar("T")

# Token lengths of Harm-C's texts: words and punctuation marks are log-normal with mean 2.82 and spread 0.70 of the
# logarithm (all 3,544 memes of HarMeme V1); T5's pieces are about 1.3 a word. Cut at the paper's 40 tokens.
MEAN_LOG, SPREAD_LOG, LONGEST = 2.82 + np.log(1.3), 0.70, 40
WORDS = [
    f"{first}{second}"
    for first in "bdfghjklmnprst"
    for second in ("an", "el", "ir", "op", "um", "ask", "ent")
]
# Eight tokens each, end included: what the official code generates for a verdict.
LABELS = ["The answer is : ban ban harmful", "The answer is : ban ban harmless"]


def paper_student(device: str = "cpu") -> tuple[MrHarmForConditionalGeneration, MrHarmProcessor]:
    """Flan-T5-base + CLIP B/32 with a fusion after every block, random but seeded, fp32, in evaluation mode."""
    torch.manual_seed(0)
    # Every word twice, so that each becomes one token of its own.
    texts = [" ".join(WORDS), *LABELS] * 40
    model, processor = build_student(StudentRecipe(), PictureRecipe(), texts, random_weights=True)
    return model.eval().to(device), processor


def draw_lengths(count: int, seed: int = 0) -> list[int]:
    """Token lengths, end token included, drawn from Harm-C's distribution."""
    rng = np.random.default_rng(seed)
    return np.clip(np.round(rng.lognormal(MEAN_LOG, SPREAD_LOG, count)), 3, LONGEST).astype(int).tolist()


def draw_text(length: int, rng: np.random.Generator) -> str:
    """A text of exactly ``length`` tokens, end token included."""
    return " ".join(rng.choice(WORDS, length - 1))


def draw_inputs(count: int, side: int = 224, seed: int = 0) -> list[StudentInput]:
    """Memes of random words and decoded, fitted random pictures."""
    rng = np.random.default_rng(seed)
    return [
        StudentInput(draw_text(length, rng), rng.integers(0, 255, (side, side, 3), dtype=np.uint8))
        for length in draw_lengths(count, seed)
    ]


def run_in_process(function: Callable[..., T], *arguments: Any) -> T:
    """Run in a process of its own, so that its peak memory is its own."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def reset_peak_memory(device: str) -> None:
    """Begin counting the peak anew, so that building the student does not hide what using it takes (Linux, CUDA)."""
    if device.startswith("cuda"):
        torch.cuda.reset_peak_memory_stats()
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def peak_memory_mb(device: str) -> int:
    """Peak memory of this process (or of the device) since the last reset, in MB."""
    if device.startswith("cuda"):
        return round(torch.cuda.max_memory_allocated() / 1e6)
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return round(int(line.split()[1]) * 1024 / 1e6)
    unit = 1 if sys.platform == "darwin" else 1024
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6)


def machine(device: str) -> dict[str, Any]:
    """What the figures were measured on."""
    name = (
        torch.cuda.get_device_name()
        if device.startswith("cuda")
        else platform.processor() or platform.machine()
    )
    return {
        "device": device,
        "name": name,
        "threads": torch.get_num_threads(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "bf16_in_hardware": bf16_pays(torch.device(device)),
        "torch": torch.__version__,
    }


def show(title: str, rows: Sequence[dict[str, Any]], result: dict[str, Any], as_json: bool) -> None:
    """Print a table, or the one JSON object."""
    if as_json:
        print(json.dumps(result))
        return
    console = Console(highlight=False)
    table = Table(title=title, title_justify="left")
    for column in rows[0]:
        table.add_column(column, justify="left" if column == "way" else "right")
    for row in rows:
        table.add_row(*(str(value) for value in row.values()))
    console.print(table)
    console.print(f"{result['machine']}", soft_wrap=True)


@contextlib.contextmanager
def stub_server(*answer: str) -> Iterator[str]:
    """A stub of a hosted model in a process of its own, which answers at once: its URL."""
    server = subprocess.Popen(
        [sys.executable, "-m", "tests.stub_server", *answer],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert server.stdin and server.stdout
    try:
        yield server.stdout.readline().strip()
    finally:
        server.stdin.close()
        server.wait()
