"""The leak check itself: a test that leaves a task or a thread behind fails, and is told which. And
the order of the files."""

import os
import subprocess
import sys
from pathlib import Path

from tests.conftest import LONG

LEAKS = """
import asyncio, threading, time

def test_clean():
    async def main():
        await asyncio.create_task(asyncio.sleep(0))
    asyncio.run(main())

def test_task():
    async def forgotten():
        await asyncio.sleep(60)
    async def main():
        main.task = asyncio.create_task(forgotten())
        await asyncio.sleep(0)
    asyncio.run(main())

def test_thread():
    threading.Thread(target=time.sleep, args=(1.0,), name="forgotten", daemon=True).start()
"""


def test_a_leak_fails_the_test_that_made_it(tmp_path: Path) -> None:
    check = (Path(__file__).parent / "conftest.py").read_text()
    (tmp_path / "conftest.py").write_text(check.replace("PATIENCE = 5.0", "PATIENCE = 0.05"))
    (tmp_path / "test_leaks.py").write_text(LEAKS)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)]
    env = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    done = subprocess.run(
        command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60
    )

    assert "3 passed, 2 errors" in done.stdout, done.stdout
    assert "tasks were still running when their event loop ended" in done.stdout
    assert "test_task.<locals>.forgotten" in done.stdout
    assert "threads are still running: ['forgotten']" in done.stdout


def test_the_long_files_come_first() -> None:
    tests = Path(__file__).parent
    assert [name for name in LONG if not (tests / name).exists()] == []
    asked = [str(tests / "core" / "test_plan.py"), str(tests / LONG[1]), str(tests / LONG[0])]
    command = [sys.executable, "-m", "pytest", "-q", "--collect-only", *asked]
    done = subprocess.run(
        command, cwd=tests.parent, capture_output=True, text=True, timeout=60, check=True
    )
    files = [line.split("::")[0] for line in done.stdout.splitlines() if "::" in line]
    assert list(dict.fromkeys(files)) == [f"tests/{LONG[0]}", f"tests/{LONG[1]}", files[-1]]
    assert files[-1] == "tests/core/test_plan.py"
