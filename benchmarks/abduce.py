"""How fast memes are explained: a thousand memes through prompt, stub server, ledger, gate and file.

    python -m benchmarks.abduce [--memes 1000] [--concurrency 32] [--json]

The server is a process of its own and answers at once. The bound promised: 1,000 calls at concurrency 32 in under 10 s
on 2 cores. `python -m benchmarks.hosted` measures the client alone.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from time import monotonic

from benchmarks.common import machine, show, stub_server
from mrharm.llm import HostedClient
from mrharm.memes.dataset import Dataset, DatasetInfo
from mrharm.rationales.abduce import Abduced, abduce
from mrharm.rationales.prompting import QuestionBuilder
from mrharm.rationales.teachers.openai import HostedTeacher
from mrharm.records import Evidence, Label, Meme
from mrharm.store import write_json, write_records

MODEL = "gpt-4o-mini"
ANSWER = (
    "The picture shows a skunk, known for its smell. The words liken you to it, so together they mock you."
)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--memes", type=int, default=1000)
    parser.add_argument("--concurrency", type=int, default=32)
    parser.add_argument("--json", action="store_true", help="one JSON object")
    options = parser.parse_args()
    names = [f"m{number}" for number in range(options.memes)]
    memes = [
        Meme(id=name, text=f"you smell like skunk {name}", label=Label(harmful=True, severity="very"))
        for name in names
    ]
    evidence = [Evidence(meme_id=name, caption=f"a skunk in a garden, number {name}") for name in names]
    rows = []
    with stub_server(ANSWER) as url, tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        info = DatasetInfo(
            name="made-up",
            kind="benchmark",
            source="made up",
            licence="CC0",
            label_scheme="harmful",
            splits={},
        )
        write_json(root / "dataset.json", info.model_dump())
        write_records(root / "evidence.jsonl", evidence)
        with HostedClient(ledger=root / "ledger.sqlite", base_url=url, budget=100.0) as client:
            teacher = HostedTeacher(MODEL, client=client, concurrency=options.concurrency)
            builder = QuestionBuilder("abductive.v1", "caption", root)

            def run(way: str) -> None:
                start = monotonic()
                done: Abduced = abduce(Dataset(root), memes, teacher, builder)
                assert done.statuses.total() + done.kept == options.memes and not done.failures
                seconds = monotonic() - start
                rows.append(
                    {
                        "way": way,
                        "seconds": round(seconds, 2),
                        "memes/s": round(options.memes / seconds),
                        "ok": done.statuses["ok"],
                        "kept": done.kept,
                    }
                )

            path = root / "rationales.jsonl"
            run("asked")
            run("again: all written")
            path.unlink()
            run("file lost: all from the ledger")
    result = {
        "machine": machine("cpu"),
        "memes": options.memes,
        "concurrency": options.concurrency,
        "rows": rows,
    }
    title = f"{options.memes:,} memes at concurrency {options.concurrency}: {rows[0]['seconds']} s"
    show(title, rows, result, options.json)


if __name__ == "__main__":
    main()
