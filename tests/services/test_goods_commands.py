"""An ASN and a dispatch of the cloud at an agent with a warehouse: a document with all that it
tells, in one transaction with the answer, once."""

import dataclasses
import threading
from collections.abc import Iterator
from hashlib import blake2b
from itertools import pairwise
from pathlib import Path

import pytest

from agent.clockwatch import clock
from agent.core import facts as f
from agent.core.errors import DomainError
from agent.core.goods import Item
from agent.services.warehouse import Warehouse
from agent.store import documents, goods
from agent.store.database import Connection
from agent.store.record import record
from agent.store.turns import Turn
from sync import kinds
from sync.kinds import Asn, Coming, Dispatch, Product, Wanted
from tests.services.desk_help import Box

WAREHOUSE = """
[[warehouse]]
party = "D07"
names = { zh = "华东仓", en = "East" }
locations = ["A-01", "DOCK"]
"""


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    """An agent with the warehouse of D07."""

    class Dealer(Box):
        def open(self) -> None:
            text = self.config.read_text()
            if "[[warehouse]]" not in text:
                self.config.write_text(text + WAREHOUSE)
            super().open()

    made = Dealer(tmp_path / "box")
    yield made
    made.close()


def unique(case: str, n: int) -> str:
    """A code that nobody can guess from its neighbours."""
    return f"https://q.example.cn/{blake2b(f'{case}/{n}'.encode(), digest_size=10).hexdigest()}"


def asn(number: str = "SO-1", pallets: int = 1, cases: int = 2, each: int = 3) -> Asn:
    """Pallets of cases of bottles."""
    units = []
    for p in range(pallets):
        pallet = f"https://q.example.cn/{number}/P{p}"
        about = {"product": "COLA-500", "lot": "L1", "integrity": "proven"}
        units.append(Coming(code=pallet, level="pallet", pieces=cases * each, **about))  # type: ignore[arg-type]
        for c in range(cases):
            case = f"{pallet}/C{c}"
            units.append(
                Coming(
                    code=case,
                    level="case",
                    parent=pallet,
                    pieces=each,
                    codes=[f"{case}/inner"],
                    expires="2027-11-20",
                    **about,  # type: ignore[arg-type]
                )
            )
            units += (
                Coming(code=unique(case, b), level="bottle", parent=case, pieces=1, **about)  # type: ignore[arg-type]
                for b in range(each)
            )
    return Asn(
        number=number,
        sender="F01",
        receiver="D07",
        units=units,
        territory="east",
        channel="distribution",
    )


def kept(box: Box, number: str = "SO-1") -> tuple[documents.Document, list[goods.Row]]:
    with box.readers.connection() as conn:
        document = documents.find(conn, "D07", number)
        assert document is not None
        rows = [goods.by_id(conn, each) for each in documents.expected(conn, document.id)]
        return document, [row for row in rows if row is not None]


def table(box: Box) -> dict[str, int]:
    names = ("goods", "goods_code", "document", "document_goods", "command")
    return {name: box.count(name) for name in names}


def test_an_asn_is_a_document_with_all_that_comes(box: Box) -> None:
    answer = box.ask("c-1", "asn", asn())
    assert (answer.ok, answer.body) == (True, {"number": "SO-1", "units": 9}), answer.text
    document, (pallet,) = kept(box)
    assert (document.kind, document.status, document.other) == ("receive", "open", "F01")
    assert (document.territory, document.channel) == ("east", "distribution")
    assert (pallet.level, pallet.pieces, pallet.integrity) == ("pallet", 6, "proven")
    assert (pallet.place.state, pallet.place.sent_by) == ("expected", "F01")
    with box.readers.connection() as conn:
        inner = goods.by_code(conn, "https://q.example.cn/SO-1/P0/C1/inner")
        assert inner is not None
        assert (inner.level, inner.lot, inner.parent) == ("case", "L1", pallet.id)
        assert len(goods.inside(conn, inner.id)) == 3
    before = table(box)
    # The same command again, and the same ASN under another id.
    assert box.ask("c-1", "asn", asn()) == answer
    again = box.ask("c-2", "asn", asn())
    assert (again.ok, again.reason) == (False, "document_exists")
    assert table(box) == before | {"command": 2}
    box.sound()


def test_an_asn_that_is_withdrawn_ends(box: Box) -> None:
    assert box.ask("c-1", "asn", asn()).ok
    gone = Asn(
        number="SO-1",
        sender="F01",
        receiver="D07",
        units=[Coming(code="SO-1", level="document")],
        withdrawn=True,
    )
    assert box.ask("c-2", "asn", gone).ok
    assert kept(box)[0].status == "closed"
    assert box.ask("c-3", "asn", gone).ok, "nothing is left to do"
    box.sound()


def test_who_has_no_such_warehouse_refuses(box: Box) -> None:
    other = Asn(number="A", sender="F01", receiver="D99", units=asn().units)
    answer = box.ask("c-1", "asn", other)
    assert (answer.ok, answer.reason) == (False, "unknown_party")
    assert box.count("goods") == 0


def test_the_old_flat_form_is_still_read(box: Box) -> None:
    flat = b'{"number":"OLD","sender":"F01","receiver":"D07","units":[{"code":"PAL 1",'
    flat += b'"level":"pallet","product":"COLA-500","lot":"L1","quantity":48,'
    flat += b'"children":["BOX 1","BOX 2"]}]}'
    assert box.ask("c-1", "asn", flat).ok
    _, (pallet,) = kept(box, "OLD")
    assert pallet.pieces == 48
    with box.readers.connection() as conn:
        assert [row.pieces for row in goods.inside(conn, pallet.id)] == [24, 24]


