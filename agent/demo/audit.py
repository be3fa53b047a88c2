"""The audit: every physical container against its record, and every count.

What the plant wrote (`truth.jsonl`, `plant.json`) is held against what the record says
(`caselink export containers`, the line's account, the pools' balances). Nothing here knows how the
agent came to its record.

The integrity of a container's record (proven, anchored, inferred, incomplete) is a word about what
is in it. Where the container itself is, is said by the record of the one that holds it: a proven
box in a case that was packed by order is known for sure in its content, and in its whereabouts no
better than that case. So a wrong content is judged by the integrity of the container itself, and a
wrong whereabouts by that of its parent, as a part of the parent's content; without a parent the
record of a unit that is off the line must say so, or that it is in doubt. What was never closed has
no integrity: its links claim what their evidence does, and by order that is inferred.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from typing import Any, NamedTuple

from rich.table import Table

from agent.core.codes import canonical
from agent.core.life import CodeState
from agent.store.balance import Recorded

INTEGRITIES = ("proven", "anchored", "inferred", "incomplete")


@dataclass(slots=True)
class Result:
    """What came out. `wrong_*` count containers whose record differs from what is inside, by what
    the record claimed to be worth (`wrong_doubtful`: it says of itself that it may be wrong);
    `missing` finished containers without a record; `child_in_two` children with two parents;
    `wrong_pairs` codes that are said to be proven or supplied on a bottle and are not on it;
    `unexplained` units, codes and triggers that no count explains. `cloud_*`: where the cloud's
    containers differ from the record's (None: no cloud was asked)."""

    bottles: int = 0
    passed: int = 0
    rejected: dict[str, int] = field(default_factory=dict)
    cases: int = 0
    pallets: int = 0
    containers: dict[str, int] = field(default_factory=dict)
    wrong_proven: int = 0
    wrong_anchored: int = 0
    wrong_inferred: int = 0
    wrong_incomplete: int = 0
    wrong_doubtful: int = 0
    missing: int = 0
    child_in_two: int = 0
    wrong_pairs: int = 0
    wrong_inferred_pairs: int = 0
    unexplained: int = 0
    good_rejected: int = 0
    good_containers_rejected: int = 0
    cloud_missing: int | None = None
    cloud_extra: int | None = None
    cloud_wrong: int | None = None
    finished: bool = True
    latency_ms: dict[str, dict[str, float]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    strict: bool = True

    @property
    def good(self) -> bool:
        """Whether the record may be trusted: exit status 0."""
        always = (
            self.wrong_proven,
            self.wrong_anchored,
            self.wrong_incomplete,
            self.missing,
            self.child_in_two,
            self.wrong_pairs,
            self.unexplained,
            self.cloud_missing,
            self.cloud_extra,
            self.cloud_wrong,
        )
        wasted = (self.wrong_inferred, self.good_rejected, self.good_containers_rejected)
        without_troubles = wasted if self.strict else ()
        return self.finished and self.bottles > 0 and not any((*always, *without_troubles))

    def data(self) -> dict[str, Any]:
        """For --json."""
        found = asdict(self)
        del found["strict"]
        return found

    def table(self) -> Table:
        """For people."""
        table = Table("what", "count", title="Audit: the record against the plant")
        table.add_row("bottles fed", f"{self.bottles:,}")
        table.add_row("passed", f"{self.passed:,}")
        for reason, count in sorted(self.rejected.items(), key=lambda each: -each[1]):
            table.add_row(f"rejected: {reason}", f"{count:,}")
        table.add_row("cases", f"{self.cases:,}")
        table.add_row("pallets", f"{self.pallets:,}")
        for worth in INTEGRITIES:
            table.add_row(f"containers {worth}", f"{self.containers.get(worth, 0):,}")
        for name in (
            "wrong_proven",
            "wrong_anchored",
            "wrong_inferred",
            "wrong_incomplete",
            "wrong_doubtful",
            "missing",
            "child_in_two",
            "wrong_pairs",
            "wrong_inferred_pairs",
            "unexplained",
            "good_rejected",
            "good_containers_rejected",
        ):
            table.add_row(name, f"{getattr(self, name):,}")
        for name in ("cloud_missing", "cloud_extra", "cloud_wrong"):
            count = getattr(self, name)
            table.add_row(name, "not asked" if count is None else f"{count:,}")
        total = self.latency_ms.get("total")
        if total:
            table.add_row(
                "trigger to verdict written, ms (p50 / p95 / p99)",
                f"{total['p50']:.1f} / {total['p95']:.1f} / {total['p99']:.1f}",
            )
        for note in self.notes:
            table.add_row("note", note)
        table.add_row("verdict", "good" if self.good else "NOT GOOD")
        return table


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
    refused = _refused(physical, fates)
    _bottles(result, plant["items"], list(units), refused, signed, hands_told=hands_told)
    _bad_ones(result, plant["bad_kept"], _refused(physical, fates), strict=strict)
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
NO_WINDOW = -1
"""The number of a thing that lies in no window of the PLC."""
GONE = frozenset({"rejected", "sampled", "destroyed"})
"""Unit states of what is no longer good stock."""
BY_ORDER = frozenset({"order", "preset"})
"""Evidence of links that nobody has read."""


def _refused(
    physical: Sequence[Mapping[str, Any]], fates: Sequence[Mapping[str, Any]], child: str = ""
) -> set[int]:
    """Serials of the rejected containers that children of this level ("" = bottles) go into; what
    is in them never became stock."""
    levels = ["", *dict.fromkeys(each["level"] for each in physical)]
    above = dict(pairwise(levels)).get(child)
    pairs = zip(physical, fates, strict=True)
    return {
        fate.get("serial", 0) for each, fate in pairs if each["level"] == above and fate["rejected"]
    }


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


def contents(
    result: Result,
    physical: list[Mapping[str, Any]],
    fates: list[Mapping[str, Any]],
    recorded: Sequence[Mapping[str, Any]],
    let_through: Collection[str] = (),
) -> None:
    """What is physically inside of each container against the record of it. Of one that was
    `let_through` the record tells its code, where it was, and that it has no content for it."""
    codes = Counter(each["code"] for each in recorded if each["code"] is not None)
    for code, count in codes.items():
        if count > 1:
            result.unexplained += count - 1
            result.notes.append(f"{count} containers are recorded with the code {code}")
    parents = Counter(child for each in recorded for child in each["children"] if child is not None)
    result.child_in_two = sum(count > 1 for count in parents.values())
    left = list(recorded)
    order = [*dict.fromkeys(each["level"] for each in physical)]
    refused = {level: _refused(physical, fates, level) for level in order}
    pairs = zip(physical, fates, strict=True)
    at = {(each["level"], fate.get("serial", 0)): fate for each, fate in pairs}
    for container, fate in zip(physical, fates, strict=True):
        inside = fate.get("container") in refused[container["level"]]
        if "put_in" in fate.get("befell", ()):
            inside = inside or _ends_refused(container["level"], fate, at, order)
        beside = _beside(container, fate, physical, fates, recorded)
        known = container["code"] in let_through
        _one(
            result, container, fate, left, inside=inside, packed=parents, beside=beside, known=known
        )
    gone = [each for each, fate in zip(physical, fates, strict=True) if fate["rejected"]]
    for each in left:
        # Its code was read on its neighbour, whose record took its place above: what it says of
        # itself is right all the same, it holds this and was rejected.
        rejected = each["code"] is None and each["state"] == "rejected"
        if rejected and any(each["level"] == x["level"] and _part_of(each, x) for x in gone):
            continue
        if each["code"] is not None or any(child is not None for child in each["children"]):
            _wrong(result, each, "no such container exists")
            result.unexplained += each["code"] is not None
    for each in recorded:
        if each["integrity"]:
            worth = each["integrity"]
            result.containers[worth] = result.containers.get(worth, 0) + 1


def _ends_refused(
    level: str,
    fate: Mapping[str, Any],
    at: Mapping[tuple[str, int], Mapping[str, Any]],
    order: Sequence[str],
) -> bool:
    """Whether the outermost container that this one is in was rejected: what a gate had taken, and
    a hand put back into it, never became stock. `at`: all by level and serial; `order`: the levels
    from the inside out."""
    for above in order[order.index(level) + 1 :]:
        found = at.get((above, fate.get("container") or 0))
        if found is None:
            return False
        fate = found
    return bool(fate["rejected"])


def _beside(
    container: Mapping[str, Any],
    fate: Mapping[str, Any],
    physical: Sequence[Mapping[str, Any]],
    fates: Sequence[Mapping[str, Any]],
    recorded: Sequence[Mapping[str, Any]],
) -> list[Mapping[str, Any]]:
    """The doubtful records of the containers before and behind one whose picture may show these
    instead of it."""
    if "neighbour" not in fate.get("befell", ()):
        return []
    codes = {
        each["code"]
        for each, other in zip(physical, fates, strict=True)
        if each["level"] == container["level"] and abs(other["serial"] - fate["serial"]) == 1
    }
    return [each for each in recorded if each["code"] in codes - {None} and each.get("doubtful")]


def _one(
    result: Result,
    container: Mapping[str, Any],
    fate: Mapping[str, Any],
    left: list[Mapping[str, Any]],
    *,
    inside: bool,
    packed: Collection[str],
    beside: Sequence[Mapping[str, Any]],
    known: bool,
) -> None:
    """One physical container; its record is taken out of `left`. `inside`: it is in another one
    that was rejected; `packed` are the codes of what stands in some record's content; `beside`:
    `_beside`; `known`: the record says that a gate let it through."""
    rejected = bool(fate["rejected"])
    name = f"{container['level']} {container['code']}"
    if container["level"] == "case":
        result.cases += not rejected and not container["open"]
    elif container["level"] == "pallet":
        result.pallets += not rejected and not container["open"]
    if rejected and not fate["bad"]:
        result.good_containers_rejected += 1
        result.notes.append(f"good {name} rejected: {fate['why']}")
    said = _record_of(container, left, rejected=rejected)
    if said is not None:
        left.remove(said)
    if container["open"]:
        if said is not None and (said["integrity"] or not _part_of(said, container)):
            _wrong(result, said, "differs from a container that is still being filled")
        return
    if rejected:
        if said is not None:
            _compare(result, container, said)
            _whereabouts(result, name, said, packed)
        return
    former = fate.get("former", ())
    for each in [each for each in left if each["code"] in former] if former else ():
        left.remove(each)  # another label is stuck over it
        _compare(result, container, each)
    if _unnamed(fate, said, inside=inside):
        if said is not None:
            _compare(result, container, said)
        return
    named = said is not None and said["code"] is not None and said["code"] == container["code"]
    if said is not None and not named and said["code"] is not None:
        _wrong(result, said, f"names another than {name}")
        return
    if said is None or not named or not said["integrity"] or said["state"] == "rejected":
        for each in beside[:1]:
            _wrong(result, each, f"was read on {name}")
        told = known and (said is None or bool(said.get("doubtful")))
        if not beside and not told:
            result.missing += 1
            result.notes.append(f"{name} has no closed record that names it")
    if said is not None:
        _compare(result, container, said)


def _whereabouts(
    result: Result, name: str, said: Mapping[str, Any], packed: Collection[str]
) -> None:
    """What the record says of where a rejected container is. One that stands in another's content
    is judged with that one."""
    if said["state"] == "rejected" or said.get("doubtful") or said["code"] in packed:
        return
    result.unexplained += 1
    result.notes.append(f"{name}: was rejected, the record says {said['state']}")


def _unnamed(fate: Mapping[str, Any], said: Mapping[str, Any] | None, *, inside: bool) -> bool:
    """Whether no closed record need name this container, and this is what there is of it."""
    befell = fate.get("befell", ())
    off = fate["place"] == "taken" or inside
    if off and said is not None and said["state"] == "rejected":
        return True  # off the line, by a hand or in another, and the gate took what came for it
    if said is not None and said["integrity"]:
        return False
    # It lagged behind its window: the gate was told to take it, and took what was not there.
    stayed = (fate["bad"] and "gate_failed" in befell) or fate.get("number") == NO_WINDOW
    # A hand put it behind the camera that would have named it; what is known of it says doubt.
    unmet = not fate.get("shown", True) or "swapped_in" in befell
    unmet = unmet and (said is None or said.get("doubtful") or said["state"] == "rejected")
    return bool(off or stayed or unmet)


def _record_of(
    container: Mapping[str, Any], left: list[Mapping[str, Any]], *, rejected: bool
) -> Mapping[str, Any] | None:
    """The record with the container's code; else a doubtful one of just its children, if both are
    `rejected` or neither; else the one without a code of most of them."""
    for each in left:
        if each["code"] is not None and each["code"] == container["code"]:
            return each
    inside = {child for child in container["children"] if child is not None}
    for each in left:
        # Its neighbour's code was read on it: the record names that one, and is in doubt for it.
        same = each["level"] == container["level"] and each.get("doubtful")
        same = same and (each["code"] is None or rejected == (each["state"] == "rejected"))
        if same and inside and Counter(each["children"]) == Counter(container["children"]):
            return each
    best, most = None, 0
    for each in left:
        if each["code"] is None and each["level"] == container["level"]:
            common = len(inside.intersection(each["children"]))
            if common > most:
                best, most = each, common
    return best


def _part_of(said: Mapping[str, Any], container: Mapping[str, Any]) -> bool:
    """Whether all known children of the record are inside."""
    claimed = Counter(child for child in said["children"] if child is not None)
    return claimed <= Counter(container["children"])


def _compare(result: Result, container: Mapping[str, Any], said: Mapping[str, Any]) -> None:
    inside = Counter(container["children"])
    claimed = Counter(said["children"])
    if said["integrity"] is None:
        # It was never closed: it claims its links and nothing of the rest.
        right = _part_of(said, container)
    elif said["integrity"] == "incomplete":
        # Known children must be inside; the unknown ones must make up the rest.
        right = _part_of(said, container) and claimed.total() == inside.total()
    else:
        # Whatever claims to be whole knows every child.
        right = claimed == inside and None not in claimed
    if not right:
        _wrong(result, said, "content differs")


def _wrong(result: Result, said: Mapping[str, Any], why: str) -> None:
    worth = said["integrity"] or "incomplete"
    if worth == "incomplete" and not BY_ORDER.isdisjoint(said.get("evidence", ())):
        worth = "inferred"
    unsure = said.get("doubtful") and worth in ("inferred", "incomplete")
    name = "wrong_doubtful" if unsure else f"wrong_{worth}"
    setattr(result, name, getattr(result, name) + 1)
    result.notes.append(f"{said['level']} {said['code']}: {why}")
