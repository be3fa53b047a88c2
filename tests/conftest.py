"""What every test must leave as it found it: no thread and no asyncio task of its own may remain.
And the order of the files: those that take long come first.

A task that is still running when its event loop ends would be cancelled by `asyncio.run` without a
word, and a thread would go on into the next test: both are told here, by name.
"""

import asyncio
import os
import sys
import threading
import time
from asyncio import runners
from collections.abc import Iterator
from pathlib import Path

import pytest

# Hundreds of our programs are started: each would compile all that it imports anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

LIVES_ON: dict[str, str] = {
    "asyncio-waitpid": "watches a child process of an event loop and ends with the child",
    "AnyIO worker thread": "Starlette's pool for files; lives as long as the server's event loop",
    "pda_": "the agent's pool for uploads; one may begin in a test of an agent that lives on",
}
"""Beginnings of names of threads that outlive a test, and why."""

PATIENCE = 5.0
"""Seconds that a thread which was told to end may take."""

LONG = (
    *("e2e/test_demo.py", "e2e/test_story.py", "e2e/test_coming_down.py", "sync/test_uplink.py"),
    *("web/test_panel.py", "web/test_pda.py", "e2e/test_simulate.py", "faults/test_chaos.py"),
    *("core/test_mutants.py", "e2e/test_shift_mutants.py", "faults/test_kill.py"),
    *("e2e/test_demo_kills.py", "web/test_warehouse_page.py", "web/test_pda_api.py"),
    *("faults/test_disk.py", "faults/test_power_cut.py", "drivers/test_contract_printer.py"),
    *("e2e/test_commands.py", "line/test_bad_pictures.py", "web/test_pda_look.py"),
    *("web/test_look.py", "e2e/test_prove.py", "e2e/test_uplink.py", "core/test_machine.py"),
    *("services/test_warehouse_machine.py", "faults/test_clock.py", "e2e/test_cloud_audit.py"),
)
"""Files of 15 s and more, the longest first. A file is one process's affair: one that begins last
would be waited for while the other processes have nothing left to do. The first four mostly wait:
what they hold a line to is not disturbed."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the long files first; within a file nothing changes."""
    here = Path(__file__).parent
    order = {here / name: n for n, name in enumerate(LONG)}
    items.sort(key=lambda item: order.get(item.path, len(order)))


def _new_threads(before: set[threading.Thread]) -> list[str]:
    return [
        thread.name
        for thread in threading.enumerate()
        if thread not in before
        and thread.is_alive()
        and not thread.name.startswith(tuple(LIVES_ON))
    ]


@pytest.fixture(autouse=True)
def no_leak(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Fail the test that leaves a thread or a task behind."""
    before = set(threading.enumerate())
    left: list[str] = []
    cancel = runners._cancel_all_tasks  # type: ignore[attr-defined]

    def told(loop: asyncio.AbstractEventLoop) -> None:
        left.extend(repr(task.get_coro()) for task in asyncio.all_tasks(loop))
        cancel(loop)

    monkeypatch.setattr(runners, "_cancel_all_tasks", told)
    yield
    end = time.monotonic() + PATIENCE
    while _new_threads(before) and time.monotonic() < end:
        time.sleep(0.01)
    threads = _new_threads(before)
    assert not left, f"tasks were still running when their event loop ended: {left}"
    assert not threads, f"threads are still running: {threads}"
