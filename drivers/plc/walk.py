"""Walks a register map on a live PLC and says in words what is wrong with it.

Nothing is written. Every sentence names the registers it is about, so that an integrator can look
at them in the PLC's own tool.
"""

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from agent.core.errors import ConfigError
from agent.ports import DeviceCheck, PlcEventKind
from drivers.plc import ring
from drivers.plc.link import Table
from drivers.plc.points import Point
from drivers.plc.register_map import RegisterMap

BETWEEN = 0.6
"""Seconds between two looks at what must move; a heartbeat moves every 200 ms."""
FASTEST = 10_000
"""mm/s; no packaging belt is faster."""
KNOWN_FLAGS = (1 << len(ring.FLAGS)) - 1

Read = Callable[[Table, int, int, int | None], Coroutine[Any, Any, Sequence[int]]]
"""Read `count` values of a table from an address of a unit (None: the PLC)."""


class _Look(NamedTuple):
    """The header once."""

    run: int
    heartbeat: int
    flags: int
    encoder: int
    swapped: int
    speed: int
    head: int


def _good(words: str) -> DeviceCheck:
    return DeviceCheck(True, words)


def _bad(words: str) -> DeviceCheck:
    return DeviceCheck(False, words)


async def walk(read: Read, plan: RegisterMap, *, beaten: bool) -> list[DeviceCheck]:
    """Everything that the map names, register by register. `beaten`: the agent writes its
    heartbeat just now. TransientError when the PLC stops answering."""
    before = await _header(read, plan)
    await asyncio.sleep(BETWEEN)
    after = await _header(read, plan)
    found = _of_header(plan, before, after, beaten=beaten)
    try:
        found += _of_ring(plan, after, await _ring(read, plan))
    except ConfigError as error:
        found.append(_bad(f"ring: {error}"))
    found += await _of_output(read, plan)
    found += await _of_points(read, _named(plan.sensors), plan, "sensors")
    found += await _of_points(read, _named(plan.actors), plan, "actors")
    return found


async def where_is_magic(read: Read, plan: RegisterMap) -> str:
    """Where the handshake's mark stands when it is not where the map says; "" if nowhere near."""
    at = plan.input.base + plan.input.magic
    swapped = plan.magic >> 8 | (plan.magic & 0xFF) << 8
    other: Table = "holding" if plan.input.table == "input" else "input"
    tables: tuple[Table, ...] = (plan.input.table, other)
    for table in tables:
        for address in (at, at + 1, at - 1):
            if not 0 <= address <= 0xFFFF:
                continue
            try:
                (word,) = await read(table, address, 1, None)
            except ConfigError:
                continue
            if word == plan.magic and (table, address) == (plan.input.table, at):
                return ""  # it came just now: the PLC has started
            if word == plan.magic and table != plan.input.table:
                base = plan.input.base + address - at
                return (
                    f'it stands in {table} register {address}: write table = "{table}"'
                    + (f" and base = {base}" if address != at else "")
                    + " in the map's [input]"
                )
            if word == plan.magic:
                return (
                    f"it stands in register {address}: the PLC program counts its addresses from "
                    f"another number, so write base = {plan.input.base + address - at} in [input]"
                )
            if word == swapped:
                return (
                    f"register {address} holds its two bytes the other way round: swap bytes in "
                    "the PLC's Modbus server"
                )
    return ""


async def _header(read: Read, plan: RegisterMap) -> _Look:
    block = plan.input
    first, count = block.header()
    words = await read(block.table, first, count, None)
    at = block.base - first
    high, low = words[at + block.encoder], words[at + block.encoder + 1]
    high_first = plan.word_order == "high_first"
    return _Look(
        words[at + block.run],
        words[at + block.heartbeat],
        words[at + block.flags],
        ring.double_word(high, low, high_first),
        ring.double_word(high, low, not high_first),
        words[at + block.speed],
        words[at + block.head],
    )


def _of_header(
    plan: RegisterMap, before: _Look, after: _Look, *, beaten: bool
) -> list[DeviceCheck]:
    base, block = plan.input.base, plan.input
    found = [_good(f"magic: {plan.magic:#06x} in {block.table} register {base + block.magic}")]
    run = f"run (register {base + block.run}): {after.run}"
    if after.run == 0:
        found.append(_bad(f"{run}. It must count the PLC's starts: keep it in retentive memory."))
    elif after.run != before.run:
        found.append(_bad(f"{run}, a moment ago {before.run}: it may change at a start only."))
    else:
        found.append(_good(run))
    beat = f"heartbeat (register {base + block.heartbeat}): {before.heartbeat} → {after.heartbeat}"
    if after.heartbeat == before.heartbeat:
        found.append(
            _bad(
                f"{beat} within {BETWEEN:g} s. It must move every 200 ms: is the PLC in RUN, and "
                "is this the register that the program counts?"
            )
        )
    else:
        found.append(_good(beat))
    found += _of_flags(plan, after, beaten=beaten)
    found += _of_motion(plan, before, after)
    return found


