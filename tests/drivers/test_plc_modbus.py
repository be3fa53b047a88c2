"""The PLC driver on both wires, against servers that are not built on the driver's library."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.core.errors import ConfigError
from agent.ports.plc import PlcEvent, PlcEventKind, PlcOutputs, Slot, SlotVerdict
from drivers.context import DeviceContext
from drivers.sim.plc_memory import PlcLayout
from drivers.sim.world import JAM, RUNNING
from tests.drivers.plc_line import Plant, Server, Wire, driver, seen, session, start

PASS, REJECT = SlotVerdict.PASS, SlotVerdict.REJECT


@pytest.fixture(params=["tcp", "rtu"])
def wire(request: pytest.FixtureRequest) -> Wire:
    return "tcp" if request.param == "tcp" else "rtu"


@pytest.fixture
def line(wire: Wire) -> Iterator[tuple[Server, str]]:
    server, address = start(wire)
    try:
        yield server, address
    finally:
        server.stop()


def test_events_and_state_arrive_as_the_plc_wrote_them(line: tuple[Server, str]) -> None:
    server, address = line
    plant = Plant(server, run=7)

    async def go() -> None:
        async with session(driver(address)) as plc:
            assert (await plc.poll()).events == ()
            plant.image.flags = RUNNING | JAM
            plant.image.encoder, plant.image.speed, plant.image.heartbeat = 0xFEDC_BA98, 500, 9
            plant.item = 4711
            plant.fire()
            report = await plc.poll()
            assert report.events == (
                PlcEvent(
                    0, PlcEventKind.TRIGGER, 3, 2, 4711, 0x00F0_0000 + 4711, 0x1234_0000 + 4711
                ),
            )
            assert (report.run, report.heartbeat, report.lost) == (7, 9, 0)
            assert (report.encoder, report.speed) == (0xFEDC_BA98, 500)
            assert report.flags == {"running", "jam"}
            assert (await plc.poll()).events == ()

    asyncio.run(go())


def test_numbers_and_ring_wrap_without_a_gap(line: tuple[Server, str]) -> None:
    server, address = line
    plant = Plant(server, head=65_500, item=65_480)

    async def go() -> None:
        fired, got = [], []
        async with session(driver(address)) as plc:
            for burst in (1, 2, 15, 16, 40, 64, 7, 0, 33):
                fired += plant.fire(burst)
                report = await plc.poll()
                assert report.lost == 0
                got += seen(report.events)
        assert got == fired
        assert fired[-1][0] < 200  # both counters went through 65535

    asyncio.run(go())


def test_an_overrun_is_counted_and_the_newest_64_are_read(line: tuple[Server, str]) -> None:
    server, address = line
    plant = Plant(server)

    async def go() -> None:
        async with session(driver(address)) as plc:
            fired = plant.fire(64 + 9)
            report = await plc.poll()
            assert report.lost == 9
            assert seen(report.events) == fired[9:]

    asyncio.run(go())


def test_a_first_session_begins_at_the_head_and_a_new_run_at_its_start(
    line: tuple[Server, str],
) -> None:
    server, address = line
    plant = Plant(server, run=1)
    plant.fire(5)

    async def go() -> None:
        async with session(driver(address)) as plc:
            report = await plc.poll()
            assert (report.events, report.lost) == ((), 0)
            plant.fire(3)
            plant.restart(run=2)
            fired = plant.fire(2)
            report = await plc.poll()
            assert (report.run, report.lost) == (2, 0)
            assert seen(report.events) == fired
            plant.restart(run=3)
            fired = plant.fire(70)
            report = await plc.poll()
            assert (report.run, report.lost) == (3, 6)
            assert seen(report.events) == fired[6:]

    asyncio.run(go())


def test_a_torn_or_unknown_entry_is_lost_and_told_once(
    line: tuple[Server, str], caplog: pytest.LogCaptureFixture
) -> None:
    server, address = line
    plant = Plant(server)

    async def go() -> None:
        async with session(driver(address)) as plc:
            await plc.poll()
            fired = plant.fire(2)
            torn = plant.fire(1)
            fired += plant.fire(2)
            unknown = plant.fire(1, kind=99)
            fired += plant.fire(1)
            # The PLC is writing the entry that will be number 66 where number 2 stood.
            server.memory.tear(torn[0][0])
            report = await plc.poll()
            assert seen(report.events) == fired
            assert unknown[0] not in fired
            assert report.lost == 2
            assert (await plc.poll()).lost == 0

    asyncio.run(go())
    assert [r.message for r in caplog.records if "counts as lost" in r.message] == [
        "plc1: the ring entry of event 2 holds number 66 and kind 1 and counts as lost; if this "
        "comes again, check that the PLC program writes an entry before the head and uses only "
        "the kinds of docs/plc.md"
    ]


def test_slots_arrive_exactly_and_repeating_changes_nothing(line: tuple[Server, str]) -> None:
    server, address = line
    Plant(server)

    async def go() -> None:
        async with session(driver(address)) as plc:
            slots = [Slot(0, 0x1FFF, PASS), Slot(15, 0x1000, REJECT), Slot(3, 18, PASS)]
            slots += [Slot(3, number, REJECT) for number in range(19, 33)]
            for _ in range(2):
                await plc.write_slots(slots)
                image = server.agent()
                assert image.slots[0] == [0] * 15 + [0x1FFF]
                assert image.slots[15] == [0x2000] + [0] * 15
                assert image.slots[3] == [0x2020, 0] + [
                    (0x1000 if n == 18 else 0x2000) + n for n in range(18, 32)
                ]
                assert all(not any(image.slots[station]) for station in (1, 2, 4, 14))
            before = server.requests
            await plc.write_slots([Slot(5, number, PASS) for number in range(160, 176)])
            await plc.write_slots([])
            assert server.requests == before + 1

    asyncio.run(go())


def test_a_stale_verdict_gives_way_to_the_later_number(line: tuple[Server, str]) -> None:
    server, address = line
    Plant(server)

    async def go() -> None:
        async with session(driver(address)) as plc:
            await plc.write_slots([Slot(2, 5, PASS)])
            await plc.write_slots([Slot(2, 21, REJECT)])
            assert server.agent().slots[2][5] == 0x2000 + 21

    asyncio.run(go())


def test_outputs_are_the_words_of_the_document(line: tuple[Server, str]) -> None:
    server, address = line
    Plant(server)

    async def go() -> None:
        async with session(driver(address)) as plc:
            await plc.write_outputs(
                PlcOutputs(65_537, run_permission=True, lamps=frozenset({"green", "horn"}))
            )
            image = server.agent()
            assert (image.heartbeat, image.commands, image.lamps) == (1, 1, 12)
            await plc.write_outputs(PlcOutputs(2, stop_request=True))
            image = server.agent()
            assert (image.heartbeat, image.commands, image.lamps) == (2, 2, 0)
            assert not any(any(slots) for slots in image.slots.values())

    asyncio.run(go())


def test_a_print_gate_has_a_register_for_each_station(line: tuple[Server, str]) -> None:
    server, address = line
    Plant(server)

    async def go() -> None:
        # In the simulated PLC, of the map without gates, the slots of station 3 stand there.
        output = {"stations": 3, "prints": 64}
        async with session(driver(address, map={"output": output})) as plc:
            await plc.write_outputs(PlcOutputs(1, prints={0: 7, 2: 9}))
            assert server.agent().slots[3][:4] == [7, 0, 9, 0]
            await plc.write_outputs(PlcOutputs(2, prints={0: 0, 2: 9}))
            assert server.agent().slots[3][:4] == [0, 0, 9, 0]
        async with session(driver(address)) as plc:
            with pytest.raises(ConfigError, match=r"write output\.prints"):
                await plc.write_outputs(PlcOutputs(3, prints={0: 1}))

    asyncio.run(go())


def test_what_the_map_does_not_have_is_refused_before_writing(line: tuple[Server, str]) -> None:
    server, address = line
    Plant(server)

    async def go() -> None:
        async with session(driver(address)) as plc:
            with pytest.raises(ConfigError, match="station index 16 is outside"):
                await plc.write_slots([Slot(0, 1, PASS), Slot(16, 1, PASS)])
            with pytest.raises(ConfigError, match="no lamp 'blue'"):
                await plc.write_outputs(PlcOutputs(1, lamps=frozenset({"blue"})))
            assert server.agent().slots[0] == [0] * 16
            await plc.poll()

    asyncio.run(go())


MOVED = """
magic = 0xCA01
word_order = "low_first"
[input]
table = "holding"
base = 1000
magic = 9
run = 8
heartbeat = 7
flags = 6
encoder = 4
speed = 3
head = 2
ring = 100
[output]
base = 40
heartbeat = 5
commands = 3
lamps = 0
slots = 10
stations = 3
"""


def test_every_address_of_the_map_can_be_moved(wire: Wire, tmp_path: Path) -> None:
    path = tmp_path / "moved.toml"
    path.write_text(MOVED)
    server, address = start(wire, PlcLayout.load(path))
    try:
        plant = Plant(server, run=3, head=60)
        plant.image.encoder, plant.image.flags, plant.image.speed = 0x0001_0002, 2, 77

        async def go() -> None:
            async with session(driver(address, map=path)) as plc:
                fired = plant.fire(20)
                report = await plc.poll()
                assert seen(report.events) == fired
                assert report.events[0].data == 0x1234_0000
                assert (report.run, report.encoder, report.speed) == (3, 0x0001_0002, 77)
                assert report.flags == {"estop"}
                await plc.write_outputs(
                    PlcOutputs(4, run_permission=True, lamps=frozenset({"red"}))
                )
                await plc.write_slots([Slot(2, 31, PASS)])
                image = server.agent()
                assert (image.heartbeat, image.commands, image.lamps) == (4, 1, 1)
                assert image.slots[2] == [0] * 15 + [0x101F]

        asyncio.run(go())
    finally:
        server.stop()


def test_a_poll_without_news_is_one_exchange(line: tuple[Server, str]) -> None:
    server, address = line
    plant = Plant(server)

    async def go() -> None:
        async with session(driver(address)) as plc:
            await plc.poll()
            before = server.requests
            for _ in range(5):
                await plc.poll()
            assert server.requests == before + 5
            plant.fire(15)
            await plc.poll()
            assert server.requests == before + 7

    asyncio.run(go())


def test_polling_and_writing_at_once_do_not_mix_answers(line: tuple[Server, str]) -> None:
    server, address = line
    plant = Plant(server)

    async def go() -> None:
        got: list[tuple[int, int]] = []
        fired: list[tuple[int, int]] = []
        async with session(driver(address, timeout=2.0)) as plc:

            async def poll() -> None:
                for _ in range(20):
                    fired.extend(plant.fire(2))
                    got.extend(seen((await plc.poll()).events))

            async def judge() -> None:
                for number in range(20):
                    await plc.write_slots([Slot(1, number, PASS)])
                    await plc.write_outputs(PlcOutputs(number))

            await asyncio.gather(poll(), judge())
        assert got == fired
        assert server.agent().heartbeat == 19
        assert server.agent().slots[1] == [0x1000 + n for n in (16, 17, 18, 19, *range(4, 16))]

    asyncio.run(go())


def test_the_wire_log_keeps_events_and_verdicts_but_no_idle_polls(
    line: tuple[Server, str], tmp_path: Path
) -> None:
    server, address = line
    plant = Plant(server)

    async def go() -> None:
        async with session(driver(address, DeviceContext(tmp_path))) as plc:
            for _ in range(10):
                await plc.poll()
            plant.fire(1)
            await plc.poll()
            await plc.write_slots([Slot(1, 0xABC, PASS)])

    asyncio.run(go())
    lines = (tmp_path / "plc1.log").read_text().splitlines()
    assert len(lines) == 4
    assert "1abc" in lines[2]


def test_a_second_connection_writes_while_the_first_reads() -> None:
    server, address = start("tcp")
    try:
        plant = Plant(server)

        async def go() -> None:
            async with session(driver(address, connections=2)) as plc:
                fired = plant.fire(3)
                report, _ = await asyncio.gather(plc.poll(), plc.write_slots([Slot(0, 1, PASS)]))
                assert seen(report.events) == fired
                assert server.agent().slots[0][1] == 0x1001

        asyncio.run(go())
    finally:
        server.stop()
