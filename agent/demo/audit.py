"""The audit: every physical container against its record, and every count.

What the plant wrote (`truth.jsonl`, `plant.json`) is held against what the record says
(`caselink export containers`, the line's account, the pools' balances). Nothing here knows how the
agent came to its record.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from agent.core.codes import canonical
from agent.core.life import CodeState
from agent.demo.containment import contents, refused_above
from agent.demo.result import Result
from agent.store.balance import Recorded


class Printers(NamedTuple):
    """The codes that the plant's printers `held` in the end, and those that are `unprinted` in the
    record, with their CodeState values."""

    held: frozenset[str]
    unprinted: Mapping[str, str]


def truth_level(plant: Mapping[str, Any]) -> str:
    """The lowest level of the plant."""
    return str(plant["items"][0]["level"]) if plant["items"] else ""


def audit(
    truth: Iterable[Mapping[str, Any]],
    plant: Mapping[str, Any],
    record: Iterable[Mapping[str, Any]],
    account: Mapping[str, Any],
    balances: Mapping[str, int],
    units: Iterable[Recorded],
    *,
    strict: bool,
    stations: Mapping[str, int] | None = None,
    killed: bool = False,
    printers: Printers | None = None,
    signed: Collection[str] = (),
    hands_told: bool = True,
    let_through: Collection[str] = (),
) -> Result:
    """Hold the plant's account against the record.

    `units` is what the record says of each bottle that became a unit, `balances` what each pool's
    balance misses, `stations` the PLC's index of each station of the site file. `killed`: the agent
    did not see everything that the gates did; so it is when the PLC could not tell it. `printers`:
    None where they go on while one looks. `signed` are the codes of units that are in doubt for
    nothing but that a person signed for them as missing, when the line was cleared; `hands_told`:
    the record says that hands may have changed what lay on the belts. `let_through` are codes of
    which the record says that a gate failed to take what carried them.
    """
    result = Result(strict=strict)
    physical = list(truth)
    fates = plant["containers"]
    recorded = list(record)
    blind = killed or bool(BLINDING & plant.get("happened", {}).keys())
    _counts(result, plant, account, balances)
    refused = refused_above(physical, fates)
    _bottles(result, plant["items"], list(units), refused, signed, hands_told=hands_told)
    _bad_ones(result, plant["bad_kept"], refused_above(physical, fates), strict=strict)
    if not blind:
        _gates(result, plant, account, stations or {})
    contents(result, physical, fates, recorded, let_through)
    if printers is not None:
        _printers(result, printers)
    return result


def _counts(
    result: Result,
    plant: Mapping[str, Any],
    account: Mapping[str, Any],
    balances: Mapping[str, int],
) -> None:
    result.bottles = plant["fed"]
    result.finished = bool(plant["finished"])
    if not result.finished:
        result.notes.append("the belts did not run empty")
    result.rejected = dict(account["tally"]["reasons"])
    result.good_rejected = len(plant["good_rejected"])
    for fate in plant["good_rejected"][:3]:
        result.notes.append(f"good bottle {fate['serial']} rejected: {fate['reason']}")
    result.latency_ms = dict(account["latency_ms"])
    for name, amount in balances.items():
        if amount:
            result.unexplained += abs(amount)
            result.notes.append(f"pool {name} misses {amount} codes")
    for difference in account["differences"]:
        result.unexplained += abs(difference["amount"])
        result.notes.append(
            f"station {difference['station']}: {difference['formula']} count differs by "
            f"{difference['amount']}"
        )


def _printers(result: Result, printers: Printers) -> None:
    """A code that is said to be in a printer's hand is there, and what is there is no code that
    could be printed again."""
    for code, state in printers.unprinted.items():
        held = code in printers.held
        if held == (state == CodeState.ISSUED):
            result.unexplained += 1
            where = "in a printer's hand" if held else "in no printer's hand"
            result.notes.append(f"{code} is recorded as {state} and is {where}")


BLINDING = frozenset({"plc_restart", "link_loss"})
"""Troubles of the plant after which the agent has not seen everything that the gates did."""
ON_LINE = frozenset({"belt", "lane", "packed", "output"})
"""Places of a bottle that is on the line or among the finished goods."""
ON_MARKS = frozenset({"unreadable", "duplicate", "foreign", "campaign", "repeat"})
"""Troubles of a bottle's codes alone: every gate sees them."""
IN_PLACE = ON_MARKS | {"label_unreadable", "label_shifted", "cap_dropped", "cap_skipped"}
"""Troubles after which everything still comes where it is expected."""
GONE = frozenset({"rejected", "sampled", "destroyed"})
"""Unit states of what is no longer good stock."""


