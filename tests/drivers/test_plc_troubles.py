"""The PLC driver when the other end misbehaves: in time, with words, and nothing is lost."""

import asyncio
import logging
import socket
from collections.abc import Iterator
from contextlib import closing

import pytest
from pymodbus.framer.rtu import FramerRTU

from agent.core.errors import ConfigError, TransientError
from agent.ports.plc import PlcOutputs, Slot, SlotVerdict
from drivers.sim.modbus_server import SimPlcServer
from drivers.sim.plc_memory import PlcLayout
from tests.drivers.plc_line import (
    Plant,
    Server,
    Wire,
    asked,
    driver,
    reopen,
    seen,
    session,
    start,
    within,
)

PASS = SlotVerdict.PASS
DEADLINE = 0.5
IN_TIME = DEADLINE + 1.2
"""The driver's deadline and what a busy machine may add."""
AT_ONCE = 0.45
"""Less than the deadline: nobody waited for an answer."""


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


@pytest.fixture
def tcp() -> Iterator[tuple[SimPlcServer, str]]:
    server = SimPlcServer()
    address = f"tcp://127.0.0.1:{server.start()}"
    try:
        yield server, address
    finally:
        server.stop()


def test_a_frozen_plc_is_noticed_in_time_and_a_break_loses_no_event(
    line: tuple[Server, str], caplog: pytest.LogCaptureFixture
) -> None:
    server, address = line
    plant = Plant(server)

    async def go() -> None:
        plc = driver(address, timeout=DEADLINE)
        async with session(plc):
            fired = plant.fire(3)
            got = seen((await reopen(plc)).events)
            server.trouble.frozen = True
            error = await within(IN_TIME, plc.poll)
            assert isinstance(error, TransientError)
            assert "did not answer" in str(error)
            assert f"within {DEADLINE:g} s" in str(error)
            # The session is over: nobody waits for it again.
            assert isinstance(await within(AT_ONCE, plc.poll), TransientError)
            assert isinstance(await within(IN_TIME, plc.open), TransientError)
            fired += plant.fire(64)
            server.trouble.frozen = False
            report = await reopen(plc)
            assert report.lost == 0
            got += seen(report.events)
            assert got == fired

    with caplog.at_level(logging.INFO):
        asyncio.run(go())
    # The supervisor says once that it was lost and once that it is back; nobody dumps frames.
    assert caplog.records == []


def test_a_poll_that_breaks_off_reports_nothing_and_the_next_session_all(
    line: tuple[Server, str],
) -> None:
    server, address = line
    plant = Plant(server)

    async def go() -> None:
        plc = driver(address, timeout=DEADLINE)
        async with session(plc):
            fired = plant.fire(40)
            server.trouble.patience = 2  # the header and the first stretch of the ring
            assert isinstance(await within(IN_TIME, plc.poll), TransientError)
            server.trouble.patience, server.trouble.frozen = None, False
            assert seen((await reopen(plc)).events) == fired

    asyncio.run(go())


def test_a_break_of_more_than_64_events_is_counted(line: tuple[Server, str]) -> None:
    server, address = line
    plant = Plant(server)

    async def go() -> None:
        plc = driver(address)
        async with session(plc):
            await plc.poll()
            await plc.close()
            fired = plant.fire(100)
            report = await reopen(plc)
            assert report.lost == 36
            assert seen(report.events) == fired[36:]
            await plc.close()
            plant.restart(run=2)
            fired = plant.fire(4)
            report = await reopen(plc)
            assert (report.run, seen(report.events), report.lost) == (2, fired, 0)

    asyncio.run(go())


