"""The proof of a printer's accounting: its real driver against its simulated device, in trouble.

Products come to the printer and, some places later, to a reader. Meanwhile connections are cut,
devices and agents die, answers and events are late, lost or doubled, always the same ones for a
seed. It ends as an order does: it is finished and its line cleared. What the simulated device
physically printed is the truth: no code twice, each one in the end attached, void or never sent,
every claim of the record true, and the balance closed.
"""

import asyncio
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from agent.core import inputs as i
from agent.core.life import PRINTABLE_LEFT, CodeState
from agent.demo.provelife import CODER, ORDER, READER, Life, Record, SimPlc
from agent.demo.simagent import Moment
from agent.ports.plc import SlotVerdict
from agent.services.clearance import asked
from agent.store import balance
from agent.store.words import CODE_NUMBER, CODE_STATES, code_key
from drivers import registry
from drivers.sim.proving import BENCHES, Bench, Fault, FaultKind, bench, faults

DISTANCE = 6
"""Products between printer and reader."""
QUIET = 36
"""Products without a fault at the end, so that it can be seen what became of all codes; up to so
many more while some are in doubt, as a lost connection is noticed later than it was cut."""
WINDOW = 4
SPARE = 40
"""Codes that each fault may cost, and that are left at the end."""
GOES_BY = 0.1
"""Seconds that a product waits at the printer; then it goes by without a code."""
STANDS = 20
"""Products without a code after which a person looks at the printer."""
PATIENCE = 20.0
"""Seconds without a print after which a printer counts as stuck."""
GIVES_UP = 0.5
"""Seconds after which TCP ends a connection on which nothing is acknowledged."""
MOMENTS: tuple[Moment, ...] = ("now", "before_commit", "after_commit")
SETTLED = frozenset({CodeState.ATTACHED, CodeState.VOID}) | PRINTABLE_LEFT


@dataclass(slots=True)
class Proof:
    """What came out. `printed_twice` prints of a code that was printed before; `unresolved` codes
    that are neither attached, void nor left after the line clearance, or that nothing but it
    settled although they were on no product that was taken off and not among the printer's last (a
    print that was told and never made is believed to be on the product that came without a code);
    `balance_open` by how many codes the balance is off; `untrue` codes of which the record claims
    what is not so: left and printed, attached and never printed, void and on a product that was
    read, void by clearance and on a product that was not taken off, printed by its counter and not
    printed. `stuck`: the printer did not print as many as it should. The rest is to be known: codes
    by state, faults by kind, sessions with the device, alarms, codes that were printed and are void
    (the gate took their products), codes that were made void `by_clearance` (suspect until then, as
    their products were taken off and may be fed again)."""

    name: str
    prints: int = 0
    printed_twice: int = 0
    unresolved: int = 0
    balance_open: int = 0
    untrue: int = 0
    stuck: bool = False
    faults_injected: int = 0
    faults: dict[str, int] = field(default_factory=dict)
    states: dict[str, int] = field(default_factory=dict)
    sessions: int = 0
    inferred: int = 0
    void_printed: int = 0
    by_clearance: int = 0
    alarms: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    notes: list[str] = field(default_factory=list)

    @property
    def good(self) -> bool:
        """Whether the accounting of this printer may be relied on."""
        wrong = (self.printed_twice, self.unresolved, self.balance_open, self.untrue, self.stuck)
        return not any(wrong) and self.prints > 0

    def data(self) -> dict[str, Any]:
        """For --json."""
        return {"good": self.good, **asdict(self)}


def names(wanted: str) -> list[str]:
    """The proofs of a printer type, of one of its variants (type/variant), or all. KeyError: there
    is none of that name. With "all" a type that nobody can prove yet is named too."""
    printers = {name for name, entry in registry.TYPES.items() if entry.kind == "printer"}
    if wanted == "all":
        return sorted(BENCHES.keys() | (printers - {name.partition("/")[0] for name in BENCHES}))
    found = [name for name in BENCHES if wanted in (name, name.partition("/")[0])]
    if not found:
        raise KeyError(wanted)
    return sorted(found)


def prove(
    name: str,
    prints: int,
    seed: int,
    *,
    every: int = 16,
    made: Callable[[], Bench] | None = None,
) -> Proof:
    """Run one proof in a folder of its own, with a fault at about every `every`-th product; `made`
    is another bench than the table's."""
    if made is None and name not in BENCHES:
        return Proof(name, notes=["it has no simulated device in drivers/sim/proving.py"])
    with TemporaryDirectory(prefix="caselink-prove-") as folder:
        device = bench(name) if made is None else made()
        day = Day(name, device, Path(folder), prints, faults(seed, name, prints, every))
        return asyncio.run(day.play())


