"""The agent's command with a clock on its loop: how long single turns take, and of what.

    turns.py run --config SITE

A turn is one callback or one step of a task. Each SIGUSR1 makes it say on stdout, as a line of JSON
under `turns`, for each kind of turn since the last one: how many, and mean, most (ms of the
thread's own processor time, which other programs do not lengthen) and most by the wall clock.
"""

import asyncio
import json
import signal
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from agent.cli.entry import main

_times: dict[str, list[float]] = {}
_run = asyncio.Handle._run


def _name(callback: Any) -> str:
    """What a turn is of."""
    owner = getattr(callback, "__self__", None)
    if isinstance(owner, asyncio.Task):
        return str(getattr(owner.get_coro(), "__qualname__", owner.get_name()))
    return str(getattr(callback, "__qualname__", type(callback).__name__))


def _timed(handle: Any) -> None:
    name = _name(handle._callback)
    wall, own = time.perf_counter(), time.thread_time()
    _run(handle)
    own, wall = 1000 * (time.thread_time() - own), 1000 * (time.perf_counter() - wall)
    row = _times.setdefault(name, [0.0, 0.0, 0.0, 0.0])
    row[:] = row[0] + 1, row[1] + own, max(row[2], own), max(row[3], wall)


def _say(*_: object) -> None:
    rows = {
        name: {"count": count, "mean": total / count, "most": most, "most_wall": wall}
        for name, (count, total, most, wall) in _times.items()
    }
    _times.clear()
    sys.stdout.write(json.dumps({"turns": rows}) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.Handle._run = _timed  # type: ignore[method-assign, assignment]
    signal.signal(signal.SIGUSR1, _say)
    main()
