"""Shipments: the receiver is told what comes, and both sides see the same, whoever told first."""

import json
from itertools import permutations
from typing import Any

import pytest

from agent.core.errors import DomainError
from sync import kinds
from sync.cloud import commands, follower, parties, shipments
from sync.cloud.answers import trace
from sync.messages import State
from tests.sync.cloud import trade
from tests.sync.cloud.told import NOW, Cloud, bottles, case, pallet
from tests.sync.cloud.trade import EAST, Warehouse, told


def online(cloud: Cloud, name: str = EAST) -> None:
    cloud.ingest.heard({name: State(online=True)}, NOW)


def asns(cloud: Cloud, agent: str = EAST) -> list[kinds.Asn]:
    """The ASNs that an agent was asked to take, in order."""
    found = []
    for (number,) in cloud.conn.rows(
        "SELECT id FROM command WHERE agent = ? AND kind = 'asn' ORDER BY id", (agent,)
    ):
        parts = cloud.conn.rows(
            "SELECT data FROM command_part WHERE command = ? ORDER BY n", (number,)
        )
        if parts:
            asked = kinds.parse("asn", b"".join(bytes(data) for (data,) in parts))
            assert isinstance(asked, kinds.Asn)
            found.append(asked)
    return found


def listed(cloud: Cloud, state: str = "") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = shipments.listed(cloud.conn, state, 100, "", "")["shipments"]
    return found


def loaded(agent: Warehouse) -> Warehouse:
    """A pallet of two cases of three bottles."""
    agent.case(case(1), bottles(3, "1"))
    agent.case(case(2), bottles(3, "2"), **{"x:integrity": "inferred"})
    agent.pallet(pallet(1), [case(1), case(2)])
    return agent


def test_a_dispatch_is_told_to_the_agent_of_its_receiver_with_all_that_is_in_it(
    cloud: Cloud,
) -> None:
    online(cloud)
    parties.serve(cloud.conn, "D07", EAST, NOW)
    factory = loaded(trade.factory())
    factory.bear(bottles(3, "1")[0], ["https://q.example.cn/CAP1"])
    secret = factory.identity.secret("caps", "cap-inner", 7)
    factory.bear(bottles(3, "1")[0], [secret])
    factory.ship([pallet(1)], "SO-1", "D07", territory="east", channel="distribution")
    told(cloud, factory)
    (asn,) = asns(cloud)
    assert (asn.number, asn.sender, asn.receiver) == ("SO-1", "F01", "D07")
    assert (asn.territory, asn.channel) == ("east", "distribution")
    assert [(each.code, each.parent, each.pieces) for each in asn.units[:3]] == [
        (pallet(1), "", 6),
        (case(1), pallet(1), 3),
        (bottles(3, "1")[0], case(1), 1),
    ]
    assert {each.code for each in asn.units} == {
        pallet(1),
        case(1),
        case(2),
        *bottles(3, "1"),
        *bottles(3, "2"),
    }
    by_code = {each.code: each for each in asn.units}
    assert [by_code[each].integrity for each in (pallet(1), case(1), case(2))] == [
        "anchored",
        "proven",
        "inferred",
    ]
    first = by_code[bottles(3, "1")[0]]
    assert (first.level, first.product, first.lot) == ("bottle", "cola", "L1")
    assert first.codes == ["https://q.example.cn/CAP1"], "a secret code stays where it is"
    assert (by_code[pallet(1)].product, by_code[pallet(1)].lot) == ("cola", "L1")
    (shipment,) = listed(cloud, "open")
    assert shipment["asn"]["state"] == "waits"
    assert shipment["pieces"] == {"sent": 6, "received": 0, "missing": 6, "extra": 0}
    # It is told once, whatever comes after it.
    factory.look([pallet(1)])
    dealer = trade.east()
    dealer.receive([case(1)], "D07", "SO-1", "F01")
    told(cloud, factory, dealer)
    follower.catch_up(cloud.conn, NOW)
    assert len(asns(cloud)) == 1


def test_it_is_not_told_before_the_content_is_known(cloud: Cloud) -> None:
    online(cloud)
    parties.serve(cloud.conn, "D07", EAST, NOW)
    factory, dock = trade.factory(), Warehouse("brand/dock/edge-9", "e9", clock=NOW + 600_000)
    factory.case(case(1), bottles(3, "1"))
    dock.pallet(pallet(1), [case(1)])
    dock.ship([pallet(1)], "SO-1", "D07")
    told(cloud, dock)
    assert asns(cloud) == []
    (shipment,) = listed(cloud, "open")
    assert shipment["asn"]["state"] == "waits"
    assert shipment["not_known_yet"] == [case(1)]
    told(cloud, factory)
    (asn,) = asns(cloud)
    assert len(asn.units) == 5
    assert listed(cloud)[0]["not_known_yet"] == []


def test_nor_before_it_is_known_what_the_content_is_worth(cloud: Cloud) -> None:
    online(cloud)
    parties.serve(cloud.conn, "D07", EAST, NOW)
    dock = Warehouse("brand/dock/edge-9", "e9")
    dock.commission([case(1)], "case")
    dock.commission([pallet(1)], "pallet")
    dock.pack(pallet(1), [case(1)])
    dock.ship([pallet(1)], "SO-1", "D07")
    told(cloud, dock)
    assert asns(cloud) == []
    assert listed(cloud)[0]["not_known_yet"] == [pallet(1)]


