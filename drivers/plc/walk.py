"""Walks a register map on a live PLC and says in words what is wrong with it.

Nothing is written. Every sentence names the registers it is about, so that an integrator can look
at them in the PLC's own tool.
"""

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from agent.core.errors import ConfigError, Said, in_words, say
from agent.ports.devices import DeviceCheck
from agent.ports.plc import PlcEventKind
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


def _good(key: str, /, **args: object) -> DeviceCheck:
    return DeviceCheck(True, say(f"plc_{key}", **args))


def _bad(key: str, /, **args: object) -> DeviceCheck:
    return DeviceCheck(False, say(f"plc_{key}", **args))


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
        found.append(_bad("refused", where="ring", why=in_words(error)))
    found += await _of_output(read, plan)
    found += await _of_points(read, _named(plan.sensors), plan, "sensors")
    found += await _of_points(read, _named(plan.actors), plan, "actors")
    return found


async def where_is_magic(read: Read, plan: RegisterMap) -> Said | None:
    """Where the handshake's mark stands when it is not where the map says; None if nowhere
    near."""
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
                return None  # it came just now: the PLC has started
            base = plan.input.base + address - at
            if word == plan.magic and table != plan.input.table:
                held = say(f"plc_table_{table}")
                return say("plc_magic_table", held=held, table=table, at=address, base=base)
            if word == plan.magic:
                return say("plc_magic_base", at=address, base=base)
            if word == swapped:
                return say("plc_magic_swapped", at=address)
    return None


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
    at = base + block.magic
    found = [
        _good("magic", magic=f"{plan.magic:#06x}", table=say(f"plc_table_{block.table}"), at=at)
    ]
    at = base + block.run
    if after.run == 0:
        found.append(_bad("run_zero", at=at))
    elif after.run != before.run:
        found.append(_bad("run_moves", at=at, run=after.run, before=before.run))
    else:
        found.append(_good("run", at=at, run=after.run))
    beat = {"at": base + block.heartbeat, "before": before.heartbeat, "after": after.heartbeat}
    if after.heartbeat == before.heartbeat:
        found.append(_bad("beat_still", **beat, s=f"{BETWEEN:g}"))
    else:
        found.append(_good("beat", **beat))
    found += _of_flags(plan, after, beaten=beaten)
    found += _of_motion(plan, before, after)
    return found


def _of_flags(plan: RegisterMap, look: _Look, *, beaten: bool) -> list[DeviceCheck]:
    at, flags = plan.input.base + plan.input.flags, f"{look.flags:#06x}"
    unknown = look.flags & ~KNOWN_FLAGS
    if unknown:
        return [_bad("flags_unknown", at=at, flags=flags, bits=_bits(unknown))]
    names = ring.flag_names(look.flags)
    said = {"at": at, "flags": flags, "names": ", ".join(sorted(names)) or "-"}
    if beaten and "agent_lost" in names and "agent_lost" not in plan.sensors:
        return [_bad("flags_lost", **said, beat=plan.output.base + plan.output.heartbeat)]
    return [_good("flags", **said)]


