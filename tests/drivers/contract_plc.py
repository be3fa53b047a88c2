"""What every wire to a PLC must do, against servers that none of us wrote: libmodbus and
pyModbusTCP. Collected as tests by test_plc_contract."""

import asyncio
import time
from collections.abc import Iterator

import pytest

from agent.core.errors import ConfigError, TransientError
from agent.ports.plc import PlcOutputs, PlcReport, Slot, SlotVerdict
from drivers.plc.modbus import ModbusPlc
from tests.drivers.plc_line import driver, session
from tests.drivers.plc_peers import KINDS, Peer, peer

DEADLINE = 0.6
LATE = DEADLINE + 1.0
"""An error comes at the deadline, and a busy machine takes its time."""
RING, HEAD, HEARTBEAT = 16, 7, 2


class Handshake:
    """The input block of a PLC on a peer's registers."""

    def __init__(self, there: Peer) -> None:
        self.peer = there
        self.head = 0

    def power_up(self, run: int = 1) -> None:
        self.head = 0
        self.peer.set("i", 1, run, 1, 0b0000001, 0, 500, 300, 0)
        self.peer.set("i", RING, *[0] * 16)
        self.peer.set("h", 16 + 16 * 3 + 4, 0)
        self.peer.set("i", 0, 0xCA01)

    def fire(self) -> int:
        number = 100 + self.head
        entry = [self.head, 0x0103, 0, number, 0, 500 + self.head, 0, 0]
        self.peer.set("i", RING + 8 * (self.head % 64), *entry)
        self.head += 1
        self.peer.set("i", HEAD, self.head)
        return number


@pytest.fixture(scope="module", params=KINDS)
def there(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Peer]:
    with peer(request.param, tmp_path_factory.mktemp("peer")) as found:
        yield found


@pytest.fixture
def plc(there: Peer) -> Handshake:
    plc = Handshake(there)
    plc.power_up()
    return plc


async def opened(ours: ModbusPlc) -> None:
    """As the supervisor does: again until it is there."""
    async with asyncio.timeout(5):
        while True:
            try:
                return await ours.open()
            except TransientError:
                await asyncio.sleep(0.05)


def numbers(report: PlcReport) -> list[int]:
    return [event.number for event in report.events]


def test_events_arrive_and_verdicts_stand_in_their_slots(plc: Handshake) -> None:
    async def go() -> None:
        async with session(driver(plc.peer.address, unit=plc.peer.unit)) as ours:
            fired = [plc.fire(), plc.fire()]
            report = await ours.poll()
            assert numbers(report) == fired
            assert (report.flags, report.speed, report.run) == ({"running"}, 300, 1)
            await ours.write_slots([Slot(3, 100, SlotVerdict.PASS)])
            await ours.write_outputs(PlcOutputs(7, run_permission=True, lamps=frozenset({"horn"})))
            assert plc.peer.get("h", 16 + 16 * 3 + 4) == 1 << 12 | 100
            assert [plc.peer.get("h", n) for n in range(3)] == [7, 1, 8]

    asyncio.run(go())


def test_what_the_plc_says_of_itself_is_told(plc: Handshake) -> None:
    async def go() -> None:
        async with session(driver(plc.peer.address, unit=plc.peer.unit)) as ours:
            assert (await ours.poll()).flags == {"running"}
            plc.peer.set("i", 3, 0b0110010)
            assert (await ours.poll()).flags == {"estop", "reject_full", "low_air"}

    asyncio.run(go())


def test_a_refusal_names_the_registers_and_the_session_goes_on(plc: Handshake) -> None:
    async def go() -> None:
        beyond = {"output": {"slots": 590}}
        ours = driver(plc.peer.address, unit=plc.peer.unit, map=beyond)
        async with session(ours):
            with pytest.raises(ConfigError, match="illegal address for holding registers 60"):
                await ours.write_slots([Slot(0, 15, SlotVerdict.PASS)])
            plc.fire()
            assert len((await ours.poll()).events) == 1

    asyncio.run(go())


def test_a_frozen_plc_is_lost_at_the_deadline_and_no_event_with_it(plc: Handshake) -> None:
    """A half-open connection: the other end is there and says nothing."""

    async def go() -> None:
        ours = driver(plc.peer.address, unit=plc.peer.unit, timeout=DEADLINE)
        async with session(ours):
            await ours.poll()
            fired = [plc.fire(), plc.fire()]
            plc.peer.freeze()
            try:
                began = time.monotonic()
                with pytest.raises(TransientError, match="did not answer"):
                    await ours.poll()
                assert DEADLINE <= time.monotonic() - began < LATE
                with pytest.raises(TransientError):
                    await ours.poll()  # the session is over at once, without another wait
                began = time.monotonic()
                await ours.close()
                assert time.monotonic() - began < 0.5, "closing waits for nobody"
            finally:
                plc.peer.thaw()
            # A serial slave may still answer the old question: the next open throws that away.
            fired.append(plc.fire())
            await opened(ours)
            assert numbers(await ours.poll()) == fired

    asyncio.run(go())


def test_a_slow_answer_in_time_is_an_answer(plc: Handshake) -> None:
    async def go() -> None:
        ours = driver(plc.peer.address, unit=plc.peer.unit, timeout=3.0)
        async with session(ours):
            await ours.poll()
            plc.peer.freeze()
            began = time.monotonic()
            asyncio.get_running_loop().call_later(0.4, plc.peer.thaw)
            try:
                await ours.poll()
            finally:
                plc.peer.thaw()  # the next test wants it alive, too
            assert time.monotonic() - began >= 0.35

    asyncio.run(go())


def test_a_cut_wire_is_lost_in_time_and_the_next_session_goes_on(plc: Handshake) -> None:
    async def go() -> None:
        ours = driver(plc.peer.address, unit=plc.peer.unit, timeout=DEADLINE)
        async with session(ours):
            plc.fire()
            assert len((await ours.poll()).events) == 1
            plc.peer.kill()
            began = time.monotonic()
            with pytest.raises(TransientError):
                await ours.poll()
            assert time.monotonic() - began < LATE
            await ours.close()
            if plc.peer.address.startswith("tcp"):
                with pytest.raises(TransientError, match="cannot be reached"):
                    await ours.open()
            plc.peer.start()
            plc.power_up(run=2)
            fired = [plc.fire()]
            await opened(ours)
            report = await ours.poll()
            assert (report.run, numbers(report)) == (2, fired)

    asyncio.run(go())
