"""`evolve(plan, state, fact) -> state`: how each fact changes what we know of a line.

One small function per kind of fact, in a table per family of facts. Nothing is decided or refused
here: a fact has happened. Facts that are not about a line (pools, the agent, what the cloud sent)
change nothing.
"""

from agent.core import facts as f
from agent.core.evolve import (
    alarms,
    bypass,
    containers,
    doubt,
    items,
    orders,
    printing,
    rework,
    testmode,
)
from agent.core.evolve.common import LANE_KEPT, Table, has_gate, unseen_on_path
from agent.core.evolve.containers import can_close, open_container
from agent.core.evolve.doubt import (
    MISSED,
    NOWHERE,
    RESTART,
    STRANGER,
    guessed,
    is_fresh,
    kept_of,
)
from agent.core.evolve.orders import ORDERS_KEPT
from agent.core.plan import LinePlan
from agent.core.state import LineState

__all__ = [
    "HANDLED",
    "LANE_KEPT",
    "MISSED",
    "NOWHERE",
    "ORDERS_KEPT",
    "RESTART",
    "STRANGER",
    "can_close",
    "evolve",
    "guessed",
    "has_gate",
    "is_fresh",
    "kept_of",
    "open_container",
    "unseen_on_path",
]

_TABLE: Table = {
    **orders.TABLE,
    **items.TABLE,
    **containers.TABLE,
    **printing.TABLE,
    **rework.TABLE,
    **alarms.TABLE,
    **bypass.TABLE,
    **testmode.TABLE,
}

HANDLED: frozenset[type[f.Fact]] = (
    frozenset(_TABLE)
    | frozenset(doubt.TABLE)
    | {
        f.AgentStarted,
        f.PoolImported,
        f.CodeRegistered,
        f.ContainerReopened,
        f.HoldPlaced,
        f.HoldReleased,
        f.ContainerScanned,
        f.RollClosed,
        f.CommandDone,
        f.ReferenceChanged,
        f.Restored,
        f.PoolSettled,
        f.PoolsUsed,
        f.CountPosted,
        f.DeviceEnrolled,
        f.DeviceRevoked,
        f.DocumentClosed,
        f.DocumentHandedOver,
        f.DocumentOpened,
        f.DocumentReversed,
        f.GoodsFollowed,
        f.GoodsOpened,
        f.GoodsPacked,
        f.GoodsTold,
        f.ItemDone,
    }
)
"""Every kind of fact, those that change nothing of a line too; a test compares it with the
vocabulary."""


def evolve(plan: LinePlan, state: LineState, fact: f.Fact) -> LineState:
    """The state after `fact`. The given state is consumed."""
    first = doubt.TABLE.get(type(fact))
    if first is not None:
        first(plan, state, fact)
    change = _TABLE.get(type(fact))
    if change is not None:
        change(plan, state, fact)
    return state