def _of_motion(plan: RegisterMap, before: _Look, after: _Look) -> list[DeviceCheck]:
    block, base = plan.input, plan.input.base
    found: list[DeviceCheck] = []
    speed = {"at": base + block.speed, "speed": after.speed}
    if after.speed > FASTEST and "speed" not in plan.sensors:
        found.append(_bad("speed_high", **speed))
    else:
        found.append(_good("speed", **speed))
    moved = (after.encoder - before.encoder) & 0xFFFFFFFF
    otherwise = (after.swapped - before.swapped) & 0xFFFFFFFF
    at = base + block.encoder
    pulses = {"at": at, "next": at + 1, "before": before.encoder, "after": after.encoder}
    if moved and moved & 0xFFFF == 0 and otherwise < 0x10000:
        found.append(_bad("encoder_order", **pulses, order=_other_order(plan)))
    elif not moved and "running" in ring.flag_names(after.flags) and after.speed > 0:
        found.append(_bad("encoder_still", **pulses))
    else:
        found.append(_good("encoder", **pulses))
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
    where = {"first": first, "last": first + len(words) - 1}
    # In a young run the ring is not full yet; whether the head has wrapped cannot be seen.
    count = min(look.head, ring.RING_ENTRIES)
    if count == 0:
        return [_good("ring_empty", **where)]
    numbers = [(look.head - count + n) & 0xFFFF for n in range(count)]

    def entry(number: int, shift: int = 0) -> Sequence[int]:
        start = number % ring.RING_ENTRIES * ring.WORDS_PER_ENTRY + shift
        return words[start : start + ring.WORDS_PER_ENTRY]

    def fits(number: int, word: int) -> bool:
        # What was written since the head was read may have gone over it.
        return word in (number, (number + ring.RING_ENTRIES) & 0xFFFF)

    right = [n for n in numbers if fits(n, entry(n)[0])]
    if len(right) < count:
        return [_bad("ring_numbers", **where, why=_why_numbers(numbers, words, count - len(right)))]
    found: list[DeviceCheck] = []
    kinds = sorted({entry(n)[1] >> 8 for n in right})
    strange = [kind for kind in kinds if kind not in _KINDS]
    if strange:
        found.append(_bad("ring_kinds", **where, kinds=", ".join(map(str, strange))))
    stations = sorted({entry(n)[1] & 0xFF for n in right})
    if stations[-1] >= plan.output.stations:
        most = plan.output.stations - 1
        found.append(_bad("ring_stations", **where, station=stations[-1], most=most))
    if (
        _backwards(plan, [entry(n) for n in right], swap=False)
        > 1
        >= _backwards(plan, [entry(n) for n in right], swap=True)
    ):
        found.append(_bad("ring_order", **where, order=_other_order(plan)))
    if not found:
        shown = ", ".join(_KINDS[kind] for kind in kinds)
        indices = ", ".join(map(str, stations))
        found.append(_good("ring", **where, count=count, kinds=shown, stations=indices))
    return found


def _why_numbers(numbers: Sequence[int], words: Sequence[int], wrong: int) -> Said:
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
            return say("plc_entry_count", add="+ 1" if add > 0 else "- 1")
    for shift in range(-size + 1, size):
        if shift and carried(lambda n, s=shift: n % 64 * size + s, 0) >= most:  # type: ignore[misc]
            return say("plc_entry_later" if shift > 0 else "plc_entry_earlier", by=abs(shift))
    if carried(lambda n: (n + 1) % 64 * size, 0) >= most or (
        carried(lambda n: (n - 1) % 64 * size, 0) >= most
    ):
        return say("plc_entry_place")
    if not any(words):
        return say("plc_entry_none")
    return say("plc_entry_wrong", wrong=wrong, many=len(numbers))


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
        where = say("plc_out", name=name, at=first)
        if width > 1:
            where = say("plc_outs", name=name, first=first, last=last)
        words: list[int] = []
        try:
            for start in range(first, first + width, 120):
                step = min(120, first + width - start)
                words += await read("holding", start, step, None)
        except ConfigError as error:
            found.append(_bad("refused", where=where, why=in_words(error)))
            continue
        if name == "slots":
            odd = [n for n, word in enumerate(words) if word >> 12 > 2]
            if odd:
                held = f"{words[odd[0]]:#06x}"
                found.append(_bad("slot_odd", where=where, register=first + odd[0], held=held))
                continue
            found.append(_good("slots", where=where, many=sum(map(bool, words))))
        else:
            found.append(_good("value", where=where, value=words[0]))
    return found


async def _of_points(
    read: Read, points: Mapping[str, Point], plan: RegisterMap, group: str
) -> list[DeviceCheck]:
    found: list[DeviceCheck] = []
    for name, point in points.items():
        place = {
            "name": f"{group}.{name}",
            "table": say(f"plc_table_{point.table}"),
            "at": point.address,
        }
        where = say("plc_point", **place)
        if point.unit is not None:
            where = say("plc_point_unit", **place, unit=point.unit)
        try:
            words = await read(point.table, point.address, point.width, point.unit)
        except ConfigError as error:
            found.append(_bad("refused", where=where, why=in_words(error)))
            continue
        value = point.number(words, plan.word_order == "high_first")
        if name == "speed" and not 0 <= value <= FASTEST:
            found.append(_bad("point_speed", where=where, speed=f"{value:g}"))
        elif point.is_bit:
            found.append(_good("point_on" if value else "point_off", where=where))
        else:
            found.append(_good("value", where=where, value=f"{value:g}"))
    return found


def _named(points: Mapping[Any, Point]) -> dict[str, Point]:
    return {str(name): point for name, point in points.items()}


def _other_order(plan: RegisterMap) -> str:
    other = "low_first" if plan.word_order == "high_first" else "high_first"
    return f'word_order = "{other}"'


def _bits(word: int) -> str:
    return ", ".join(str(bit) for bit in range(16) if word >> bit & 1)


_KINDS = {kind.value: kind.name for kind in PlcEventKind}
