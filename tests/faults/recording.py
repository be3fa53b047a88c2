"""What an agent did to its disk and told the world, in order: the unmodified process under strace
while the demonstration line runs, from the first start on an empty folder.

Its effects are its acknowledgements: a verdict in a PLC's slot, a code in the bytes to a printer,
the answer to an import. What must be durable by then is looked up in the journal of the whole run.
"""

import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from agent import config as site_config
from agent.app import Files
from agent.core import facts as f
from agent.core.plan import LinePlan
from agent.demo.run import Child, Demo, DemoOptions, Mortal, _good
from agent.store import journal, pools
from agent.store.database import Connection, open_reader
from drivers.plc import ring
from drivers.plc.register_map import RegisterMap

SYSCALLS = (
    "openat,write,pwrite64,pwritev,ftruncate,fsync,fdatasync,unlink,unlinkat,rename,renameat,"
    "renameat2,fallocate,sendto,sendmsg"
)
IGNORED = ("-shm", ".lock")
"""Endings of files that hold nothing after a power cut: SQLite makes them anew."""
PASS = 1


class Done(NamedTuple):
    """One call: what was done to which file, or to the world (`told`). `began` says that it has
    not returned yet, `over` that it has: most calls are both at once."""

    call: str
    path: str
    data: bytes
    number: int
    flags: str
    thread: str
    began: bool = True
    over: bool = True


@dataclass
class Recording:
    """`folder` holds the files as they were in the end, `calls` what led to it."""

    folder: Path
    calls: list[Done]
    line: LinePlan
    files: Files


class _Traced(Demo):
    """The demonstration with its agent under strace, its pools imported by the running agent."""

    def __init__(self, options: DemoOptions, agent: Path | None, inject: str) -> None:
        super().__init__(options, lambda text: None)
        self._source = agent
        self._inject = ["-e", f"inject={inject}"] if inject else []
        self._gaps = bool(inject)

    def _import_pools(self, config: Path) -> None:
        """Not before the agent runs."""

    def _child(self, command: list[str], folder: Path, name: str, core: int) -> Child:
        if name != "agent":
            return super()._child(command, folder, name, core)
        log = folder / "strace.log"
        if self._source is not None:  # and not what is in the present directory
            command = ["env", f"PYTHONPATH={self._source}", command[0], "-P", *command[1:]]
        strace = ["strace", "-D", "-f", "-y", "-xx", "-s", "200000", "--seccomp-bpf", "-qq"]
        traced = [*strace, "-e", f"trace={SYSCALLS}", *self._inject, "-o", str(log), *command]
        # -D: the process that we start and end is the agent itself.
        return Child(traced, folder / "agent.log", None)

    def _play(self, config: Path, agent: Mortal, plant: Child) -> None:
        with self._client(config, agent) as client:
            for plan in self._scene.pools:
                one = plan.declared
                body = {
                    "path": str(self._pools[one.name]),
                    "name": one.name,
                    "level": one.level,
                    "roles": list(one.roles),
                    "secret": list(one.secret),
                    "product": one.product,
                    "preprinted": one.preprinted,
                }
                _good(client.post("/api/local/pools", json=body))
        super()._play(config, agent, plant)


def record(
    folder: Path, bottles: int, *, seed: int = 1, agent: Path | None = None, inject: str = ""
) -> Recording:
    """Run the demonstration into an empty folder. `agent`: a source tree to run instead of ours;
    `inject`: calls that fail, in strace's words."""
    options = DemoOptions(
        bottles=bottles, speed=60_000, seed=seed, web=False, keep=folder, pack="multiread"
    )
    result = _Traced(options, agent, inject).run()
    assert not result.unexplained, result.notes
    config = folder / "site.toml"
    site = site_config.load(config)
    files = Files(site, config)
    calls = list(parse(folder / "strace.log", files.data))
    return Recording(folder, calls, site.lines[0].plan(), files)


def mutant(where: Path, old: str, new: str) -> Path:
    """A copy of our source in which the store opens its file otherwise."""
    root = Path(__file__).resolve().parents[2]
    for room in ("agent", "drivers", "config"):
        shutil.copytree(root / room, where / room, ignore=shutil.ignore_patterns("__pycache__"))
    file = where / "agent" / "store" / "database.py"
    text = file.read_text("utf-8")
    assert text.count(old) == 1, f"{old} is not in {file.name}"
    file.write_text(text.replace(old, new), "utf-8")
    return where


# ------------------------------------------------------------------------------- strace's words

_LINE = re.compile(r"(\d+) +(\w+)\((.*)")
_RESUMED = re.compile(r"(\d+) +<\.\.\. (\w+) resumed>")
_TEXT = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')
_FD = re.compile(r"(?:\d+|AT_FDCWD)<((?:\\x[0-9a-f]{2})*|[^>]*)>")


def _plain(text: str) -> bytes:
    return bytes.fromhex(text.replace("\\x", ""))


def _path(text: str) -> str:
    found = _plain(text).decode() if text.startswith("\\x") else text
    return found.removesuffix(" (deleted)")


