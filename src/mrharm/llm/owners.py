"""Who holds a claim on a question, and whether that process still lives."""

from __future__ import annotations

import contextlib
import os
import socket
import uuid
from functools import cache
from pathlib import Path

_held: set[str] = set()  # the claims this process has not let go of


def new_owner() -> str:
    """A name for one claim of this process: machine, process id, when the process started, and a number of its own."""
    owner = f"{_machine()}|{os.getpid()}|{_started(os.getpid()) or ''}|{uuid.uuid4().hex}"
    _held.add(owner)
    return owner


def let_go(owner: str) -> None:
    """Nobody in this process works on the claim any more."""
    _held.discard(owner)


def lives(owner: str) -> bool | None:
    """Whether the process that made the claim lives and works on it; None where that cannot be seen.

    Another host's or user's processes cannot be. A process id that was given to another process since is told by the
    time it started.
    """
    machine, _, rest = owner.partition("|")
    pid, _, rest = rest.partition("|")
    started = rest.partition("|")[0]
    if machine != _machine() or os.name == "nt":  # on Windows, asking whether a process lives would end it
        return None
    if not pid.isdigit():
        return False
    if int(pid) == os.getpid():
        return owner in _held
    try:
        os.kill(int(pid), 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return None  # another user's; whether it is still the same process may be hidden
    now = _started(int(pid))
    return now != "" and (now is None or not started or now == started)


@cache
def _machine() -> str:
    """The host, and the process-id namespace: two containers of one host know different processes."""
    namespace = ""
    with contextlib.suppress(OSError):
        namespace = str(Path("/proc/self/ns/pid").readlink())
    return f"{socket.gethostname()}{namespace}".replace("|", "-")


def _started(pid: int) -> str | None:
    """When a process started, in the kernel's ticks; "" for one that is dead (a zombie too), None where unknown."""
    if not Path("/proc/self/stat").exists():
        return None
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    fields = stat.rpartition(")")[2].split()  # the name before it may hold anything
    return "" if fields[0] in "ZX" else fields[19]