def test_a_write_whose_answer_is_lost_is_not_repeated_by_the_driver(
    line: tuple[Server, str],
) -> None:
    server, address = line
    Plant(server)

    async def go() -> None:
        plc = driver(address, timeout=DEADLINE)
        async with session(plc):
            server.trouble.mute = True
            before = server.requests
            error = await within(IN_TIME, lambda: plc.write_slots([Slot(1, 7, PASS)]))
            assert isinstance(error, TransientError)
            assert server.requests == before + 1
            assert server.agent().slots[1][7] == 0x1007
            server.trouble.mute = False
        async with session(driver(address)) as plc:
            await plc.write_slots([Slot(1, 7, PASS)])
            assert server.agent().slots[1] == [0] * 7 + [0x1007] + [0] * 8

    asyncio.run(go())


def test_a_closed_connection_is_noticed_at_once(tcp: tuple[SimPlcServer, str]) -> None:
    server, address = tcp
    plant = Plant(server)

    async def go() -> None:
        plc = driver(address, timeout=5)
        async with session(plc):
            server.trouble.frozen = True
            waiting = asyncio.create_task(within(IN_TIME, plc.poll))
            before = server.requests
            await asked(server, before)
            server.close_connections()
            error = await waiting
            assert isinstance(error, TransientError)
            assert "closed the connection" in str(error)
            assert asyncio.all_tasks() == {asyncio.current_task()}  # nobody reconnects by himself
            server.trouble.frozen = False
            fired = plant.fire(2)
            assert seen((await reopen(plc)).events) == fired

    asyncio.run(go())


def test_a_line_that_is_pulled_out_is_lost_and_nothing_hangs() -> None:
    server, address = start("rtu")
    Plant(server)

    async def go() -> None:
        plc = driver(address, timeout=DEADLINE)
        async with session(plc):
            await plc.poll()
            server.stop()
            assert isinstance(await within(IN_TIME, plc.poll), TransientError)
            error = await within(IN_TIME, plc.open)
            assert isinstance(error, TransientError)
            assert "cannot be reached" in str(error)

    asyncio.run(go())


def test_nobody_there_is_said_within_the_deadline() -> None:
    with closing(socket.socket()) as held:
        held.bind(("127.0.0.1", 0))  # bound and not listening: refused
        port = held.getsockname()[1]

        async def go() -> None:
            plc = driver(f"tcp://127.0.0.1:{port}")
            error = await within(IN_TIME, plc.open)
            assert isinstance(error, TransientError)
            assert "cannot be reached" in str(error)
            assert isinstance(await within(AT_ONCE, plc.poll), TransientError)
            assert isinstance(
                await within(AT_ONCE, lambda: plc.write_slots([Slot(0, 1, PASS)])), TransientError
            )
            await plc.close()
            assert asyncio.all_tasks() == {asyncio.current_task()}

        asyncio.run(go())


def test_a_half_open_connection_is_lost_within_the_deadline() -> None:
    with closing(socket.socket()) as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(1)  # the kernel accepts, nobody reads

        async def go() -> None:
            plc = driver(f"tcp://127.0.0.1:{silent.getsockname()[1]}", timeout=DEADLINE)
            error = await within(IN_TIME, plc.open)
            assert isinstance(error, TransientError)
            assert "did not answer" in str(error)
            assert asyncio.all_tasks() == {asyncio.current_task()}

        asyncio.run(go())


def test_a_cancelled_poll_leaves_no_answer_for_the_next(line: tuple[Server, str]) -> None:
    server, address = line
    plant = Plant(server)

    async def go() -> None:
        plc = driver(address, timeout=5)
        async with session(plc):
            fired = plant.fire(2)
            server.trouble.frozen = True
            before = server.requests
            task = asyncio.create_task(plc.poll())
            await asked(server, before)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            server.trouble.frozen = False
            assert "interrupted" in str(await within(AT_ONCE, plc.poll))
            assert seen((await reopen(plc)).events) == fired

    asyncio.run(go())


def test_a_wrong_unit_behind_a_gateway_is_named() -> None:
    server = SimPlcServer(unit=3)
    address = f"tcp://127.0.0.1:{server.start()}"
    try:
        Plant(server)

        async def go() -> None:
            error = await within(IN_TIME, driver(address, unit=4).open)
            assert isinstance(error, TransientError)
            assert "unit 4" in str(error)
            assert "is `unit` right?" in str(error)
            async with session(driver(address, unit=3)) as plc:
                await plc.poll()

        asyncio.run(go())
    finally:
        server.stop()