def test_a_dispatch_is_a_shipment_to_be_filled(box: Box) -> None:
    assert box.ask("c-0", "product", Product(sku="COLA-500")).ok
    wanted = [Wanted(product="COLA-500", level="bottle", quantity=5)]
    order = Dispatch(
        number="D-1",
        party="S1",
        sender="D07",
        lines=wanted,
        territory="east",
        channel="own_stores",
    )
    answer = box.ask("c-1", "dispatch", order)
    assert answer.ok, answer.text
    with box.readers.connection() as conn:
        document = documents.find(conn, "D07", "D-1")
    assert document is not None
    assert (document.kind, document.other) == ("ship", "S1")
    assert (document.territory, document.channel) == ("east", "own_stores")


def test_a_large_asn_travels_compressed_and_lets_others_write_meanwhile(box: Box) -> None:
    large = asn("BIG", pallets=8, cases=40, each=23)
    plain = kinds.msgspec.json.encode(large)
    packed = kinds.pack("asn", plain)
    assert len(packed) < len(plain) / 3
    assert kinds.parse("asn", packed) == large
    answer = box.ask("c-1", "asn", packed)
    assert (answer.ok, answer.body) == (True, {"number": "BIG", "units": len(large.units)})
    document, tops = kept(box, "BIG")
    assert len(tops) == 8
    assert {top.pieces for top in tops} == {40 * 23}
    assert {top.place.state for top in tops} == {"expected"}
    assert document.status == "open"
    assert box.count("goods") == len(large.units) == 8 * (1 + 40 * 24)
    assert len(box.facts(f.GoodsTold)) > 10
    box.sound()


def test_a_line_does_not_wait_for_thousands_of_loose_cases(box: Box) -> None:
    """What a job of the line finds told grows by little from one to the next, to the end."""
    about = {"product": "COLA-500", "lot": "L1", "integrity": "proven"}
    codes = [unique("loose", n) for n in range(4_000)]
    units = [Coming(code=code, level="case", pieces=24, **about) for code in codes]  # type: ignore[arg-type]
    big = Asn(number="SO-1", sender="F01", receiver="D07", units=units)
    told: list[int] = []
    ended = threading.Event()

    def line() -> None:
        def job(conn: Connection) -> int:
            record(conn, "", (f.AgentStarted("line"),), clock())
            return int(conn.one("SELECT count(*) FROM document_goods")[0])

        while not ended.is_set():
            told.append(box.plant.writer.wait(job, turn=Turn.LINE))

    asking = threading.Thread(target=line)
    asking.start()
    try:
        assert box.ask("c-1", "asn", big).ok
    finally:
        ended.set()
        asking.join()
    assert told[-1] <= len(units) == len(kept(box)[1])
    assert max(b - a for a, b in pairwise([0, *told, len(units)])) < len(units) / 4
    box.sound()


@pytest.mark.parametrize("named", ["", "BIG"], ids=["by name, of old", "with the document"])
def test_an_asn_that_was_cut_short_is_told_whole_the_next_time(box: Box, named: str) -> None:
    """The power went after some goods were told: nobody sees a document that is half there."""
    large = asn("BIG", pallets=2, cases=60, each=23)
    some = [
        f.Told(each.code, each.level, "COLA-500", "L1", "", 0, each.parent, each.pieces, "")
        for each in large.units[:500]
    ]
    opened = f.DocumentOpened(
        "D07", "BIG", "receive", "A-01", "F01", "", "", "", (), "", False, "cloud", "cloud"
    )
    facts = (dataclasses.replace(opened, coming=True),) if named else ()
    box.plant.writer.wait(
        lambda conn: record(conn, "", (*facts, f.GoodsTold("D07", named, tuple(some))), clock())
    )
    warehouse = Warehouse(box.site, box.readers, box.plant.writer, box.gate)
    scope = warehouse.at_the_machine("D07")
    assert warehouse.documents(scope, "all") == []
    with pytest.raises(DomainError, match="no document BIG"):
        warehouse.document(scope, "BIG")
    item = Item(0, "scan", "BIG", some[0].ref, at_ms=1)
    assert warehouse.items(scope, [item], 1)[0].verdict == "no_document"
    assert box.ask("c-1", "asn", large).ok
    assert [each["number"] for each in warehouse.documents(scope)] == ["BIG"]
    _, tops = kept(box, "BIG")
    assert [top.pieces for top in tops] == [60 * 23] * 2
    assert box.count("goods") == len(large.units)
    box.sound()


def test_an_agent_without_a_warehouse_keeps_a_small_asn_only(tmp_path: Path) -> None:
    line = Box(tmp_path / "line")
    assert line.ask("c-1", "asn", asn()).ok
    answer = line.ask("c-2", "asn", asn("BIG", pallets=8, cases=40, each=23))
    assert (answer.ok, answer.reason) == (False, "unknown_party")
    assert (line.count("reference"), line.count("goods")) == (1, 0)
    line.close()


@pytest.mark.parametrize("wrong", ["twice", "before", "itself"])
def test_goods_that_cannot_be_so_are_refused_whole(box: Box, wrong: str) -> None:
    units = list(asn().units)
    if wrong == "twice":
        units.append(units[-1])
    elif wrong == "before":
        units = units[::-1]
    else:
        units[0] = Coming(code="X", level="pallet", parent="X")
    content = kinds.msgspec.json.encode(Asn(number="A", sender="F01", receiver="D07", units=units))
    answer = box.ask("c-1", "asn", content)
    assert (answer.ok, answer.reason) == (False, "command_malformed")
    assert box.count("goods") == 0
