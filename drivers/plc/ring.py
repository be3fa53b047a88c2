"""The PLC handshake's codec: registers <-> header, ring entries and verdict slots. No I/O.

The layout of one entry, the bits and the number of slots are fixed by version 1 of the map
(docs/plc.md); where the blocks stand is data (`register_map`).
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from agent.ports.plc import PlcEvent, PlcEventKind, PlcOutputs, Slot

RING_ENTRIES = 64
WORDS_PER_ENTRY = 8
SLOTS_PER_STATION = 16

ENTRIES_PER_READ = 15
"""15 entries are 120 registers; one answer carries 125."""

FLAGS = ("running", "estop", "guard_open", "jam", "reject_full", "low_air", "agent_lost")
LAMPS = ("red", "amber", "green", "horn")
RUN_PERMISSION, STOP_REQUEST = 1, 2

_KINDS = {kind.value: kind for kind in PlcEventKind}
_FLAG_SETS = [
    frozenset(name for bit, name in enumerate(FLAGS) if word >> bit & 1)
    for word in range(1 << len(FLAGS))
]


class Cursor(NamedTuple):
    """How far the ring of a run has been read: `head` is the number of the next event."""

    run: int
    head: int


class Pending(NamedTuple):
    """What a new head means: read `entries` events from number `first`; `lost` are gone already."""

    first: int
    entries: int
    lost: int


def pending(cursor: Cursor | None, run: int, head: int) -> Pending:
    """What to read when the PLC stands at event `head` of `run`.

    Without a cursor nothing is ours yet. In a new run the numbers start at 0 again; what the old
    run had written after the cursor cannot be known. Event numbers wrap at 65536.
    """
    if cursor is None:
        return Pending(head, 0, 0)
    start = cursor.head if cursor.run == run else 0
    behind = (head - start) & 0xFFFF
    count = min(behind, RING_ENTRIES)
    return Pending((head - count) & 0xFFFF, count, behind - count)


def reads(first: int, count: int) -> Iterator[tuple[int, int, int]]:
    """Contiguous stretches of the ring that hold events first .. first + count - 1, in order.

    Each is (event number, place in the ring, entries), cut at the ring's end, where the numbers
    wrap too, and at ENTRIES_PER_READ.
    """
    while count > 0:
        place = first % RING_ENTRIES
        entries = min(count, RING_ENTRIES - place, ENTRIES_PER_READ)
        yield first, place, entries
        first = (first + entries) & 0xFFFF
        count -= entries


def double_word(first: int, second: int, high_first: bool) -> int:
    """32 bits from two registers as they follow each other in the map."""
    return first << 16 | second if high_first else second << 16 | first


def decode_entry(words: Sequence[int], seq: int, high_first: bool = True) -> PlcEvent | None:
    """The event numbered `seq` from its 8 registers; None when they do not hold it.

    They do not when the entry was overwritten or is half written (its number differs), or when
    its kind is not one of ours.
    """
    kind = _KINDS.get(words[1] >> 8)
    if words[0] != seq or kind is None:
        return None
    return PlcEvent(
        seq=seq,
        kind=kind,
        station=words[1] & 0xFF,
        lane=words[2] >> 8,
        number=words[3],
        encoder=double_word(words[4], words[5], high_first),
        data=double_word(words[6], words[7], high_first),
    )


def flag_names(word: int) -> frozenset[str]:
    """The stable keys of the state word; bits that version 1 does not know are ignored."""
    return _FLAG_SETS[word & (1 << len(FLAGS)) - 1]


def command_word(outputs: PlcOutputs) -> int:
    """The command register: run permission and stop request."""
    return (RUN_PERMISSION if outputs.run_permission else 0) | (
        STOP_REQUEST if outputs.stop_request else 0
    )


def lamp_word(lamps: Iterable[str]) -> int:
    """The lamp register. KeyError names a lamp that the handshake does not have."""
    word = 0
    for lamp in lamps:
        if lamp not in LAMPS:
            raise KeyError(lamp)
        word |= 1 << LAMPS.index(lamp)
    return word


def slot_place(slot: Slot) -> int:
    """Where the slot stands, counted in registers from station 0's first slot."""
    return slot.station * SLOTS_PER_STATION + slot.number % SLOTS_PER_STATION


def slot_word(slot: Slot) -> int:
    """The register of a verdict slot: the low 12 bits of the number below 4 bits of verdict."""
    return slot.verdict << 12 | slot.number & 0x0FFF


def stretches(registers: Mapping[int, int], limit: int) -> Iterator[tuple[int, list[int]]]:
    """Registers to write, grouped into (first address, values) of consecutive addresses, each of
    at most `limit` values. Nothing between them is touched."""
    first, values = 0, list[int]()
    for address in sorted(registers):
        if values and (address != first + len(values) or len(values) == limit):
            yield first, values
            values = []
        if not values:
            first = address
        values.append(registers[address])
    if values:
        yield first, values
