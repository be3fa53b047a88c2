"""Hand scanners that type like keyboards: bytes of an input device, and what spoils a scan."""

import asyncio
import importlib.util
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from agent.core.errors import ConfigError, TransientError
from agent.ports.reading import Read
from drivers import registry
from drivers.context import DeviceContext
from drivers.readers import keys
from drivers.readers.hid_scanner import MAX_READINGS, HidScannerConfig
from drivers.readers.keys import KeyCodec
from drivers.readers.payload import Heard
from drivers.sim.keyboard import NUMBERS, Keyboard, KeyboardFifo, printable
from drivers.wireread import entries
from tests.drivers.saying import english

CONFIG = HidScannerConfig(path="/dev/input/by-id/usb-scanner-event-kbd")
# `]Q1a` and Enter as a 64-bit kernel hands them on, key records only: right bracket; Shift and q;
# 1; a; Enter. Written out by hand from linux/input.h.
RECORDED = b"".join(
    bytes.fromhex("1027656900000000")
    + n.to_bytes(8, "little")
    + bytes.fromhex("0100")
    + code.to_bytes(2, "little")
    + value.to_bytes(4, "little")
    for n, (code, value) in enumerate(
        [(27, 1), (27, 0), (42, 1), (16, 1), (16, 0), (42, 0), (2, 1), (2, 0), (30, 1), (30, 0),
         (28, 1), (28, 0)]
    )
)  # fmt: skip


def codec(**more: Any) -> KeyCodec:
    return KeyCodec(CONFIG, **more)


def texts(found: list[Heard]) -> list[tuple[str, ...]]:
    return [tuple(read.symbology + read.text for read in one.reads) for one in found]


def test_recorded_bytes() -> None:
    assert keys.EVENT.size == 24
    assert codec().feed(RECORDED) == [Heard((Read("a", "]Q1"),))]
    slow = codec()
    one_by_one = [found for byte in RECORDED for found in slow.feed(bytes([byte]))]
    assert one_by_one == [Heard((Read("a", "]Q1"),))]


def test_every_character_of_the_layout() -> None:
    one = codec()
    everything = "".join(printable())
    assert len(everything) == 95 + 5
    assert texts(one.feed(Keyboard().typed(everything))) == [(everything,)]
    assert one.dropped == 0


@settings(max_examples=60, deadline=None)
@given(
    scans=st.lists(st.text(st.sampled_from(sorted(printable())), min_size=1), max_size=4),
    data=st.data(),
)
def test_any_scan_in_any_pieces(scans: list[str], data: st.DataObject) -> None:
    keyboard, one = Keyboard(pace=0.0001), KeyCodec(CONFIG, gap=10)
    stream = b"".join(keyboard.typed(text) for text in scans)
    cuts = sorted(data.draw(st.sets(st.integers(0, len(stream)), max_size=8)))
    pieces = pairwise([0, *cuts, len(stream)])
    found = [each for begin, end in pieces for each in one.feed(stream[begin:end])]
    assert texts(found) == [(text,) for text in scans]


def test_caps_lock_turns_letters_and_nothing_else() -> None:
    keyboard, one = Keyboard(), codec()
    assert texts(one.feed(keyboard.tap("CAPSLOCK") + keyboard.typed("aB1_"))) == [("Ab1_",)]
    assert texts(one.feed(keyboard.tap("CAPSLOCK") + keyboard.typed("aB1_"))) == [("aB1_",)]


def test_control_characters_by_alt_and_number() -> None:
    keyboard, one = Keyboard(), codec()
    stream = keyboard.typed("01", end="") + keyboard.by_number("\x1d") + keyboard.typed("21A")
    assert texts(one.feed(stream)) == [("01\x1d21A",)]


def test_an_end_by_ctrl_and_an_end_by_tab() -> None:
    keyboard = Keyboard()
    stream = keyboard.typed("A", end="") + keyboard.tap("LEFTCTRL", "M")
    stream += keyboard.tap("LEFTCTRL", "J")
    assert texts(codec().feed(stream)) == [("A",)]
    by_tab = codec(tab=True)
    assert texts(by_tab.feed(keyboard.typed("B", end="TAB"))) == [("B",)]
    assert texts(codec().feed(keyboard.typed("C", end="KPENTER"))) == [("C",)]


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda k: k.tap("102ND"), id="a key that the layout has not"),
        pytest.param(lambda k: k.tap("F1"), id="a function key"),
        pytest.param(lambda k: k.tap("LEFTCTRL", "Q"), id="a control character of no code"),
        pytest.param(lambda k: k.tap("LEFTALT", "Q"), id="Alt with a letter"),
        pytest.param(lambda k: k.tap("TAB"), id="the other end"),
        pytest.param(lambda k: k.record(0, 3, 0), id="keys that the kernel lost"),
        pytest.param(lambda k: k.typed("A" * 5000, end=""), id="five thousand characters"),
        pytest.param(
            lambda k: k.key("LEFTALT", 1) + k.tap("KP9") * 5 + k.key("LEFTALT", 0),
            id="a number of five digits",
        ),
    ],
)
def test_what_is_not_understood_spoils_its_scan_and_no_other(spoil: Any) -> None:
    keyboard, one = Keyboard(), codec()
    stream = keyboard.typed("GOOD-1") + keyboard.typed("BA", end="") + spoil(keyboard)
    stream += keyboard.typed("D") + keyboard.typed("GOOD-2")
    assert texts(one.feed(stream)) == [("GOOD-1",), (), ("GOOD-2",)]
    assert one.dropped == 1


