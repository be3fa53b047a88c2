"""A station's hand scanner: what is gathered into one scan, and what a person is told."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from agent.core import inputs as i
from agent.core.errors import DomainError, TransientError
from agent.health import Health
from agent.line.handscan import CANCEL, COMPLETE, EMPTY, WHO, HandScans
from agent.now import monotonic
from agent.ports.reading import Read, Reading

PAUSE = 0.08


class Gun:
    """A hand scanner in a person's hand; unplugged after `unplug`."""

    def __init__(self) -> None:
        self.scans: asyncio.Queue[Reading | None] = asyncio.Queue()

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    def scan(self, *texts: str) -> None:
        for text in texts:
            self.scans.put_nowait(Reading((Read(text),), monotonic()))

    async def next_reading(self, timeout: float) -> Reading | None:
        try:
            async with asyncio.timeout(timeout):
                reading = await self.scans.get()
        except TimeoutError:
            return None
        if reading is None:
            raise TransientError("unplugged")
        return reading


class Line:
    """What the core is asked, and what the panel is told; refuses codes that begin with X."""

    def __init__(self) -> None:
        self.asked: list[i.HandScanned] = []
        self.told: list[tuple[bool, str]] = []
        self.wake = asyncio.Event()

    async def command(self, what: i.Input) -> None:
        assert isinstance(what, i.HandScanned)
        self.asked.append(what)
        self.wake.set()
        if not what.texts:
            raise DomainError("nothing_named", "Scan between 1 and 512 codes.")
        if what.texts[0].startswith("X"):
            raise DomainError("unknown_code", f"No pool lists {what.texts[0]}.")

    def tell(self, what: i.Input) -> None:
        assert isinstance(what, i.ConditionChanged)
        assert (what.alarm, what.key) == ("L1/gun/scan_refused", "scan_refused")
        assert what.station == "packer"
        self.told.append((what.active, dict(what.args)["error"]))
        self.wake.set()


def play(act: Callable[[Gun, Line], Awaitable[None]], by: str = "li") -> Line:
    line = Line()

    async def scenario() -> None:
        gun = Gun()
        scans = HandScans(
            "L1", "packer", gun, Health("gun", "reader"), line.command, line.tell,
            by=by, pause=PAUSE,
        )  # fmt: skip
        work = asyncio.create_task(scans.run())
        async with asyncio.timeout(10):
            await act(gun, line)
        gun.scans.put_nowait(None)
        with pytest.raises(TransientError):
            await work

    asyncio.run(scenario())
    return line


async def heard(line: Line, asked: int, told: int = 0) -> None:
    while len(line.asked) < asked or len(line.told) < told:
        line.wake.clear()
        await line.wake.wait()


def test_what_is_scanned_without_a_pause_is_one_scan_of_it() -> None:
    async def act(gun: Gun, line: Line) -> None:
        gun.scan("B1", "B2", "B1", "CASE")
        await heard(line, 1)
        gun.scan("B3", "CASE")
        await heard(line, 2)

    line = play(act)
    assert line.asked == [
        i.HandScanned(("B1", "B2", "CASE"), False, "li"),
        i.HandScanned(("B3", "CASE"), False, "li"),
    ]
    assert line.told == []


def test_a_label_says_that_it_is_all_of_it_and_waits_for_nothing() -> None:
    async def act(gun: Gun, line: Line) -> None:
        gun.scan("B1", "CASE", COMPLETE, "B9")
        await heard(line, 2)

    assert play(act).asked == [
        i.HandScanned(("B1", "CASE"), True, "li"),
        i.HandScanned(("B9",), False, "li"),
    ]


def test_a_label_says_that_nothing_is_in_it() -> None:
    async def act(gun: Gun, line: Line) -> None:
        gun.scan("CASE", EMPTY, "B9")
        await heard(line, 2)

    assert play(act).asked == [
        i.HandScanned(("CASE",), True, "li", empty=True),
        i.HandScanned(("B9",), False, "li"),
    ]


def test_a_label_forgets_and_a_label_names_the_person() -> None:
    async def act(gun: Gun, line: Line) -> None:
        gun.scan("B1", CANCEL, f"{WHO} wang ", "B2", COMPLETE)
        await heard(line, 1)
        gun.scan("B3", f"{WHO}zhao", "B4", COMPLETE)
        await heard(line, 2)

    assert play(act, by="").asked == [
        i.HandScanned(("B2",), True, "wang"),
        i.HandScanned(("B4",), True, "zhao"),
    ]


def test_a_refusal_stands_in_the_panel_until_a_scan_is_taken() -> None:
    async def act(gun: Gun, line: Line) -> None:
        gun.scan("X1", COMPLETE)
        await heard(line, 1, 1)
        gun.scan(COMPLETE)
        await heard(line, 2, 3)
        gun.scan("B1", COMPLETE)
        await heard(line, 3, 4)

    assert play(act).told == [
        (True, "No pool lists X1."),
        (False, ""),
        (True, "Scan between 1 and 512 codes."),
        (False, ""),
    ]


@pytest.mark.parametrize("bad", ["", "two words\x00", "x" * 600])
def test_a_scan_that_is_no_code_takes_what_was_gathered_with_it(bad: str) -> None:
    async def act(gun: Gun, line: Line) -> None:
        gun.scan("B1")
        if bad:
            gun.scan(bad)
        else:
            gun.scans.put_nowait(Reading((), monotonic()))
        await heard(line, 0, 1)
        gun.scan("B2", COMPLETE)
        await heard(line, 1, 2)

    line = play(act)
    assert line.asked == [i.HandScanned(("B2",), True, "li")]
    assert "Scan all of this container again" in line.told[0][1]


def test_what_was_scanned_before_the_plug_was_pulled_is_forgotten() -> None:
    line = Line()

    async def scenario() -> None:
        gun = Gun()
        scans = HandScans(
            "L1", "packer", gun, Health("gun", "reader"), line.command, line.tell,
            by="li", pause=20,
        )  # fmt: skip
        gun.scan(f"{WHO}wang", "B1")
        gun.scans.put_nowait(None)
        with pytest.raises(TransientError):
            await scans.run()
        gun.scan("B2", COMPLETE)
        gun.scans.put_nowait(None)
        with pytest.raises(TransientError):
            await scans.run()

    asyncio.run(scenario())
    assert line.asked == [i.HandScanned(("B2",), True, "li")]
