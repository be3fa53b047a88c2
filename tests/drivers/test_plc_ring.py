"""The handshake's codec: numbers wrap, entries that are not ours are never taken for events."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.ports.plc import PlcEvent, PlcEventKind, PlcOutputs, Slot, SlotVerdict
from drivers.plc import ring

word = st.integers(0, 0xFFFF)
double = st.integers(0, 0xFFFF_FFFF)


@given(run=word, start=word, written=st.integers(0, 0xFFFF))
def test_pending_reads_the_newest_64_and_counts_the_rest_as_lost(
    run: int, start: int, written: int
) -> None:
    first, entries, lost = ring.pending(ring.Cursor(run, start), run, (start + written) & 0xFFFF)
    assert entries == min(written, 64)
    assert entries + lost == written
    assert (first + entries) & 0xFFFF == (start + written) & 0xFFFF


def test_pending_without_a_cursor_takes_nothing() -> None:
    assert ring.pending(None, 5, 700) == (700, 0, 0)


def test_pending_in_a_new_run_begins_at_its_start() -> None:
    assert ring.pending(ring.Cursor(1, 500), 2, 3) == (0, 3, 0)
    assert ring.pending(ring.Cursor(1, 500), 2, 70) == (6, 64, 6)


@given(first=word, count=st.integers(0, 64))
def test_reads_cover_every_event_once_in_order(first: int, count: int) -> None:
    covered = []
    for seq, place, entries in ring.reads(first, count):
        assert place == seq % 64
        assert place + entries <= 64
        assert entries * ring.WORDS_PER_ENTRY <= 125
        covered += [seq + n for n in range(entries)]
    assert covered == [(first + n) & 0xFFFF for n in range(count)]


@given(first=word, count=st.integers(1, 15))
def test_a_few_new_entries_take_at_most_two_reads(first: int, count: int) -> None:
    assert len(list(ring.reads(first, count))) <= (1 if first % 64 + count <= 64 else 2)


@given(
    seq=word,
    kind=st.sampled_from(PlcEventKind),
    station=st.integers(0, 255),
    lane=st.integers(0, 255),
    number=word,
    encoder=double,
    data=double,
    high_first=st.booleans(),
)
def test_an_entry_comes_back_as_it_was_written(
    seq: int,
    kind: PlcEventKind,
    station: int,
    lane: int,
    number: int,
    encoder: int,
    data: int,
    high_first: bool,
) -> None:
    # Written out as docs/plc.md describes it, not by the codec.
    def pair(value: int) -> list[int]:
        high, low = divmod(value, 65536)
        return [high, low] if high_first else [low, high]

    words = [seq, int(kind) * 256 + station, lane * 256, number, *pair(encoder), *pair(data)]
    event = PlcEvent(seq, kind, station, lane, number, encoder, data)
    assert ring.decode_entry(words, seq, high_first) == event
    assert ring.decode_entry(words, (seq + 64) & 0xFFFF, high_first) is None


@given(words=st.lists(word, min_size=8, max_size=8), seq=word)
def test_any_registers_are_an_event_of_that_number_or_none(words: list[int], seq: int) -> None:
    event = ring.decode_entry(words, seq)
    known = words[0] == seq and 1 <= words[1] >> 8 <= 8
    assert (event is not None) == known
    if event is not None:
        assert event.seq == seq


def test_an_empty_entry_is_no_event() -> None:
    assert ring.decode_entry([0] * 8, 0) is None


@given(word)
def test_flags_name_the_known_bits(value: int) -> None:
    names = ring.flag_names(value)
    assert ("running" in names) == bool(value & 1)
    assert ("agent_lost" in names) == bool(value & 64)
    assert len(names) == bin(value & 0x7F).count("1")


@given(
    station=st.integers(0, 15), number=st.integers(0, 0xFFFF), verdict=st.sampled_from(SlotVerdict)
)
def test_a_slot_carries_its_own_number(station: int, number: int, verdict: SlotVerdict) -> None:
    slot = Slot(station, number, verdict)
    assert ring.slot_place(slot) == station * 16 + number % 16
    assert divmod(ring.slot_word(slot), 4096) == (verdict, number % 4096)


@given(st.dictionaries(st.integers(0, 300), word), st.integers(1, 123))
def test_stretches_write_every_register_once_and_nothing_else(
    registers: dict[int, int], limit: int
) -> None:
    written = {}
    stretches = list(ring.stretches(registers, limit))
    for address, values in stretches:
        assert 1 <= len(values) <= limit
        for offset, value in enumerate(values):
            assert address + offset not in written
            written[address + offset] = value
    assert written == registers
    if limit >= 123:
        gaps = sum(1 for address in registers if address - 1 not in registers)
        assert len(stretches) <= gaps + len(registers) // limit


def test_commands_and_lamps_are_the_bits_of_the_document() -> None:
    assert ring.command_word(PlcOutputs(0)) == 0
    assert ring.command_word(PlcOutputs(0, run_permission=True)) == 1
    assert ring.command_word(PlcOutputs(0, run_permission=True, stop_request=True)) == 3
    assert [ring.lamp_word([lamp]) for lamp in ("red", "amber", "green", "horn")] == [1, 2, 4, 8]
    with pytest.raises(KeyError, match="blue"):
        ring.lamp_word(["blue"])
