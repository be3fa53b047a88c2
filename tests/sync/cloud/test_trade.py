"""From a factory's line to two dealers: real agents' stores and warehouses, and the cloud between
them, without a network. What was packed here is told there, received, and found where it must not
be."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.core.facts import CodeKey
from agent.core.goods import SUPERVISE, Item, Result, Scope
from agent.core.rules import OPERATIONS
from agent.services.warehouse import Warehouse
from agent.store.outbox import Outbox
from sync.build import Builder
from sync.cloud import answers, cases, commands, follower, parties, shipments, stock
from sync.cloud.database import open_database
from sync.messages import State
from sync.uris import Identity
from tests.services.desk_help import Box
from tests.store.store_help import PALLETS, Plant, boxed, codes
from tests.sync.cloud.conftest import fresh_postgres
from tests.sync.cloud.told import NOW, Cloud

SECOND = codes("CASE-", 60)[1]
"""The other case of the pallet."""
SITE = """
[products.sku-1]
names = {{ zh = "可乐", en = "Cola" }}
units = {{ case = 4 }}

[parties.F01]
kind = "factory"

[parties.D07]
territories = ["east"]

[parties.D09]
territories = ["west"]

[[warehouse]]
party = "{party}"
names = {{ zh = "仓", en = "Warehouse" }}
locations = ["A-01", "B-02"]
samples = 1
"""


class Agent(Box):
    """An agent with the warehouse of a party, and its way to the cloud by hand."""

    party = ""

    def __init__(self, where: Path, party: str) -> None:
        self.party = party
        super().__init__(where)
        self.name = f"brand/{party.lower()}/dock"
        self.sent = 0
        self.taken: list[str] = []
        identity = Identity(*self.name.split("/"))
        self.builder = Builder(Outbox(self.readers, self.plant.writer), identity)
        self.warehouse = Warehouse(self.site, self.readers, self.plant.writer, self.gate)
        self.number = 0

    def open(self) -> None:
        text = self.config.read_text()
        if "[[warehouse]]" not in text:
            self.config.write_text(text + SITE.format(party=self.party))
        super().open()

    def do(self, do: str, document: str = "", text: str = "", **more: Any) -> Result:
        self.number += 1
        scope = Scope(self.party, (), (*OPERATIONS, SUPERVISE), "li", "pda-1")
        item = Item(self.number, do, document, text, at_ms=NOW, id=str(self.number), **more)
        (result,) = self.warehouse.items(scope, [item], NOW)
        return result

    def well(self, *what: str, **more: Any) -> Result:
        result = self.do(*what, **more)
        assert result.severity == "ok", result
        return result

    def tell(self, cloud: Cloud) -> None:
        """Everything that the cloud does not have yet."""
        while (built := self.builder.build(self.sent + 1)) is not None:
            assert built.parked == ()
            prepared = cloud.ingest.prepare(self.name, built.payload)
            assert not hasattr(prepared, "reason"), prepared
            cloud.ingest.apply([prepared], NOW)
            self.sent = built.last
        follower.catch_up(cloud.conn, NOW)

    def obey(self, cloud: Cloud) -> list[bool]:
        """Carry out what the cloud asks for."""
        done = []
        for waits in commands.waiting(cloud.conn, 100):
            if waits.agent != self.name:
                continue
            shares = (commands.part(cloud.conn, waits.id, n) for n in range(waits.what.parts))
            answer = self.ask(
                waits.uid, waits.what.kind, b"".join(share or b"" for share in shares)
            )
            commands.answered(cloud.conn, self.name, answer, NOW)
            done.append(answer.ok)
        return done


class Trade:
    """A factory that has packed a pallet of two cases of four bottles, two dealers, the cloud."""

    def __init__(self, where: Path, url: str) -> None:
        state = where / "factory" / "var"
        state.mkdir(parents=True)
        plant = Plant(state).load()
        plant.put(*plant.case(1, 0, 0))
        plant.put(*plant.case(6, 4, 1))
        plant.put(*boxed(11, "pallet", (5, 10), CodeKey(PALLETS, 0, 0), "pallet"))
        plant.close()
        self.factory = Agent(where / "factory", "F01")
        self.east = Agent(where / "east", "D07")
        self.west = Agent(where / "west", "D09")
        self.cloud = Cloud(open_database(url))
        for agent in self.agents:
            self.cloud.ingest.heard({agent.name: State(online=True)}, NOW)
        parties.serve(self.cloud.conn, "D07", self.east.name, NOW)

    @property
    def agents(self) -> tuple[Agent, ...]:
        return self.factory, self.east, self.west

    def close(self) -> None:
        for agent in self.agents:
            agent.close()
        self.cloud.close()

    def ship(self) -> None:
        self.factory.well(
            "open",
            "SO-1",
            body={"kind": "ship", "other": "D07", "territory": "east", "location": "A-01"},
        )
        self.factory.do("scan", "SO-1", "PAL-00000")
        self.factory.well("close", "SO-1")

    def shipment(self) -> dict[str, Any]:
        (found,) = shipments.listed(self.cloud.conn, "", 10, "", "")["shipments"]
        assert isinstance(found, dict)
        return found

    def cases(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = cases.listed(self.cloud.conn, "", 10, "", "")["diversions"]
        return found

    def books(self, agent: Agent) -> dict[str, int]:
        """What a party has: by the cloud; and the same by its own books."""
        found = stock.stock(self.cloud.conn, agent.party)["stock"]
        ours = {row["lot"]: 0 for row in found}
        for row in agent.warehouse.stock(Scope(agent.party)):
            ours[row["lot"]] = ours.get(row["lot"], 0) + row["pieces"]
        theirs: dict[str, int] = {row["lot"]: row["stock"] for row in found}
        assert theirs == ours, (agent.party, found)
        return theirs


@pytest.fixture(params=["sqlite", "postgresql"])
def trade(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Trade]:
    url = f"sqlite:///{tmp_path / 'cloud.db'}"
    if request.param == "postgresql":
        url = fresh_postgres(request.getfixturevalue("postgres_server"))
    made = Trade(tmp_path, url)
    yield made
    made.close()


def test_a_pallet_on_its_way(trade: Trade) -> None:
    factory, east, cloud = trade.factory, trade.east, trade.cloud
    trade.ship()
    factory.tell(cloud)
    assert trade.shipment()["asn"]["state"] == "waits"
    assert east.obey(cloud) == [True]
    assert trade.shipment()["asn"]["state"] == "done"
    # Offline, by what was told: the pallet, its cases and bottles are known.
    known = east.warehouse.query(Scope("D07", (), tuple(OPERATIONS)), "CASE-00000")
    assert (known["known"], known["product"], known["pieces"]) == (True, "sku-1", 4)
    east.well("scan", "SO-1", "PAL-00000")
    east.well("close", "SO-1")
    east.tell(cloud)
    found = trade.shipment()
    assert (found["state"], found["pieces"]) == (
        "closed",
        {"sent": 8, "received": 8, "missing": 0, "extra": 0},
    )
    assert trade.books(east) == {"lot-1": 8}
    assert trade.books(factory) == {"lot-1": 0}
    bottle = answers.trace(cloud.conn, "https://q.example.cn/b/00000")
    assert (bottle["state"], bottle["where"]["place"][-8:]) == ("received", "D07/A-01")
    assert trade.cases() == []


def test_a_case_that_is_short_shows_on_both_sides(trade: Trade) -> None:
    factory, east, cloud = trade.factory, trade.east, trade.cloud
    trade.ship()
    factory.tell(cloud)
    east.obey(cloud)
    east.well("scan", "SO-1", "CASE-00000")
    assert east.do("close", "SO-1").verdict == "difference"
    east.well("close", "SO-1", answer="difference", reason="not on the truck", body={"end": True})
    east.tell(cloud)
    found = trade.shipment()
    assert (found["state"], found["pieces"]["missing"]) == ("different", 4)
    assert found["missing"] == [SECOND]
    assert trade.books(east) == {"lot-1": 4}
    # It is found after all, and comes by itself.
    east.well("open", "R-2", body={"kind": "receive", "other": "F01", "paper": "SO-1"})
    east.well("scan", "R-2", SECOND)
    east.well("close", "R-2")
    east.tell(cloud)
    assert trade.shipment()["state"] == "closed"
    assert trade.books(east) == {"lot-1": 8}


@pytest.mark.parametrize("first", ["factory", "dealer"])
def test_a_case_at_another_dealer(trade: Trade, first: str) -> None:
    factory, east, west, cloud = trade.factory, trade.east, trade.west, trade.cloud
    trade.ship()
    if first == "factory":
        factory.tell(cloud)
    west.well(
        "open", "W-1", body={"kind": "receive", "other": "D07", "location": "A-01", "blind": True}
    )
    said = {"product": "sku-1", "level": "case", "pieces": 4, "lot": "lot-1"}
    west.do("scan", "W-1", "CASE-00000", body=said, answer="not_expected", reason="bought")
    west.well("close", "W-1", answer="difference")
    west.tell(cloud)
    factory.tell(cloud)
    (found,) = trade.cases()
    assert (found["state"], found["seen"]["party"]) == ("open", "D09")
    (unit,) = found["units"]
    assert unit["evidence"]["dispatch"]["way"] == ["CASE-00000", "PAL-00000"]
    # The dealer gives it back to whom it was sent.
    west.well(
        "open",
        "W-2",
        reason="not ours",
        body={"kind": "return_out", "other": "D07", "location": "A-01"},
    )
    west.well("scan", "W-2", "CASE-00000")
    west.well("close", "W-2")
    west.tell(cloud)
    assert [(each["state"], each["closed_by"]) for each in trade.cases()] == [
        ("closed", "returned")
    ]
    assert trade.books(west) == {"lot-1": 0}
    assert east.sent == 0


def test_a_shipment_that_is_reversed_comes_back_everywhere(trade: Trade) -> None:
    factory, east, cloud = trade.factory, trade.east, trade.cloud
    trade.ship()
    factory.tell(cloud)
    assert trade.books(factory) == {"lot-1": 0}
    east.obey(cloud)
    factory.well("reverse", "SO-1", reason="wrong truck")
    factory.tell(cloud)
    assert trade.shipment()["state"] == "reversed"
    assert east.obey(cloud) == [True]
    east.tell(cloud)
    assert trade.shipment()["state"] == "reversed"
    assert east.warehouse.documents(Scope("D07", (), tuple(OPERATIONS)), "open") == []
