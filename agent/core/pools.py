"""Allocate, suspect, and the balance that accounts for every code of a pool column.

Rule 8 (DOMAIN.md) holds at any moment:

- printed here: issued = good + rejected + sampled + destroyed + void + suspect + in process + left
- pre-printed: received = the same + unseen

Where each code counts, by its own state and, once it is attached, by its unit's:

| code | unit | counts as |
|---|---|---|
| issued, allocated | | left (pre-printed, once its roll is closed: unseen) |
| sending, accepted, printed | | in process |
| suspect | | suspect |
| void | | void |
| attached | commissioned, verified, packed, unpacked, shipped, received | good |
| attached | rejected, sampled, destroyed | rejected, sampled, destroyed |

A code that was read on a rejected item which had become no unit (bad grade, missing role, wrong
lot ...) is on no unit and may never be on one unless the item is fed again. It stays where it was
(printed, or issued for a pre-printed code) while the item is on the belt. When the reject is
confirmed it must move, in the same transaction, because a printed code that left the line would
stay in process for ever:
- to void, if the verdict blames this code or its symbol (bad_grade, mismatch, wrong_lot,
  wrong_campaign, wrong_product): the bottle must be coded anew. It then counts as void, not as
  rejected: rejected counts units, and the reject itself is in the station's count (rule 4);
- to suspect otherwise (no_read of another role, late, an item that the gate took by itself): the
  bottle may come back (re-feed), and a reader that sees it again attaches the code; at line
  clearance what is still suspect becomes void.
The same holds for the code that was printed on it (`expected`) where another or none was read. A
code that was read twice (duplicate) and is attached stays attached: its unit is in doubt.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from math import ceil

from agent.core.errors import DomainError
from agent.core.facts import CodesMoved
from agent.core.known import KnownPool
from agent.core.life import PRINTABLE_LEFT, CodeState, UnitState, move_code, move_unit

REASONS = frozenset({"pool_empty", "pool_in_question", "pool_not_printable"})
"""Every reason of this module: keys of the message catalogue."""

IN_PROCESS = frozenset({CodeState.SENDING, CodeState.ACCEPTED, CodeState.PRINTED})
IN_DOUBT = frozenset({CodeState.SENDING, CodeState.ACCEPTED})
"""Codes that a device had in hand: when its session ends, nobody can say whether they came out."""
OUT = frozenset({UnitState.REJECTED, UnitState.SAMPLED, UnitState.DESTROYED})
"""Unit states that are no longer good stock."""


def allocate(
    pool: KnownPool, wanted: int, *, column: int = 0, device: str = "", session: int = 0
) -> CodesMoved:
    """The next `wanted` codes (1 or more) of a pool that is printed here, fewer if it holds fewer.

    Never past the end and never a position that was allocated before. DomainError `pool_empty` when
    none is left, `pool_not_printable` for a pre-printed pool or one that is known by a rule,
    `pool_in_question` after a restore.
    """
    if wanted < 1:
        raise ValueError("at least one code must be wanted")
    if pool.preprinted or pool.membership != "list":
        raise DomainError(
            "pool_not_printable",
            f"Pool {pool.name} holds no codes to print (it is pre-printed or known by a rule). "
            "Give the work order a pool that lists codes for this role.",
        )
    refuse_in_question(pool)
    first, left = next_free(pool)
    if left <= 0:
        raise DomainError(
            "pool_empty",
            f"Pool {pool.name} is used up: all {pool.count} codes were allocated. Import another "
            "pool for this role and give it to the work order.",
        )
    return CodesMoved(
        pool.pool,
        column,
        first,
        min(wanted, left),
        CodeState.ALLOCATED,
        device,
        session,
    )


def refuse_in_question(pool: KnownPool) -> None:
    """DomainError while nobody can say which codes of the pool were printed."""
    if pool.in_question:
        raise DomainError(
            "pool_in_question",
            f"A backup was restored, and codes of pool {pool.name} may have been printed since it "
            "was made: nothing is printed from it until it is settled. The cloud does that when it "
            f"is reached; without it run `caselink pool settle {pool.name} --void-rest` and import "
            "a new one.",
        )


def next_free(pool: KnownPool) -> tuple[int, int]:
    """The next rows that may be allocated together: first position and how many; none left: 0."""
    at = pool.next_position
    for first, count in pool.holes:
        if first > at:
            return at, first - at
        at = max(at, first + count)
    return at, max(0, pool.count - at)


def reach(pool: KnownPool, used: int, gap_ms: int, per_s: float) -> int:
    """The row of a pool before which its codes may have been printed, when rows before `used` are
    known to be taken and nothing is known of a last `gap_ms`, in which the lines took at most
    `per_s` rows a second."""
    taken = max(pool.next_position, used)
    return min(pool.count, taken + ceil(gap_ms * per_s / 1000))


def suspect(
    pool: int,
    column: int,
    states: Mapping[int, CodeState],
    *,
    device: str = "",
    session: int = 0,
    why: str,
) -> tuple[CodesMoved, ...]:
    """What becomes of the codes at these positions when a printer session ends without an answer:
    those in doubt are suspect. Codes that were never sent may still be sent, printed ones are
    proven printed and wait for their reader: both stay."""
    doubtful = (position for position, state in states.items() if state in IN_DOUBT)
    return tuple(
        CodesMoved(pool, column, first, count, CodeState.SUSPECT, device, session, why=why)
        for first, count in runs(doubtful)
    )


def runs(positions: Iterable[int]) -> Iterator[tuple[int, int]]:
    """Neighbouring positions as (first, count), in order."""
    first, count = 0, 0
    for position in sorted(positions):
        if count and position == first + count:
            count += 1
            continue
        if count:
            yield first, count
        first, count = position, 1
    if count:
        yield first, count


# ----------------------------------------------------------------------------------------- balance


@dataclass(frozen=True, slots=True)
class Balance:
    """Where the codes of one pool column are. `issued` is what was issued or received.

    `stray` are attached codes without a unit (> 0) or units without an attached code (< 0): either
    would let two mistakes cancel each other, so it is looked at by itself.
    """

    issued: int
    good: int
    rejected: int
    sampled: int
    destroyed: int
    void: int
    suspect: int
    in_process: int
    left: int
    unseen: int
    stray: int

    @property
    def accounted(self) -> int:
        """The right side of rule 8."""
        return (
            self.good
            + self.rejected
            + self.sampled
            + self.destroyed
            + self.void
            + self.suspect
            + self.in_process
            + self.left
            + self.unseen
        )

    @property
    def difference(self) -> int:
        """0 when every code is accounted for exactly once; > 0: codes are missing, < 0: there are
        too many."""
        return self.issued - self.accounted or self.stray


def balance_of(
    issued: int,
    codes: Mapping[CodeState, int],
    units: Mapping[UnitState, int],
    *,
    unseen: int = 0,
) -> Balance:
    """The balance of one pool column by counting.

    `issued`: rows of the pool. `codes`: how many codes of the column are in each state; a state
    may be absent. `units`: how many units there are in each state that carry a code of the column
    (for a primary role: every unit; for another one: those on which it was read). `unseen`: of the
    codes of a pre-printed pool still issued, those whose roll or carton is closed; 0 for a pool
    that is printed here.
    """
    if unseen > codes.get(CodeState.ISSUED, 0) or unseen < 0:
        raise ValueError("unseen codes are among those that are still issued")
    attached = sum(units.values())
    return Balance(
        issued=issued,
        good=attached - sum(units.get(state, 0) for state in OUT),
        rejected=units.get(UnitState.REJECTED, 0),
        sampled=units.get(UnitState.SAMPLED, 0),
        destroyed=units.get(UnitState.DESTROYED, 0),
        void=codes.get(CodeState.VOID, 0),
        suspect=codes.get(CodeState.SUSPECT, 0),
        in_process=sum(codes.get(state, 0) for state in IN_PROCESS),
        left=sum(codes.get(state, 0) for state in PRINTABLE_LEFT) - unseen,
        unseen=unseen,
        stray=codes.get(CodeState.ATTACHED, 0) - attached,
    )


class Ledger:
    """The counts behind a balance, kept move by move instead of counted.

    A move that the life tables do not have, or of more codes or units than are in that state,
    raises and changes nothing.
    """

    def __init__(self, issued: int, *, preprinted: bool = False) -> None:
        self.issued = issued
        self.preprinted = preprinted
        self.codes: Counter[CodeState] = Counter({CodeState.ISSUED: issued})
        self.units: Counter[UnitState] = Counter()
        self.unseen = 0

    def move_codes(self, now: CodeState, to: CodeState, count: int = 1) -> None:
        """`count` codes change state without being attached to a unit (for that: `attach`)."""
        if to is CodeState.ATTACHED:
            raise ValueError("a code is attached to a unit: use attach")
        move_code(now, to)
        self._take_codes(now, count)
        self.codes[to] += count

    def attach(self, now: CodeState, unit: UnitState) -> None:
        """One code in state `now` was read on a unit, whose state is `unit` from here on."""
        move_code(now, CodeState.ATTACHED)
        self._take_codes(now, 1)
        self.codes[CodeState.ATTACHED] += 1
        self.units[unit] += 1

    def move_units(self, now: UnitState, to: UnitState, count: int = 1) -> None:
        """`count` units that carry a code of this column change state."""
        move_unit(now, to)
        if not 0 < count <= self.units[now]:
            raise ValueError(f"{count} units cannot leave {now}: there are {self.units[now]}")
        self.units[now] -= count
        self.units[to] += count

    def close_roll(self, unseen: int) -> None:
        """A roll or carton of a pre-printed pool is used up; `unseen` of its codes were never read.
        One that turns up later is attached as any other: `found`."""
        if not self.preprinted:
            raise ValueError("only a pre-printed pool has unseen codes")
        if not 0 <= unseen <= self.codes[CodeState.ISSUED] - self.unseen:
            raise ValueError("more codes unseen than are still issued")
        self.unseen += unseen

    def found(self) -> None:
        """An unseen code of a closed roll is about to be attached or voided after all."""
        if self.unseen < 1:
            raise ValueError("no code is unseen")
        self.unseen -= 1

    def balance(self) -> Balance:
        """The balance at this moment; its `difference` is 0."""
        return balance_of(self.issued, self.codes, self.units, unseen=self.unseen)

    def _take_codes(self, now: CodeState, count: int) -> None:
        free = self.codes[now] - (self.unseen if now is CodeState.ISSUED else 0)
        if not 0 < count <= free:
            raise ValueError(f"{count} codes cannot leave {now}: there are {free}")
        self.codes[now] -= count
