"""A small line for examples: its plan, scheme, order and codes, and the store and core that run it.

`order`, `pool`, `code`, `unit` and `known` build what a pure function of the core is given. `Line`
is the core with the real store: it is told what happened and answers with facts and effects. The
belt of every example:

    coder (print) -> verify (camera) -> packer (one picture) -> label (printer and camera)

Bottles carry `body` codes, two go into a case; cases carry `case-outer`.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Self, TypeVar

from agent.core import inputs as i
from agent.core.effects import Effect
from agent.core.evolve import evolve
from agent.core.facts import CodeKey, Fact
from agent.core.known import Clock, Known, KnownCode, KnownPool, KnownUnit
from agent.core.life import CodeState, UnitState
from agent.core.plan import LinePlan, PathKind, ReaderPlan, Station
from agent.core.plan import Path as BeltPath
from agent.core.poolfile import Declared
from agent.core.poolread import read_pool
from agent.core.scheme import LevelSpec, PackingScheme, WorkOrder
from agent.core.state import LineState
from agent.ports.line import Committed
from agent.services import pool_files
from agent.store import pools as stored_pools
from agent.store import snapshots
from agent.store.database import Connection, Database
from agent.store.gate import Gate
from agent.store.lookup import find_code, find_unit
from agent.store.record import record
from agent.store.writer import Writer

F = TypeVar("F", bound=Fact)

NOW = Clock(1_790_000_000_000, 1_000, "synced")
LINE = "L1"
BOTTLES, CASES = 1, 2
"""Numbers of the pools of body codes and of case codes."""

# ------------------------------------------------------------------------------- what is made

BOTTLE = LevelSpec("bottle", "body", ("body",))
CAPPED = LevelSpec("bottle", "body", ("body", "cap"), optional=())
CASE = LevelSpec("case", "case-outer", ("case-outer",), children=2)
SCHEME = PackingScheme("two-to-a-case", (BOTTLE, CASE))


def scheme(bottle: LevelSpec = BOTTLE, case: LevelSpec = CASE, **more: Any) -> PackingScheme:
    """Bottle and case, with other rules."""
    return PackingScheme("changed", (bottle, case), **more)


def order(number: str = "WO-1", **changes: Any) -> WorkOrder:
    """A work order of cola, lot A, whose body and case codes come from the two pools."""
    pools = {"bottle/body": BOTTLES, "case/case-outer": CASES}
    made = WorkOrder(number, LINE, "cola", "A", SCHEME, 1000, pools)
    return replace(made, **changes)


# -------------------------------------------------------------------------------- what is known


def pool(number: int = BOTTLES, **changes: Any) -> KnownPool:
    """A pool of a thousand body codes that come printed on the bottle."""
    made = KnownPool(
        pool=number,
        name=f"pool-{number}",
        level="bottle",
        roles=("body",),
        secret=(),
        product="",
        campaign="",
        lot="",
        membership="list",
        preprinted=True,
        count=1000,
        next_position=0,
    )
    return replace(made, **changes)


def unit(number: int, **changes: Any) -> KnownUnit:
    """A verified bottle of order WO-1 that is in no case."""
    made = KnownUnit(number, "bottle", UnitState.VERIFIED, "WO-1", "cola", "A")
    return replace(made, **changes)


def code(text: str, position: int = 0, *, on: KnownUnit | None = None, **changes: Any) -> KnownCode:
    """A body code that no reader has seen, or one that is on a unit."""
    state = CodeState.ISSUED if on is None else CodeState.ATTACHED
    made = KnownCode(text, CodeKey(BOTTLES, position, 0), "body", state, on)
    return replace(made, **changes)


def known(
    *codes: KnownCode, pools: Sequence[KnownPool] = (), units: Sequence[KnownUnit] = ()
) -> Known:
    """What the store says: these codes, their pools (the plain one unless given) and units."""
    given = {each.pool: each for each in (pool(), *pools)}
    return Known(
        now=NOW,
        next_unit=100,
        codes={each.text: each for each in codes},
        units={each.unit: each for each in units},
        pools=given,
    )


def read(
    *texts: str, item: int = 1, station: str = "verify", reader: str = "cam", **more: Any
) -> i.ItemReadings:
    """A reader saw these texts on an item."""
    return i.ItemReadings(station, item, reader, texts, **more)


# --------------------------------------------------------------------------------------- a line

CODER = Station("coder", 0, "print", "bottle", device="ink", role="body", window=4)
VERIFY = Station("verify", 1, "verify", "bottle", readers=(ReaderPlan("cam", ("body",)),))
PACKER = Station("packer", 2, "pack", "case", readers=(ReaderPlan("content", ("body",)),), lanes=2)
LABEL = Station(
    "label",
    3,
    "label",
    "case",
    readers=(ReaderPlan("eye", ("case-outer",)),),
    device="zpl",
    role="case-outer",
)


def chain(*stations: Station, paths: Sequence[str] = ()) -> LinePlan:
    """Stations one after the other; `paths` are the kinds of the paths between them (single_file
    where not given)."""
    kinds = [*paths, *["single_file"] * (len(stations) - 1 - len(paths))]
    belt = tuple(
        BeltPath(one.id, two.id, PathKind(kind))
        for one, two, kind in zip(stations, stations[1:], kinds, strict=False)
    )
    return LinePlan(LINE, stations, belt)


WHOLE = (CODER, VERIFY, PACKER, LABEL)
WHOLE_PATHS = ("single_file", "single_file", "captive")


class Line:
    """One line: the core, the real commit gate and the real store, without devices.

    It has two pools, `bottles` and `cases`, with codes B-0000... and C-0000..., as many as given.
    `preprinted` and `printed_cases` say that they come printed; `fresh=False` opens the
    store of an earlier one again. `state` is what follows from the facts, and from nothing else.
    """

    def __init__(
        self,
        folder: Path,
        plan: LinePlan | None = None,
        *,
        bottles: int = 40,
        cases: int = 10,
        preprinted: bool = False,
        printed_cases: bool = False,
        made: WorkOrder | None = None,
        fresh: bool = True,
    ) -> None:
        self.plan = plan or chain(*WHOLE, paths=WHOLE_PATHS)
        self.database = Database.open(folder / "caselink.db", folder / "caselink.key")
        self.conn = self.database.conn
        self.writer = Writer(self.conn)
        self.gate = Gate(self.writer, [self.plan])
        self.order = made or order()
        self.ticks = 0
        self.state = LineState(LINE)
        self.said: list[Committed] = []
        if fresh:
            bottle = Declared("bottles", "bottle", ("body",), preprinted=preprinted)
            case = Declared("cases", "case", ("case-outer",), preprinted=printed_cases)
            self.add_pool(bottle, "B", bottles)
            self.add_pool(case, "C", cases)
        else:
            self.state = self.writer.run_inline(self._stored)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.database.close()

    def _stored(self, conn: Connection) -> LineState:
        """The state that the journal tells: what a restart knows."""
        state = LineState(LINE)
        for entry in snapshots.tail(conn, LINE, 0):
            state = evolve(self.plan, state, entry.fact)
        return state

    def add_pool(self, declared: Declared, prefix: str, count: int) -> int:
        """Import a pool of texts PREFIX-0000, PREFIX-0001 ...; with several roles each text ends
        with its role. Gives the pool's number."""
        one = len(declared.roles) == 1
        rows = [
            ",".join(
                f"{prefix}-{n:04d}" if one else f"{prefix}-{n:04d}-{r}" for r in declared.roles
            )
            for n in range(count)
        ]
        text = "\n".join([",".join(declared.roles), *rows, ""])
        file = read_pool(text.encode(), declared)
        return self.writer.run_inline(lambda conn: pool_files.keep(conn, file, self.clock())).pool

    def clock(self) -> Clock:
        """A clock that ticks once for everything that is told."""
        self.ticks += 1
        return Clock(NOW.wall_ms + self.ticks * 100, NOW.mono_ms + self.ticks * 100, "synced")

    def tell(self, *inputs: i.Input) -> Committed:
        """Something happened, in this order and in one group. DomainError if it is refused."""
        stamped = [(what, self.clock()) for what in inputs]
        done = self.writer.run_inline(lambda conn: self.gate.decide(conn, LINE, stamped))
        for fact in done.facts:
            self.state = evolve(self.plan, self.state, fact)
        self.said.append(done)
        return done

    def put(self, *facts: Fact) -> None:
        """Facts of the whole agent that no line decided."""
        self.writer.run_inline(lambda conn: record(conn, "", facts, self.clock()))
        for fact in facts:
            self.state = evolve(self.plan, self.state, fact)

    def facts(self, kind: type[F], done: Committed | None = None) -> list[F]:
        """Facts of a kind, of one answer or of everything so far."""
        groups = self.said if done is None else [done]
        return [fact for group in groups for fact in group.facts if isinstance(fact, kind)]

    def effects(self, kind: type[Effect]) -> list[Any]:
        """Effects of a kind of everything so far."""
        return [e for group in self.said for e in group.effects if isinstance(e, kind)]

    @property
    def alarms(self) -> dict[str, int | None]:
        """Open alarms: key -> the first item it can concern."""
        return {alarm.key: alarm.item for alarm in self.state.alarms.values()}

    def code(self, text: str) -> KnownCode:
        """What the store says of a code."""
        found = find_code(self.conn, text)
        assert found is not None, f"no pool has {text}"
        return found

    def unit(self, number: int) -> KnownUnit:
        """What the store says of a unit."""
        found = find_unit(self.conn, number)
        assert found is not None, f"there is no unit {number}"
        return found

    def pool(self, number: int) -> KnownPool:
        """What the store says of a pool."""
        found = stored_pools.known(self.conn, number)
        assert found is not None
        return found

    # ---------------------------------------------------------------- short words for a shift

    def start(self, *more: i.Input) -> Self:
        """The PLC is there, the order is created and started, the coder is connected and filled."""
        self.tell(i.RunChanged(1, "first_start"), i.CreateOrder(self.order, "li"))
        self.tell(i.StartOrder(self.order.number, "li"))
        for station in self.plan.stations:
            if station.kind == "print":
                self.tell(i.PrinterConnected(station.id, cleared=True))
                self.tell(i.RefillWanted(station.id, station.window))
        if more:
            self.tell(*more)
        return self

    def code_bottle(self, item: int, position: int) -> Committed:
        """An item comes to the coder, which takes and prints the code at `position`."""
        return self.tell(
            i.PrintAccepted("coder", position, 1),
            i.ItemTriggered("coder", item),
            i.PrintReported("coder", position, 4),
            i.RefillWanted("coder", 1),
        )

    def see_bottle(
        self, item: int, *texts: str, gate: i.GateSaw | None = i.GateSaw.PASSED
    ) -> Committed:
        """An item comes to the camera, which reads `texts`; the gate does its work."""
        done = self.tell(i.ItemTriggered("verify", item), read(*texts, item=item))
        if gate is not None:
            self.tell(i.GateReported("verify", item, gate))
        return done

    def good_bottle(self, item: int) -> int:
        """Item n gets, shows and keeps the code at position n; its unit."""
        if "coder" in self.plan.by_id:
            self.code_bottle(item, item)
        done = self.see_bottle(item, f"B-{item:04d}")
        if "packer" in self.plan.by_id:
            lane = item % self.plan.by_id["packer"].lanes
            self.tell(i.ItemEntered("packer", lane, item))
        (passed,) = [fact for fact in done.facts if type(fact).__name__ == "ItemPassed"]
        return int(passed.unit)  # type: ignore[attr-defined]


def filled(line: Line, *bottles: int, number: int = 1, last: bool = True) -> Committed:
    """Good bottles go into the lanes, and the packer moves them into a container."""
    units = [line.good_bottle(n) for n in bottles]
    assert all(units)
    lanes = [sum(n % 2 == lane for n in bottles) for lane in (0, 1)]
    return line.tell(i.Stroked("packer", number, tuple(lanes), last))


def shown(
    line: Line, *texts: str, number: int = 1, gate: i.GateSaw | None = i.GateSaw.PASSED, **more: Any
) -> Committed:
    """The camera over the packer sees the content."""
    done = line.tell(
        i.ItemTriggered("packer", number),
        read(*texts, item=number, station="packer", reader="content", **more),
    )
    if gate is not None:
        line.tell(i.GateReported("packer", number, gate))
    return done


def labelled(
    line: Line, *texts: str, number: int = 1, gate: i.GateSaw = i.GateSaw.PASSED
) -> Committed:
    """The camera behind the labeller sees the label."""
    done = line.tell(
        i.ItemTriggered("label", number), read(*texts, item=number, station="label", reader="eye")
    )
    line.tell(i.GateReported("label", number, gate))
    return done