def _of_flags(plan: RegisterMap, look: _Look, *, beaten: bool) -> list[DeviceCheck]:
    where = f"flags (register {plan.input.base + plan.input.flags}): {look.flags:#06x}"
    unknown = look.flags & ~KNOWN_FLAGS
    if unknown:
        return [
            _bad(
                f"{where}. Bits {_bits(unknown)} mean nothing in version 1: is this the register "
                "of the flags, are its bytes in order?"
            )
        ]
    names = ", ".join(sorted(ring.flag_names(look.flags))) or "none set"
    if beaten and "agent_lost" in ring.flag_names(look.flags) and "agent_lost" not in plan.sensors:
        return [
            _bad(
                f"{where} ({names}). The agent writes its heartbeat to holding register "
                f"{plan.output.base + plan.output.heartbeat} and the PLC misses it: does the "
                "program look at that register?"
            )
        ]
    return [_good(f"{where} ({names})")]


def _of_motion(plan: RegisterMap, before: _Look, after: _Look) -> list[DeviceCheck]:
    block, base = plan.input, plan.input.base
    found: list[DeviceCheck] = []
    speed = f"speed (register {base + block.speed}): {after.speed} mm/s"
    if after.speed > FASTEST and "speed" not in plan.sensors:
        found.append(_bad(f"{speed}. No belt is so fast: is it mm/s, and this register?"))
    else:
        found.append(_good(speed))
    moved = (after.encoder - before.encoder) & 0xFFFFFFFF
    otherwise = (after.swapped - before.swapped) & 0xFFFFFFFF
    pulses = f"encoder (registers {base + block.encoder} and {base + block.encoder + 1}): "
    pulses += f"{before.encoder} → {after.encoder}"
    if moved and moved & 0xFFFF == 0 and otherwise < 0x10000:
        found.append(_bad(f"{pulses}. It moves in steps of 65536: {_other_order(plan)}"))
    elif not moved and "running" in ring.flag_names(after.flags) and after.speed > 0:
        found.append(_bad(f"{pulses} while the belt runs: is the encoder wired and counted?"))
    else:
        found.append(_good(pulses))
    return found


async def _ring(read: Read, plan: RegisterMap) -> list[int]:
    first = plan.input.base + plan.input.ring
    words: list[int] = []
    for _, place, entries in ring.reads(0, ring.RING_ENTRIES):
        at = first + place * ring.WORDS_PER_ENTRY
        words += await read(plan.input.table, at, entries * ring.WORDS_PER_ENTRY, None)
    return words


def _of_ring(plan: RegisterMap, look: _Look, words: Sequence[int]) -> list[DeviceCheck]:
    first = plan.input.base + plan.input.ring
    where = f"ring (registers {first} to {first + len(words) - 1})"
    # In a young run the ring is not full yet; whether the head has wrapped cannot be seen.
    count = min(look.head, ring.RING_ENTRIES)
    if count == 0:
        return [_good(f"{where}: no event yet in this run; check again when something passed")]
    numbers = [(look.head - count + n) & 0xFFFF for n in range(count)]

    def entry(number: int, shift: int = 0) -> Sequence[int]:
        start = number % ring.RING_ENTRIES * ring.WORDS_PER_ENTRY + shift
        return words[start : start + ring.WORDS_PER_ENTRY]

    def fits(number: int, word: int) -> bool:
        # What was written since the head was read may have gone over it.
        return word in (number, (number + ring.RING_ENTRIES) & 0xFFFF)

    right = [n for n in numbers if fits(n, entry(n)[0])]
    if len(right) < count:
        return [_bad(f"{where}: {_why_numbers(numbers, words, count - len(right))}")]
    found: list[DeviceCheck] = []
    kinds = sorted({entry(n)[1] >> 8 for n in right})
    strange = [kind for kind in kinds if kind not in _KINDS]
    if strange:
        found.append(
            _bad(
                f"{where}: events of kind {', '.join(map(str, strange))}, which docs/plc.md does "
                "not know: is the kind in the high byte of the entry's second register?"
            )
        )
    stations = sorted({entry(n)[1] & 0xFF for n in right})
    if stations[-1] >= plan.output.stations:
        found.append(
            _bad(
                f"{where}: events of station index {stations[-1]}, but the map has slots for 0 to "
                f"{plan.output.stations - 1}: correct the index, or `stations` in the map"
            )
        )
    if (
        _backwards(plan, [entry(n) for n in right], swap=False)
        > 1
        >= _backwards(plan, [entry(n) for n in right], swap=True)
    ):
        found.append(_bad(f"{where}: the encoder goes back and forth: {_other_order(plan)}"))
    if not found:
        shown = ", ".join(_KINDS[kind] for kind in kinds)
        indices = ", ".join(map(str, stations))
        newest = f"the newest {count} events are whole: {shown}, of station {indices}"
        found.append(_good(f"{where}: {newest}"))
    return found