def parse(log: Path, data: Path) -> Iterator[Done]:
    """The calls that concern files directly below `data`, and what was sent to sockets."""
    unfinished: dict[str, Done] = {}
    with log.open(encoding="ascii", errors="replace") as lines:
        for line in lines:
            if resumed := _RESUMED.match(line):
                waited = unfinished.pop(resumed[1], None)
                if waited is not None and " = -1 " not in line:
                    yield waited._replace(began=False, over=True)
                continue
            match = _LINE.match(line)
            if match is None or (" = -1 " in line and "unfinished" not in line):
                continue
            done = _call(match[1], match[2], match[3], str(data))
            if done is None:
                continue
            if line.rstrip().endswith("<unfinished ...>"):
                unfinished[match[1]] = done
                yield done._replace(over=False)
            else:
                yield done


def _call(thread: str, call: str, rest: str, data: str) -> Done | None:
    texts = [_plain(text) for text in _TEXT.findall(rest)]
    fds = [_path(path) for path in _FD.findall(rest)]
    if call in ("sendto", "sendmsg"):
        return Done("told", "", b"".join(texts), 0, "", thread)
    if call in ("openat", "unlink", "unlinkat", "rename", "renameat", "renameat2"):
        paths = [text.decode() for text in texts]
    else:
        paths = fds[:1]
    if not paths or not paths[0].startswith(data):
        return None
    inside = [str(Path(path).relative_to(data)) for path in paths]
    if inside[0].endswith(IGNORED) or "/" in inside[0]:
        return None
    body = texts[0] if texts and call in ("write", "pwrite64") else b""
    numbers = re.findall(r", (\d+)", rest[rest.rfind('"') + 1 :].split(" = ")[0].split(")")[0])
    number = int(numbers[-1]) if numbers else 0
    flags = rest.split(" = ")[0] if call == "openat" else ""
    if call.startswith("rename"):
        return Done("rename", inside[0], inside[1].encode(), 0, "", thread)
    if call.startswith("unlink"):
        call = "unlink"
    return Done(call, inside[0], body, number, flags, thread)


# ------------------------------------------------------------------------------- what was told


class Promises:
    """Which journal row must be durable when something was told."""

    def __init__(self, run: Recording) -> None:
        self._line = run.line
        conn = open_reader(run.files.database, run.files.key)
        try:
            self.hashes: dict[int, bytes] = {row.seq: row.hash for row in journal.rows(conn)}
            self._verdicts: dict[tuple[int, int], int] = {}
            self._texts: dict[bytes, int] = {}
            self._pools: dict[str, int] = {}
            self._read(conn)
        finally:
            conn.close()
        registers = RegisterMap().output
        self._first = registers.base + registers.slots
        self._count = registers.stations * ring.SLOTS_PER_STATION

    def _read(self, conn: Connection) -> None:
        numbers: dict[int, int] = {}
        packers: dict[int, str] = {}
        for entry in journal.read(conn):
            match entry.fact:
                case f.PoolImported(name=name):
                    self._pools[name] = entry.seq
                case f.CodesMoved(to="sending") as moved:
                    for text in pools.texts(
                        conn, moved.pool, moved.column, moved.first, moved.count
                    ):
                        self._texts[text.encode()] = entry.seq
                case (
                    f.ItemPassed(station=station, item=item)
                    | f.ItemRejected(station=station, item=item)
                ):
                    self._verdict(station, item, entry.seq)
                case f.ContainerFormed(unit=unit, number=number, station=station):
                    numbers[unit], packers[unit] = number, station
                case f.Packed(container=unit):
                    self._verdict(packers[unit], numbers[unit], entry.seq)
                case f.ContainerClosed(container=unit):
                    label = self._line.label_station(packers[unit])
                    assert label is not None
                    self._verdict(label.id, numbers[unit], entry.seq)
                case f.ContainerRejected(container=unit, station=station):
                    self._verdict(station, numbers[unit], entry.seq)
                case f.ContainerRefused(station=station, number=number):
                    self._verdict(station, number, entry.seq)

    def _verdict(self, station: str, number: int, seq: int) -> None:
        self._verdicts.setdefault((self._line.by_id[station].index, number & 0xFFF), seq)

    def needs(self, data: bytes) -> tuple[int, int]:
        """The last journal row that these bytes promise (0: none), and how many promises they
        are."""
        found = [*self._slots(data), *self._codes(data), *self._imports(data)]
        return max(found, default=0), len(found)

    def _slots(self, data: bytes) -> Iterator[int]:
        # Modbus TCP: transaction, protocol 0, length, unit, function 16, address, count, bytes.
        if len(data) < 15 or data[2:4] != b"\0\0" or data[7] != 16:
            return
        address, count = (int.from_bytes(data[n : n + 2], "big") for n in (8, 10))
        for n in range(count):
            place = address + n - self._first
            if not 0 <= place < self._count:
                continue
            word = int.from_bytes(data[13 + 2 * n : 15 + 2 * n], "big")
            verdict, number = word >> 12, word & 0xFFF
            if verdict:
                yield self._verdicts[place // ring.SLOTS_PER_STATION, number]

    def _codes(self, data: bytes) -> Iterator[int]:
        if data[:5] == b"HTTP/" or data[:1] == b"{":
            return
        for text in re.findall(rb"https://q\.example\.cn/[A-Z0-9]{16}|00\d{18}", data):
            yield self._texts[text]

    def _imports(self, data: bytes) -> Iterator[int]:
        # The body of an HTTP answer. What is pushed to a panel may hold the same words.
        body = data.rpartition(b"\r\n\r\n")[2]
        if body.startswith(b'{"name":'):
            answer: dict[str, Any] = json.loads(body)
            yield self._pools[answer["name"]]
