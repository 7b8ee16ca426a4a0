"""How fast hosted models are asked: a thousand calls to a local stub server through the ledger, and without it.

    python -m benchmarks.hosted [--calls 1000] [--concurrency 32] [--json]

The server is a process of its own and answers at once, so what is measured is what asking costs here: the client, the
ledger's two commits a call, the budget. The bound promised: 1,000 calls at concurrency 32 in under 10 s on 2 cores.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import monotonic
from typing import Any

import openai

from benchmarks.common import machine, show, stub_server
from mrharm.llm import Completion, HostedClient, Request

MODEL = "gpt-4o-mini"
WORDS = "The words in the picture are of medium length, as those of memes and of their captions are. " * 4


def questions(count: int) -> list[Request]:
    """As many different questions, some hundred words each."""
    return [
        Request([{"role": "user", "content": f"{number}: {WORDS}"}], MODEL, {"max_tokens": 160})
        for number in range(count)
    ]


def ask_bare(url: str, asked: list[Request], concurrency: int) -> None:
    """The openai package in as many threads, and nothing else."""
    with openai.OpenAI(base_url=url, api_key="none") as client, ThreadPoolExecutor(concurrency) as pool:

        def one(request: Request) -> object:
            messages: Any = request.encode_messages()
            return client.chat.completions.create(model=MODEL, messages=messages, max_tokens=160)

        list(pool.map(one, asked))


def timed(function: Callable[[], object]) -> float:
    """Seconds a call takes."""
    start = monotonic()
    function()
    return monotonic() - start


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--calls", type=int, default=1000)
    parser.add_argument("--concurrency", type=int, default=32)
    parser.add_argument("--json", action="store_true", help="one JSON object")
    options = parser.parse_args()
    asked = questions(options.calls)
    with (
        stub_server() as url,
        tempfile.TemporaryDirectory() as folder,
        HostedClient(ledger=Path(folder) / "ledger.sqlite", base_url=url, budget=100.0) as client,
    ):

        def ask() -> None:
            answers = [answer for _, answer in client.complete_many(asked, options.concurrency)]
            assert all(isinstance(answer, Completion) for answer in answers)

        ask_bare(url, asked[:50], options.concurrency)  # what is loaded once counts for neither
        ways = {
            "the openai package alone": timed(lambda: ask_bare(url, asked, options.concurrency)),
            "with ledger and budget": timed(ask),
            "again: all from the ledger": timed(ask),
        }
    bare = ways["the openai package alone"]
    rows = [
        {
            "way": way,
            "seconds": round(seconds, 2),
            "calls/s": round(options.calls / seconds),
            "time ratio": round(seconds / bare, 2),
        }
        for way, seconds in ways.items()
    ]
    result = {
        "machine": machine("cpu"),
        "calls": options.calls,
        "concurrency": options.concurrency,
        "rows": rows,
    }
    title = f"{options.calls:,} stub calls at concurrency {options.concurrency}: {rows[1]['seconds']} s"
    show(title, rows, result, options.json)


if __name__ == "__main__":
    main()
