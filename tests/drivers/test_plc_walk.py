"""`caselink device check` of a PLC: what is wrong with a map, in words."""

import asyncio
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from agent.core.errors import ConfigError
from agent.ports.devices import DeviceCheck
from agent.ports.plc import PlcOutputs
from drivers.plc.link import Table
from drivers.plc.register_map import RegisterMap
from drivers.plc.walk import where_is_magic
from drivers.sim.plc_memory import PlcLayout
from drivers.sim.world import RUNNING, PlcImage, RingEntry
from tests.drivers.plc_line import Plant, Server, driver, session, start
from tests.drivers.saying import english

LAYOUT = PlcLayout()


@contextmanager
def beating(plant: Plant, *, beats: bool = True, pulses: int = 40) -> Iterator[None]:
    """The PLC's program runs: heartbeat and encoder move."""
    over = threading.Event()

    def run() -> None:
        while not over.wait(0.05):
            plant.image.heartbeat += beats
            plant.image.encoder += pulses
            plant.server.publish(plant.image)

    program = threading.Thread(target=run)
    program.start()
    try:
        yield
    finally:
        over.set()
        program.join(5)


def firing(count: int, kind: int = 1) -> Callable[[Plant], None]:
    def fire(plant: Plant) -> None:
        plant.fire(count, kind)

    return fire


def numbered_from_one(plant: Plant) -> None:
    """The program wrote n + 1 into entry n."""
    plant.fire(10)
    for n in range(10):
        plant.server.memory._input[LAYOUT.ring + 8 * n] = n + 1


async def checked(
    layout: PlcLayout = LAYOUT,
    *,
    prepare: Callable[[Plant], None] = lambda plant: None,
    beats: bool = True,
    told: bool = False,
    pulses: int = 40,
    **settings: Any,
) -> list[DeviceCheck]:
    server, address = start("tcp", layout)
    plant = Plant(server, run=4)
    plant.image.flags, plant.image.speed = RUNNING, 300
    prepare(plant)
    plant.server.publish(plant.image)
    try:
        with beating(plant, beats=beats, pulses=pulses):
            plc = driver(address, **settings)
            await plc.open()
            try:
                if told:
                    await plc.write_outputs(PlcOutputs(1))
                return list(await plc.check())
            finally:
                await plc.close()
    finally:
        server.stop()


def wrong(found: list[DeviceCheck]) -> list[str]:
    return [english(each) for each in found if not each.good]


def test_a_right_map_is_told_register_by_register() -> None:
    found = asyncio.run(checked(prepare=firing(70), told=True))
    assert wrong(found) == []
    words = "\n".join(english(each) for each in found)
    for part in (
        "magic: 0xca01 in input register 0",
        "run (register 1): 4",
        "heartbeat (register 2)",
        "speed (register 6): 300 mm/s",
        "the newest 64 events are whole: TRIGGER, of station 3",
        "slots (holding registers 16 to 271): 0 hold a verdict",
        "heartbeat (holding register 0): 1",
    ):
        assert part in words


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"beats": False}, "heartbeat (register 2): 0 → 0 within 0.6 s. It must move every 200 ms"),
    ({"pulses": 0}, "while the belt runs: is the encoder wired"),
    ({"prepare": lambda plant: setattr(plant.image, "run", 0)}, "keep it in retentive memory"),
    (
        {"prepare": lambda plant: setattr(plant.image, "flags", 0x8001)},
        "flags (register 3): 0x8001. Bits 15 mean nothing",
    ),
    (
        {"prepare": lambda plant: setattr(plant.image, "flags", 0x0041), "told": True},
        "the PLC misses it: does the program look at that register?",
    ),
    (
        {"prepare": lambda plant: setattr(plant.image, "speed", 60_000)},
        "speed (register 6): 60000 mm/s. No belt is so fast",
    ),
    (
        {"layout": replace(LAYOUT, low_first=True), "pulses": 7},
        'It moves in steps of 65536: write word_order = "low_first" in the map',
    ),
    (
        {"prepare": firing(2, 77)},
        "events of kind 77, which docs/plc.md does not know",
    ),
    (
        {
            "prepare": firing(2),
            "map": {"output": {"stations": 2}},
        },
        "station index 3, but the map has slots for 0 to 1",
    ),
    (
        {
            "layout": replace(LAYOUT, ring=18),
            "prepare": firing(64),
        },
        "entries begin 2 registers later than the map says: add 2 to `ring`",
    ),
    (
        {"prepare": numbered_from_one},
        "every entry carries its number + 1",
    ),
    (
        {"prepare": lambda plant: setattr(plant.image, "head", 20)},
        "it is empty although `head` says",
    ),
    ({"map": {"output": {"slots": 200}}}, "illegal address for holding registers"),
    (
        {"map": {"actors": {"red": {"table": "coil", "address": 5}}}},
        "actors.red (coil 5): ",
    ),
]


