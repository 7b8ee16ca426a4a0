"""Client processes that can be killed: a warm process forks one for each batch, so that a kill costs milliseconds.

As a module it is that warm process: `python -m tests.llm.zygote`, batches as JSON lines on standard input.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


class Zygote:
    """Starts client processes; each says so when it is done."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.llm.zygote"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        self._news = threading.Condition()
        self._started: list[int] = []
        self.ended: dict[int, dict[str, Any]] = {}
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def start(self, url: str, texts: Sequence[str], **options: Any) -> int:
        """A process that asks ``texts``; its id."""
        assert self._process.stdin
        count = len(self._started)
        self._process.stdin.write(json.dumps({"url": url, "texts": list(texts), **options}) + "\n")
        self._process.stdin.flush()
        with self._news:
            assert self._news.wait_for(lambda: len(self._started) > count, 60)
            return self._started[-1]

    def wait(self) -> list[dict[str, Any]]:
        """Wait for every process started and not killed; what they say."""
        with self._news:
            assert self._news.wait_for(lambda: len(self.ended) == len(self._started), 120)
            return list(self.ended.values())

    def kill(self, pid: int) -> None:
        """SIGKILL, and wait until the process is gone."""
        os.kill(pid, signal.SIGKILL)
        while True:
            try:
                os.kill(pid, 0)
            except ProcessLookupError:
                break
            time.sleep(0.001)
        with self._news:
            self.ended.setdefault(pid, {})

    def close(self) -> None:
        assert self._process.stdin and self._process.stdout
        self._process.stdin.close()
        self._process.wait(60)
        self._reader.join(60)
        self._process.stdout.close()

    def _read(self) -> None:
        assert self._process.stdout
        for line in self._process.stdout:
            news = json.loads(line)
            with self._news:
                if "started" in news:
                    self._started.append(news["started"])
                else:
                    self.ended[news["pid"]] = news
                self._news.notify_all()


def dead_owner() -> str:
    """The name of a claim whose process is no more."""
    from mrharm.llm.owners import new_owner

    machine, _, rest = new_owner().partition("|")
    return f"{machine}|{2**30}|{rest.partition('|')[2]}"


DEAD = dead_owner()


def main() -> None:
    import openai  # noqa: F401 - what a fork inherits need not be imported again

    from mrharm.llm import CallError, HostedClient, Ledger
    from tests.llm.conftest import question

    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # who dies is gone at once
    inherited = Ledger()
    inherited.row("")  # opened before the fork
    for line in sys.stdin:
        batch = json.loads(line)
        pid = os.fork()
        if pid:
            _say({"started": pid})
            continue
        with HostedClient(
            ledger=inherited,
            base_url=batch["url"],
            budget=batch.get("budget"),
            run=batch.get("run"),
            pause=lambda seconds: None,
        ) as client:
            asked = [question(text) for text in batch["texts"]]
            if batch.get("in_batch"):
                answers = client.complete_batch(asked, poll=0.002)
            else:
                answers = client.complete_many(asked, batch.get("concurrency", 4))
            results = [result for _, result in answers]
        failed = sum(isinstance(result, CallError) for result in results)
        _say({"pid": os.getpid(), "answered": len(results) - failed, "failed": failed})
        os._exit(0)


def _say(news: dict[str, Any]) -> None:
    os.write(1, (json.dumps(news) + "\n").encode())  # one write: lines of several processes do not mix


if __name__ == "__main__":
    main()
