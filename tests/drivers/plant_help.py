"""A scripted agent and in-memory printers, to drive the pure plant without sockets."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from drivers.sim.layout import Feed, Layout
from drivers.sim.lines import Look, bottling, liquor
from drivers.sim.plant import Plant
from drivers.sim.world import RING, TRIGGER, AgentImage, Exposure, RingEntry

BODY = Look("HTTPS://Q.EXAMPLE.CN/AAAAAAAA")
CASE = Look("HTTPS://Q.EXAMPLE.CN/C/AAAAAA")
PALLET = Look("(00)069012345600000121", "Code128", gs1=True)


class Roll:
    """A printer that always has the next code; `silent` prints (by count from 1) yield nothing."""

    def __init__(self, form: str, silent: Callable[[int], bool] = lambda n: False) -> None:
        self.form = form
        self.fired = 0
        self.printed = 0
        self.silent = silent
        self.times: list[float] = []

    def fire(self, now: float) -> tuple[str, ...] | None:
        self.fired += 1
        self.times.append(now)
        if self.silent(self.fired):
            return None
        self.printed += 1
        return (self.form.format(self.printed),)


class SsccRoll(Roll):
    """A roll of GS1 pallet labels."""

    def fire(self, now: float) -> tuple[str, ...] | None:
        texts = super().fire(now)
        return None if texts is None else (sscc(int(texts[0])),)


def sscc(number: int) -> str:
    """An SSCC as a bracketed element string (check digit: GS1 General Specifications 7.9.1)."""
    digits = f"0690123456{number:07d}"
    total = sum(int(digit) * (3, 1)[place % 2] for place, digit in enumerate(digits))
    return f"(00){digits}{-total % 10}"


def rolls() -> dict[str, Roll]:
    return {
        "coder": Roll("HTTPS://Q.EXAMPLE.CN/{:08d}"),
        "case-printer": Roll("HTTPS://Q.EXAMPLE.CN/C/{:06d}"),
        "pallet-printer": SsccRoll("{}"),
    }


def liquor_layout(count: int) -> Layout:
    supplies = {
        role: tuple(f"HTTPS://Q.EXAMPLE.CN/{letter}/{n:06d}" for n in range(1, count + 1))
        for role, letter in (("cap-inner", "K"), ("body", "B"), ("box", "X"))
    }
    looks = dict.fromkeys(("cap-inner", "body", "box", "case-outer"), CASE)
    return liquor({**looks, "pallet": PALLET}, supplies)


@dataclass
class Log:
    """All that came out of a plant: (time of the call, ring entry) and exposures."""

    events: list[tuple[float, RingEntry]] = field(default_factory=list)
    exposures: list[Exposure] = field(default_factory=list)

    def of(self, kind: int, station: int | None = None) -> list[RingEntry]:
        return [
            event
            for _, event in self.events
            if event.kind == kind and station in (None, event.station)
        ]


class Scripted:
    """Answers every trigger by `verdict(station, number)` (a raw 16-bit slot, None: no answer)."""

    def __init__(
        self, verdict: Callable[[int, int], int | None] = lambda s, n: 1 << 12 | n & 0xFFF
    ) -> None:
        self.image = AgentImage(heartbeat=1, commands=1)
        self.verdict = verdict
        self.beating = True
        self._head = 0
        self._run = 1

    def work(self, t: float, plant: Plant, log: Log, keep: bool = True) -> None:
        """One poll: advance the plant to `t`, read the new events, answer."""
        if self.beating:
            self.image.heartbeat = (self.image.heartbeat + 1) & 0xFFFF
        out = plant.advance(t, self.image)
        if keep:
            log.exposures += out.exposures
        if out.plc.run != self._run:
            self._run, self._head = out.plc.run, 0
        new = (out.plc.head - self._head) & 0xFFFF
        assert new <= RING, "the ring overran: poll in smaller steps"
        for n in range(self._head, self._head + new):
            entry = out.plc.ring[n % RING]
            assert entry is not None
            if keep:
                log.events.append((t, entry))
            if entry.kind == TRIGGER:
                register = self.verdict(entry.station, entry.number)
                if register is not None:
                    slots = self.image.slots.setdefault(entry.station, [0] * 16)
                    slots[entry.number % 16] = register
        self._head = out.plc.head


def make(
    total: int,
    *,
    layout: Layout | None = None,
    seed: int = 1,
    troubles: Mapping[str, float] | None = None,
    printers: dict[str, Roll] | None = None,
    bph: float = 36_000,
) -> Plant:
    return Plant(
        layout or bottling(BODY, CASE, PALLET),
        seed,
        troubles or {},
        printers or rolls(),
        Feed(total, bph),
    )


def run(plant: Plant, agent: Scripted | None = None, step: float = 0.02, limit: float = 1e5) -> Log:
    """Drive a plant until it is finished; fails when that takes more than `limit` simulated s."""
    agent = agent or Scripted()
    log = Log()
    turns = 0
    while not plant.finished:
        turns += 1
        assert turns * step < limit, "the plant did not finish"
        agent.work(turns * step, plant, log)
    agent.work((turns + 1) * step, plant, log)
    return log
