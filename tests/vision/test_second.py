"""The second opinion reads, and what happens to its process does not happen to us."""

import asyncio
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest

from agent.ports.reading import Image
from agent.vision import second as module
from agent.vision.cascade import decode
from agent.vision.second import SecondOpinion
from agent.vision.settings import DecodeSettings
from agent.vision.workers import VisionWorkers
from tests.vision import render

FAR = 20.0
PATIENCE = 0.6


def soon(seconds: float = FAR) -> float:
    return time.monotonic() + seconds


@pytest.fixture
def second() -> Iterator[SecondOpinion]:
    opinion = SecondOpinion(patience=PATIENCE, pause=0.1)
    assert opinion.warm(FAR)
    yield opinion
    opinion.close()
    assert opinion.pid is None


def good(name: str = "ean13", seed: int = 0) -> tuple[str, Image]:
    return render.at_severity(name, 0.1, seed)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def program(folder: Path, body: str) -> SecondOpinion:
    """A child that says it is ready and then does what it is told to."""
    file = folder / "child.py"
    file.write_text(
        "import sys, os, struct, time\n"
        "def say(b):\n    sys.stdout.buffer.write(b); sys.stdout.buffer.flush()\n"
        "def asked():\n    return struct.unpack('<5I', sys.stdin.buffer.read(20))\n" + body
    )
    return SecondOpinion((sys.executable, "-I", str(file)), patience=PATIENCE, pause=0.1)


@pytest.mark.parametrize("name", ["ean13", "code128", "ean8", "qr"])
def test_it_reads_what_the_first_reader_reads(second: SecondOpinion, name: str) -> None:
    kind = render.TECHNIQUES[name].symbology
    hits = 0
    for seed in range(0, 12, 2):
        value, image = good(name, seed)
        read = second.read(image, kind, soon())
        if read is None:
            continue
        hits += 1
        assert (read.text.lstrip("\x1d"), read.attempt) == (value, "second")
        (first,) = decode(image, DecodeSettings(kind), soon()).reads
        apart = np.mean(read.corners, axis=0) - np.mean(first.corners, axis=0)
        assert np.abs(apart).max() < 60
    assert hits >= 4


def test_it_is_a_witness_of_a_bar_code(second: SecondOpinion) -> None:
    value, image = good()
    station = DecodeSettings("EAN13", attempts=("full", "second"))
    result = decode(image, station, soon(), second=second)
    assert [read.text for read in result.reads] == [value]
    assert [name for name, _ in result.tried] == ["full", "second"]
    assert decode(image, station, soon()).reads == (), "without it one witness is left"


def test_what_it_reads_not_and_cannot_read_is_nothing(second: SecondOpinion) -> None:
    _, image = good()
    assert second.read(image, "DataMatrix", soon()) is None
    assert second.read(np.full((50, 50), 9, np.uint8), "EAN13", soon()) is None
    assert second.read(image[:1, :1], "EAN13", soon()) is None
    for seed in range(10):
        assert second.read(render.empty(seed), "QRCode", soon()) is None
    assert second.read(good()[1], "EAN13", soon()), "and it still reads"


def test_a_large_picture_is_shown_smaller_and_corners_lead_back(second: SecondOpinion) -> None:
    value, image = good("qr")
    large = cv2.resize(image, None, fx=14, fy=14, interpolation=cv2.INTER_CUBIC)
    assert large.size > module.MOST_PIXELS
    read = second.read(large, "QRCode", soon())
    (first,) = decode(image, DecodeSettings("QRCode"), soon()).reads
    assert read is not None
    assert read.text == value
    assert np.abs(np.array(read.corners).mean(0) / 14 - np.array(first.corners).mean(0)).max() < 5