def test_a_wrong_unit_on_a_serial_line_is_silence() -> None:
    server, address = start("rtu", unit=3)
    try:
        Plant(server)

        async def go() -> None:
            error = await within(IN_TIME, driver(address, unit=4, timeout=DEADLINE).open)
            assert isinstance(error, TransientError)
            assert "unit 4" in str(error)
            async with session(driver(address, unit=3)) as plc:
                await plc.poll()

        asyncio.run(go())
    finally:
        server.stop()


def test_a_wrong_map_is_a_config_error_and_the_session_goes_on(
    line: tuple[Server, str],
) -> None:
    server, address = line
    plant = Plant(server)
    wrong = {"input": {"ring": 2000}, "output": {"slots": 900}}

    async def go() -> None:
        async with session(driver(address, map=wrong)) as plc:
            for _ in range(2):
                error = await within(IN_TIME, lambda: plc.write_slots([Slot(0, 1, PASS)]))
                assert isinstance(error, ConfigError)
                assert "illegal address for holding registers 901 to 901" in str(error)
                await plc.poll()
            plant.fire(1)
            error = await within(IN_TIME, plc.poll)
            assert isinstance(error, ConfigError)
            assert "unit 1" in str(error)
            assert "illegal address for input registers 2000 to 2007" in str(error)
            await plc.write_outputs(PlcOutputs(1))
            assert server.agent().heartbeat == 1

    asyncio.run(go())


def test_a_wrong_magic_is_a_config_error_and_zero_is_waited_for(wire: Wire) -> None:
    for value, kind, told in ((0xCA02, ConfigError, "0xca02"), (0, TransientError, "not running")):
        server, address = start(wire, PlcLayout(magic_value=value))
        try:
            error = asyncio.run(within(IN_TIME, driver(address).open))
            assert isinstance(error, kind)
            assert told in str(error)
        finally:
            server.stop()


@pytest.mark.parametrize(
    ("code", "kind", "told"),
    [
        (1, ConfigError, "does not know function 4"),
        (2, ConfigError, "is the register map the one"),
        (4, TransientError, "device failure"),
        (6, TransientError, "busy"),
        (11, TransientError, "gateway"),
        (77, TransientError, "exception 77"),
    ],
)
def test_a_refusal_has_words_and_leaves_the_session_open(
    line: tuple[Server, str], code: int, kind: type[Exception], told: str
) -> None:
    server, address = line
    plant = Plant(server)

    async def go() -> None:
        async with session(driver(address)) as plc:
            fired = plant.fire(1)
            server.trouble.exception = code
            error = await within(IN_TIME, plc.poll)
            assert isinstance(error, kind)
            assert told in str(error)
            server.trouble.exception = 0
            assert seen((await plc.poll()).events) == fired

    asyncio.run(go())


TCP_GARBAGE = {
    "http": b"HTTP/1.1 400 Bad Request\r\n\r\n",
    "one byte": b"\x00",
    "a flood": b"\xff" * 300,
    "a megabyte": b"\0" * 1_000_000,
    "a login prompt": b"\xff\xfd\x18\r\nbox login: ",
    "short by one": b"\x00\x02\x00\x00\x00\x03\x01\x84",
    "odd byte count": b"\x00\x02\x00\x00\x00\x13\x01\x04\x11" + b"\x00" * 16,
    "more than was asked": b"\x00\x02\x00\x00\x00\x13\x01\x04\x10" + b"\x00" * 300,
    "another unit": b"\x00\x02\x00\x00\x00\x13\x09\x04\x10" + b"\x00" * 16,
    "another function": b"\x00\x02\x00\x00\x00\x03\x01\x2b\x0e",
    "another transaction": b"\x00\x99\x00\x00\x00\x13\x01\x04\x10" + b"\x00" * 16,
}
RTU_GARBAGE = {
    "one byte": b"\x00",
    "a flood": b"\xff" * 300,
    "wrong checksum": b"\x01\x04\x10" + b"\x00" * 18,
    "another function": b"\x01\x2b\x0e\x00\x00\x00",
}