class Day:
    """One proof in the making."""

    def __init__(
        self, name: str, device: Bench, folder: Path, prints: int, troubles: Sequence[Fault]
    ) -> None:
        self.name, self.device, self.folder, self.prints = name, device, folder, prints
        self.faults = {fault.at: fault for fault in troubles}
        self.record = Record()
        self.plc = SimPlc()
        self.belt: deque[tuple[int, str | None]] = deque()
        self.number = 0
        self.stood = 0  # products in a row that went by without a code
        self.taken = 0  # prints that are on a product of the belt, or were
        # Codes on products that the gate took: while the agent was dead, or because of its verdict.
        self.unread: set[str] = set()
        self.taken_off: set[str] = set()
        self.blanks = 0  # products without a code that the gate took
        self.life: Life | None = None
        self.section: dict[str, Any] = {}

    async def play(self) -> Proof:
        """The day, and its account."""
        began = time.monotonic()
        port = await self.device.server.start()
        self.section = dict(self.device.section(f"tcp://127.0.0.1:{port}"))
        codes = [f"C{n:07d}" for n in range(self.prints + QUIET + SPARE * (len(self.faults) + 2))]
        proof = Proof(self.name)
        try:
            await self._begin(codes)
            for at in range(self.prints):
                fault = self.faults.get(at)
                if fault is not None:
                    await self._hurt(fault)
                await self._product(wait=True)
            last = self.prints + QUIET
            ends = time.monotonic() + PATIENCE
            while self.taken < last or (self._in_doubt() and self.taken < last + QUIET):
                before = self.taken
                await self._product(wait=True)
                if self.taken > before:
                    ends = time.monotonic() + PATIENCE
                elif time.monotonic() > ends:
                    raise TimeoutError
            await self._run_empty()
            await self._clear_line(proof, codes)
        except TimeoutError:
            proof.stuck = True
            proof.notes.append(f"nothing was printed for {PATIENCE:.0f} s")
        finally:
            self._account(proof, codes)
            await self._dead()
            await self.device.server.stop()
        proof.seconds = round(time.monotonic() - began, 2)
        return proof

    # --------------------------------------------------------------------------------- the belt

    async def _product(self, *, wait: bool) -> None:
        """A product comes to the printer, and the one that is `DISTANCE` ahead to the reader. With
        `wait` it comes when the printer is ready to print, if that is soon."""
        before = self.taken
        ends = time.monotonic() + GOES_BY
        self._trigger()
        while wait and len(self.device.printed) == before and time.monotonic() < ends:
            await asyncio.sleep(0.002)
            self._trigger()
        # One that prints by itself may have printed more: each is on a product.
        came_out = self.device.printed[before:]
        self.stood = 0 if came_out or not wait else self.stood + 1
        if self.stood > STANDS:
            self.stood = 0
            self.device.attend()
        self.taken += len(came_out)
        for text in came_out or (None,):
            number = self._next_number()
            if self.life is not None:
                self.life.runner.tell(i.ItemTriggered(CODER, number))
            self.belt.append((number, text))
        while len(self.belt) > DISTANCE:
            await self._read(*self.belt.popleft())

    def _next_number(self) -> int:
        self.number = (self.number + 1) % 65536
        return self.number

    def _trigger(self) -> None:
        if not self.device.repeats or self.plc.product():
            self.device.trigger()

    async def _read(self, number: int, text: str | None) -> None:
        """A product passes the reader and its gate; one that the gate took is fed again, once. With
        a dead agent the gate takes it, and nobody knows of it."""
        known = self.life is not None
        passed = await self._passes(number, text)
        self.blanks += not passed and text is None
        if passed or text is None or not known:
            return
        if not await self._passes(self._next_number(), text):
            self.taken_off.add(text)

    async def _passes(self, number: int, text: str | None) -> bool:
        life = self.life
        texts = (text,) if text is not None else ()
        if life is None:
            self.unread.update(texts)
            return False
        self.plc.verdicts.pop(number, None)
        life.runner.tell(i.ItemTriggered(READER, number))
        life.runner.tell(i.ItemReadings(READER, number, "eye", texts))
        async with asyncio.timeout(PATIENCE):
            while number not in self.plc.verdicts:
                self.plc.judged.clear()
                await self.plc.judged.wait()
        passed = self.plc.verdicts[number] is SlotVerdict.PASS
        saw = i.GateSaw.PASSED if passed else i.GateSaw.REJECTED
        life.runner.tell(i.GateReported(READER, number, saw))
        return passed

    async def _run_empty(self) -> None:
        """The order is paused: what is on its way is printed and read, then nothing comes."""
        life = self.life
        assert life is not None
        await life.runner.command(i.PauseOrder("proof"))
        still = 0
        while still < 3 * DISTANCE:
            before = self.taken
            await self._product(wait=False)
            await asyncio.sleep(0.01)
            still = 0 if life.desk.held or self.taken > before else still + 1

    async def _clear_line(self, proof: Proof, codes: list[str]) -> None:
        """The order is finished and the line cleared, as a leader does it: what it has to settle
        are codes that the record has on products that were taken off, truly, and the last ones that
        the printer was given, after which nothing came that could show what became of them."""
        life = self.life
        assert life is not None
        await life.runner.command(i.FinishOrder("proof"))
        states = self._states(codes)
        open_ = {text for text, state in states.items() if state not in SETTLED}
        given = [text for text in codes if states.get(text) not in (None, *PRINTABLE_LEFT)]
        conn = life.database.conn
        rejected = conn.execute("SELECT id FROM code WHERE unit_state IS NOT NULL").fetchall()
        known_off = {codes[code_key(at).position] for (at,) in rejected}
        _, clearance = asked(conn, ORDER, "proof", reason="the products that were taken off")
        await life.runner.command(clearance)
        truly_off = known_off & (self.taken_off | self.unread)
        never_made = sorted((open_ & known_off) - set(self.device.printed))[: self.blanks]
        left_over = sorted(open_ - truly_off - {*never_made} - {*given[-WINDOW:]})
        proof.unresolved += len(left_over)
        proof.notes += [f"{text} was settled by the clearance alone" for text in left_over[:5]]

    def _in_doubt(self) -> bool:
        """Whether codes are suspect that are on no product which was taken off."""
        assert self.life is not None
        found = "SELECT 1 FROM code WHERE state = ? AND unit_state IS NULL LIMIT 1"
        suspect = (CODE_NUMBER[CodeState.SUSPECT],)
        return self.life.database.conn.execute(found, suspect).fetchone() is not None

    def _states(self, codes: list[str]) -> dict[str, CodeState]:
        """What the record says of each code."""
        assert self.life is not None
        rows = self.life.database.conn.execute("SELECT id, state FROM code").fetchall()
        return {codes[code_key(at).position]: CODE_STATES[number] for at, number in rows}

    # ------------------------------------------------------------------------------- the troubles

    async def _hurt(self, fault: Fault) -> None:
        server, wire = self.device.server, self.device.server.wire
        wire.seconds = fault.seconds
        match fault.kind:
            case FaultKind.CUT:
                await server.drop()
            case FaultKind.GONE:
                await server.stop()
                await self._alone(fault.size)
                await server.start()
            case FaultKind.HALF_OPEN:
                server.half_open(GIVES_UP)
                await self._alone(fault.size)
            case FaultKind.POWER:
                await server.stop()
                self.device.reboot()
                await self._alone(fault.size)  # it prints before its network is up
                await server.start()
            case FaultKind.AGENT:
                await self._crash(fault)
            case FaultKind.ANSWER_LOST:
                wire.answers_lost = 1
            case FaultKind.ANSWER_LATE:
                wire.answers_late = 1
            case FaultKind.EVENT_LOST:
                wire.events_lost = fault.size
            case FaultKind.EVENT_DOUBLED:
                wire.events_doubled = fault.size
            case FaultKind.EVENT_LATE:
                wire.events_late = fault.size

    async def _alone(self, products: int) -> None:
        """Products pass while the printer is on its own."""
        for _ in range(products):
            await self._product(wait=False)

    async def _crash(self, fault: Fault) -> None:
        assert self.life is not None
        moment = MOMENTS[fault.at % len(MOMENTS)]
        life, self.life = self.life, None
        await life.kill(moment, 0.05)
        await self._alone(fault.size)
        await self._begin([])

    async def _begin(self, codes: list[str]) -> None:
        life = Life(self.folder, self.plc, self.section, WINDOW, self.record)
        if codes:
            life.issue(codes)
        await life.begin(first=bool(codes))
        self.life = life

    async def _dead(self) -> None:
        if self.life is not None:
            await self.life.end()

    # ------------------------------------------------------------------------------- the account

    def _account(self, proof: Proof, codes: list[str]) -> None:
        """Hold the record against what is physically so."""
        if self.life is None:
            return
        printed = Counter(self.device.printed)
        proof.prints = sum(printed.values())
        proof.printed_twice = sum(printed.values()) - len(printed)
        kinds = Counter(fault.kind.value for fault in self.faults.values())
        proof.faults_injected, proof.faults = sum(kinds.values()), dict(sorted(kinds.items()))
        conn = self.life.database.conn
        states = self._states(codes)
        counts = Counter(states.values())
        proof.states = {state.value: count for state, count in sorted(counts.items())}
        open_ = [text for text, state in states.items() if state not in SETTLED]
        proof.unresolved += len(open_)
        proof.notes += [f"{text} is {states[text]}" for text in open_[:5]]
        untrue = [t for t, s in states.items() if s in PRINTABLE_LEFT and t in printed]
        untrue += [t for t, s in states.items() if s is CodeState.ATTACHED and t not in printed]
        late = [t for t, s in states.items() if s is CodeState.VOID and t in printed]
        proof.void_printed = len(late)
        by_clearance = {codes[position] for position in self.record.by_clearance}
        proof.by_clearance = len(by_clearance)
        off = self.unread | (self.taken_off & by_clearance)
        untrue += [text for text in late if text not in off]
        untrue += [codes[p] for p in self.record.inferred if codes[p] not in printed]
        proof.untrue = len(untrue)
        proof.notes += [f"{text} is not as the record says" for text in untrue[:5]]
        proof.notes += [f"{t} was printed {n} times" for t, n in printed.items() if n > 1][:5]
        proof.balance_open = sum(abs(b.difference) for _, b in balance.balances(conn))
        proof.sessions, proof.alarms = (
            self.record.sessions,
            dict(sorted(self.record.alarms.items())),
        )
        proof.inferred = len(self.record.inferred)
