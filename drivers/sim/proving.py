"""What a simulated printer needs so that its driver and the print accounting can be proven with it.

`Bench` puts one simulated device on a socket and keeps its physical truth: what was printed, in
order. `Fault` is one thing that goes wrong, `faults` a day of them, keyed by the seed. The table
`BENCHES` names every bench; one registry type may have several (type/variant), one for each way in
which such devices differ. A new printer adds its bench here and is proven by
`caselink device prove` from then on.
"""

import importlib
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Generic, Protocol, TypeVar

from drivers.sim.agenda import Chance
from drivers.sim.serve import TcpAdapter
from drivers.sim.troubles import Dice


class FaultKind(StrEnum):
    """What can go wrong between an agent and a printer."""

    CUT = "cut"  # the connection is cut; the device prints on
    GONE = "gone"  # the same, and it cannot be reached for a while
    HALF_OPEN = "half_open"  # the connection stands, nothing gets through any more
    POWER = "power"  # the device is switched off and on
    AGENT = "agent"  # the agent is killed and started again on its store
    ANSWER_LOST = "answer_lost"
    ANSWER_LATE = "answer_late"
    EVENT_LOST = "event_lost"
    EVENT_DOUBLED = "event_doubled"
    EVENT_LATE = "event_late"


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault, at a product (from 0). `size` is how many events it concerns, or how many products
    pass while it lasts; `seconds` by how much something is late."""

    at: int
    kind: FaultKind
    size: int
    seconds: float


class Bench(ABC):
    """One simulated printer on a TCP socket, and what is physically true of it.

    `photocell`: it prints when a product triggers it; else it prints what it is given at once.
    `repeats`: without a fresh record it prints the last one again, so that the PLC's gate is before
    its photocell.
    """

    photocell = True
    repeats = False

    def __init__(self, server: TcpAdapter) -> None:
        self.server = server

    @abstractmethod
    def section(self, address: str) -> Mapping[str, Any]:
        """The device section of the real driver, with timeouts of tenths of a second."""

    @property
    @abstractmethod
    def printed(self) -> Sequence[str]:
        """The code text of every print that came out, in order; a restart does not change it."""

    @abstractmethod
    def trigger(self) -> None:
        """A product is at the photocell; where there is none, time has passed."""

    @abstractmethod
    def reboot(self) -> None:
        """What is left of queue and counter after the power was off; `server` is stopped then."""

    def attend(self) -> None:  # noqa: B027 - most need nobody
        """A person comes to a printer that stands, and ends a pause that the agent left."""

    def fields(self, text: str) -> dict[str, str]:
        """The variable texts of a label, where the driver's template needs more than the code."""
        return {"code": text}


class Coder(Protocol):
    """A simulated coder that prints one code a product."""

    printed: list[str]

    def trigger(self) -> object: ...

    def reboot(self) -> None: ...


C = TypeVar("C", bound=Coder)


class CoderBench(Bench, Generic[C]):
    """Such a coder on its socket."""

    def __init__(self, coder: C, server: TcpAdapter) -> None:
        super().__init__(server)
        self.coder = coder

    @property
    def printed(self) -> Sequence[str]:
        return self.coder.printed

    def trigger(self) -> None:
        self.coder.trigger()

    def reboot(self) -> None:
        self.coder.reboot()


def faults(seed: int, name: str, prints: int, every: int = 16) -> list[Fault]:
    """A day with a fault at about every `every`-th of `prints` products, always the same ones for a
    seed and a name. The last tenth of the day is quiet, so that it can be seen what became of all
    codes."""
    dice, kinds = Dice(seed, f"prove/{name}"), list(FaultKind)
    found = []
    for at in range(1, prints - prints // 10):
        chance = Chance(dice.roll(at))
        if chance.below(every) == 0:
            kind = kinds[chance.below(len(kinds))]
            found.append(Fault(at, kind, 1 + chance.below(3), chance.between(0.01, 0.05)))
    return found


BENCHES: Mapping[str, str] = {
    "codenet": "drivers.sim.codenet:CodenetBench",
    "codenet/old": "drivers.sim.codenet:OldBench",
    "text_coder": "drivers.sim.text_coder:TextCoderBench",
    "text_coder/keeps-queue": "drivers.sim.text_coder:KeepingBench",
    "text_coder/laser": "drivers.sim.string_coder:LaserBench",
    "text_coder/leibinger": "drivers.sim.leibinger:LeibingerBench",
    "text_coder/tij": "drivers.sim.string_coder:TijBench",
    "text_coder/uv": "drivers.sim.string_coder:UvBench",
    "linx_rci_experimental": "drivers.sim.linx:LinxBench",
    "ngpcl": "drivers.sim.ngpcl:NgpclBench",
    "wsi": "drivers.sim.wsi:WsiBench",
    "zipher": "drivers.sim.zipher:ZipherBench",
    "zipher/keeps-queue": "drivers.sim.zipher:KeepingBench",
    "zpl": "drivers.sim.zpl_printer:ZplBench",
    "escpos": "drivers.sim.escpos_printer:EscposBench",
    "escpos/plain": "drivers.sim.escpos_printer:EscposPlainBench",
    "tspl": "drivers.sim.tspl_printer:TsplBench",
    "tspl/clone": "drivers.sim.tspl_printer:TsplCloneBench",
}
"""Name of the proof -> its bench as module:class, which is called without arguments."""


def bench(name: str) -> Bench:
    """A new bench of the table. KeyError for a name that is not in it."""
    module, _, attribute = BENCHES[name].partition(":")
    made = getattr(importlib.import_module(module), attribute)()
    assert isinstance(made, Bench)
    return made