def _bottles(
    result: Result,
    items: Sequence[Mapping[str, Any]],
    units: Sequence[Recorded],
    refused: set[int],
    signed: Collection[str],
    *,
    hands_told: bool,
) -> None:
    """Each bottle's unit against where the bottle is. What is inside a container is held against
    that container's record. What was `signed` for must have had nobody behind it who came to the
    packer: else it was to be missed at once."""

    def unexplained(note: str) -> None:
        result.unexplained += 1
        result.notes.append(note)

    result.passed = sum(unit.state not in GONE for unit in units)
    # Hands put these in another order behind a guard: where it is told, so is that they did.
    moved = {item["serial"] for item in items if hands_told and "cleared" in item["befell"]}
    orderly = (item["serial"] for item in items if item["place"] in ON_LINE and not item["befell"])
    last = max(orderly, default=0)
    things: dict[str, list[Mapping[str, Any]]] = {}
    for item in items:
        if item["code"] is not None:
            things.setdefault(item["code"], []).append(item)
    for unit in units:
        carriers = things.get(unit.code, [])
        here = [item for item in carriers if item["place"] in ON_LINE]
        if unit.state in GONE:
            if here and len(here) == len(carriers) and not unit.doubtful:
                unexplained(f"{unit.code} is recorded as {unit.state} and is on the line")
        elif unit.code in signed and not here:
            if any(item["serial"] < last for item in carriers if item["serial"] not in moved):
                unexplained(f"{unit.code} was overtaken and is missed at the clearance only")
        elif not (here or unit.doubtful or unit.inside):
            places = sorted({str(item["place"]) for item in carriers})
            unexplained(f"{unit.code} is recorded as {unit.state} and is {places or 'nowhere'}")
        if len(carriers) == 1 and not unit.doubtful:
            _pairs(result, unit, carriers[0])
    known = {unit.code for unit in units}
    for item in items:
        good = item["place"] in ON_LINE and not item["bad"] and not item["befell"]
        if good and item.get("container") not in refused and item["code"] not in known:
            unexplained(f"bottle {item['serial']} ({item['code']}) is on the line as no unit")


def _pairs(result: Result, unit: Recorded, bottle: Mapping[str, Any]) -> None:
    """The other codes of a unit must be on its bottle, by what the record claims of the pair."""
    for role, text, worth in unit.others:
        mark = bottle["marks"].get(role)
        if mark is not None and canonical(mark[0]).text == text:
            continue
        if worth in ("proven", "supplied"):
            result.wrong_pairs += 1
        elif worth == "inferred":
            result.wrong_inferred_pairs += 1
        result.notes.append(
            f"bottle {bottle['serial']}: its {role} is {worth} and is not the one it has"
        )


def _bad_ones(
    result: Result, kept: Sequence[Mapping[str, Any]], refused: set[int], *, strict: bool
) -> None:
    """Bad bottles that are on the line though the gates could have taken them: nothing happened to
    them but what every camera sees. What is in a container that was rejected is not there, and a
    damaged code that came onto its bottle after the camera had seen another one in its place was
    seen by none (`wrong_inferred_pairs` counts those)."""
    for fate in kept:
        if fate.get("container") in refused:
            continue
        marks, seen = fate.get("marks", {}), fate.get("glimpsed", {})
        damaged = {role for role, (_, readable) in marks.items() if not readable}
        another = {role for role, text in seen.items() if role in marks and text != marks[role][0]}
        if fate["bad"] == "unreadable" and damaged and damaged <= another:
            continue
        if strict or set(fate["befell"]) <= ON_MARKS:
            result.unexplained += 1
            result.notes.append(f"bad bottle {fate['serial']} ({fate['bad']}) is on the line")


def _gates(
    result: Result,
    plant: Mapping[str, Any],
    account: Mapping[str, Any],
    stations: Mapping[str, int],
) -> None:
    """Every gate's counts against what the PLC could tell of it."""

    def differ(what: str, said: int, was: int) -> None:
        if said != was:
            result.unexplained += abs(said - was)
            result.notes.append(f"{what}: {said} recorded, {was} in the plant")

    physical = {gate["station"]: gate for gate in plant["gates"].values()}
    orderly = set(plant["happened"]) <= IN_PLACE
    for name, counts in account["counts"].items():
        for count in ("foreign", "added", "unasked") if orderly else ():
            differ(f"station {name}, {count}", counts[count], 0)
        gate = physical.get(stations.get(name, -1))
        if gate is None:
            continue
        passed = gate["passed_good"] + gate["passed_bad"]
        rejected = gate["rejected_good"] + gate["rejected_bad"]
        failed = gate["failed"] + gate["empty"]
        differ(f"station {name}, passed", counts["passed"], passed)
        differ(f"station {name}, rejected", counts["rejected"], rejected)
        differ(f"station {name}, gates that failed", counts["failed"], failed)
        triggers = passed + rejected + failed - gate["unasked"]
        differ(f"station {name}, triggers", counts["triggers"], triggers)