def test_a_killed_child_is_started_again(second: SecondOpinion) -> None:
    value, image = good()
    killed = second.pid
    assert killed is not None
    os.kill(killed, signal.SIGKILL)
    start = time.monotonic()
    while second.read(image, "EAN13", soon(0.2)) is not None:
        assert time.monotonic() - start < FAR
    assert second.warm(FAR)
    assert second.pid != killed
    read = second.read(image, "EAN13", soon())
    assert (read and read.text, second.starts) == (value, 2)


def test_a_stopped_child_costs_the_deadline_once_and_is_replaced(second: SecondOpinion) -> None:
    value, image = good()
    stopped = second.pid
    assert stopped is not None
    os.kill(stopped, signal.SIGSTOP)
    start = time.monotonic()
    assert second.read(image, "EAN13", soon(0.05)) is None
    assert 0.04 < time.monotonic() - start < 1.0
    start = time.monotonic()
    assert second.read(image, "EAN13", soon(5.0)) is None, "it is busy: nobody waits for it"
    assert time.monotonic() - start < 1.0
    assert second.warm(PATIENCE + FAR)
    assert not alive(stopped)
    read = second.read(image, "EAN13", soon())
    assert read is not None
    assert read.text == value


def test_an_answer_that_came_too_late_is_not_taken_for_the_next_one(tmp_path: Path) -> None:
    """The first request is answered when the second has long been due."""
    opinion = program(
        tmp_path,
        "import json\nsay(b'R')\n"
        "while True:\n"
        "    n, w, h, s, _ = asked()\n"
        "    if n == 1: time.sleep(0.3)\n"
        "    said = json.dumps([[(b'%013d' % n).hex(), [[0, 0]]]]).encode()\n"
        "    say(struct.pack('<2I', n, len(said)) + said)\n",
    )
    assert opinion.warm(FAR)
    image = np.zeros((20, 20), np.uint8)
    assert opinion.read(image, "EAN13", soon(0.05)) is None
    assert opinion.warm(FAR)
    read = opinion.read(image, "EAN13", soon())
    assert read is not None
    assert read.text == f"{2:013d}"
    opinion.close()


@pytest.mark.parametrize(
    "body",
    [
        "sys.exit(1)",
        "say(b'R'); asked(); os.abort()",
        "say(b'R'); asked(); say(b'nonsense' * 10_000); time.sleep(60)",
        "say(b'R'); n = asked()[0]; say(struct.pack('<2I', n, 1 << 30)); time.sleep(60)",
        "say(b'R'); n = asked()[0]; say(struct.pack('<2I', n + 1, 0)); time.sleep(60)",
        "say(b'R'); n = asked()[0]; say(struct.pack('<2I', n, 4) + b'[[1,'); time.sleep(60)",
        "say(b'R'); sys.stdin.close(); sys.stdout.close(); os._exit(0)",
    ],
)
def test_whatever_a_child_does_nothing_is_read_and_it_is_begun_again(
    tmp_path: Path, body: str
) -> None:
    opinion = program(tmp_path, body)
    image = np.zeros((20, 20), np.uint8)
    start = time.monotonic()
    while opinion.starts < 2:
        assert opinion.read(image, "EAN13", soon(0.05)) is None
        if "4) + b" in body and opinion.pid and time.monotonic() - start > 0.4:
            break  # it answered nonsense and lives on
        assert time.monotonic() - start < FAR
        opinion.warm(0.02)
    opinion.close()
    assert opinion.read(image, "EAN13", soon(0.1)) is None


def test_restarts_come_more_and_more_rarely(tmp_path: Path) -> None:
    opinion = program(tmp_path, "sys.exit(1)")
    moments = []
    while len(moments) < 4:
        before = opinion.starts
        opinion.warm(0.01)
        if opinion.starts > before:
            moments.append(time.monotonic())
    opinion.close()
    gaps = [b - a for a, b in pairwise(moments)]
    assert all(gap > 0.08 * 2**n for n, gap in enumerate(gaps))


