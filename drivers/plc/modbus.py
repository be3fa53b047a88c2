"""A PLC over Modbus TCP or RTU: event ring, verdict slots, outputs (docs/plc.md).

Type "modbus" of the `[plc]` section. `ModbusPlc` never retries and never reconnects; opened again
after a break it goes on where it had stopped reading.
"""

import asyncio
import logging
import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from agent.core.errors import ConfigError, Said, TransientError, in_words, say
from agent.ports.devices import DeviceCheck
from agent.ports.plc import PlcEvent, PlcOutputs, PlcReport, Slot
from agent.told import told
from drivers.context import DeviceContext
from drivers.plc import ring, walk
from drivers.plc.link import WRITE_LIMIT, ModbusLink, Table
from drivers.plc.points import Point, spans, values, writes
from drivers.plc.register_map import RegisterMap, load_register_map
from drivers.transport import AddressText, SerialAddress, parse_address
from drivers.wirelog import WireLog

log = logging.getLogger(__name__)

LAMP_SECONDS = 1.0
BEAT = 0.2
"""Seconds between heartbeats in a test: the PLC misses them after 1.5 s."""


class ModbusConfig(BaseModel):
    """The PLC's section of the config. Deadlines are in seconds.

    `map` is the path of a register map (config/plc/standard.toml) or the map itself as a table.
    `connections = 2` (TCP only) writes verdicts over a connection of their own, so that they do
    not wait for the answer to a poll; the PLC must accept two. `gap` is the least silence between
    two requests in seconds (a serial line has 3.5 characters by itself; some gateways need more).
    `single_writes` for a PLC that knows only functions 5 and 6.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    type: Literal["modbus"]
    address: AddressText
    unit: int = Field(default=1, ge=1, le=255)
    map: Path | RegisterMap = RegisterMap()
    gap: float | None = Field(default=None, ge=0.0, le=1.0)
    single_writes: bool = False
    timeout: float = Field(default=0.5, ge=0.02, le=10)
    connect_timeout: float = Field(default=2.0, ge=0.1, le=30)
    connections: Literal[1, 2] = 1

    @model_validator(mode="after")
    def _fits(self) -> Self:
        at = parse_address(self.address)
        if isinstance(at, SerialAddress):
            if at.bits != 8 or at.flow != "none":
                raise ValueError(
                    "Modbus RTU needs 8 data bits and no flow control: bits=8, flow=none"
                )
            if self.connections != 1:
                raise ValueError("a serial port carries one connection: leave `connections` out")
            if self.unit > 247:
                raise ValueError("a unit on a serial line has a number from 1 to 247")
        return self


class _Header(NamedTuple):
    run: int
    heartbeat: int
    flags: int
    encoder: int
    speed: int
    head: int


class _Seen(NamedTuple):
    """The sensors that are on, the speed among them (None: the header tells it), and when they
    were read; monotonic seconds."""

    on: frozenset[str]
    speed: int | None
    at: float


class ModbusPlc:
    """A line's PLC. One task polls; writes may come from others at the same time.

    ConfigError from the constructor when the map's file is wrong.
    """

    def __init__(self, name: str, config: ModbusConfig, context: DeviceContext) -> None:
        self.name = name
        self._config = config
        self._context = context
        self._map = (
            config.map if isinstance(config.map, RegisterMap) else load_register_map(config.map)
        )
        self._header = self._map.input.header()
        self._high_first = self._map.word_order == "high_first"
        self._read_link: ModbusLink | None = None
        self._write_link: ModbusLink | None = None
        self._wire: WireLog | None = None
        self._cursor: ring.Cursor | None = None
        self._sensors: dict[str, Point] = {str(name): at for name, at in self._map.sensors.items()}
        self._actors: dict[str, Point] = {str(name): at for name, at in self._map.actors.items()}
        self._spans = spans(self._sensors, config.unit, self._map.read_along)
        self._seen = _Seen(frozenset(), None, -math.inf)
        self._beaten = -math.inf
        self._odd_entry_told = False

    async def open(self) -> None:
        """Connect and read the header once: it proves address, unit and register map.

        The first session begins at the ring's head: events before it are not ours. A later one
        begins where the one before stopped reading, so what happened during a break is still
        reported as far as the ring holds it. TransientError when the PLC is not there, ConfigError
        when it is another one than the map describes.
        """
        await self.close()
        if self._context.wire_log_dir is not None:
            self._wire = WireLog(self._context.wire_log_dir, self.name, self._context.mask)
        try:
            reader = self._read_link = self._link()
            await reader.connect()
            self._write_link = reader
            if self._config.connections == 2:
                self._write_link = self._link()
                await self._write_link.connect()
            header = await self._first_header()
        except BaseException:
            await self.close()
            raise
        if self._cursor is None:
            self._cursor = ring.Cursor(header.run, header.head)
        self._odd_entry_told = False
        self._seen = _Seen(frozenset(), None, -math.inf)

    async def check(self) -> Sequence[DeviceCheck]:
        """Walk the register map (drivers.plc.walk); ports.Checked. Nothing is written."""
        beaten = time.monotonic() - self._beaten < 1.0
        return await walk.walk(self._read_quietly, self._map, beaten=beaten)

    async def test(self) -> Said:
        """Show each lamp, then the horn; ports.Tested. Run permission stays off."""
        beat = 0
        for lamp in ring.LAMPS:
            for _ in range(round(LAMP_SECONDS / BEAT)):
                beat += 1
                await self.write_outputs(PlcOutputs(beat, lamps=frozenset({lamp})))
                await asyncio.sleep(BEAT)
        await self.write_outputs(PlcOutputs(beat + 1))
        return say("tested_tower", s=f"{LAMP_SECONDS:g}")

    async def _first_header(self) -> _Header:
        """The header at the begin of a session; a wrong magic is looked for near by."""
        try:
            return await self._read_header()
        except (ConfigError, TransientError) as error:
            if self._reader().over:
                raise
            place = await walk.where_is_magic(self._read_quietly, self._map)
            if place is None:
                raise
            raise ConfigError(*told("plc_no_magic", why=in_words(error), where=place)) from error

    async def _read_quietly(
        self, table: Table, address: int, count: int, unit: int | None
    ) -> Sequence[int]:
        return await self._reader().read(table, address, count, unit=unit, logged=False)

    async def close(self) -> None:
        """End the session; never raises. What was read stays known for the next `open`."""
        for link in (self._read_link, self._write_link):
            if link is not None:
                link.close()
        self._read_link = self._write_link = None
        if self._wire is not None:
            self._wire.close()
            self._wire = None

    async def poll(self) -> PlcReport:
        """The header, and from the ring only what is new: one exchange when nothing is.

        Event numbers are the PLC's own 16 bits. In a new run the events from its beginning are
        reported and `lost` counts only the new run's: what the old one wrote last is not known.
        A poll that raises has reported nothing: the next good one has all of it. TransientError
        when the PLC does not answer in time, ConfigError when it refuses the map.
        """
        try:
            header = await self._read_header()
            received = time.monotonic()
            first, count, lost = ring.pending(self._cursor, header.run, header.head)
            events: list[PlcEvent] = []
            if self._spans and received - self._seen.at >= self._map.sensors_every:
                self._seen = await self._look(received)
            for seq, place, entries in ring.reads(first, count):
                words = await self._reader().read(
                    self._map.input.table,
                    self._map.input.base + self._map.input.ring + place * ring.WORDS_PER_ENTRY,
                    entries * ring.WORDS_PER_ENTRY,
                )
                events += self._decode(seq, words)
        except TransientError:
            self._share_fate()
            raise
        self._cursor = ring.Cursor(header.run, header.head)
        return PlcReport(
            run=header.run,
            heartbeat=header.heartbeat,
            events=tuple(events),
            lost=lost + count - len(events),
            flags=self._flags(header.flags),
            encoder=header.encoder,
            speed=header.speed if self._seen.speed is None else self._seen.speed,
            received=received,
        )

    async def write_slots(self, slots: Sequence[Slot]) -> None:
        """Write verdicts in as few requests as their registers allow; repeating changes nothing.

        Of two numbers that share a slot the later in `slots` stays. TransientError: not known if
        written. ConfigError: a station that the map does not have; nothing was written.
        """
        out = self._map.output
        registers: dict[int, int] = {}
        for slot in slots:
            if not 0 <= slot.station < out.stations:
                raise ConfigError(
                    *told(
                        "plc_no_station",
                        name=self.name,
                        station=slot.station,
                        most=out.stations - 1,
                    )
                )
            registers[out.base + out.slots + ring.slot_place(slot)] = ring.slot_word(slot)
        await self._write(registers, logged=True)

    async def write_outputs(self, outputs: PlcOutputs) -> None:
        """Write heartbeat (its low 16 bits), commands and lamps. Errors as `write_slots`."""
        out = self._map.output
        try:
            lamps = ring.lamp_word(outputs.lamps)
        except KeyError as error:
            raise ConfigError(
                *told("plc_no_lamp", name=self.name, lamp=error, lamps=", ".join(ring.LAMPS))
            ) from None
        registers = {
            out.base + out.heartbeat: outputs.heartbeat & 0xFFFF,
            out.base + out.commands: ring.command_word(outputs),
            out.base + out.lamps: lamps,
        }
        if outputs.prints and out.prints is None:
            raise ConfigError(*told("plc_no_gates", name=self.name))
        for index, number in outputs.prints.items():
            if index < out.stations:
                registers[out.base + (out.prints or 0) + index] = number & 0xFFFF
        outs = {
            "heartbeat": outputs.heartbeat,
            "run_permission": int(outputs.run_permission),
            "stop_request": int(outputs.stop_request),
            **{lamp: int(lamp in outputs.lamps) for lamp in ring.LAMPS},
        }
        await self._write(registers, logged=False)
        self._beaten = time.monotonic()
        if self._actors:
            await self._act({name: outs[name] for name in self._actors})

    async def _act(self, told: dict[str, int]) -> None:
        """Write the actors: coils as bits, a heartbeat on a coil as its lowest bit."""
        single = self._config.single_writes
        try:
            for unit, table, first, values in writes(told, self._actors, self._config.unit):
                link = self._writer()
                if table == "coil":
                    bits = [bool(value & 1) for value in values]
                    await link.write_bits(first, bits, unit=unit, single=single, logged=False)
                else:
                    await link.write(first, values, unit=unit, single=single, logged=False)
        except TransientError:
            self._share_fate()
            raise

    async def _look(self, now: float) -> "_Seen":
        """Read the sensors."""
        on: set[str] = set()
        speed: int | None = None
        for span in self._spans:
            words = await self._reader().read(
                span.table, span.first, span.many, unit=span.unit, logged=False
            )
            for name, own in values(span, words, self._sensors):
                point = self._sensors[name]
                if name == "speed":
                    speed = round(point.number(own, self._high_first))
                elif point.on(own):
                    on.add(name)
        return _Seen(frozenset(on), speed, now)

    def _flags(self, word: int) -> frozenset[str]:
        flags = ring.flag_names(word)
        return flags if not self._spans else (flags - self._sensors.keys()) | self._seen.on

    async def _write(self, registers: dict[int, int], *, logged: bool) -> None:
        single = self._config.single_writes
        try:
            for address, values in ring.stretches(registers, WRITE_LIMIT):
                await self._writer().write(address, values, single=single, logged=logged)
        except TransientError:
            self._share_fate()
            raise

    async def _read_header(self) -> _Header:
        block = self._map.input
        first, count = self._header
        # Not in the wire log: hundreds of polls a second in which nothing happens.
        words = await self._reader().read(block.table, first, count, logged=False)
        at = block.base - first
        magic = words[at + block.magic]
        if magic != self._map.magic:
            raise self._wrong_magic(magic, block.base + block.magic)
        return _Header(
            run=words[at + block.run],
            heartbeat=words[at + block.heartbeat],
            flags=words[at + block.flags],
            encoder=ring.double_word(
                words[at + block.encoder], words[at + block.encoder + 1], self._high_first
            ),
            speed=words[at + block.speed],
            head=words[at + block.head],
        )

    def _decode(self, first: int, words: Sequence[int]) -> list[PlcEvent]:
        """The events of one stretch; one that is not there is left out, and told once a session."""
        events: list[PlcEvent] = []
        for at in range(0, len(words), ring.WORDS_PER_ENTRY):
            entry = words[at : at + ring.WORDS_PER_ENTRY]
            seq = first + at // ring.WORDS_PER_ENTRY
            event = ring.decode_entry(entry, seq, self._high_first)
            if event is not None:
                events.append(event)
            elif not self._odd_entry_told:
                self._odd_entry_told = True
                log.warning(
                    "%s: the ring entry of event %d holds number %d and kind %d and counts as "
                    "lost; if this comes again, check that the PLC program writes an entry before "
                    "the head and uses only the kinds of docs/plc.md",
                    self.name,
                    seq,
                    entry[0],
                    entry[1] >> 8,
                )
        return events

    def _wrong_magic(self, found: int, address: int) -> ConfigError | TransientError:
        where = say(
            "plc_holds",
            name=self.name,
            where=self._config.address,
            held=f"{found:#06x}",
            at=address,
        )
        if found == 0:
            return TransientError(*told("plc_magic_zero", where=where))
        return ConfigError(*told("plc_magic_other", where=where, magic=f"{self._map.magic:#06x}"))

    def _link(self) -> ModbusLink:
        return ModbusLink(
            self.name,
            parse_address(self._config.address),
            self._config.address,
            self._config.unit,
            deadline=self._config.timeout,
            connect_deadline=self._config.connect_timeout,
            wire=self._wire,
            gap=self._config.gap,
        )

    def _reader(self) -> ModbusLink:
        if self._read_link is None:
            raise self._closed()
        return self._read_link

    def _writer(self) -> ModbusLink:
        if self._write_link is None:
            raise self._closed()
        return self._write_link

    def _closed(self) -> TransientError:
        return TransientError(*told("no_session", name=self.name, where=self._config.address))

    def _share_fate(self) -> None:
        """With two connections the loss of one must show at the next poll and write, too."""
        links = [link for link in (self._read_link, self._write_link) if link is not None]
        if any(link.over for link in links):
            for link in links:
                link.close()
