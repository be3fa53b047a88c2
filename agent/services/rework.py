"""What people do with units and codes, as they ask for it: texts as scanned, pools by their names.

`asked` makes an input of it, `carry_out` decides and keeps it where no agent runs, and `summary`
says in numbers what was done.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from agent.core import facts as f
from agent.core import inputs as i
from agent.core.codes import canonical
from agent.core.errors import DomainError
from agent.core.known import Clock
from agent.store import lookup, orders, pools
from agent.store.database import Connection
from agent.store.gate import AGENT, Gate

Deed = Literal[
    "unpack",
    "replace",
    "sample",
    "destroy",
    "void",
    "hold",
    "release",
    "scan",
    "pack",
    "reopen",
    "relabel",
]


@dataclass(frozen=True, slots=True)
class Asked:
    """One wish of a person; each deed uses its own fields (see agent.core.inputs.Rework). `first`
    and `last` are positions in `pool`, both included, -1 without."""

    deed: Deed
    by: str
    reason: str = ""
    code: str = ""
    codes: tuple[str, ...] = ()
    old: str = ""
    container: str = ""
    pool: str = ""
    first: int = -1
    last: int = -1
    product: str = ""
    lot: str = ""
    hold: int = 0
    complete: bool = False
    empty: bool = False
    preset: bool = False
    layer: int = 0


def asked(conn: Connection, wish: Asked) -> i.Input:
    """The input for the core. DomainError: a text is no code, or a pool does not exist."""
    codes = tuple(dict.fromkeys(_text(code) for code in wish.codes))
    said = {"reason": wish.reason, "by": wish.by}
    match wish.deed:
        case "unpack":
            return i.Unpack(text=_text(wish.code), children=codes, **said)
        case "replace":
            old = _text(wish.old) if wish.old else ""
            box = _text(wish.container) if wish.container else ""
            return i.Replace(new=_text(wish.code), old=old, container=box, **said)
        case "sample":
            return i.Sample(texts=codes, **said)
        case "destroy":
            return i.Destroy(texts=codes, **said)
        case "void":
            pool, first, last = _range(conn, wish)
            return i.Void(texts=codes, pool=pool, first=first, last=last, **said)
        case "hold":
            lot = {"product": wish.product, "lot": wish.lot}
            pool, first, last = _range(conn, wish)
            return i.Hold(texts=codes, pool=pool, first=first, last=last, **lot, **said)
        case "release":
            return i.Release(hold=wish.hold, texts=codes, **said)
        case "pack":
            box = _text(wish.container)
            preset = pools.children_of(conn, box) if wish.preset else ()
            if wish.preset and not preset:
                raise DomainError(
                    "preset_unknown", f"No pool names children for {wish.container}: scan them."
                )
            return i.Pack(wish.reason, wish.by, box, codes, preset, wish.layer)
        case "reopen":
            return i.Reopen(container=_text(wish.container), **said)
        case "relabel":
            return i.Relabel(text=_text(wish.old), new=_text(wish.code), **said)
        case "scan":
            return i.HandScanned(codes, wish.complete, wish.by, wish.empty)


def _text(code: str) -> str:
    return canonical(code).text


def _range(conn: Connection, wish: Asked) -> tuple[int, int, int]:
    if not wish.pool:
        return -1, 0, -1
    for pool in pools.list_pools(conn):
        if pool.name == wish.pool:
            return pool.pool, wish.first, wish.last
    raise DomainError("pool_unknown", f"There is no pool {wish.pool}: see `caselink pool list`.")


def line_of(conn: Connection, what: i.Input, lines: Iterable[str]) -> str:
    """Where it is decided: a scan at the line whose work order made the unit, if this agent has
    that line; everything else for the whole agent."""
    if not isinstance(what, i.HandScanned):
        return AGENT
    for text in what.texts:
        code = lookup.find_code(conn, text)
        if code is None or code.unit is None:
            continue
        order = orders.get(conn, code.unit.order)
        if order is not None and order.line in lines:
            return order.line
    return AGENT


def carry_out(conn: Connection, gate: Gate, wish: Asked, lines: Iterable[str], now: Clock) -> Any:
    """Decide it and keep it, as a job of the writer of an agent that does not run."""
    what = asked(conn, wish)
    done = gate.decide(conn, line_of(conn, what, lines), [(what, now)])
    return summary(done.facts)


def summary(facts: Iterable[f.Fact]) -> dict[str, Any]:
    """What was done, in numbers of units or codes; `hold` is the number of a new hold."""
    found: dict[str, int] = {}

    def add(what: str, many: int) -> None:
        found[what] = found.get(what, 0) + many

    differs, worth = False, ""
    for fact in facts:
        match fact:
            case f.Unpacked():
                add("taken_out", len(fact.children) + fact.unknown)
            case f.Packed():
                add("put_in", len(fact.children))
            case f.ContainerClosed():
                worth = str(fact.integrity)
            case f.ContainerReopened():
                add("reopened", 1)
            case f.Relabelled() | f.LabelBound():
                add("labels", 1)
            case f.UnitsSampled():
                add("sampled", len(fact.units))
            case f.UnitsDestroyed():
                add("destroyed", len(fact.units))
            case f.CodesMoved(to="void"):
                add("void", fact.count)
            case f.HoldPlaced():
                found["hold"] = fact.hold
                add("held", len(fact.units))
            case f.HoldReleased():
                add("released", len(fact.units))
            case f.ContainerScanned():
                add("scanned", len(fact.seen))
            case f.ContainersBroken():
                add("broken", len(fact.containers))
            case f.UnitsDoubted(why="scan_differs"):
                differs = True
    more: dict[str, Any] = {"differs": True} if differs else {}
    return {"done": True, **found, **more} | ({"integrity": worth} if worth else {})
