"""Goods that this agent's own lines made: they enter the warehouse by being received or shipped,
and what lines and quality do with them afterwards shows in the stock."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.clockwatch import clock
from agent.core import facts as f
from agent.core import inputs as i
from agent.core.facts import CodeKey
from agent.core.goods import Scope
from agent.store.gate import AGENT
from agent.store.record import record
from tests.services.depot_help import Hosted
from tests.store.store_help import CASES, PALLETS, Plant, boxed

BODY = "https://q.example.cn/b/"
SKU, LOT = "sku-1", "lot-1"


@pytest.fixture
def h(tmp_path: Path) -> Iterator[Hosted]:
    """Three cases of four bottles, units 5, 10, 15; the first two on pallet 16; a loose bottle."""
    plant = Plant(tmp_path).load()
    plant.put(*plant.case(1, 0, 0))
    plant.put(*plant.case(6, 4, 1))
    plant.put(*plant.case(11, 8, 2))
    plant.put(*boxed(16, "pallet", (5, 10), CodeKey(PALLETS, 0, 0), "pallet"))
    plant.put(plant.bottle(17, 20))
    plant.close()
    hosted = Hosted(tmp_path)
    yield hosted
    hosted.close()


def text(h: Hosted, unit: int) -> str:
    """The code of a unit."""
    places = {5: (CASES, 0), 10: (CASES, 1), 15: (CASES, 2), 16: (PALLETS, 0)}
    pool, position = places[unit] if unit in places else (1, {17: 20}.get(unit, unit - 1))
    if unit in (6, 7, 8, 9):
        position = unit - 2
    column = 1 if pool == 1 else 0
    row = h.db.conn.execute(
        "SELECT text FROM pool_code WHERE id = ?", (pool << 41 | position << 5 | column,)
    ).fetchone()
    return str(row[0])


def rework(h: Hosted, what: i.Input) -> None:
    h.writer.wait(lambda conn: h.gate.decide(conn, AGENT, [(what, clock())]))


def pieces(h: Hosted, party: str = "F") -> int:
    return sum(h.stock(party).values())


def test_what_was_made_is_received_and_shipped_whole(h: Hosted) -> None:
    h.open("F", "R-1", "receive", location="HALL")
    assert h.word("F", "p", "scan", "R-1", text(h, 16)) == "accepted"
    assert h.word("F", "p", "scan", "R-1", text(h, 5)) == "inside_scanned"
    assert h.word("F", "p", "scan", "R-1", text(h, 16)) == "duplicate"
    assert h.do("F", "p", "close", "R-1").args["pieces"] == 8
    assert h.stock("F") == {(SKU, LOT, "HALL"): 8}
    h.open("F", "S-1", "ship", other="D1")
    assert h.word("F", "p", "scan", "S-1", text(h, 10)) == "accepted"
    assert h.word("F", "p", "scan", "S-1", text(h, 15)) == "accepted_implicit"
    assert h.word("F", "p", "close", "S-1") == "posted"
    assert h.stock("F") == {(SKU, LOT, "HALL"): 4}
    (row,) = h.warehouse.ledger(Scope("F"), "0000", "9999")
    assert (row["received"], row["shipped"], row["stock"]) == (12, 8, 4)
    found = h.warehouse.query(Scope("F"), text(h, 7))
    assert (found["state"], found["to"]) == ("in_transit", "D1")
    assert [each["level"] for each in found["parents"]] == ["case"]  # the pallet was opened
    assert h.warehouse.query(Scope("F"), text(h, 16))["pieces"] == 4
    assert h.replayed() == []


def test_another_hosted_party_receives_what_was_shipped_to_it(h: Hosted) -> None:
    h.open("D1", "R-9", "receive", location="A")
    assert h.word("D1", "d", "scan", "R-9", text(h, 16)) == "not_for_party"
    h.open("F", "S-1", "ship", other="D1")
    assert h.word("F", "p", "scan", "S-1", text(h, 16)) == "accepted_implicit"
    assert h.word("F", "p", "close", "S-1") == "posted"
    h.open("D2", "R-1", "receive", location="C")
    assert h.word("D2", "b", "scan", "R-1", text(h, 16)) == "not_for_party"
    assert h.warehouse.query(Scope("D2"), text(h, 16))["known"] is False
    assert h.word("D1", "d", "scan", "R-9", text(h, 16)) == "accepted"
    assert h.word("D1", "d", "close", "R-9") == "posted"
    assert (pieces(h), pieces(h, "D1"), pieces(h, "D2")) == (0, 8, 0)
    assert h.word("F", "p", "reverse", "S-1", reason="no") == "refused"  # it has moved on
    h.open("D1", "B-1", "return_out", other="F")
    assert h.word("D1", "d", "scan", "B-1", text(h, 5)) == "accepted"
    assert h.word("D1", "d", "close", "B-1") == "posted"
    h.open("F", "B-2", "return_in", location="HALL", reason="unsold")
    assert h.word("F", "p", "scan", "B-2", text(h, 5)) == "accepted"
    assert h.word("F", "p", "close", "B-2") == "posted"
    assert (pieces(h), pieces(h, "D1")) == (4, 4)
    assert h.replayed() == []


def test_a_bottle_that_is_shipped_out_of_a_case_opens_it(h: Hosted) -> None:
    h.open("F", "S-1", "ship", other="D1")
    assert h.word("F", "p", "scan", "S-1", text(h, 11)) == "accepted_implicit"
    assert h.word("F", "p", "close", "S-1") == "posted"
    found = h.warehouse.query(Scope("F"), text(h, 15))
    assert (found["state"], found["pieces"], found["children"]) == ("made", 3, 3)
    assert h.word("F", "p", "reverse", "S-1", reason="wrong one") == "reversed"
    assert h.warehouse.query(Scope("F"), text(h, 11))["state"] == "made"
    assert pieces(h) == 0
    assert h.replayed() == []


def received(h: Hosted, *units: int) -> None:
    h.open("F", "R-1", "receive", location="HALL")
    for unit in units:
        assert h.word("F", "p", "scan", "R-1", text(h, unit)) == "accepted"
    assert h.word("F", "p", "close", "R-1") == "posted"


def test_the_stock_follows_what_quality_and_lines_do(h: Hosted) -> None:
    received(h, 16, 15)
    assert pieces(h) == 12
    rework(h, i.Sample(reason="lab", by="qa", texts=(text(h, 1),)))
    assert pieces(h) == 11
    rework(h, i.Unpack(reason="torn", by="li", text=text(h, 16), children=(text(h, 10),)))
    assert pieces(h) == 11
    assert h.warehouse.query(Scope("F"), text(h, 16))["pieces"] == 3
    assert h.warehouse.query(Scope("F"), text(h, 10))["location"] == "HALL"
    rework(h, i.Destroy(reason="burnt", by="qa", texts=(text(h, 10),)))
    assert pieces(h) == 7
    rework(h, i.Destroy(reason="burnt", by="qa", texts=(text(h, 1),)))
    assert pieces(h) == 7
    (row,) = h.warehouse.ledger(Scope("F"), "0000", "9999")
    assert (row["received"], row["difference"], row["stock"]) == (12, -5, 7)
    h.open("F", "S-1", "ship", other="D1")
    assert h.word("F", "p", "scan", "S-1", text(h, 1)) == "destroyed"
    assert h.word("F", "p", "scan", "S-1", text(h, 10)) == "destroyed"
    assert h.replayed() == []


def test_what_goes_back_to_the_line_is_not_in_stock(h: Hosted) -> None:
    received(h, 16)
    rework(h, i.Unpack(reason="repack", by="li", text=text(h, 16)))
    assert pieces(h) == 8
    assert h.word("F", "p", "scan", "none", text(h, 5)) == "no_document"
    rework(h, i.Pack("", "li", text(h, 16), (text(h, 5), text(h, 15)), (), 0))
    assert pieces(h) == 12  # the pallet stands there, and holds a case that was never received
    found = h.warehouse.query(Scope("F"), text(h, 16))
    assert (found["state"], found["pieces"]) == ("stock", 8)
    assert h.replayed() == []


def test_what_is_held_void_or_unfinished_is_not_shipped(h: Hosted) -> None:
    received(h, 16)
    rework(h, i.Hold(reason="smell", by="qa", texts=(text(h, 16),)))
    rework(h, i.Void(reason="torn", by="li", texts=("CASE-00031",)))
    rework(h, i.Reopen("more", "li", text(h, 15)))
    h.open("F", "S-1", "ship", other="D1")
    for code, word in (
        (text(h, 16), "held"),
        (text(h, 5), "held"),
        (text(h, 1), "held"),
        ("CASE-00031", "void"),
        ("CASE-00032", "rejected"),  # a code that no unit carries
        (text(h, 17), "accepted_implicit"),
        ("https://example.com/" + "x" * 600, "not_a_code"),
    ):
        assert h.word("F", "p", "scan", "S-1", code) == word, code


def test_a_pda_knows_the_cases_of_a_pallet_that_was_made_here(h: Hosted) -> None:
    received(h, 16, 15)
    h.open("F", "S-1", "ship", other="D1")
    rows = h.warehouse.goods(Scope("F"), "S-1")["goods"]
    assert [row["level"] for row in rows] == ["pallet", "case", "case", "case"]
    assert [row["parent"] for row in rows] == ["", rows[0]["ref"], rows[0]["ref"], ""]
    assert rows[1]["codes"] == [text(h, 5)]
    assert {row["state"] for row in rows} == {"stock"}


def test_a_secret_code_stands_nowhere_in_clear(h: Hosted) -> None:
    cap = h.db.conn.execute("SELECT text FROM pool_code WHERE id = ?", (1 << 41 | 20 << 5,))
    (secret,) = cap.fetchone()
    attach = f.Attachment("cap", CodeKey(1, 20, 0), f.PairIntegrity.INFERRED)
    passed = f.ItemPassed("second", 12, 17, "bottle", "WO-1", (attach,), False)

    def job(conn: Any) -> None:
        record(conn, "line-1", [passed], clock())

    h.writer.wait(job)
    h.open("F", "S-1", "ship", other="D1")
    result = h.do("F", "p", "scan", "S-1", secret)
    assert result.verdict == "accepted_implicit"
    assert h.word("F", "p", "scan", "S-1", secret) == "duplicate"
    assert h.word("F", "p", "close", "S-1") == "posted"
    said = str(h.warehouse.query(Scope("F"), secret)) + str(
        h.warehouse.documents(Scope("F"), "all")
    )
    rows = "".join(body for (body,) in h.db.conn.execute("SELECT body FROM journal"))
    assert secret not in said
    assert secret not in rows
    assert "u:17" in rows
