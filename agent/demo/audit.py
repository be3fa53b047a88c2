"""The audit: every physical container against its record, and every count.

What the plant wrote (`truth.jsonl`, `plant.json`) is held against what the record says
(`caselink export containers`, the line's account, the pools' balances). Nothing here knows how the
agent came to its record.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from rich.table import Table

INTEGRITIES = ("proven", "anchored", "inferred", "incomplete")


@dataclass(slots=True)
class Result:
    """What came out. `wrong_*` count containers whose record differs from what is inside, by what
    the record claimed to be worth; `missing` finished containers without a record; `child_in_two`
    children with two parents; `unexplained` units, codes and triggers that no count explains."""

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
    missing: int = 0
    child_in_two: int = 0
    unexplained: int = 0
    good_rejected: int = 0
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
            self.unexplained,
        )
        without_troubles = (self.wrong_inferred, self.good_rejected) if self.strict else ()
        return self.finished and not any((*always, *without_troubles))

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
            "missing",
            "child_in_two",
            "unexplained",
            "good_rejected",
        ):
            table.add_row(name, f"{getattr(self, name):,}")
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


def audit(
    truth: Iterable[Mapping[str, Any]],
    plant: Mapping[str, Any],
    record: Iterable[Mapping[str, Any]],
    account: Mapping[str, Any],
    balances: Mapping[str, int],
    verified: int,
    *,
    strict: bool,
) -> Result:
    """Hold the plant's account against the record.

    `verified` is how many units the record has that passed and were not rejected, `balances` what
    each pool's balance misses.
    """
    result = Result(strict=strict)
    physical = list(truth)
    fates = plant["containers"]
    recorded = list(record)
    _counts(result, plant, account, balances, verified)
    _contents(result, physical, fates, recorded)
    return result


def _counts(
    result: Result,
    plant: Mapping[str, Any],
    account: Mapping[str, Any],
    balances: Mapping[str, int],
    verified: int,
) -> None:
    result.bottles = plant["fed"]
    result.finished = bool(plant["finished"])
    if not result.finished:
        result.notes.append("the belts did not run empty")
    places = Counter(plant["places"])
    on_line = result.bottles - places["rejected"]
    result.passed = verified
    result.rejected = dict(account["tally"]["reasons"])
    result.good_rejected = len(plant["good_rejected"])
    for fate in plant["good_rejected"][:3]:
        result.notes.append(f"good bottle {fate['serial']} rejected: {fate['reason']}")
    result.latency_ms = dict(account["latency_ms"])
    if verified != on_line:
        result.unexplained += abs(verified - on_line)
        result.notes.append(f"{verified} units recorded, {on_line} bottles on the line")
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


def _contents(
    result: Result,
    physical: list[Mapping[str, Any]],
    fates: list[Mapping[str, Any]],
    recorded: list[Mapping[str, Any]],
) -> None:
    by_code = {each["code"]: each for each in recorded if each["code"] is not None}
    parents: Counter[str] = Counter()
    for each in recorded:
        parents.update({child for child in each["children"] if child is not None})
    result.child_in_two = sum(count > 1 for count in parents.values())
    seen: set[str] = set()
    for container, fate in zip(physical, fates, strict=True):
        rejected = bool(fate["rejected"])
        code = container["code"]
        if container["level"] == "case":
            result.cases += not rejected
        elif container["level"] == "pallet":
            result.pallets += not rejected
        said = by_code.get(code) if code is not None else None
        if said is not None:
            seen.add(code)
            _compare(result, container, said)
        elif code is not None and not rejected and not container["open"]:
            result.missing += 1
            result.notes.append(f"{container['level']} {code} has no record")
        elif container["open"]:
            _compare_open(result, container, recorded)
    for each in recorded:
        if each["integrity"]:
            worth = each["integrity"]
            result.containers[worth] = result.containers.get(worth, 0) + 1
        if each["code"] is not None and each["code"] not in seen:
            _wrong(result, each, "no such container exists")


def _compare(result: Result, container: Mapping[str, Any], said: Mapping[str, Any]) -> None:
    inside = Counter(container["children"])
    claimed = Counter(said["children"])
    unknown = claimed.pop(None, 0)
    if unknown or said["integrity"] == "incomplete":
        # Known children must be inside; the unknown ones must make up the rest.
        right = claimed <= inside and claimed.total() + unknown == inside.total()
    else:
        right = claimed == inside
    if not right:
        _wrong(result, said, "content differs")


def _compare_open(
    result: Result, container: Mapping[str, Any], recorded: list[Mapping[str, Any]]
) -> None:
    """A container that is still being filled has no code: it is found by its children."""
    inside = {child for child in container["children"] if child is not None}
    for said in recorded:
        claimed = {child for child in said["children"] if child is not None}
        if said["level"] == container["level"] and claimed & inside and claimed - inside:
            _wrong(result, said, "an open container claims children of another")


def _wrong(result: Result, said: Mapping[str, Any], why: str) -> None:
    worth = said["integrity"] or "incomplete"
    name = f"wrong_{worth}"
    setattr(result, name, getattr(result, name) + 1)
    result.notes.append(f"{said['level']} {said['code']}: {why}")
