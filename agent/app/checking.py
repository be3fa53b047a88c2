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

from agent.core.errors import (
    CaselinkError,
    ConfigError,
    DomainError,
    Said,
    TransientError,
    in_words,
    say,
)
from agent.health import Health
from agent.now import monotonic
from agent.ports.devices import Checked, Device, DeviceCheck, Fired, Tested
from agent.ports.printing import Printer, PrinterStatus, PrintEventKind, PrintJob
from agent.ports.reading import CodeReader, FrameSource
from agent.told import told
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

_OPENED = DeviceCheck(True, say("opened"))
Found = Sequence[DeviceCheck]


async def check(name: str, section: Mapping[str, Any]) -> Found:
    """Open the device of a section, ask it, close it; everything that is wrong, in words."""
    found = _about_address(section)
    try:
        registry.check(name, section)
    except registry.Mistakes as error:
        return [DeviceCheck(False, mistake) for mistake in error.each]
    except ConfigError as error:
        return [DeviceCheck(False, in_words(error))]
    with tempfile.TemporaryDirectory() as folder:
        wire = Path(folder)
        try:
            device = registry.build(name, section, DeviceContext(wire, no_mask))
        except ConfigError as error:
            return [*found, DeviceCheck(False, in_words(error))]
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
        found += _answers(health)
    else:
        why = health.said or say("wait" if health.error is None else "keys", faults=health.error)
        found.append(DeviceCheck(False, say(f"state_{health.state}", why=why)))
    found += [DeviceCheck(True, say("warning", warning=key)) for key in health.warnings]
    if health.state == "ok" and isinstance(device, Checked):
        try:
            async with asyncio.timeout(ASK_SECONDS):
                found += await device.check()
        except CaselinkError as error:
            found.append(DeviceCheck(False, in_words(error)))
        except TimeoutError:
            found.append(DeviceCheck(False, say("silent_for", s=f"{ASK_SECONDS:.0f}")))
    if health.state != "ok":
        since = datetime.now(UTC) - TAIL
        heard = [e.data for e in entries(wire, health.id, since) if e.direction == "<"]
        found += _wrong(diagnose.who_answers(b"".join(heard[-20:]), str(section.get("type"))))
    return found


async def test(name: str, section: Mapping[str, Any], seconds: float) -> Said:
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
        limit = f"{OPEN_SECONDS:.0f}"
        raise TransientError(*told("did_not_open_in", device=name, s=limit)) from None
    finally:
        await _close(device)


async def _test(name: str, device: Device, seconds: float) -> Said:
    if isinstance(device, Fired):
        await device.fire()
    if isinstance(device, FrameSource):
        frame = await device.next_frame(seconds)
        if frame is None:
            raise TransientError(*told("picture_none", device=name, s=f"{seconds:.0f}"))
        height, width = frame.image.shape[:2]
        return say("tested_picture", width=width, height=height, number=frame.counter)
    if isinstance(device, CodeReader):
        reading = await device.next_reading(seconds)
        if reading is None:
            raise TransientError(*told("reading_none", device=name, s=f"{seconds:.0f}"))
        texts = ", ".join(read.symbology + read.text for read in reading.reads)
        return say("tested_read", texts=texts) if texts else say("tested_no_read")
    if isinstance(device, Tested):
        async with asyncio.timeout(seconds + ASK_SECONDS):
            return await device.test()
    if isinstance(device, LabelPrinter):
        return await _print_label(name, device, seconds)
    if isinstance(device, Printer):
        status = await device.status()
        state = say("ready")
        if not status.ready:
            state = say("keys", faults=", ".join(status.faults) or "not_ready")
        return say("tested_coder", state=state)
    raise TransientError(*told("no_test_for", device=name))


