"""A disk that loses its power: what a file system may hold after any prefix of writes and syncs.

What was synced is there. Of the rest the file system may have kept nothing, everything, any part,
or half a sector's worth of the last write. A name that was made, renamed or removed and whose
directory was not synced may be as it was before (strict POSIX), or be there in the order in which
it was done, with what its file's own sync forced out (ext4).
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

SECTOR = 512
KEPT = ("none", "all", "some", "later half", "torn")
"""Which of the writes that were not synced are on the disk."""


class Write(NamedTuple):
    """`data` at `offset`; None: the file is cut (or grown) to `offset`."""

    offset: int
    data: bytes | None


class Name(NamedTuple):
    """A name now means this file (None: it is gone), and no other name, `gone`, does any more."""

    name: str
    file: int | None
    gone: str = ""


@dataclass
class Disk:
    """Files by number, and the names that lead to them. `durable` and `names` are what a power cut
    leaves for sure."""

    durable: dict[int, bytearray] = field(default_factory=dict)
    names: dict[str, int] = field(default_factory=dict)
    now: dict[str, int] = field(default_factory=dict)
    pending: dict[int, list[Write]] = field(default_factory=dict)
    renamed: list[Name] = field(default_factory=list)

    def create(self, name: str) -> None:
        """The name leads to a new, empty file."""
        number = len(self.durable)
        self.durable[number] = bytearray()
        self.pending[number] = []
        self._name(Name(name, number))

    def remove(self, name: str) -> None:
        self._name(Name(name, None))

    def rename(self, old: str, new: str) -> None:
        self._name(Name(new, self.now[old], old))

    def _name(self, change: Name) -> None:
        self.renamed.append(change)
        _apply_name(self.now, change)

    def write(self, name: str, write: Write) -> None:
        self.pending[self.now[name]].append(write)

    def waiting(self, name: str) -> int:
        """How many writes a sync of this file that begins now promises to keep."""
        return len(self.pending[self.now[name]])

    def sync(self, name: str, writes: int) -> None:
        """The first `writes` that wait are durable."""
        file = self.now[name]
        for write in self.pending[file][:writes]:
            apply(self.durable[file], write)
        del self.pending[file][:writes]

    def sync_names(self) -> None:
        """The directory was synced."""
        for change in self.renamed:
            _apply_name(self.names, change)
        self.renamed.clear()

    # ------------------------------------------------------------------------- after the cut

    def image(self, dice: random.Random) -> tuple[str, dict[str, bytes]]:
        """One way in which the disk may be found, and what it is called."""
        kept = dice.choice(KEPT)
        strict = dice.random() < 0.5
        names = dict(self.names)
        forced = {file for file in self.durable if self.durable[file]}
        for change in self.renamed:
            sure = not strict and (change.file is None or change.file in forced)
            if sure or dice.random() < 0.5:
                _apply_name(names, change)
        files = {name: bytes(self._content(file, kept, dice)) for name, file in names.items()}
        return f"{kept}, {'strict' if strict else 'ordered'} names", files

    def _content(self, file: int, kept: str, dice: random.Random) -> bytearray:
        content = bytearray(self.durable[file])
        for write in _chosen(self.pending[file], kept, dice):
            apply(content, write)
        return content


def _apply_name(names: dict[str, int], change: Name) -> None:
    if change.file is None:
        names.pop(change.name, None)
    else:
        names[change.name] = change.file
    names.pop(change.gone, None)


def _chosen(pending: list[Write], kept: str, dice: random.Random) -> Iterator[Write]:
    match kept:
        case "all":
            yield from pending
        case "some":
            yield from (write for write in pending if dice.random() < 0.5)
        case "later half":
            yield from pending[len(pending) // 2 :]
        case "torn" if pending:
            yield from pending[:-1]
            offset, data = pending[-1]
            if data is not None:
                sectors = -(-len(data) // SECTOR)
                yield Write(offset, data[: SECTOR * dice.randrange(sectors)])


def apply(content: bytearray, write: Write) -> None:
    """Carry out one write."""
    offset, data = write
    size = offset if data is None else offset + len(data)
    if len(content) < size:
        content.extend(bytes(size - len(content)))
    if data is None:
        del content[offset:]
    else:
        content[offset : offset + len(data)] = data


def lay_out(files: dict[str, bytes], where: Path) -> None:
    """Write an image into an empty folder."""
    for name, content in files.items():
        path = where / name
        path.write_bytes(content)
        path.chmod(0o600)
