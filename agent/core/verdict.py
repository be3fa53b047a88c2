"""Frame or reader text -> verdict, for one unit at one verify or label station.

`judge` looks at what was read for each role, at what the store knows of these codes, at what the
item already showed at earlier stations and at what was printed on it. It decides nothing about the
belt. The order of the checks is the order in which a person would want to hear of them.
"""

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum

from agent.core.facts import CodeKey
from agent.core.inputs import ItemReadings
from agent.core.known import Known, KnownCode
from agent.core.life import MAY_ARRIVE, CodeState, UnitState
from agent.core.scheme import LevelSpec, WorkOrder


class Verdict(StrEnum):
    PASS = "pass"
    NO_READ = "no_read"
    DUPLICATE = "duplicate"
    UNKNOWN = "unknown"
    WRONG_PRODUCT = "wrong_product"
    WRONG_LOT = "wrong_lot"
    WRONG_CAMPAIGN = "wrong_campaign"
    VOID = "void"
    HELD = "held"
    BAD_GRADE = "bad_grade"
    MISMATCH = "mismatch"
    LATE = "late"
    OLD_PICTURE = "old_picture"  # the camera sent the picture before once more
    TEST = "test"  # of a test: it never lives
    # Of containers only:
    COUNT = "count"  # more children than the scheme holds, or a child twice in one picture
    CHILD = "child"  # a child that may not be there: unverified, in another container, wrong level


_WORST_FIRST = (
    Verdict.TEST,
    Verdict.LATE,
    Verdict.OLD_PICTURE,
    Verdict.UNKNOWN,
    Verdict.VOID,
    Verdict.HELD,
    Verdict.DUPLICATE,
    Verdict.WRONG_PRODUCT,
    Verdict.WRONG_LOT,
    Verdict.WRONG_CAMPAIGN,
    Verdict.MISMATCH,
    # A wrong child leaves its place unread: the child is what a person must hear of.
    Verdict.CHILD,
    Verdict.COUNT,
    Verdict.NO_READ,
    Verdict.BAD_GRADE,
)


def worst(verdicts: list[Verdict]) -> Verdict:
    """The verdict to give when several apply; PASS when none does."""
    for verdict in _WORST_FIRST:
        if verdict in verdicts:
            return verdict
    return Verdict.PASS


@dataclass(frozen=True, slots=True)
class Judgement:
    """`reads` maps role -> the first code that was read for it; `others` are units that share a
    code with this item and are in doubt with it. `crowded`: two codes of one role were in view, so
    one of them is a neighbour's: it says nothing against whoever has it."""

    verdict: Verdict
    reads: dict[str, KnownCode]
    others: tuple[int, ...] = ()
    crowded: bool = False


def judge_code(code: KnownCode, order: WorkOrder, known: Known, own_unit: int | None) -> Verdict:
    """Whether this code may stand on a unit of this order. `own_unit` is the unit the item became
    at an earlier station: its own codes are no duplicates."""
    pool = known.pools[code.key.pool]
    if code.state is CodeState.VOID:
        return Verdict.VOID
    if code.held or (order.product, order.lot) in known.held_lots:
        return Verdict.HELD
    if code.unit is not None and code.unit.unit != own_unit:
        return Verdict.HELD if code.unit.held else Verdict.DUPLICATE
    if code.state is CodeState.ATTACHED and code.unit is None:
        return Verdict.DUPLICATE
    if code.unit is not None and code.unit.held:
        return Verdict.HELD
    if pool.product and pool.product != order.product:
        return Verdict.WRONG_PRODUCT
    if pool.lot and pool.lot != order.lot:
        return Verdict.WRONG_LOT
    if pool.campaign and order.campaign and pool.campaign != order.campaign:
        return Verdict.WRONG_CAMPAIGN
    wanted = order.pool(pool.level, code.role)
    if wanted is not None and wanted != pool.pool:
        return Verdict.WRONG_PRODUCT
    if not pool.preprinted and code.state not in MAY_ARRIVE and code.unit is None:
        # A code of a pool that we print, and that was never sent to a printer, cannot be here.
        return Verdict.UNKNOWN
    return Verdict.PASS


def judge(
    level: str,
    roles: tuple[str, ...],
    order: WorkOrder,
    reading: ItemReadings,
    known: Known,
    *,
    earlier: dict[str, CodeKey],
    own_unit: int | None = None,
    expected: CodeKey | None = None,
) -> Judgement:
    """Judge what one reader, which reads `roles`, saw of one unit of `level`.

    `earlier` are the codes that other readers of the zone read on the same item, `expected` the
    code that was printed on it. A role that nobody read is not judged here: see `missing`.
    """
    faults: list[Verdict] = []
    others: list[int] = []
    reads: dict[str, KnownCode] = {}
    crowded = False
    if reading.refused:
        faults.append(Verdict.UNKNOWN)
    if not reading.graded:
        faults.append(Verdict.BAD_GRADE)
    if reading.old_picture:
        faults.append(Verdict.OLD_PICTURE)
    for text in reading.texts:
        code = known.codes.get(text)
        if code is None:
            faults.append(Verdict.UNKNOWN)
            continue
        if known.pools[code.key.pool].level != level or code.role not in roles:
            # A symbol of another level or role in view: it says nothing about these roles.
            continue
        before = reads.setdefault(code.role, code)
        crowded = crowded or before.key != code.key
        if before.key != code.key or earlier.get(code.role, code.key) != code.key:
            faults.append(Verdict.MISMATCH)
        verdict = judge_code(code, order, known, own_unit)
        if verdict is not Verdict.PASS:
            faults.append(verdict)
        if verdict is Verdict.DUPLICATE and code.unit is not None:
            others.append(code.unit.unit)
        if expected is not None and _same_column(code.key, expected) and code.key != expected:
            faults.append(Verdict.MISMATCH)
    if _linked_set_broken({**earlier, **{role: code.key for role, code in reads.items()}}):
        faults.append(Verdict.MISMATCH)
    doubted = () if crowded else tuple(dict.fromkeys(others))
    return Judgement(worst(faults), reads, doubted, crowded)


def missing(spec: LevelSpec, wanted: tuple[str, ...], read: Collection[str], late: bool) -> Verdict:
    """NO_READ (LATE if a reader was late) when a role that must be there was not read."""
    if all(role in read or role in spec.optional or role not in spec.roles for role in wanted):
        return Verdict.PASS
    return Verdict.LATE if late else Verdict.NO_READ


def _same_column(one: CodeKey, two: CodeKey) -> bool:
    return (one.pool, one.column) == (two.pool, two.column)


def _linked_set_broken(codes: dict[str, CodeKey]) -> bool:
    """Codes of one pool with several columns were made as a set: on one unit they share a row."""
    rows: dict[int, int] = {}
    return any(rows.setdefault(key.pool, key.position) != key.position for key in codes.values())


def may_be_packed(code: KnownCode, level: str, order: WorkOrder, mixed_lots: bool) -> Verdict:
    """Whether the unit with this code may be put into a container of this order."""
    unit = code.unit
    if unit is None or unit.level != level:
        return Verdict.CHILD
    if unit.held:
        return Verdict.HELD
    free = unit.parent is None and not unit.open
    if not free or unit.state not in (UnitState.VERIFIED, UnitState.UNPACKED):
        return Verdict.CHILD
    if unit.product != order.product:
        return Verdict.WRONG_PRODUCT
    if unit.lot != order.lot and not mixed_lots:
        return Verdict.WRONG_LOT
    return Verdict.PASS
