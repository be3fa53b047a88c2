"""The register map of the PLC handshake as data: which register holds what (docs/plc.md).

The defaults are `config/plc/standard.toml`. All addresses count from 0, as on the wire.
"""

import tomllib
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from agent.core.errors import ConfigError
from agent.told import os_said, told
from drivers.plc.link import READ_LIMIT
from drivers.plc.points import Point, clashes
from drivers.plc.ring import RING_ENTRIES, SLOTS_PER_STATION, WORDS_PER_ENTRY

Address = Annotated[int, Field(ge=0, le=0xFFFF)]


Sensor = Literal[
    "running", "estop", "guard_open", "jam", "reject_full", "low_air", "agent_lost", "speed"
]
Actor = Literal["run_permission", "stop_request", "heartbeat", "red", "amber", "green", "horn"]


class _Block(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class InputBlock(_Block):
    """Where the PLC writes: a header that is read in one exchange, and the event ring."""

    table: Literal["input", "holding"] = "input"
    base: Address = 0
    magic: Address = 0
    run: Address = 1
    heartbeat: Address = 2
    flags: Address = 3
    encoder: Address = 4
    speed: Address = 6
    head: Address = 7
    ring: Address = 16

    def widths(self) -> dict[str, tuple[int, int]]:
        """Name -> (first address with the base added, number of registers)."""
        single = ("magic", "run", "heartbeat", "flags", "speed", "head")
        widths = {name: (self.base + getattr(self, name), 1) for name in single}
        widths["encoder"] = (self.base + self.encoder, 2)
        widths["ring"] = (self.base + self.ring, RING_ENTRIES * WORDS_PER_ENTRY)
        return widths

    def header(self) -> tuple[int, int]:
        """First address of the header and how many registers to read for all of it."""
        spans = [span for name, span in self.widths().items() if name != "ring"]
        first = min(address for address, _ in spans)
        return first, max(address + width for address, width in spans) - first


class OutputBlock(_Block):
    """Where the agent writes: always holding registers."""

    base: Address = 0
    heartbeat: Address = 0
    commands: Address = 1
    lamps: Address = 2
    slots: Address = 16
    stations: int = Field(default=16, ge=1, le=256)
    prints: Address | None = None

    def widths(self) -> dict[str, tuple[int, int]]:
        """Name -> (first address with the base added, number of registers)."""
        widths = {
            name: (self.base + getattr(self, name), 1)
            for name in ("heartbeat", "commands", "lamps")
        }
        widths["slots"] = (self.base + self.slots, SLOTS_PER_STATION * self.stations)
        if self.prints is not None:
            widths["prints"] = (self.base + self.prints, self.stations)
        return widths


class RegisterMap(_Block):
    """The whole map. ValidationError when registers overlap or leave the address range, or when
    the header does not fit into one answer.

    `sensors` replace flags and speed of the header, `actors` are written besides the output block;
    either may stand at another unit. Sensors are read every `sensors_every` seconds, with up to
    `read_along` registers between two of them in one request.
    """

    magic: int = Field(default=0xCA01, ge=1, le=0xFFFF)
    word_order: Literal["high_first", "low_first"] = "high_first"
    input: InputBlock = InputBlock()
    output: OutputBlock = OutputBlock()
    sensors: dict[Sensor, Point] = {}
    actors: dict[Actor, Point] = {}
    sensors_every: float = Field(default=0.05, ge=0.0, le=5.0)
    read_along: int = Field(default=8, ge=0, le=100)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        spans = [(at, width, f"input.{name}") for name, (at, width) in self.input.widths().items()]
        apart = self.input.table == "input"
        for name, (at, width) in self.output.widths().items():
            # Input registers and holding registers are two tables: only within one can they meet.
            spans.append((at + (0x20000 if apart else 0), width, f"output.{name}"))
        spans.sort()
        for at, width, name in spans:
            if (at % 0x20000) + width > 0x10000:
                raise ValueError(f"{name} ends beyond address 65535: move it down")
        for (at, width, name), (following, _, other) in pairwise(spans):
            if at + width > following:
                raise ValueError(
                    f"{name} ({at % 0x20000} to {at % 0x20000 + width - 1}) and {other} "
                    f"(from {following % 0x20000}) overlap: move one of them"
                )
        if self.input.header()[1] > READ_LIMIT["input"]:
            raise ValueError(
                f"the header spreads over {self.input.header()[1]} registers and one answer "
                f"carries {READ_LIMIT['input']}: put magic, run, heartbeat, flags, encoder, speed "
                "and head closer together"
            )
        for name, point in self.sensors.items():
            if name != "speed" and not point.is_bit:
                raise ValueError(f"sensors.{name} is a bit: name a coil, a discrete input or `bit`")
        for actor, point in self.actors.items():
            if point.table not in ("coil", "holding"):
                raise ValueError(f"actors.{actor}: only coils and holding registers can be written")
            if point.bit is not None or point.width > 1:
                raise ValueError(
                    f"actors.{actor} would change the other bits of its register: name a coil, or "
                    "a register of its own without `bit`"
                )
        for clash in clashes(self.actors.items(), 0):
            raise ValueError(f"actors {clash}: move one of them")
        return self


def load_register_map(path: Path) -> RegisterMap:
    """The map in a TOML file. ConfigError names the file, the place in it and what to mend."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(*told("map_unreadable", path=path, why=os_said(error))) from error
    try:
        return RegisterMap.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(*told("map_not_toml", path=path, why=error)) from error
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(str(part) for part in fault['loc']) or 'map'}: {fault['msg']}"
            for fault in error.errors()
        )
        raise ConfigError(*told("map_wrong", path=path, why=faults)) from error