def _why_numbers(numbers: Sequence[int], words: Sequence[int], wrong: int) -> str:
    """Why entries do not carry their numbers."""
    size = ring.WORDS_PER_ENTRY

    def carried(place: Callable[[int], int], add: int) -> int:
        hits = 0
        for number in numbers:
            at = place(number)
            hits += 0 <= at < len(words) and words[at] == (number + add) & 0xFFFF
        return hits

    most = max(2, len(numbers) // 2)
    for add in (1, -1):
        if carried(lambda n: n % 64 * size, add) >= most:
            return (
                f"every entry carries its number {'+' if add > 0 else '-'} 1: the first event of a "
                "run has the number 0, and `head` counts what was written"
            )
    for shift in range(-size + 1, size):
        if shift and carried(lambda n, s=shift: n % 64 * size + s, 0) >= most:  # type: ignore[misc]
            return (
                f"entries begin {abs(shift)} registers {'later' if shift > 0 else 'earlier'} than "
                f"the map says: add {shift} to `ring` in [input]"
            )
    if carried(lambda n: (n + 1) % 64 * size, 0) >= most or (
        carried(lambda n: (n - 1) % 64 * size, 0) >= most
    ):
        return "events stand one entry off: event n belongs into entry n mod 64"
    if not any(words):
        return (
            "it is empty although `head` says that events were written: is `ring` the right "
            "address, does the program write entries before it raises `head`?"
        )
    return (
        f"{wrong} of the newest {len(numbers)} entries do not carry their number: is `ring` the "
        "right address, and is the entry whole before `head` is raised?"
    )


def _backwards(plan: RegisterMap, entries: Sequence[Sequence[int]], *, swap: bool) -> int:
    """How often the encoder of events goes back."""
    high_first = (plan.word_order == "high_first") != swap
    seen = [ring.double_word(each[4], each[5], high_first) for each in entries]
    return sum((b - a) & 0xFFFFFFFF > 0x7FFFFFFF for a, b in pairwise(seen))


async def _of_output(read: Read, plan: RegisterMap) -> list[DeviceCheck]:
    out = plan.output
    found: list[DeviceCheck] = []
    for name, (first, width) in out.widths().items():
        last = first + width - 1
        where = f"{name} (holding register{f's {first} to {last}' if width > 1 else f' {first}'})"
        words: list[int] = []
        try:
            for start in range(first, first + width, 120):
                step = min(120, first + width - start)
                words += await read("holding", start, step, None)
        except ConfigError as error:
            found.append(_bad(f"{where}: {error}"))
            continue
        if name == "slots":
            odd = [n for n, word in enumerate(words) if word >> 12 > 2]
            if odd:
                place = first + odd[0]
                found.append(
                    _bad(
                        f"{where}: register {place} holds {words[odd[0]]:#06x}, which is no "
                        "verdict: does something else write there?"
                    )
                )
                continue
            found.append(_good(f"{where}: {sum(map(bool, words))} hold a verdict"))
        else:
            found.append(_good(f"{where}: {words[0]}"))
    return found


async def _of_points(
    read: Read, points: Mapping[str, Point], plan: RegisterMap, group: str
) -> list[DeviceCheck]:
    found: list[DeviceCheck] = []
    for name, point in points.items():
        unit = "" if point.unit is None else f" of unit {point.unit}"
        where = f"{group}.{name} ({point.table} {point.address}{unit})"
        try:
            words = await read(point.table, point.address, point.width, point.unit)
        except ConfigError as error:
            found.append(_bad(f"{where}: {error}"))
            continue
        value = point.number(words, plan.word_order == "high_first")
        shown = ("on" if value else "off") if point.is_bit else f"{value:g}"
        if name == "speed" and not 0 <= value <= FASTEST:
            found.append(_bad(f"{where}: {shown} mm/s: look at type, scale and word_order"))
        else:
            found.append(_good(f"{where}: {shown}"))
    return found


def _named(points: Mapping[Any, Point]) -> dict[str, Point]:
    return {str(name): point for name, point in points.items()}


def _other_order(plan: RegisterMap) -> str:
    other = "low_first" if plan.word_order == "high_first" else "high_first"
    return f'write word_order = "{other}" in the map'


def _bits(word: int) -> str:
    return ", ".join(str(bit) for bit in range(16) if word >> bit & 1)


_KINDS = {kind.value: kind.name for kind in PlcEventKind}
