"""A small plant's worth of facts for the tests of the store."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from agent.core import facts as f
from agent.core.facts import Attachment, CodeKey, Fact
from agent.core.known import Clock
from agent.core.poolfile import Declared, PoolFile, rule_pool, seal
from agent.core.poolrule import Rule
from agent.core.scheme import LevelSpec, PackingScheme, WorkOrder
from agent.store import journal
from agent.store.database import Database
from agent.store.pool_import import import_pool
from agent.store.record import record
from agent.store.writer import Writer

LINE = "line-1"
SCHEME = PackingScheme(
    "test",
    (
        LevelSpec("bottle", "body", ("cap", "body"), optional=("cap",), secret=("cap",)),
        LevelSpec(
            "case",
            "case-outer",
            ("case-outer", "case-inner"),
            optional=("case-inner",),
            children=4,
            unknown=1,
        ),
        LevelSpec("pallet", "pallet", ("pallet",), children=2),
    ),
)
ORDER = WorkOrder("WO-1", LINE, "sku-1", "lot-1", SCHEME, 1000, {})
BOTTLES, CASES, PALLETS, RULE = 1, 2, 3, 4
BODY, CAP = 1, 0


def at(tick: int) -> Clock:
    """A clock that ticks once a second."""
    return Clock(1_700_000_000_000 + tick * 1000, tick * 1000, "synced")


def listed(
    name: str,
    level: str,
    columns: dict[str, Sequence[str]],
    *,
    secret: tuple[str, ...] = (),
    parents: tuple[str, ...] = (),
    spelled: tuple[tuple[str, ...] | None, ...] | None = None,
) -> PoolFile:
    roles = tuple(columns)
    texts = tuple(tuple(column) for column in columns.values())
    sealed = (*texts, parents) if parents else texts
    return PoolFile(
        Declared(name, level, roles, secret=secret),
        roles,
        texts,
        parents,
        spelled or tuple(None for _ in roles),
        (),
        seal(zip(*sealed, strict=True)),
    )


def codes(prefix: str, count: int) -> list[str]:
    """Texts whose order is not that of their positions."""
    return [f"{prefix}{n * 7919 % count:05d}" for n in range(count)]


class Plant:
    """A database with pools and a running order, and short words for facts."""

    def __init__(self, where: Path, bottles: int = 200) -> None:
        self.path, self.key_file = where / "caselink.db", where / "caselink.key"
        self.bottles = bottles
        self.tick = 0
        self.open()

    def open(self) -> None:
        self.db = Database.open(self.path, self.key_file)
        self.conn = self.db.conn
        self.writer = Writer(self.conn)

    def close(self) -> None:
        self.db.close()

    def reopen(self) -> None:
        self.close()
        self.open()

    def load(self) -> "Plant":
        """Import the pools and start the order."""
        caps = codes("CAP-", self.bottles)
        bodies = codes("https://q.example.cn/b/", self.bottles)
        self.take(listed("bottles", "bottle", {"cap": caps, "body": bodies}, secret=("cap",)))
        self.take(listed("cases", "case", {"case-outer": codes("CASE-", 60)}))
        self.take(listed("pallets", "pallet", {"pallet": codes("PAL-", 20)}))
        self.take(rule_pool(Declared("rule", "bottle", ("body",)), Rule.parse("RULE-")))
        self.put(f.OrderCreated(ORDER, "li"), f.OrderStarted(ORDER.number, "li"))
        return self

    def take(self, file: PoolFile) -> f.PoolImported:
        return self.writer.run_inline(lambda conn: import_pool(conn, file, "", at(0)))

    def put(self, *facts: Fact) -> int:
        """Write facts in one transaction."""
        self.tick += 1
        return self.writer.run_inline(lambda conn: record(conn, LINE, facts, at(self.tick)))

    def bottle(self, unit: int, position: int) -> f.ItemPassed:
        body = Attachment("body", CodeKey(BOTTLES, position, BODY), f.PairIntegrity.PROVEN)
        return f.ItemPassed("verify", unit, unit, "bottle", ORDER.number, (body,), True)

    def case(self, first: int, position: int, label: int, unknown: int = 0) -> list[Fact]:
        """Four bottles from unit `first` on, packed into the next unit and closed."""
        case = first + 4
        bottles = [self.bottle(first + n, position + n) for n in range(4)]
        known = [bottle.unit for bottle in bottles]
        children = tuple(known) + (None,) * unknown
        return [*bottles, *boxed(case, "case", children, CodeKey(CASES, label, 0), "case-outer")]


def boxed(
    unit: int, level: str, children: tuple[int | None, ...], key: CodeKey, role: str
) -> list[Fact]:
    """A container formed, filled, labelled and closed."""
    unknown = sum(child is None for child in children)
    integrity = f.Integrity.INCOMPLETE if unknown else f.Integrity.PROVEN
    return [
        f.ContainerFormed(unit, level, ORDER.number, "pack", unit, len(children)),
        f.Packed(unit, children, (f.LinkEvidence.READ,)),
        f.LabelAssigned(unit, key, "zpl"),
        f.LabelBound(
            unit, (Attachment(role, key, f.PairIntegrity.PROVEN),), f.OwnCode.CAPTIVE, "label"
        ),
        f.ContainerClosed(unit, len(children), unknown, integrity),
    ]


def shift(plant: Plant) -> Iterable[list[Fact]]:
    """Jobs of a busy day that touch every table."""
    move, key = f.CodesMoved, CodeKey
    yield plant.case(1, 0, 0)
    yield plant.case(6, 4, 1, unknown=1)
    yield boxed(11, "pallet", (5, 10), key(PALLETS, 0, 0), "pallet")
    yield [
        move(BOTTLES, BODY, 20, 6, "allocated"),
        move(BOTTLES, BODY, 20, 6, "sending", "coder", 1),
        move(BOTTLES, BODY, 20, 4, "accepted", "coder", 1),
        move(BOTTLES, BODY, 20, 3, "printed", "coder", 1, 3),
        move(BOTTLES, BODY, 25, 1, "suspect", "coder", 1, 0, "not_seen"),
        move(BOTTLES, BODY, 30, 2, "void", why="torn"),
    ]
    yield [plant.bottle(12, 20)]
    cap = Attachment("cap", key(BOTTLES, 20, CAP), f.PairIntegrity.INFERRED)
    yield [f.ItemPassed("second", 12, 12, "bottle", ORDER.number, (cap,), False)]
    rejected = (key(BOTTLES, 21, BODY), key(BOTTLES, 0, BODY))
    lost = key(BOTTLES, 22, BODY)
    yield [f.ItemRejected("verify", 13, "mismatch", ORDER.number, None, rejected, lost)]
    yield [f.RejectConfirmed("verify", 13)]
    yield [f.RejectConfirmed("verify", 12, 12)]
    yield [f.CodeRegistered(key(RULE, 0, 0), "RULE-A"), f.CodeRegistered(key(RULE, 1, 0), "RULE-B")]
    body = Attachment("body", key(RULE, 1, 0), f.PairIntegrity.PROVEN)
    yield [f.ItemPassed("verify", 14, 13, "bottle", ORDER.number, (body,), True)]
    yield [f.UnitsDoubted((13,), "duplicate"), f.ItemsMissed("verify", (14,), (13,))]
    yield [f.RunBegan(2, "plc_restart", (13,))]
    yield [
        f.ContainerFormed(14, "case", ORDER.number, "pack", 15, 4),
        f.Packed(14, (13,), (f.LinkEvidence.ORDER,)),
        f.ContainerRejected(14, "label", "no_read"),
        f.RejectConfirmed("label", 15, 14),
    ]
    yield [f.ContainerRefused("pack", 16, "count", ORDER.number, None, (key(BOTTLES, 23, BODY),))]
    yield [f.AlarmRaised("plc_lost", 1, "plc_lost", "", None, (("device", "plc"),), 5)]
    yield [f.AlarmAcknowledged("plc_lost", "li"), f.AlarmCleared("plc_lost")]
    yield [f.AlarmRaised("plc_lost", 1, "plc_lost"), f.PartialAllowed("pack", "last", "li")]
    yield [f.ForeignRejected("fill", 30), f.RejectFailed("verify", 31), f.AgentStarted("1")]
    yield [f.RejectFailed("pack", 16, (key(BOTTLES, 23, BODY),))]
    yield from rework(plant)
    yield [f.OrderPaused(ORDER.number, "li"), f.OrderStarted(ORDER.number, "li")]
    yield [
        f.ReferenceChanged("product", "sku-9", '{"sku":"sku-9"}'),
        f.CommandDone("c-1", "product", True, sum="ab"),
    ]
    yield from warehouse()
    yield [f.OrderFinished(ORDER.number, "li")]


def warehouse() -> Iterable[list[Fact]]:
    """An ASN that is received in part, a shipment that is being scanned."""
    told = [f.Told("SSCC-1", "pallet", "sku-7", "L1", "2030-01-01", 0, "", 48, "proven", ("P-1",))]
    told += [
        f.Told(f"BOX-{n}", "case", "sku-7", "L1", "2030-01-01", 0, "SSCC-1", 24, "proven")
        for n in range(2)
    ]
    told += [f.Told("SSCC-2", "pallet", "sku-7", "L2", "", 86_400_000, "", 48, "proven")]
    lines = (f.Asked("sku-7", "case", 2, "", 48),)
    yield [
        f.DocumentOpened(
            "F01", "ASN-1", "receive", "A-01", "F00", "", "", "", lines, "", False, "cloud", ""
        ),
        f.GoodsTold("F01", "ASN-1", tuple(told)),
    ]
    content = (f.Content("sku-7", "L1", 24),)
    body = '{"content":[["sku-7","L1",24]],"level":"case","above":["SSCC-1"]}'
    yield [
        f.ItemDone(
            "pda-1", 1, "F01", "scan", "ASN-1", "BOX-0", "BOX-0", "accepted", "li", 5, 5, body
        ),
        f.GoodsOpened("F01", "SSCC-1", ("BOX-0",), "moved_alone", "li"),
        f.DocumentOpened(
            "F01", "ASN-1.1", "receive", "A-01", "", "", "", "", (), "ASN-1", False, "agent", "li"
        ),
        f.DocumentClosed(
            "F01",
            "ASN-1.1",
            (f.Moved("BOX-0", content, "expected", "", "A-01"),),
            (),
            True,
            "",
            "li",
            0,
            6,
            "1970-01-01",
        ),
        f.DocumentOpened(
            "F01", "S-1", "ship", "A-01", "D1", "", "", "", (), "", False, "pda", "li"
        ),
    ]
    body = '{"content":[["sku-7","L1",24]],"above":["SSCC-1"],"held_at":"A-01"}'
    yield [
        f.ItemDone(
            "pda-1", 2, "F01", "scan", "S-1", "BOX-0", "BOX-0", "accepted", "li", 7, 7, body
        ),
        f.ItemDone("pda-1", 3, "F01", "scan", "S-1", "", "NOPE", "unknown", "li", 8, 8),
    ]


def rework(plant: Plant) -> Iterable[list[Fact]]:
    """What people do with a case and a pallet of their own, 19 and 20, and with codes."""
    yield plant.case(15, 40, 10, unknown=1)
    yield boxed(20, "pallet", (19,), CodeKey(PALLETS, 1, 0), "pallet")
    bound = {
        entry.fact.container: entry.seq
        for entry in journal.read(plant.conn)
        if isinstance(entry.fact, f.Packed)
    }
    yield [f.Unpacked(19, (15,), (bound[19],), 0, "wrong", "li")]
    yield [f.Packed(19, (15,), (f.LinkEvidence.SCANNED,), 0)]
    yield [f.Unpacked(19, (), (), 1, "torn", "li"), f.UnitsSampled((16,), "lab", "li")]
    yield [f.Unpacked(20, (19,), (bound[20],), 0, "", "li")]
    yield [f.ContainerReopened(20, "", "li"), f.UnitsDestroyed((16,), "burnt", "li")]
    yield [f.HoldPlaced(1, (15, 17, 19), "", "", -1, 0, -1, "smell", "qa")]
    yield [f.HoldPlaced(2, (17,), "", "", -1, 0, -1, "smell", "qa")]
    yield [f.HoldReleased(1, (15,), "", "qa"), f.HoldReleased(1, (), "", "qa")]
    yield [f.HoldPlaced(3, (), "sku-1", "lot-2", -1, 0, -1, "", "qa")]
    old, new = CodeKey(CASES, 10, 0), CodeKey(CASES, 50, 0)
    pair = f.PairIntegrity.PROVEN
    yield [f.Relabelled(19, "case-outer", old, new, pair, "torn", "li")]
    yield [f.ContainerScanned(19, (15, 17), False, True, "li")]
    yield [f.RollClosed(CASES, "roll 1", 20, 5, 5, "li")]
    counts = (("cases/case-outer", 60, 2, 0, 0, 0, 1, 0, 0, 57, 0),)
    missing = (("loose_bottle", 2),)
    yield [f.Restored("e0", 3, 5, (PALLETS, CASES)), f.PoolSettled(CASES, 60, "person", "", "li")]
    yield [f.PoolsUsed((("ab" * 32, 7),)), f.PoolSettled(0, 0, "cloud")]
    scope = "F01", ("A-01",), ("receive", "ship")
    yield [f.DeviceEnrolled("D1", "one", "04ab", *scope, "li", "cd" * 32, "CT58")]
    yield [f.DeviceEnrolled("D2", "two", "04cd", *scope, "li"), f.DeviceRevoked("D2", "li", "lost")]
    yield [f.LineCleared(ORDER.number, False, missing, counts, 0, "counted", "li")]
