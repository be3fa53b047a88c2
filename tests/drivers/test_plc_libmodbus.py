"""The PLC driver on a serial line against libmodbus, a slave that none of us wrote."""

import asyncio
import ctypes
import os
import select
import threading
import tty
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from agent.core.errors import ConfigError
from agent.ports.plc import PlcEvent, PlcEventKind, PlcOutputs, Slot, SlotVerdict
from tests.drivers.plc_line import driver, session

UNIT = 17


class Mapping(ctypes.Structure):
    """modbus_mapping_t of modbus.h, libmodbus 3.1."""

    _fields_ = (
        *((f"count{n}", ctypes.c_int) for n in range(8)),
        *((f"bits{n}", ctypes.POINTER(ctypes.c_uint8)) for n in range(2)),
        ("inputs", ctypes.POINTER(ctypes.c_uint16)),
        ("holding", ctypes.POINTER(ctypes.c_uint16)),
    )


@pytest.fixture
def libmodbus() -> ctypes.CDLL:
    try:
        library = ctypes.CDLL("libmodbus.so.5", use_errno=True)
    except OSError:
        pytest.skip("libmodbus is not installed (Debian: apt install libmodbus5)")
    library.modbus_new_rtu.restype = ctypes.c_void_p
    library.modbus_new_rtu.argtypes = [
        ctypes.c_char_p,
        ctypes.c_int,
        ctypes.c_char,
        ctypes.c_int,
        ctypes.c_int,
    ]
    library.modbus_mapping_new.restype = ctypes.POINTER(Mapping)
    return library


@contextmanager
def two_ends() -> Iterator[tuple[str, str]]:
    """A serial line: the paths of both of its ends."""
    ends = [os.openpty() for _ in range(2)]
    for _, far in ends:
        tty.setraw(far)
    over, stop = os.pipe()
    peer = {ends[0][0]: ends[1][0], ends[1][0]: ends[0][0]}

    def carry() -> None:
        while True:
            ready, _, _ = select.select([*peer, over], [], [])
            if over in ready:
                return
            for near in ready:
                os.write(peer[near], os.read(near, 512))

    carrier = threading.Thread(target=carry)
    carrier.start()
    try:
        yield os.ttyname(ends[0][1]), os.ttyname(ends[1][1])
    finally:
        os.write(stop, b"x")
        carrier.join(5)
        for descriptor in (*ends[0], *ends[1], over, stop):
            os.close(descriptor)


@contextmanager
def slave(library: ctypes.CDLL, path: str) -> Iterator[Mapping]:
    """libmodbus answers as unit UNIT with 600 input and 300 holding registers."""
    context = ctypes.c_void_p(library.modbus_new_rtu(path.encode(), 19200, b"N", 8, 1))
    mapping = library.modbus_mapping_new(0, 0, 300, 600)
    assert library.modbus_set_slave(context, UNIT) == 0
    assert library.modbus_set_indication_timeout(context, 0, 50_000) == 0
    assert library.modbus_connect(context) == 0
    over = threading.Event()

    def serve() -> None:
        request = ctypes.create_string_buffer(260)
        while not over.is_set():
            length = library.modbus_receive(context, request)
            if length > 0:
                library.modbus_reply(context, request, length, mapping)

    server = threading.Thread(target=serve)
    server.start()
    try:
        yield mapping.contents
    finally:
        over.set()
        server.join(5)
        library.modbus_close(context)
        library.modbus_mapping_free(mapping)
        library.modbus_free(context)


def test_a_strange_slave_is_polled_and_written(libmodbus: ctypes.CDLL) -> None:
    with two_ends() as (ours, theirs), slave(libmodbus, theirs) as registers:
        for address, value in enumerate([0xCA01, 5, 77, 0b11, 0x0102, 0x0304, 400, 0]):
            registers.inputs[address] = value

        async def go() -> None:
            address = f"serial://{ours}?baud=19200"
            async with session(driver(address, unit=UNIT, timeout=1.0)) as plc:
                for seq in range(2):
                    entry = [seq, 0x0504, 0x0100, 0xFFFF, 0, 9, 0x1111, 0x2222]
                    for offset, value in enumerate(entry):
                        registers.inputs[16 + 8 * seq + offset] = value
                registers.inputs[7] = 2
                report = await plc.poll()
                assert report.events == tuple(
                    PlcEvent(seq, PlcEventKind.STROKE, 4, 1, 0xFFFF, 9, 0x1111_2222)
                    for seq in range(2)
                )
                assert (report.run, report.heartbeat, report.encoder) == (5, 77, 0x0102_0304)
                assert report.flags == {"running", "estop"}
                await plc.write_slots([Slot(2, 0xFFFF, SlotVerdict.PASS)])
                await plc.write_outputs(PlcOutputs(3, run_permission=True))
                assert registers.holding[16 + 2 * 16 + 15] == 0x1FFF
                assert [registers.holding[n] for n in range(3)] == [3, 1, 0]

        asyncio.run(go())


def test_a_strange_slave_refuses_what_it_does_not_have(libmodbus: ctypes.CDLL) -> None:
    with two_ends() as (ours, theirs), slave(libmodbus, theirs) as registers:
        registers.inputs[0] = 0xCA01
        wrong = {"output": {"slots": 290}}

        async def go() -> None:
            plc = driver(f"serial://{ours}?baud=19200", unit=UNIT, timeout=1.0, map=wrong)
            async with session(plc):
                with pytest.raises(ConfigError, match="illegal address for holding registers 30"):
                    await plc.write_slots([Slot(0, 15, SlotVerdict.PASS)])
                await plc.poll()

        asyncio.run(go())