def test_its_memory_is_capped(tmp_path: Path) -> None:
    """The real child with too small a cap does not get as far as reading."""
    opinion = SecondOpinion(memory=20 << 20)
    _, image = good()
    assert not opinion.warm(0.6)
    assert opinion.read(image, "EAN13", soon(0.1)) is None
    assert opinion.starts >= 1
    opinion.close()
    with SecondOpinionLimits() as limits:
        assert limits == str(module.MEMORY)


class SecondOpinionLimits:
    """The address space that the kernel gives a real child."""

    def __enter__(self) -> str:
        self.opinion = SecondOpinion()
        assert self.opinion.warm(FAR)
        limits = Path(f"/proc/{self.opinion.pid}/limits").read_text()
        (line,) = (line for line in limits.splitlines() if line.startswith("Max address space"))
        return line.split()[3]

    def __exit__(self, *_: object) -> None:
        self.opinion.close()


@pytest.mark.parametrize(("status", "remedy"), [(3, "libzbar0"), (4, "setrlimit")])
def test_its_absence_is_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, status: int, remedy: str
) -> None:
    opinion = program(tmp_path, f"sys.exit({status})")
    value, image = good()
    with caplog.at_level(logging.INFO):
        assert not opinion.warm(FAR)
        for _ in range(5):
            assert opinion.read(image, "EAN13", soon(0.1)) is None
    (line,) = caplog.records
    assert remedy in line.getMessage()
    assert (opinion.absent, opinion.starts) == (True, 1)
    (read,) = decode(image, DecodeSettings("EAN13"), soon(), second=opinion).reads
    assert read.text == value
    opinion.close()


def test_workers_share_one_and_end_it() -> None:
    """No process before it is needed, and none after the end."""

    async def scenario() -> None:
        workers = VisionWorkers(2)
        nothing = np.full((60, 60), 90, np.uint8)
        _, image = good()
        only = DecodeSettings("EAN13", attempts=("full", "second"))
        children = f"/proc/{os.getpid()}/task"

        def pids() -> set[int]:
            return {
                int(pid)
                for task in Path(children).iterdir()
                for pid in (task / "children").read_text().split()
            }

        before = pids()
        assert (await workers.decode(DecodeSettings("EAN13"), image, soon())).reads
        assert pids() == before
        start = time.monotonic()
        while not (await workers.decode(only, image, soon())).reads:
            assert time.monotonic() - start < FAR
        (child,) = pids() - before
        assert not (await workers.decode(only, nothing, soon())).reads
        await workers.close()
        assert not alive(child)

    asyncio.run(scenario())


def test_when_the_agent_is_gone_the_child_ends() -> None:
    """Its stdin closes with the agent, however that ends."""
    code = (
        "import os, sys, time\n"
        "from agent.vision.second import SecondOpinion\n"
        "o = SecondOpinion(); assert o.warm(20); print(o.pid, flush=True)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    child = int(done.stdout)
    start = time.monotonic()
    while alive(child):
        assert time.monotonic() - start < FAR
        os.sched_yield()


@pytest.mark.parametrize(
    ("off", "data", "said"), [(0, b"6901", "6901"), (1, b"6901", None), (0, b"\xe9\xe9", None)]
)
def test_an_answer_to_another_question_and_a_guessed_charset_are_nothing(
    tmp_path: Path, off: int, data: bytes, said: str | None
) -> None:
    opinion = program(
        tmp_path,
        "import json\nsay(b'R')\nn = asked()[0]\n"
        f"said = json.dumps([[({data!r}).hex(), [[0, 0]]]]).encode()\n"
        f"say(struct.pack('<2I', n + {off}, len(said)) + said)\n"
        "sys.stdin.buffer.read()\n",
    )
    assert opinion.warm(FAR)
    read = opinion.read(np.zeros((20, 20), np.uint8), "QRCode", soon(2.0))
    assert (read and read.text) == said
    opinion.close()