def test_a_key_that_repeats_itself_is_typed_once() -> None:
    keyboard = Keyboard()
    held = keyboard.key("A", 1) + keyboard.key("A", 2) * 9 + keyboard.key("A", 0)
    assert texts(codec().feed(held + keyboard.tap("ENTER"))) == [("a",)]


def test_a_scan_that_is_not_ended_is_no_part_of_the_next() -> None:
    keyboard, one = Keyboard(), codec(gap=0.5)
    first = keyboard.typed("HALF", end="")
    keyboard.at += 0.6
    assert texts(one.feed(first + keyboard.typed("WHOLE"))) == [("WHOLE",)]
    assert one.dropped == 1
    keyboard.at -= 3600  # the clock was set
    assert texts(one.feed(keyboard.typed("X"))) == [("X",)]


def test_the_keys_have_the_numbers_that_linux_gives_them() -> None:
    if importlib.util.find_spec("evdev") is None:
        pytest.skip("evdev is not installed: pip install 'caselink[hid]'")
    ecodes: Any = importlib.import_module("evdev.ecodes")
    for name, number in NUMBERS.items():
        assert getattr(ecodes, f"KEY_{name}") == number
    known = {number: name for name, number in NUMBERS.items()}
    for number, (plain, shifted) in keys.KEYS.items():
        name = ecodes.KEY[number]
        name = (name if isinstance(name, str) else name[0]).removeprefix("KEY_")
        assert known.get(number, name) == name
        if name.startswith("KP") and name[2:].isdigit():
            assert plain == shifted == name[2:]
        elif len(name) == 1 and name.isalpha():
            assert (plain, shifted) == (name.lower(), name)
    assert (ecodes.EV_SYN, ecodes.EV_KEY, ecodes.SYN_DROPPED) == (0, 1, 3)


# ---------------------------------------------------------------------------------------- device


@pytest.mark.parametrize("path", ["/dev/input/event5", "scanner", ""])
def test_a_path_that_changes_is_refused(path: str) -> None:
    with pytest.raises(ValidationError):
        HidScannerConfig(path=path)
    with pytest.raises(ConfigError, match="path"):
        registry.check("scanner", {"type": "hid_scanner", "path": path})


def build(path: str, context: DeviceContext | None = None, **more: Any) -> Any:
    section = {"type": "hid_scanner", "path": path} | more
    return registry.build("scanner", section, context or DeviceContext())


def test_a_file_that_is_no_input_device_is_named(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    scanner = build(str(file))
    with pytest.raises(ConfigError, match=r"scanner at .*file is no input device"):
        asyncio.run(scanner.open())


def test_a_spoiled_scan_shows_in_the_check_and_the_wire_log(tmp_path: Path) -> None:
    async def scenario() -> None:
        sim = KeyboardFifo(tmp_path / "kbd")
        path = await sim.start()
        scanner = build(path, DeviceContext(wire_log_dir=tmp_path), grab=False)
        await scanner.open()
        assert all(one.good for one in await scanner.check())
        sim.read("CODE-1")
        assert (await scanner.next_reading(2)).reads == (Read("CODE-1"),)
        sim.push(sim.keyboard.tap("102ND") + sim.keyboard.tap("ENTER"))
        assert (await scanner.next_reading(2)).reads == ()
        (found,) = await scanner.check()
        assert not found.good
        assert "US keyboard" in english(found)
        await scanner.close()
        await sim.stop()

    asyncio.run(scenario())
    said = [one.data for one in entries(tmp_path, "scanner") if one.direction == "<"]
    assert said == [b"CODE-1\r", b"\r"]


def test_scans_that_nobody_takes_end_the_session(tmp_path: Path) -> None:
    async def scenario() -> None:
        sim = KeyboardFifo(tmp_path / "kbd")
        scanner = build(await sim.start(), grab=False)
        await scanner.open()
        scan = sim.keyboard.typed("A")
        for _ in range(300):
            sim.push(scan)
            await asyncio.sleep(0)
        taken = 0
        with suppress(TransientError):
            while await scanner.next_reading(2):
                taken += 1
        assert taken == MAX_READINGS
        with pytest.raises(TransientError, match="nobody took"):
            await scanner.next_reading(2)
        await scanner.close()
        await sim.stop()

    asyncio.run(scenario())