def test_a_party_that_gets_an_agent_later_is_told_then(cloud: Cloud) -> None:
    factory = loaded(trade.factory())
    factory.ship([pallet(1)], "SO-1", "D07")
    told(cloud, factory)
    assert listed(cloud)[0]["asn"] is None
    with pytest.raises(DomainError, match="was ever heard of"):
        parties.serve(cloud.conn, "D07", EAST, NOW)
    online(cloud)
    parties.serve(cloud.conn, "D07", EAST, NOW)
    follower.catch_up(cloud.conn, NOW)
    assert len(asns(cloud)) == 1


def test_a_shipment_that_is_reversed_is_withdrawn(cloud: Cloud) -> None:
    online(cloud)
    parties.serve(cloud.conn, "D07", EAST, NOW)
    factory = loaded(trade.factory())
    factory.ship([pallet(1)], "SO-1", "D07")
    told(cloud, factory)
    (waits,) = commands.waiting(cloud.conn, 1)
    commands.sent(cloud.conn, waits.id, NOW)
    factory.take_back([pallet(1)], "SO-1", "D07")
    told(cloud, factory)
    first, second = asns(cloud)
    assert (first.withdrawn, second.withdrawn, second.number) == (False, True, "SO-1")
    assert [each["state"] for each in listed(cloud)] == ["reversed"]
    # What leaves again is told again.
    factory.ship([case(1)], "SO-1", "D07")
    told(cloud, factory)
    assert [len(each.units) for each in asns(cloud)] == [9, 1, 4]
    # What was never sent is only taken back.
    factory.take_back([case(1)], "SO-1", "D07")
    told(cloud, factory)
    assert [each.withdrawn for each in asns(cloud)] == [False, True]


def play(cloud: Cloud, ending: str, order: tuple[str, ...]) -> dict[str, Any]:
    factory, dealer = loaded(trade.factory()), trade.east()
    factory.ship([pallet(1)], "SO-1", "D07")
    if ending == "whole":
        dealer.receive([pallet(1)], "D07", "SO-1", "F01")
    elif ending == "part":
        dealer.receive([case(1)], "D07", "SO-1", "F01")
    elif ending == "in two":
        dealer.receive([case(2)], "D07", "SO-1", "F01")
        dealer.receive([case(1)], "D07", "SO-1", "F01")
    elif ending == "short":
        dealer.receive([case(1)], "D07", "SO-1", "F01")
        dealer.end([case(2)], "D07", "SO-1", "F01")
    elif ending == "other":
        factory.case(case(3), bottles(3, "3"))
        dealer.receive([pallet(1), case(3)], "D07", "SO-1", "F01")
    agents = {"factory": factory, "dealer": dealer}
    for name in order:
        told(cloud, agents[name])
    (found,) = listed(cloud)
    return found


@pytest.mark.parametrize("order", list(permutations(("factory", "dealer"))))
@pytest.mark.parametrize(
    ("ending", "state", "missing", "extra"),
    [
        ("whole", "closed", [], []),
        ("part", "open", [case(2)], []),
        ("in two", "closed", [], []),
        ("short", "different", [case(2)], []),
        ("other", "different", [], [case(3)]),
    ],
)
def test_the_receipt_closes_the_shipment_whoever_told_first(
    cloud: Cloud,
    order: tuple[str, ...],
    ending: str,
    state: str,
    missing: list[str],
    extra: list[str],
) -> None:
    found = play(cloud, ending, order)
    assert (found["state"], found["missing"], found["extra"]) == (state, missing, extra)
    assert json.dumps(found["not_known_yet"]) == "[]"
    assert [each["shipment"] for each in listed(cloud, state)] == [found["shipment"]]


def test_a_receipt_before_its_dispatch_is_open_and_says_what_is_not_known(cloud: Cloud) -> None:
    found = play(cloud, "whole", ("dealer",))
    assert (found["state"], found["not_known_yet"][0]) == ("open", "dispatch")


def test_a_receipt_that_is_declared_wrong_never_was(cloud: Cloud) -> None:
    factory, dealer = loaded(trade.factory()), trade.east()
    factory.ship([pallet(1)], "SO-1", "D07", pieces=6)
    seq = dealer.receive([pallet(1)], "D07", "SO-1", "F01", pieces=6)
    (wrong,) = json.loads(dealer.bodies[seq][0])["epcisBody"]["eventList"]
    wrong["errorDeclaration"] = {"declarationTime": wrong["eventTime"], "reason": "did_not_occur"}
    dealer.say(dealer.speaker(), [wrong])
    told(cloud, factory, dealer)
    (found,) = listed(cloud)
    assert (found["state"], found["received"]) == ("open", [])
    bottle = trace(cloud.conn, bottles(3, "1")[0])
    assert (bottle["state"], bottle["where"]["in_transit"]) == ("shipped", True)
    assert [each["bizStep"] for each in bottle["history"]][-2:] == ["receiving", "receiving"]
    assert bottle["history"][-1]["declared_wrong"]
