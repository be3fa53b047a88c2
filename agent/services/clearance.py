"""Line clearance as people ask for it: what the store counts is brought together here."""

from typing import Any

from agent.core import facts as f
from agent.core import inputs as i
from agent.core.errors import DomainError
from agent.store import clearance as store
from agent.store import orders
from agent.store.database import Connection


def asked(
    conn: Connection, number: str, by: str, reason: str = "", rolls: tuple[str, ...] = ()
) -> tuple[str, i.ClearLine]:
    """The line and the input. `rolls` are written POOL/ROLL, or POOL for a pool without rolls.
    DomainError: there is no such order or roll."""
    order = orders.get(conn, number)
    if order is None:
        raise DomainError("order_unknown", f"There is no work order {number}.")
    try:
        found = store.counted(conn, order, rolls)
    except KeyError as error:
        raise DomainError(
            "roll_unknown",
            f"There is no open roll {error.args[0]} of pre-printed codes: write POOL/ROLL.",
        ) from None
    return order.line, i.ClearLine(number, by, reason, **found)


def summary(facts: tuple[f.Fact, ...]) -> dict[str, Any]:
    """What was signed."""
    (fact,) = (fact for fact in facts if isinstance(fact, f.LineCleared))
    return {
        "order": fact.order,
        "balanced": fact.balanced,
        "missing": dict(fact.missing),
        "counts": [list(row) for row in fact.counts],
        "voided": fact.voided,
    }
