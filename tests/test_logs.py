"""In systemd's journal each line of the log has its priority; a person's terminal has none."""

import os
import socket
import subprocess
import sys
from pathlib import Path

PROGRAM = """
import logging, sys
from agent import logs
logs.begin(verbose=False)
log = logging.getLogger("here")
log.debug("no")
log.info("lost\\nand found")
log.warning("stuck")
log.error("gone")
log.critical("over")
print(logs.as_error("what\\nto do"), file=sys.stderr)
"""


def said(program: str, status: int = 0, **more: str) -> list[str]:
    """What the program writes into a socket that is its stderr, as systemd starts a service."""
    ours, its = socket.socketpair()
    with ours, its:
        there = os.fstat(its.fileno())
        given = {name: text.format(f"{there.st_dev}:{there.st_ino}") for name, text in more.items()}
        done = subprocess.run(
            [sys.executable, "-c", program],
            stderr=its,
            env={**os.environ, **given},
            cwd=Path(__file__).resolve().parents[1],
            timeout=60,
            check=False,
        )
        assert done.returncode == status
        its.close()
        with ours.makefile("r") as lines:
            return lines.read().splitlines()


def test_the_journal_gets_each_line_with_its_priority() -> None:
    assert said(PROGRAM, JOURNAL_STREAM="{}") == [
        "<6>INFO here: lost",
        "<6>and found",
        "<4>WARNING here: stuck",
        "<3>ERROR here: gone",
        "<2>CRITICAL here: over",
        "<3>what",
        "<3>to do",
    ]


def test_elsewhere_the_log_has_times_and_no_priorities() -> None:
    """Also where stderr was led into a file: JOURNAL_STREAM names another one then."""
    told = said(PROGRAM, JOURNAL_STREAM="1:2")
    assert [line.partition(" INFO ")[2] for line in told[:1]] == ["here: lost"]
    assert told[0].startswith("20")
    assert told[-2:] == ["what", "to do"]
    assert not [line for line in told if "<" in line]


def test_a_mistake_that_ends_a_service_is_an_error_in_the_journal(tmp_path: Path) -> None:
    missing = tmp_path / "none.toml"
    run = f"from agent.cli import main\nmain(['run', '--config', {str(missing)!r}])"
    told = said(run, 1, JOURNAL_STREAM="{}")
    assert told
    assert all(line.startswith("<3>") for line in told), told
    assert str(missing) in told[0]
