"""Looks at one device for people: is it there, is it the right one, and what to do if it is not.

`check` opens a device that nobody else holds. `check_open` asks about one that a running agent
holds, through its session: many devices take one connection only.
"""

import asyncio
import tempfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from agent.core.errors import CaselinkError, ConfigError, DomainError, TransientError
from agent.health import Health
from agent.now import monotonic
from agent.ports import (
    Checked,
    CodeReader,
    Device,
    DeviceCheck,
    Fired,
    FrameSource,
    Printer,
    PrinterStatus,
    PrintEventKind,
    PrintJob,
    Tested,
)
from drivers import diagnose, registry
from drivers.context import DeviceContext, no_mask
from drivers.printers.label_files import load_label
from drivers.printers.label_printer import LabelPrinter, LabelPrinterConfig
from drivers.printers.label_template import Element, LabelTemplate
from drivers.transport import SerialAddress, TcpAddress, parse_address
from drivers.wireread import entries

OPEN_SECONDS = 10.0
ASK_SECONDS = 15.0
CLOSE_SECONDS = 3.0
GLANCE = 2.0
"""Seconds to wait for what comes only after a trigger."""
TAIL = timedelta(minutes=2)
"""How old what was heard may be to say something of now."""

_OPENED = DeviceCheck(True, "opened")
Found = Sequence[DeviceCheck]


async def check(name: str, section: Mapping[str, Any]) -> Found:
    """Open the device of a section, ask it, close it; everything that is wrong, in words."""
    found = _about_address(section)
    try:
        registry.check(name, section)
    except ConfigError as error:
        return [DeviceCheck(False, words) for words in str(error).splitlines()]
    with tempfile.TemporaryDirectory() as folder:
        wire = Path(folder)
        try:
            device = registry.build(name, section, DeviceContext(wire, no_mask))
        except ConfigError as error:
            return [*found, DeviceCheck(False, str(error))]
        found += await _ask(device)
        heard = b"".join(e.data for e in entries(wire, name) if e.direction == "<")
    found += await _strange(section, found, heard)
    return found


async def check_open(
    device: Device, health: Health, section: Mapping[str, Any], wire: Path
) -> Found:
    """What the agent knows of a device that it holds, and what the device says now."""
    found = _about_address(section)
    if health.state == "ok":
        found.append(DeviceCheck(True, _answers(health)))
    else:
        state = {"lost": "it does not answer", "fault": "it says that it cannot work"}
        what = state.get(health.state, "it is being opened")
        found.append(DeviceCheck(False, f"{what}: {health.error or 'wait a moment'}"))
    found += [DeviceCheck(True, f"warning: {key}") for key in health.warnings]
    if health.state == "ok" and isinstance(device, Checked):
        try:
            async with asyncio.timeout(ASK_SECONDS):
                found += await device.check()
        except CaselinkError as error:
            found.append(DeviceCheck(False, str(error)))
        except TimeoutError:
            found.append(DeviceCheck(False, f"it did not answer within {ASK_SECONDS:.0f} s"))
    if health.state != "ok":
        since = datetime.now(UTC) - TAIL
        heard = [e.data for e in entries(wire, health.id, since) if e.direction == "<"]
        words = diagnose.who_answers(b"".join(heard[-20:]), str(section.get("type")))
        found += [DeviceCheck(False, words)] if words else []
    return found


async def test(name: str, section: Mapping[str, Any], seconds: float) -> str:
    """Open the device of a section and do one harmless thing; what a person should have seen."""
    config = registry.check(name, section)
    if isinstance(config, LabelPrinterConfig):
        section = {**section, "labels": {"test": _test_label(name, config)}}
    device = registry.build(name, section, DeviceContext())
    try:
        async with asyncio.timeout(OPEN_SECONDS):
            await device.open()
        return await _test(name, device, seconds)
    except TimeoutError:
        raise TransientError(f"{name} did not open within {OPEN_SECONDS:.0f} s.") from None
    finally:
        await _close(device)


async def _test(name: str, device: Device, seconds: float) -> str:
    if isinstance(device, Fired):
        await device.fire()
    if isinstance(device, FrameSource):
        frame = await device.next_frame(seconds)
        if frame is None:
            raise TransientError(
                f"No picture came from {name} within {seconds:.0f} s: trigger it by hand (a hand "
                "before the photo-eye), and look at its trigger wire and exposure."
            )
        height, width = frame.image.shape[:2]
        return f"A picture came: {width} x {height}, exposure number {frame.counter}."
    if isinstance(device, CodeReader):
        reading = await device.next_reading(seconds)
        if reading is None:
            raise TransientError(
                f"Nothing came from {name} within {seconds:.0f} s: show it a code and trigger it."
            )
        texts = ", ".join(read.symbology + read.text for read in reading.reads)
        return f"It read: {texts}" if texts else "It said that it read nothing: it works."
    if isinstance(device, Tested):
        async with asyncio.timeout(seconds + ASK_SECONDS):
            return await device.test()
    if isinstance(device, LabelPrinter):
        return await _print_label(name, device, seconds)
    if isinstance(device, Printer):
        status = await device.status()
        words = "ready" if status.ready else ", ".join(status.faults) or "not ready"
        return f"It answers: {words}. What it prints stands on a product: no print was tried."
    raise TransientError(f"There is no test for {name}.")


