"""Single points: what a map may say of them, how they are read together, and several units on one
wire, with libmodbus as the other end."""

import asyncio
import struct
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from agent.core.errors import ConfigError, TransientError
from agent.ports.plc import PlcOutputs
from drivers.plc.link import READ_LIMIT, silence
from drivers.plc.points import Point, spans, values, writes
from drivers.plc.register_map import RegisterMap
from tests.drivers.plc_line import driver, session
from tests.drivers.plc_peers import bus, peer

TABLES = ("coil", "discrete", "input", "holding")


def point(**given: Any) -> Point:
    return Point.model_validate(given)


# ------------------------------------------------------------------------------------- the codec


@pytest.mark.parametrize(
    ("kind", "code", "value"),
    [
        ("u16", ">H", 65_535),
        ("s16", ">h", -2),
        ("u32", ">I", 0xFEDC_BA98),
        ("s32", ">i", -70_000),
        ("f32", ">f", 12.5),
    ],
)
@pytest.mark.parametrize("high_first", [True, False])
def test_numbers_are_read_in_both_word_orders_and_scaled(
    kind: str, code: str, value: float, high_first: bool
) -> None:
    raw = struct.pack(code, value)
    words = list(struct.unpack(f">{len(raw) // 2}H", raw))
    at = point(table="input", address=4, type=kind, scale=0.5, offset=-10)
    assert at.width == len(words)
    assert at.number(words if high_first else words[::-1], high_first) == value * 0.5 - 10


