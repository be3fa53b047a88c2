"""The simulated PLC itself: its frames against the specification, its threads, its memory."""

import os
import select
import socket
import struct
import threading
import tty
from collections.abc import Iterator

import pytest
from pymodbus.framer.rtu import FramerRTU

from drivers.sim.modbus_server import SimPlcServer
from drivers.sim.rtu_server import SimRtuServer, crc16
from drivers.sim.world import PlcImage
from tests.drivers.plc_line import Plant

ANSWER_WAIT = 2.0
SILENT = 0.05


@pytest.fixture
def rtu() -> Iterator[tuple[SimRtuServer, int]]:
    server = SimRtuServer(unit=5)
    line = os.open(server.start(), os.O_RDWR | os.O_NOCTTY)
    tty.setraw(line)
    try:
        yield server, line
    finally:
        os.close(line)
        server.stop()


def ask(line: int, text: str, answered: bool = True) -> str:
    """Send a frame (hex, without checksum); the answer's hex without its checked checksum."""
    data = bytes.fromhex(text)
    os.write(line, data + FramerRTU.compute_CRC(data).to_bytes(2, "big"))
    return hear(line, answered)


def hear(line: int, answered: bool) -> str:
    heard = b""
    while select.select([line], [], [], SILENT if heard or not answered else ANSWER_WAIT)[0]:
        heard += os.read(line, 512)
    if not heard:
        return ""
    assert FramerRTU.compute_CRC(heard[:-2]).to_bytes(2, "big") == heard[-2:]
    return heard[:-2].hex(" ")


def test_the_checksum_is_that_of_the_specification() -> None:
    # Modbus over serial line 1.02, 6.2.2: the CRC of 02 07 is 1241h, low byte sent first.
    assert crc16(b"\x02\x07") == b"\x41\x12"


def test_the_functions_answer_as_the_specification_says(rtu: tuple[SimRtuServer, int]) -> None:
    server, line = rtu
    server.publish(PlcImage(run=3, speed=258))
    assert ask(line, "05 04 0000 0002") == "05 04 04 ca 01 00 03"
    assert ask(line, "05 06 0002 000C") == "05 06 00 02 00 0c"
    assert ask(line, "05 10 0010 0002 04 1001 2002") == "05 10 00 10 00 02"
    assert ask(line, "05 03 0010 0002") == "05 03 04 10 01 20 02"
    assert server.agent().lamps == 12
    assert ask(line, "05 01 0000 0001") == "05 81 01"
    assert ask(line, "05 04 0000 007E") == "05 84 03"
    assert ask(line, "05 04 020F 0002") == "05 84 02"
    assert ask(line, "05 10 0010 0002 03 1001 20") == "05 90 03"
    assert ask(line, "05 06 0110 0001") == "05 86 02"


def test_frames_that_are_broken_or_not_ours_are_not_answered(
    rtu: tuple[SimRtuServer, int],
) -> None:
    server, line = rtu
    assert ask(line, "06 04 0000 0001", answered=False) == ""
    os.write(line, bytes.fromhex("05 06 0002 0001") + b"\x00\x00")
    assert hear(line, answered=False) == ""
    os.write(line, b"\xff" * 1000)
    assert hear(line, answered=False) == ""
    assert server.agent().lamps == 0
    assert ask(line, "00 06 0002 0001", answered=False) == ""  # broadcast: done, not answered
    assert server.agent().lamps == 1
    assert ask(line, "05 03 0002 0001") == "05 03 02 00 01"


def test_a_new_run_leaves_nothing_of_the_old_one_in_the_ring() -> None:
    server = SimPlcServer()
    plant = Plant(server, run=1)
    plant.fire(64)
    plant.restart(run=2)
    plant.fire(1)
    ring = [server.memory.read(False, 16 + 8 * n, 8) for n in range(64)]
    assert ring[0] is not None
    assert ring[0][1] == 0x0103
    assert all(entry == [0] * 8 for entry in ring[1:])
    assert server.memory.read(False, 16 + 512, 1) is None


def test_a_stopped_server_leaves_no_thread_and_takes_its_port_again() -> None:
    before = set(threading.enumerate())
    server = SimPlcServer()
    port = server.start()
    with socket.create_connection(("127.0.0.1", port), 2) as client:
        client.settimeout(2)
        client.sendall(struct.pack(">HHHBBHH", 1, 0, 6, 1, 4, 0, 1))
        assert client.recv(64) == struct.pack(">HHHBBBH", 1, 0, 5, 1, 4, 2, 0xCA01)
        server.stop()
        assert client.recv(64) == b""
    assert set(threading.enumerate()) == before
    server.stop()
    assert server.start() == port
    server.stop()
    line = SimRtuServer()
    line.start()
    line.stop()
    assert set(threading.enumerate()) == before
