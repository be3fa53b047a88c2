"""What an audit of the record against the plant came to."""

from dataclasses import asdict, dataclass, field
from typing import Any

from rich.table import Table

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