async def _print_label(name: str, device: Printer, seconds: float) -> Said:
    if not await device.send(PrintJob(1, {}, "test")):
        status = await device.status()
        faults = ", ".join(status.faults) or "it is not idle"
        raise DomainError("printer_not_ready", f"{name} prints nothing now: {faults}.")
    until = monotonic() + seconds
    while monotonic() < until:
        event = await device.next_event(1.0)
        if event is not None and event.kind is PrintEventKind.PRINTED:
            return say("tested_label")
    raise TransientError(*told("label_unknown", device=name))


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
        found.append(DeviceCheck(False, in_words(error)))
    except TimeoutError:
        found.append(DeviceCheck(False, say("no_answer")))
    finally:
        await _close(device)
    return found


async def _status(device: Device) -> Found:
    found = [*await device.check()] if isinstance(device, Checked) else []
    if isinstance(device, Printer):
        found += _of_printer(await device.status(), device)
    elif isinstance(device, FrameSource):
        frame = await device.next_frame(GLANCE)
        said = say("picture_waits")
        if frame is not None:
            height, width = frame.image.shape[:2]
            said = say("picture", width=width, height=height)
        found.append(DeviceCheck(True, said))
    elif isinstance(device, CodeReader):
        reading = await device.next_reading(GLANCE)
        found.append(DeviceCheck(True, say("reading_waits" if reading is None else "reading")))
    return found


def _of_printer(status: PrinterStatus, device: Printer) -> Found:
    able = device.capability
    found = [DeviceCheck(True, say("evidence", level=int(able.evidence), queue=able.queue))]
    if able.repeat_risk:
        found.append(DeviceCheck(True, say("repeats")))
    if status.ready and status.counter is not None:
        found.append(DeviceCheck(True, say("ready_counter", counter=status.counter)))
    elif status.ready:
        found.append(DeviceCheck(True, say("ready")))
    else:
        faults = ", ".join(status.faults) or "not_ready"
        found.append(DeviceCheck(False, say("cannot_print", faults=faults)))
    found += [DeviceCheck(True, say("warning", warning=key)) for key in status.warnings]
    return found


async def _strange(section: Mapping[str, Any], found: Found, heard: bytes) -> list[DeviceCheck]:
    """Who answers instead of the device, and why nobody does."""
    kind = str(section.get("type"))
    said = diagnose.who_answers(heard, kind)
    if said is not None:
        return _wrong(said)
    if all(each.good for each in found):
        return []
    if registry.kind_of(section) == "plc" and _OPENED in found:
        return []  # it has answered
    at = _endpoint(section)
    if not isinstance(at, TcpAddress) or section.get("role") == "server" or heard:
        return []
    greeted, error = await diagnose.greeting(at.host, at.port)
    if error is not None:
        ports = registry.entry_of(kind).ports
        return _wrong(diagnose.why_unreachable(error, section["address"], ports))
    silent = say("silent_there", where=section["address"])
    return _wrong(diagnose.who_answers(greeted, kind) or silent)


def _wrong(said: Said | None) -> list[DeviceCheck]:
    return [] if said is None else [DeviceCheck(False, said)]


def _about_address(section: Mapping[str, Any]) -> list[DeviceCheck]:
    at = _endpoint(section)
    return _wrong(diagnose.about_serial(at.path)) if isinstance(at, SerialAddress) else []


def _endpoint(section: Mapping[str, Any]) -> TcpAddress | SerialAddress | None:
    try:
        return parse_address(str(section.get("address", "")))
    except ValueError:
        return None


def _answers(health: Health) -> list[DeviceCheck]:
    answers = say("answers")
    if health.latency is not None:
        answers = say("answers_in", ms=f"{health.latency * 1000:.1f}")
    found = [DeviceCheck(True, answers)]
    if health.losses or health.faults:
        times = say("troubled", losses=health.losses, times=health.faults)
        found.append(DeviceCheck(True, times))
    return found


async def _close(device: Device) -> None:
    try:
        async with asyncio.timeout(CLOSE_SECONDS):
            await device.close()
    except TimeoutError:
        pass