@pytest.mark.parametrize(
    ("wire", "garbage"),
    [
        pytest.param(wire, data, id=f"{wire} {name}")
        for wire, all_of_it in (("tcp", TCP_GARBAGE), ("rtu", RTU_GARBAGE))
        for name, data in all_of_it.items()
    ],
)
def test_garbage_ends_the_session_in_time_and_quietly(
    wire: Wire, line: tuple[Server, str], garbage: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    server, address = line
    plant = Plant(server)

    async def go() -> None:
        plc = driver(address, timeout=DEADLINE)
        async with session(plc):
            fired = plant.fire(1)
            server.trouble.garbage = garbage
            assert isinstance(await within(IN_TIME, plc.poll), TransientError)
            server.trouble.garbage = None
            assert seen((await reopen(plc)).events) == fired

    asyncio.run(go())
    assert caplog.records == []


@pytest.mark.parametrize(
    ("garbage", "told"),
    [
        (TCP_GARBAGE["http"], "what is not Modbus TCP (48 54 54 50"),
        (TCP_GARBAGE["another unit"], "answers as unit 9"),
        (TCP_GARBAGE["another function"], "answers what was not asked"),
        (TCP_GARBAGE["odd byte count"], "answers what was not asked"),
    ],
)
def test_what_is_no_answer_on_tcp_is_said(
    tcp: tuple[SimPlcServer, str], garbage: bytes, told: str
) -> None:
    server, address = tcp
    Plant(server)

    async def go() -> None:
        plc = driver(address, timeout=5)
        async with session(plc):
            server.trouble.garbage = garbage
            assert told in str(await within(IN_TIME, plc.poll))

    asyncio.run(go())


def test_a_sound_frame_that_answers_something_else_is_refused() -> None:
    server, address = start("rtu")
    try:
        Plant(server)

        def frame(text: str) -> bytes:
            data = bytes.fromhex(text)
            return data + FramerRTU.compute_CRC(data).to_bytes(2, "big")

        async def go() -> None:
            plc = driver(address, timeout=DEADLINE)
            async with session(plc):
                server.trouble.garbage = frame("01 04 04 CA01 0001")
                assert "answers 2 values to input registers 0 to 7" in str(
                    await within(IN_TIME, plc.poll)
                )
                server.trouble.garbage = None
                await reopen(plc)
                server.trouble.garbage = frame("01 10 0000 0001")
                error = await within(IN_TIME, lambda: plc.write_slots([Slot(1, 1, PASS)]))
                assert "confirms another write" in str(error)
                assert isinstance(await within(AT_ONCE, plc.poll), TransientError)

        asyncio.run(go())
    finally:
        server.stop()


def test_one_lost_connection_of_two_ends_the_session() -> None:
    server, address = start("tcp")
    try:
        Plant(server)

        async def go() -> None:
            plc = driver(address, connections=2, timeout=DEADLINE)
            async with session(plc):
                server.trouble.mute = True
                error = await within(IN_TIME, lambda: plc.write_slots([Slot(0, 1, PASS)]))
                assert isinstance(error, TransientError)
                server.trouble.mute = False
                assert isinstance(await within(AT_ONCE, plc.poll), TransientError)
                await reopen(plc)

        asyncio.run(go())
    finally:
        server.stop()


def test_closing_with_a_peer_that_does_not_read_is_quick(tcp: tuple[SimPlcServer, str]) -> None:
    server, address = tcp
    Plant(server)

    async def go() -> None:
        plc = driver(address, timeout=5)
        await plc.open()
        server.trouble.frozen = True
        before = server.requests
        waiting = asyncio.create_task(within(IN_TIME, plc.poll))
        await asked(server, before)
        await plc.close()
        assert "closed" in str(await waiting)
        await plc.close()
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(go())
