"""Movements of goods as events: the words of the vocabulary, parties, papers, and the judges."""

import orjson
import pytest

from agent.core import facts as f
from agent.core.known import Clock
from agent.ports.cloud import Entry
from sync.events import Speaker
from sync.lint import problems
from sync.movements import Kind, Movement, moved
from sync.uris import Identity

ME = Identity("brand", "plant-1", "dock-1")
ENTRY = Entry(
    9, "e1", Clock(1_790_000_000_000, 5, "synced"), "", "AgentStarted", f.AgentStarted("1"), b""
)
SAY = Speaker(ME, ENTRY, ENTRY.clock.wall_ms)
GOODS = ("https://id.gs1.org/00/069012340000123456", "https://q.example.cn/C7")


@pytest.mark.parametrize(
    ("kind", "step", "disposition"),
    [
        (Kind.SHIPPED, "shipping", "in_transit"),
        (Kind.SHIPMENT_VOIDED, "void_shipping", "sellable_not_accessible"),
        (Kind.RECEIVED, "receiving", "in_progress"),
        (Kind.RETURN_SHIPPED, "shipping", "returned"),
        (Kind.RETURN_RECEIVED, "receiving", "returned"),
        (Kind.COUNTED, "stock_taking", "sellable_not_accessible"),
    ],
)
def test_a_movement_speaks_the_vocabulary(kind: Kind, step: str, disposition: str) -> None:
    (event,) = moved(SAY, Movement(kind, GOODS))
    assert (event["bizStep"], event["disposition"], event["action"]) == (
        step,
        disposition,
        "OBSERVE",
    )
    (document,) = SAY.documents([event])
    assert problems(orjson.loads(document.body), len(document.body)) == []


def test_a_shipment_says_who_where_and_by_which_papers() -> None:
    movement = Movement(
        Kind.SHIPPED,
        GOODS,
        ("brand-01", "plant-1/dock 2"),
        ("dealer-7", ""),
        {"po": "SO-1", "desadv": "DN/5"},
        {"territory": "east", "channel": ""},
    )
    (event,) = moved(SAY, movement)
    base = "https://id.caselink.example"
    assert event["sourceList"] == [
        {"type": "possessing_party", "source": f"{base}/party/brand-01"},
        {"type": "location", "source": f"{base}/loc/plant-1/dock%202"},
    ]
    assert event["destinationList"] == [
        {"type": "possessing_party", "destination": f"{base}/party/dealer-7"}
    ]
    assert event["bizTransactionList"] == [
        {"type": "po", "bizTransaction": f"{base}/bt/po/SO-1"},
        {"type": "desadv", "bizTransaction": f"{base}/bt/desadv/DN%2F5"},
    ]
    assert event["x:territory"] == "east"
    assert "x:channel" not in event


def test_a_long_list_of_goods_is_several_events_with_ids_of_their_own() -> None:
    goods = tuple(f"https://q.example.cn/{n:06d}" for n in range(1000))
    events = moved(SAY, Movement(Kind.RECEIVED, goods))
    assert [epc for event in events for epc in event["epcList"]] == list(goods)
    assert len({event["eventID"] for event in events}) == len(events) > 1
    for document in SAY.documents(events):
        assert problems(orjson.loads(document.body), len(document.body)) == []
