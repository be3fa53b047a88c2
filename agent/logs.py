"""How the log is written: for a person to read, or for systemd's journal, with its priority.

Without the priority `journalctl -p warning` would show nothing of ours: systemd takes each line of
a service as information unless it begins with "<N>", N as in syslog(3) (sd-daemon(3)).
"""

import logging
import os
import sys
from typing import Final

LINE: Final = "%(levelname)s %(name)s: %(message)s"
_PRIORITIES: Final = (
    (logging.CRITICAL, 2),
    (logging.ERROR, 3),
    (logging.WARNING, 4),
    (logging.INFO, 6),
    (logging.DEBUG, 7),
)


def begin(verbose: bool) -> None:
    """Log to stderr from now on; `verbose`: everything."""
    handler = logging.StreamHandler()
    handler.setFormatter(
        _ForJournal(LINE) if to_journal() else logging.Formatter(f"%(asctime)s {LINE}")
    )
    logging.basicConfig(level=logging.DEBUG if verbose else logging.INFO, handlers=[handler])


def to_journal() -> bool:
    """Whether stderr goes to systemd's journal: it says there which file that is."""
    try:
        there = os.fstat(sys.stderr.fileno())
    except (AttributeError, OSError, ValueError):
        return False  # closed, or none at all
    return os.environ.get("JOURNAL_STREAM") == f"{there.st_dev}:{there.st_ino}"


def as_error(text: str) -> str:
    """The text as one error: for the journal where stderr goes there, else as it is."""
    return _each_line(3, text) if to_journal() else text


class _ForJournal(logging.Formatter):
    """The journal knows the time by itself."""

    def format(self, record: logging.LogRecord) -> str:
        priority = next((p for level, p in _PRIORITIES if record.levelno >= level), 7)
        return _each_line(priority, super().format(record))


def _each_line(priority: int, text: str) -> str:
    return "\n".join(f"<{priority}>{line}" for line in text.splitlines())
