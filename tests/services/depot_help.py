"""A hosted agent with a factory and two dealers, and short words for what people do there."""

from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import Any

from agent.clockwatch import clock
from agent.core import facts as f
from agent.core.goods import SUPERVISE, Item, Result, Scope
from agent.core.rules import OPERATIONS
from agent.sections import Site
from agent.services.warehouse import Warehouse
from agent.services.warehouse_documents import told_facts
from agent.store.database import Database
from agent.store.gate import Gate
from agent.store.readers import Readers
from agent.store.record import record
from agent.store.verify import rebuild, verify
from agent.store.writer import Writer

DAY = 86_400_000
NOW = 1_760_000_000_000
ALL = (*OPERATIONS, SUPERVISE)

SITE = Site.model_validate(
    {
        "agent": {"id": "hosted"},
        "products": {
            "tonic": {"names": {"en": "Tonic"}, "gtin": "06901234567892", "units": {"case": 4}},
            "cola": {"names": {"en": "Cola"}, "units": {"case": 4}},
        },
        "parties": {
            "F": {"kind": "factory"},
            "D1": {"territories": ["east"]},
            "D2": {"territories": ["west"]},
            "S1": {"kind": "shop", "territories": ["east"]},
            "S2": {"kind": "shop", "territories": ["west"]},
        },
        "warehouse": [
            {"party": "F", "locations": ["HALL"]},
            {"party": "D1", "locations": ["A", "B"], "samples": 1},
            {"party": "D2", "locations": ["C"], "ship_without_order": False},
        ],
    }
)


class Hosted:
    """The store and the service. Each device numbers its items by itself."""

    def __init__(self, where: Path, site: Site = SITE) -> None:
        self.where = where
        self.db = Database.open(where / "caselink.db", where / "caselink.key")
        self.writer = Writer(self.db.conn)
        self.writer.start()
        self.readers = Readers(where / "caselink.db", where / "caselink.key", size=2)
        self.site = site
        self.gate = Gate(self.writer, [])
        self.warehouse = Warehouse(site, self.readers, self.writer, self.gate)
        self._numbers: dict[str, count[int]] = {}
        self.now = NOW

    def close(self) -> None:
        self.writer.close()
        self.readers.close()
        self.db.close()

    def scope(self, party: str, device: str, operations: Sequence[str] = ALL) -> Scope:
        return Scope(party, (), tuple(operations), "li", device)

    def item(self, device: str, do: str, document: str = "", text: str = "", **said: Any) -> Item:
        numbers = self._numbers.setdefault(device, count(1))
        seq = next(numbers)
        self.now += 1000
        return Item(
            seq,
            do,
            document,
            text,
            at_ms=self.now,
            device_ms=self.now - 77,
            id=f"{device}/{seq}",
            **said,
        )

    def send(self, party: str, device: str, *items: Item) -> list[Result]:
        return self.warehouse.items(self.scope(party, device), items, self.now)

    def do(
        self, party: str, device: str, do: str, document: str = "", text: str = "", **said: Any
    ) -> Result:
        """One item, at once."""
        return self.send(party, device, self.item(device, do, document, text, **said))[0]

    def word(
        self, party: str, device: str, do: str, document: str = "", text: str = "", **said: Any
    ) -> str:
        """What one item is answered with."""
        return self.do(party, device, do, document, text, **said).verdict

    def open(self, party: str, number: str, kind: str, device: str = "pda-1", **body: Any) -> None:
        """Open a document."""
        said = {key: body.pop(key) for key in ("reason", "condition") if key in body}
        result = self.do(party, device, "open", number, body={"kind": kind, **body}, **said)
        assert result.verdict == "opened", result

    def asn(self, party: str, number: str, units: Sequence[f.Told], **head: Any) -> None:
        """An ASN of the cloud."""

        def job(conn: Any) -> None:
            opened = f.DocumentOpened(
                party,
                number,
                "receive",
                self.site.warehouse[[w.party for w in self.site.warehouse].index(party)].locations[
                    0
                ],
                head.get("other", "F"),
                "",
                head.get("territory", ""),
                head.get("channel", ""),
                (),
                "",
                False,
                "cloud",
                "",
                at_ms=self.now,
            )
            record(conn, "", (opened, *told_facts(conn, party, number, units)), clock())

        self.writer.wait(job)

    def stock(self, party: str, **of: str) -> dict[tuple[str, str, str], int]:
        rows = self.warehouse.stock(Scope(party), **of)
        return {(row["product"], row["lot"], row["location"]): row["pieces"] for row in rows}

    def replayed(self) -> list[str]:
        """What a replay of the journal finds wrong with the tables."""
        reader = self.db.reader()
        try:
            return verify(reader).problems
        finally:
            reader.close()

    def rebuilt(self) -> None:
        """Build the tables anew."""
        self.writer.wait(rebuild)


def pallet(name: str, lot: str, cases: int = 2, product: str = "tonic") -> list[f.Told]:
    """A pallet of cases of four bottles."""
    expires = f"2030-01-{int(lot[1:]):02d}" if lot[1:].isdigit() else ""
    rows = [f.Told(name, "pallet", product, lot, expires, 0, "", 0, "proven", (f"SN-{name}",))]
    for n in range(cases):
        case = f"{name}-{n}"
        rows.append(f.Told(case, "case", product, lot, expires, 0, name, 0, "proven"))
        rows += [
            f.Told(f"{case}-{b}", "bottle", product, lot, expires, 0, case, 1, "") for b in range(4)
        ]
    return rows
