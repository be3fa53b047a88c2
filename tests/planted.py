"""Taking one defence out of a copy of the packages, for tests that must notice."""

from pathlib import Path
from typing import Protocol


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
