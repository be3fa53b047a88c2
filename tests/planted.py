"""Taking one defence out of a copy of the packages, for tests that must notice; and running what is
left in a process of its own.

Such a process is a fork of one that has imported what others wrote, and nothing of ours: half of
the time of a mutant's short life.
"""

import multiprocessing
import os
import runpy
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from subprocess import CompletedProcess
from typing import Protocol

ROOMS = ("agent", "drivers", "sync")
FOREIGN = (
    *("asyncio", "biip", "cryptography.x509", "cv2", "fastapi", "httpx", "hypothesis.stateful"),
    *("msgspec", "numpy", "pydantic", "rich.table", "sqlcipher3", "typer", "uvicorn", "zxingcpp"),
)
"""What our programs import of others and takes long."""

_forks = multiprocessing.get_context("forkserver")
_forks.set_forkserver_preload([*FOREIGN])


class Mutant(Protocol):
    """`old` stands exactly once in `file` and is replaced by `new`; `name` says what is gone."""

    @property
    def name(self) -> str: ...
    @property
    def file(self) -> str: ...
    @property
    def old(self) -> str: ...
    @property
    def new(self) -> str: ...


def planted(mutant: Mutant, copy: Path, where: Path) -> Path:
    """A tree that differs from `copy` in the mutant's file alone; everything else is a link, what
    was compiled of it too."""
    here, there = copy, where
    for part in Path(mutant.file).parts:
        there.mkdir(parents=True, exist_ok=True)
        for entry in here.iterdir():
            if entry.name not in (part, "__pycache__"):
                (there / entry.name).symlink_to(entry)
        for entry in here.glob("__pycache__/*.pyc"):
            if not entry.name.startswith(f"{Path(part).stem}."):
                (there / "__pycache__").mkdir(exist_ok=True)
                (there / "__pycache__" / entry.name).symlink_to(entry)
        here, there = here / part, there / part
    text = here.read_text("utf-8")
    assert text.count(mutant.old) == 1, f"{mutant.name}: the snippet is not there once"
    there.write_text(text.replace(mutant.old, mutant.new), "utf-8")
    return where


def run(module: str, words: Sequence[str], *path: Path, seconds: float) -> "CompletedProcess[str]":
    """`python -m module words...` in the first of `path`, where modules are looked for in these and
    among those that are installed. AssertionError: it does not end in time."""
    with tempfile.TemporaryDirectory() as folder:
        outputs = [Path(folder) / "stdout", Path(folder) / "stderr"]
        process = _forks.Process(target=_be, args=(module, [*words], [*path], outputs))
        process.start()
        try:
            process.join(seconds)
            assert process.exitcode is not None, f"{module} did not end in {seconds:.0f} s: {words}"
        finally:
            process.kill()
            process.join()
        texts = [output.read_text("utf-8", "replace") for output in outputs]
    return CompletedProcess([module, *words], process.exitcode, *texts)


def _be(module: str, words: list[str], path: list[Path], outputs: list[Path]) -> None:
    """Become that program."""
    assert not set(ROOMS) & set(sys.modules), "a room is not that of the planted tree"
    for number, output in enumerate(outputs, 1):
        os.dup2(os.open(output, os.O_WRONLY | os.O_CREAT), number)
    os.chdir(path[0])
    sys.path[:0] = [str(each) for each in path]
    sys.argv[1:] = words
    runpy.run_module(module, run_name="__main__", alter_sys=True)
