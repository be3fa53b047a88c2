"""Two lives as two tables: of a code and of a unit (DOMAIN.md, "Two lives").

`move_code` and `move_unit` return the new state or raise `IllegalTransition` and change nothing.
A code never returns to a state in which it could be used twice: no arrow leads back to ISSUED or
ALLOCATED, and none leaves VOID.
"""

from enum import StrEnum

from agent.core.errors import CaselinkError


class CodeState(StrEnum):
    ISSUED = "issued"
    ALLOCATED = "allocated"
    SENDING = "sending"
    ACCEPTED = "accepted"
    PRINTED = "printed"
    SUSPECT = "suspect"
    ATTACHED = "attached"
    VOID = "void"


class UnitState(StrEnum):
    COMMISSIONED = "commissioned"
    VERIFIED = "verified"
    PACKED = "packed"
    UNPACKED = "unpacked"
    SHIPPED = "shipped"
    RECEIVED = "received"
    REJECTED = "rejected"
    SAMPLED = "sampled"
    DESTROYED = "destroyed"


class IllegalTransition(CaselinkError):
    """The table has no such arrow. Nothing was changed."""


_C = CodeState
CODE_LIFE: dict[CodeState, frozenset[CodeState]] = {
    # Pre-printed codes live without ever being sent: issued -> attached.
    _C.ISSUED: frozenset({_C.ALLOCATED, _C.ATTACHED, _C.SUSPECT, _C.VOID}),
    _C.ALLOCATED: frozenset({_C.SENDING, _C.SUSPECT, _C.VOID}),
    # A reader may see a code before the device's own report arrives: every state after the first
    # byte may become attached.
    _C.SENDING: frozenset({_C.ACCEPTED, _C.PRINTED, _C.ATTACHED, _C.SUSPECT, _C.VOID}),
    _C.ACCEPTED: frozenset({_C.PRINTED, _C.ATTACHED, _C.SUSPECT, _C.VOID}),
    _C.PRINTED: frozenset({_C.ATTACHED, _C.SUSPECT, _C.VOID}),
    _C.SUSPECT: frozenset({_C.ATTACHED, _C.VOID}),
    _C.ATTACHED: frozenset(),
    _C.VOID: frozenset(),
}

_U = UnitState
_OUT = frozenset({_U.SAMPLED, _U.DESTROYED})
UNIT_LIFE: dict[UnitState, frozenset[UnitState]] = {
    _U.COMMISSIONED: frozenset({_U.VERIFIED, _U.PACKED, _U.REJECTED, _U.SHIPPED}) | _OUT,
    _U.VERIFIED: frozenset({_U.PACKED, _U.REJECTED, _U.SHIPPED}) | _OUT,
    _U.PACKED: frozenset({_U.UNPACKED, _U.SHIPPED, _U.RECEIVED}) | _OUT,
    # Re-feed: taken out, or rejected, the same unit comes back; its old place is a known gap.
    _U.UNPACKED: frozenset({_U.VERIFIED, _U.PACKED, _U.REJECTED, _U.SHIPPED, _U.RECEIVED}) | _OUT,
    _U.SHIPPED: frozenset({_U.RECEIVED, _U.UNPACKED}) | _OUT,
    _U.RECEIVED: frozenset({_U.SHIPPED, _U.PACKED, _U.UNPACKED}) | _OUT,
    _U.REJECTED: frozenset({_U.VERIFIED}) | _OUT,
    _U.SAMPLED: frozenset({_U.DESTROYED}),
    _U.DESTROYED: frozenset(),
}

PRINTABLE_LEFT = frozenset({_C.ISSUED, _C.ALLOCATED})
"""Codes that no device can have printed yet."""

MAY_ARRIVE = frozenset({_C.SENDING, _C.ACCEPTED, _C.PRINTED, _C.SUSPECT})
"""Codes of a printed pool that a reader may honestly see for the first time."""


def move_code(now: CodeState, to: CodeState) -> CodeState:
    """`to`, if a code in state `now` may become it; otherwise IllegalTransition."""
    if to not in CODE_LIFE[now]:
        raise IllegalTransition(f"a code that is {now} cannot become {to}")
    return to


def move_unit(now: UnitState, to: UnitState) -> UnitState:
    """`to`, if a unit in state `now` may become it; otherwise IllegalTransition."""
    if to not in UNIT_LIFE[now]:
        raise IllegalTransition(f"a unit that is {now} cannot become {to}")
    return to