def test_what_is_wrong_is_told_in_words() -> None:
    """All at once: each has to see whether things move."""

    async def go() -> list[list[DeviceCheck]]:
        return await asyncio.gather(*(checked(**given) for given, _ in WRONG))

    for found, (_, told) in zip(asyncio.run(go()), WRONG, strict=True):
        assert any(told in words for words in wrong(found)), (told, found)


def test_a_slot_that_the_agent_never_wrote_is_told() -> None:
    server, address = start("tcp")
    Plant(server, run=1)
    server.memory.write(20, [0xF00F])

    async def go() -> None:
        async with session(driver(address)) as plc:
            assert any(
                "register 20 holds 0xf00f" in words for words in wrong(list(await plc.check()))
            )

    try:
        asyncio.run(go())
    finally:
        server.stop()


@pytest.mark.parametrize(
    ("layout", "told"),
    [
        (replace(LAYOUT, magic=1, run=2, heartbeat=3, flags=8), "write base = 1 in"),
        (replace(LAYOUT, holding_inputs=True, agent_heartbeat=530, commands=531, lamps=532,
                 slots=600), 'write table = "holding"'),
        (replace(LAYOUT, magic_value=0x01CA), "the other way round"),
    ],
)  # fmt: skip
def test_a_magic_that_is_not_there_is_looked_for(layout: PlcLayout, told: str) -> None:
    server, address = start("tcp", layout)
    Plant(server, run=0x1234)

    async def go() -> None:
        plc = driver(address)
        with pytest.raises(ConfigError) as error:
            await plc.open()
        assert told in str(error.value)

    try:
        asyncio.run(go())
    finally:
        server.stop()


def test_a_magic_that_came_just_now_is_no_reason_to_change_the_map() -> None:
    async def read(table: Table, address: int, count: int, unit: int | None) -> list[int]:
        return [0xCA01 if (table, address) == ("input", 0) else 0]

    assert asyncio.run(where_is_magic(read, RegisterMap())) is None


# ---------------------------------------------------------------------------------------- mbpoll


@pytest.fixture(params=["tcp", "rtu"])
def plant(request: pytest.FixtureRequest) -> Iterator[tuple[Server, list[str]]]:
    if shutil.which("mbpoll") is None:
        pytest.skip("mbpoll is not installed (Debian: apt install mbpoll)")
    server, address = start(request.param)
    if request.param == "tcp":
        where = ["-m", "tcp", "-p", address.rpartition(":")[2], "127.0.0.1"]
    else:
        path = address.removeprefix("serial://").partition("?")[0]
        where = ["-m", "rtu", "-b", "19200", "-P", "none", path]
    yield server, where
    server.stop()


def mbpoll(where: list[str], *options: str, write: tuple[int, ...] = ()) -> str:
    command = ["mbpoll", "-1", "-0", "-q", "-a", "1", "-o", "2", *options, *where]
    done = subprocess.run(
        [*command, *map(str, write)], capture_output=True, text=True, timeout=20, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_mbpoll_reads_and_writes_our_simulated_plc(plant: tuple[Server, list[str]]) -> None:
    server, where = plant
    image = PlcImage(run=9)
    image.ring[0] = RingEntry(1, 3, 0, 4711, 12, 0)
    image.head = 1
    server.publish(image)
    header = mbpoll(where, "-t", "3", "-r", "0", "-c", "8")
    assert "[0]: \t51713" in header  # 0xCA01 as mbpoll prints it
    assert "[1]: \t9" in header
    assert "[7]: \t1" in header
    assert "[19]: \t4711" in mbpoll(where, "-t", "3", "-r", "16", "-c", "8")
    mbpoll(where, "-t", "4", "-r", "0", write=(77, 1, 12))
    assert "[2]: \t12" in mbpoll(where, "-t", "4", "-r", "0", "-c", "3")
    told = server.agent()
    assert (told.heartbeat, told.commands, told.lamps) == (77, 1, 12)