def test_bits_stand_in_tables_of_bits_and_in_registers() -> None:
    assert point(table="discrete", address=3).on([1])
    assert not point(table="discrete", address=3, invert=True).on([1])
    at = point(table="holding", address=3, bit=9)
    assert at.on([0x0200])
    assert not at.on([0xFDFF])
    assert at.number([0x0200], True) == 1.0


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"table": "coil", "address": 1, "bit": 2}, "one bit"),
        ({"table": "input", "address": 1, "type": "f32", "bit": 2}, "leave `type` out"),
        ({"table": "input", "address": 65535, "type": "u32"}, "beyond address 65535"),
        ({"table": "input", "address": 1, "scale": 0}, "scale"),
        ({"table": "output", "address": 1}, "table"),
        ({"table": "input", "address": 1, "unit": 300}, "unit"),
    ],
)
def test_a_point_that_cannot_be_is_refused(wrong: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        Point.model_validate(wrong)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"sensors": {"estop": {"table": "input", "address": 1}}}, "is a bit"),
        ({"sensors": {"door": {"table": "discrete", "address": 1}}}, "door"),
        ({"actors": {"red": {"table": "discrete", "address": 1}}}, "can be written"),
        ({"actors": {"red": {"table": "holding", "address": 1, "bit": 3}}}, "other bits"),
        (
            {
                "actors": {
                    "red": {"table": "coil", "address": 1},
                    "horn": {"table": "coil", "address": 1},
                }
            },
            "same coil 1",
        ),
    ],
)
def test_a_map_says_what_is_wrong_with_its_points(wrong: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        RegisterMap.model_validate(wrong)


places = st.builds(
    Point,
    table=st.sampled_from(TABLES),
    address=st.integers(0, 3000),
    unit=st.sampled_from([None, 1, 2]),
    type=st.sampled_from(["u16", "u32"]),
)


@given(st.dictionaries(st.text("abcdef", min_size=1), places, max_size=12), st.integers(0, 60))
def test_every_point_is_in_one_request_that_fits(points: dict[str, Point], along: int) -> None:
    found = spans(points, 1, along)
    assert sorted(name for span in found for name in span.names) == sorted(points)
    for span in found:
        assert span.many <= READ_LIMIT[span.table]
        words = list(range(span.first, span.first + span.many))
        for name, own in values(span, words, points):
            at = points[name]
            assert (span.unit, span.table) == (at.unit or 1, at.table)
            assert list(own) == list(range(at.address, at.address + at.width))
    for one, two in pairwise(found):
        if (one.unit, one.table) == (two.unit, two.table):
            gap = two.first - one.first - one.many
            most = max(points[name].width for name in two.names)
            assert gap > along or two.first + most - one.first > READ_LIMIT[one.table]


@given(st.dictionaries(st.text("abcdef", min_size=1), st.integers(0, 40), max_size=12))
def test_every_actor_is_written_once_and_nothing_else(addresses: dict[str, int]) -> None:
    points = {name: point(table="coil", address=at) for name, at in addresses.items()}
    told = dict.fromkeys(points, 1)
    written = [w.first + n for w in writes(told, points, 1) for n in range(len(w.values))]
    assert sorted(written) == sorted(set(addresses.values()))


# -------------------------------------------------------------------------------------- the wire

MAP = {
    "sensors": {
        "estop": {"table": "discrete", "address": 5, "invert": True},
        "low_air": {"table": "coil", "address": 40},
        "jam": {"table": "holding", "address": 300, "bit": 15},
        "speed": {"table": "input", "address": 590, "type": "f32", "scale": 1000},
    },
    "actors": {
        "red": {"table": "coil", "address": 9},
        "green": {"table": "coil", "address": 11},
        "horn": {"table": "coil", "address": 10, "invert": True},
        "heartbeat": {"table": "holding", "address": 310},
        "run_permission": {"table": "coil", "address": 20},
    },
    "sensors_every": 0,
}


@pytest.mark.parametrize("kind", ["libmodbus over TCP", "pyModbusTCP over TCP"])
@pytest.mark.parametrize("single", [False, True])
def test_all_four_tables_are_read_and_written(kind: str, single: bool, tmp_path: Path) -> None:
    with peer(kind, tmp_path) as there:
        there.set("i", 0, 0xCA01, 1, 1, 0b10, 0, 0, 77, 0)
        there.set("d", 5, 1)
        there.set("i", 590, *struct.unpack(">2H", struct.pack(">f", 0.75)))

        async def go() -> None:
            plc = driver(there.address, map=MAP, single_writes=single)
            async with session(plc):
                report = await plc.poll()
                assert (report.flags, report.speed) == (frozenset(), 750), "the sensors count"
                there.set("d", 5, 0)
                there.set("c", 40, 1)
                there.set("h", 300, 0x8000)
                assert (await plc.poll()).flags == {"estop", "low_air", "jam"}
                lamps = frozenset({"red"})
                await plc.write_outputs(PlcOutputs(513, run_permission=True, lamps=lamps))
                assert [there.get("c", n) for n in (9, 10, 11, 20)] == [1, 1, 0, 1]
                assert (there.get("h", 310), there.get("h", 0)) == (513, 513)
                await plc.write_outputs(PlcOutputs(514, lamps=frozenset({"horn", "green"})))
                assert [there.get("c", n) for n in (9, 10, 11, 20)] == [0, 0, 1, 0]

        asyncio.run(go())


def test_several_units_share_a_serial_line_with_its_silences(tmp_path: Path) -> None:
    """A PLC, an I/O module with the lamps, an inverter that tells the speed: one master, and
    between two frames never less silence than the standard asks for."""
    plan = {
        "sensors": {
            "estop": {"table": "discrete", "address": 3, "unit": 2},
            "speed": {"table": "input", "address": 7, "unit": 3, "scale": 0.1},
        },
        "actors": {"red": {"table": "coil", "address": 1, "unit": 2}},
        "sensors_every": 0,
    }
    with bus(tmp_path, 3) as (line, (first, second, third)):
        first.set("i", 0, 0xCA01, 1, 1, 1, 0, 0, 9999, 0)
        second.set("d", 3, 1)
        third.set("i", 7, 4321)

        async def go() -> None:
            plc = driver(f"serial://{line.master}?baud=19200", map=plan)
            async with session(plc):
                for beat in range(5):
                    report = await plc.poll()
                    assert (report.flags, report.speed) == ({"running", "estop"}, 432)
                    await plc.write_outputs(PlcOutputs(beat, lamps=frozenset({"red"})))
                assert (second.get("c", 1), first.get("c", 1), first.get("h", 0)) == (1, 0, 4)

        asyncio.run(go())
    assert len(line.silences) >= 5 * 5
    # The line takes a moment to carry what is heard, so that the pause on it looks shorter.
    assert min(line.silences) > silence(19_200) - 0.001


def test_the_silence_is_that_of_the_standard() -> None:
    assert silence(9600) == pytest.approx(3.5 * 11 / 9600)
    assert silence(115_200) == 0.00175


def test_a_sensor_that_the_plc_does_not_have_is_named(tmp_path: Path) -> None:
    plan = {"sensors": {"estop": {"table": "discrete", "address": 900}}}
    with peer("libmodbus over TCP", tmp_path) as there:
        there.set("i", 0, 0xCA01)

        async def go() -> None:
            plc = driver(there.address, map=plan)
            await plc.open()
            try:
                with pytest.raises(ConfigError, match="illegal address for discrete inputs 900"):
                    await plc.poll()
            finally:
                await plc.close()

        asyncio.run(go())


def test_a_unit_that_is_not_there_is_named(tmp_path: Path) -> None:
    plan = {"sensors": {"estop": {"table": "discrete", "address": 3, "unit": 9}}}
    with bus(tmp_path, 1) as (line, (first,)):
        first.set("i", 0, 0xCA01)

        async def go() -> None:
            plc = driver(f"serial://{line.master}?baud=19200", map=plan, timeout=0.2)
            await plc.open()
            try:
                with pytest.raises(TransientError, match="discrete inputs 3 to 3 of unit 9"):
                    await plc.poll()
            finally:
                await plc.close()

        asyncio.run(go())
