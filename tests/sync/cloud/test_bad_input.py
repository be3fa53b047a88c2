"""What no agent of ours sends: refused or parked with a reason; nothing lost, nothing half done."""

import copy
from pathlib import Path
from typing import Any

import orjson
import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sync.cloud.answers import trace
from sync.cloud.database import open_database
from sync.cloud.relations import relations
from sync.envelope import Refused, encode
from sync.lint import problems
from tests.sync.cloud.delivery import pages
from tests.sync.cloud.told import NOW, Cloud, Teller, bottles, case, pallet


def squeezed(data: bytes) -> bytes:
    return zstandard.ZstdCompressor().compress(data)


def batch_bytes(**change: Any) -> bytes:
    """A batch as JSON with some fields changed."""
    agent = Teller()
    agent.case(case(1), bottles(2))
    body = orjson.loads(zstandard.ZstdDecompressor().decompress(encode(agent.cut())))
    return orjson.dumps(body | change)


PAYLOADS = {
    "not compressed": (batch_bytes(), "badly_compressed"),
    "cut short": (squeezed(batch_bytes())[:-9], "badly_compressed"),
    "two frames": (squeezed(batch_bytes()) * 2, "badly_compressed"),
    "not JSON": (squeezed(b"{"), "malformed"),
    "not a batch": (squeezed(b"[]"), "malformed"),
    "a range that ends before it begins": (squeezed(batch_bytes(first=9)), "malformed"),
    "a row number beyond all": (squeezed(batch_bytes(last=1 << 63)), "malformed"),
    "a document of another row": (squeezed(batch_bytes(last=0)), "malformed"),
    "of a later version": (squeezed(batch_bytes(v=2)), "future_version"),
    "of another agent": (squeezed(batch_bytes(agent="brand/plant-1/edge-2")), "forged_identity"),
    "too long": (b"x" * 2_600_000, "oversized"),
    "a bomb": (squeezed(b"0" * 50_000_000), "bomb"),
}


@pytest.mark.parametrize(("payload", "reason"), PAYLOADS.values(), ids=PAYLOADS)
def test_a_payload_that_is_no_batch(cloud: Cloud, payload: bytes, reason: str) -> None:
    agent = Teller()
    agent.case(case(1), bottles(2))
    refused = cloud.ingest.prepare(agent.name, payload)
    assert isinstance(refused, Refused)
    assert refused.reason == reason
    assert refused.text.endswith(".")
    cloud.ingest.refuse(agent.name, payload, refused, NOW)
    ((kept, size, head),) = cloud.conn.rows("SELECT reason, size, head FROM refused")
    assert (kept, size) == (reason, len(payload))
    assert payload.startswith(bytes(head))
    assert cloud.take(agent.cut()).upto == 1, "the right one comes through"


def test_a_clock_of_another_age_is_parked_and_a_wrong_year_sorts_by_rows(cloud: Cloud) -> None:
    agent = Teller()
    agent.case(case(1), bottles(2))
    agent.clock = 0
    agent.unpack(case(1), bottles(2)[:1])  # 1970: the lint does not let it pass
    agent.clock = 4_000_000_000_000
    agent.pack(case(1), bottles(2)[:1])  # 2096
    agent.clock = 1_600_000_000_000
    agent.unpack(case(1), bottles(2)[1:])  # 2020, and later than 2096 by its row
    ack = cloud.take(agent.cut())
    assert [each.seq for each in ack.reject] == [2]
    assert ack.reject[0].reason.startswith("year")
    found = trace(cloud.conn, case(1))
    assert [each["code"] for each in found["down"]] == bottles(2)[:1]


def test_more_bad_documents_than_a_receipt_can_name(cloud: Cloud) -> None:
    agent = Teller()
    for _ in range(12):
        agent.row(*[b"{}"] * 100)
    ack = cloud.take(agent.cut())
    assert (ack.upto, len(ack.reject)) == (12, 1000)
    assert cloud.count("dead_letter") == 1200


# --------------------------------------------------------------- documents that look nearly right

JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner, max_size=2)
    ),
    max_leaves=3,
)
NAMES = """type action eventID eventTime eventTimeZoneOffset bizStep disposition readPoint
bizLocation epcList quantityList parentID childEPCs bizTransactionList sourceList destinationList
ilmd errorDeclaration x:level x:role x:roles x:pairs x:relabel x:integrity x:evidence x:unknown
x:expectedQuantity x:own x:partialReason x:doubtful x:reason x:why x:held x:hold x:first x:task
x:clock x:operator x:broken"""
STORY = [
    ("case", (case(1), bottles(2))),
    ("bear", (bottles(2)[0], ["https://q.example.cn/cap"])),
    ("pallet", (pallet(1), [case(1)])),
    ("unpack", (case(1), bottles(2)[:1])),
    ("look", ([case(1)],)),
    ("move", ([pallet(1)], "shipping", "in_transit")),
    ("move", ([pallet(1)], "holding", "non_sellable_other")),
]


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    changes=st.lists(
        st.tuples(st.integers(0, 20), st.sampled_from(NAMES.split()), JSON), max_size=6
    )
)
def test_nothing_that_the_lint_lets_pass_breaks_the_consumer(
    changes: list[tuple[int, str, Any]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    agent = Teller()
    for name, given_ in STORY:
        getattr(agent, name)(*copy.deepcopy(given_))
    decoded = {seq: [orjson.loads(body) for body in each] for seq, each in agent.bodies.items()}
    events = [
        event
        for each in decoded.values()
        for doc in each
        for event in doc["epcisBody"]["eventList"]
    ]
    for at, name, value in changes:
        events[at % len(events)][name] = value
    for seq, each in decoded.items():
        try:
            agent.bodies[seq] = [orjson.dumps(doc) for doc in each]
        except TypeError:  # a number that JSON of orjson does not have
            continue
    folder: Path = tmp_path_factory.mktemp("fuzz")
    cloud = Cloud(open_database(f"sqlite:///{folder / 'cloud.db'}"))
    try:
        assert cloud.take(agent.cut()).upto == agent.last
        for code in (*bottles(2), case(1), pallet(1), "https://q.example.cn/cap"):
            trace(cloud.conn, code, depth=3)
        list(pages(cloud.conn, 1))
    finally:
        cloud.close()


@settings(max_examples=300)
@given(
    document=JSON,
    name=st.sampled_from(["@context", "type", "schemaVersion", "creationDate", "epcisBody"]),
)
def test_the_lint_answers_whatever_it_is_given(document: Any, name: str) -> None:
    assert problems(document)
    agent = Teller()
    agent.case(case(1), bottles(2))
    body = orjson.loads(agent.bodies[1][0])
    body[name] = document
    assert problems(body)
    assert problems({**body, "epcisBody": {"eventList": document}})
    assert problems({**body, "epcisBody": {"eventList": [document]}})


def test_text_that_postgresql_does_not_hold(cloud: Cloud) -> None:
    agent = Teller()
    agent.case(case(1), bottles(2), **{"x:partialReason": "a\0b"})
    agent.bear(bottles(2)[0], ["https://q.example.cn/cap"], **{"x:roles": ["c\0ap"]})
    agent.row(b'{"type": "\\u0000"}')
    assert cloud.take(agent.cut()).upto == 3
    assert trace(cloud.conn, bottles(2)[0])["codes"][0]["role"] == "cap"
    assert relations(cloud.conn).rows
