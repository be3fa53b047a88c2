"""The agent with a wall clock that a test sets while it runs: the command line as it is, with the
clock's port (agent/now.py) on this machine's clock plus as many seconds as a file says.

    python -m tests.faults.set_clock FILE run --config site.toml
"""

import sys
import time
from pathlib import Path

from agent import now
from agent.cli import main


class SetClock(now.RealTime):
    """`file` holds the offset in seconds; it is replaced, never rewritten."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._seen = -1
        self._offset = 0

    def wall_ns(self) -> int:
        seen = self._file.stat().st_ino
        if seen != self._seen:
            self._seen, self._offset = seen, int(self._file.read_text("ascii"))
        return time.time_ns() + self._offset * 10**9


if __name__ == "__main__":
    now.follow(SetClock(Path(sys.argv.pop(1))))
    main()