async def _print_label(name: str, device: Printer, seconds: float) -> str:
    if not await device.send(PrintJob(1, {}, "test")):
        status = await device.status()
        faults = ", ".join(status.faults) or "it is not idle"
        raise DomainError("printer_not_ready", f"{name} prints nothing now: {faults}.")
    until = monotonic() + seconds
    while monotonic() < until:
        event = await device.next_event(1.0)
        if event is not None and event.kind is PrintEventKind.PRINTED:
            return "A test label came out: look whether it is sharp and lies within its edges."
    raise TransientError(
        f"{name} took a test label and does not say that it came out: look at the printer."
    )


def _test_label(name: str, config: LabelPrinterConfig) -> LabelTemplate:
    """Of the size of the printer's first label, and nothing on it that a scanner could read."""
    first = next(iter(config.labels.values()))
    like = load_label(first, name) if isinstance(first, str) else first
    text = Element(
        kind="text",
        x=like.width / 10,
        y=like.height / 10,
        size=like.height / 10,
        width=like.width * 0.8,
        text=f"TEST {name}",
    )
    return LabelTemplate(unit=like.unit, width=like.width, height=like.height, elements=(text,))


async def _ask(device: Device) -> list[DeviceCheck]:
    found: list[DeviceCheck] = []
    try:
        async with asyncio.timeout(OPEN_SECONDS):
            await device.open()
        found.append(_OPENED)
        async with asyncio.timeout(ASK_SECONDS):
            found += await _status(device)
    except CaselinkError as error:
        found.append(DeviceCheck(False, str(error)))
    except TimeoutError:
        found.append(DeviceCheck(False, "no answer in time: is it switched on, is it this type?"))
    finally:
        await _close(device)
    return found


async def _status(device: Device) -> Found:
    found = [*await device.check()] if isinstance(device, Checked) else []
    if isinstance(device, Printer):
        found += _of_printer(await device.status(), device)
    elif isinstance(device, FrameSource):
        frame = await device.next_frame(GLANCE)
        words = "no picture yet: it waits for a trigger (device test)"
        if frame is not None:
            height, width = frame.image.shape[:2]
            words = f"a picture came: {width} x {height}"
        found.append(DeviceCheck(True, words))
    elif isinstance(device, CodeReader):
        reading = await device.next_reading(GLANCE)
        words = "no reading yet: it waits for a trigger (device test)"
        found.append(DeviceCheck(True, words if reading is None else "a reading came"))
    return found


def _of_printer(status: PrinterStatus, device: Printer) -> Found:
    able = device.capability
    level = f"evidence of a print: level {int(able.evidence)}; holds {able.queue} ahead"
    found = [DeviceCheck(True, level)]
    if able.repeat_risk:
        found.append(DeviceCheck(True, "it repeats the last code when it has no fresh one"))
    if status.ready:
        counter = "" if status.counter is None else f", its counter says {status.counter}"
        found.append(DeviceCheck(True, f"ready{counter}"))
    else:
        faults = ", ".join(status.faults) or "no reason given"
        found.append(DeviceCheck(False, f"it cannot print now: {faults}. Mend that at the device."))
    found += [DeviceCheck(True, f"warning: {key}") for key in status.warnings]
    return found


async def _strange(section: Mapping[str, Any], found: Found, heard: bytes) -> list[DeviceCheck]:
    """Who answers instead of the device, and why nobody does."""
    kind = str(section.get("type"))
    words = diagnose.who_answers(heard, kind)
    if words:
        return [DeviceCheck(False, words)]
    if all(each.good for each in found):
        return []
    if registry.kind_of(section) == "plc" and _OPENED in found:
        return []  # it has answered
    at = _endpoint(section)
    if not isinstance(at, TcpAddress) or section.get("role") == "server" or heard:
        return []
    said, error = await diagnose.greeting(at.host, at.port)
    words = diagnose.who_answers(said, kind)
    if error is not None:
        words = diagnose.why_unreachable(error, section["address"], registry.entry_of(kind).ports)
    elif not words:
        words = (
            f"Something takes connections at {section['address']} and is silent: another kind of "
            "device, another port of this one, or it is busy with another client."
        )
    return [DeviceCheck(False, words)] if words else []


def _about_address(section: Mapping[str, Any]) -> list[DeviceCheck]:
    at = _endpoint(section)
    words = diagnose.about_serial(at.path) if isinstance(at, SerialAddress) else ""
    return [DeviceCheck(False, words)] if words else []


def _endpoint(section: Mapping[str, Any]) -> TcpAddress | SerialAddress | None:
    try:
        return parse_address(str(section.get("address", "")))
    except ValueError:
        return None


def _answers(health: Health) -> str:
    took = "" if health.latency is None else f" in {health.latency * 1000:.1f} ms"
    times = f"; lost {health.losses} times, at fault {health.faults} times since the start"
    return f"answers{took}{times if health.losses or health.faults else ''}"


async def _close(device: Device) -> None:
    try:
        async with asyncio.timeout(CLOSE_SECONDS):
            await device.close()
    except TimeoutError:
        pass
