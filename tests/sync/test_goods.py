"""The warehouse's facts as events: judged by the published schema, a hash generator that others
wrote and our lint; who, where, by which papers and how many; and taken back exactly."""

from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import jsonschema_rs
import orjson
import pytest

from agent.core import facts as f
from sync.goods import TELL
from tests.sync.test_epcis import ME, _store_help, documents, judged, schema, told  # noqa: F401

pytestmark = pytest.mark.filterwarnings("ignore:open_text is deprecated:DeprecationWarning")
BASE = "https://id.caselink.example"
DAY = "2026-11-21"
COLA = (f.Content("sku-7", "L1", 24),)
OWN = (f.Content("sku-1", "lot-1", 4),)
MIXED = (f.Content("sku-7", "L1", 24), f.Content("sku-7", "L2", 24))


def opened(number: str, kind: str, **more: Any) -> f.DocumentOpened:
    said = {"location": "A-01", "other": "", "to": "", "territory": "", "channel": "", "lines": ()}
    said |= {"paper": "", "blind": True, "source": "pda", "by": "li", **more}
    return f.DocumentOpened("F01", number, kind, **said)


def closed(
    number: str, *moved: f.Moved, missing: tuple[str, ...] = (), sampled: int = 0
) -> f.DocumentClosed:
    return f.DocumentClosed("F01", number, moved, missing, bool(missing), "", "li", sampled, 6, DAY)


def asn(number: str = "ASN-9") -> list[f.Fact]:
    goods = [f.Told(f"BOX {n}", "case", "sku-7", "L1", "", 0, "", 24, "proven") for n in range(4)]
    return [
        opened(number, "receive", other="D00", blind=False, source="cloud"),
        f.GoodsTold("F01", number, tuple(goods)),
    ]


def box(n: int, source: str = "", target: str = "A-01", **more: Any) -> f.Moved:
    state = more.pop("state", "stock" if source else "expected")
    return f.Moved(f"BOX {n}", COLA, state, source, target, **more)


@pytest.fixture
def plant(tmp_path: Path) -> Iterator[Any]:
    """A store with a closed case of its own (5, CASE-00000) and an ASN of four foreign ones."""
    helper = _store_help()
    made = helper.Plant(tmp_path).load()
    made.put(*made.case(1, 0, 0))
    made.put(*asn())
    yield made
    made.close()


def of_row(plant: Any, seq: int) -> list[dict[str, Any]]:
    """The events of the transaction that ends with row `seq`, which are about goods."""
    return [each for each in told(plant.conn) if each["x:seq"] == seq]


def ends(event: dict[str, Any]) -> list[str]:
    said = [*event.get("sourceList", ()), *event.get("destinationList", ())]
    found = [each.get("source", each.get("destination")) for each in said]
    return [each.removeprefix(BASE + "/") for each in found]


def papers(event: dict[str, Any]) -> dict[str, str]:
    listed = event.get("bizTransactionList", ())
    return {each["type"]: each["bizTransaction"].rpartition("/")[2] for each in listed}


def test_a_receipt_names_its_asn_and_what_was_accepted_without_a_scan(plant: Any) -> None:
    moved = (box(0), box(1, unscanned=True), box(2, unscanned=True))
    seq = plant.put(closed("ASN-9", *moved, missing=("BOX 3",), sampled=1))
    scanned, accepted, missing = of_row(plant, seq)
    assert scanned["epcList"] == [ME.code("BOX 0")]
    assert accepted["epcList"] == [ME.code("BOX 1"), ME.code("BOX 2")]
    assert (scanned["bizStep"], scanned["disposition"]) == ("receiving", "in_progress")
    assert papers(scanned) == papers(missing) | {"recadv": "ASN-9"}
    assert papers(scanned)["desadv"] == "ASN-9"
    assert ends(scanned) == ["party/D00", "party/F01", "loc/F01/A-01"]
    assert scanned["bizLocation"] == {"id": f"{BASE}/loc/F01/A-01"}
    assert "x:unscanned" not in scanned
    assert (accepted["x:unscanned"], accepted["x:sampled"], accepted["x:sampledOf"]) == (True, 1, 3)
    assert accepted["x:pieces"] == [{"x:product": "sku-7", "x:lot": "L1", "x:quantity": 48}]
    assert (missing["epcList"], missing["x:missing"]) == ([ME.code("BOX 3")], True)
    assert "x:pieces" not in missing


def test_lines_that_were_not_filled_are_no_goods(plant: Any) -> None:
    lines = (f.Asked("sku-7", "case", 2, "L1", 48), f.Asked("sku-8", "case", 2, "", 48))
    plant.put(opened("R-1", "receive", lines=lines, other="D00"))
    seq = plant.put(closed("R-1", box(0), missing=("sku-7/L1", "sku-8")))
    assert [each["epcList"] for each in of_row(plant, seq)] == [[ME.code("BOX 0")]]


def test_a_shipment_of_own_goods_tells_them_first(plant: Any) -> None:
    plant.put(plant.bottle(70, 70))  # in no case: nobody was told of it yet
    more = {"other": "D07", "territory": "east", "channel": "distribution", "paper": "PO-3"}
    plant.put(opened("SO-1", "ship", **more))
    case = f.Moved("u:5", OWN, "made", "A-01", "", implicit=True, level="case")
    loose = f.Moved("u:70", (f.Content("sku-1", "lot-1", 1),), "made", "A-01", "", implicit=True)
    seq = plant.put(closed("SO-1", case, loose))
    first, shipped = of_row(plant, seq)
    assert (first["bizStep"], len(first["epcList"])) == ("commissioning", 1)
    assert shipped["epcList"] == [ME.code("CASE-00000"), *first["epcList"]]
    assert (shipped["bizStep"], shipped["disposition"]) == ("shipping", "in_transit")
    assert papers(shipped) == {"po": "PO-3", "desadv": "SO-1"}
    assert ends(shipped) == ["party/F01", "loc/F01/A-01", "party/D07"]
    assert (shipped["x:territory"], shipped["x:channel"]) == ("east", "distribution")
    assert (shipped["x:implicit"], shipped["x:party"]) == (True, f"{BASE}/party/F01")
    assert shipped["x:pieces"] == [{"x:product": "sku-1", "x:lot": "lot-1", "x:quantity": 5}]
    seq = plant.put(f.DocumentReversed("F01", "SO-1", "wang", "wrong truck", 9, DAY))
    (void,) = of_row(plant, seq)
    assert (void["bizStep"], void["epcList"]) == ("void_shipping", shipped["epcList"])
    assert (papers(void)["desadv"], void["x:reason"]) == ("SO-1", "wrong truck")
    assert void["x:pieces"] == shipped["x:pieces"]


def test_returns_and_transfers(plant: Any) -> None:
    plant.put(closed("ASN-9", *(box(n) for n in range(4))))
    plant.put(opened("X-1", "return_out", other="D00", paper="RMA-1", reason="damaged"))
    seq = plant.put(closed("X-1", box(0, "A-01", "", condition="damaged")))
    (away,) = of_row(plant, seq)
    assert (away["bizStep"], away["disposition"]) == ("shipping", "returned")
    assert (papers(away), away["x:condition"]) == ({"rma": "RMA-1"}, "damaged")
    plant.put(opened("X-2", "ship", other="S1"))
    plant.put(closed("X-2", box(1, "A-01", "")))
    plant.put(opened("X-3", "return_in", other="S1", reason="unsold"))
    seq = plant.put(closed("X-3", box(1, "", "A-01", state="in_transit")))
    (back,) = of_row(plant, seq)
    assert (back["bizStep"], back["disposition"]) == ("receiving", "returned")
    assert ends(back) == ["party/S1", "party/F01", "loc/F01/A-01"]
    assert (papers(back), back["x:reason"]) == ({"rma": "X-3"}, "unsold")
    plant.put(opened("X-4", "transfer", to="B-02"))
    seq = plant.put(closed("X-4", box(2, "A-01", "B-02")))
    left, came = of_row(plant, seq)
    assert [left["bizStep"], came["bizStep"]] == ["shipping", "receiving"]
    assert ends(left) == ends(came)
    assert ends(came)[-1] == "loc/F01/B-02"
    assert came["bizLocation"]["id"] == f"{BASE}/loc/F01/B-02"
    assert papers(left) == papers(came) == {}


def test_a_stock_take(plant: Any) -> None:
    plant.put(closed("ASN-9", *(box(n) for n in range(3))))
    plant.put(opened("C-1", "count"))
    found = (box(3, "", "A-01"),)
    lost = (box(0, "A-01", ""),)
    seq = plant.put(f.CountPosted("F01", "C-1", found, lost, "li", 7, DAY))
    counted, gone = of_row(plant, seq)
    assert (counted["bizStep"], counted["x:countSession"]) == ("stock_taking", "C-1")
    assert counted["x:pieces"][0]["x:quantity"] == 24
    assert (gone["bizStep"], gone["x:lost"]) == ("inspecting", True)
    assert gone["epcList"] == [ME.code("BOX 0")]
    plant.put(opened("C-2", "count", location="B-02"))
    seq = plant.put(f.CountPosted("F01", "C-2", (box(1, "A-01", "B-02"),), (), "li", 8, DAY))
    (moved,) = of_row(plant, seq)
    assert "x:pieces" not in moved, "it only stood elsewhere"


def test_goods_that_are_opened_and_packed(plant: Any) -> None:
    plant.put(closed("ASN-9", *(box(n) for n in range(4))))
    refs = ("BOX 0", "BOX 1")
    seq = plant.put(f.GoodsPacked("F01", "PALLET 7", refs, "li", "pallet"))
    (packed,) = of_row(plant, seq)
    assert (packed["type"], packed["action"]) == ("AggregationEvent", "ADD")
    assert packed["childEPCs"] == [ME.code(each) for each in refs]
    assert (packed["x:level"], packed["x:expectedQuantity"]) == ("pallet", 2)
    seq = plant.put(f.GoodsPacked("F01", "PALLET 7", ("BOX 2",), "li"))
    assert "x:expectedQuantity" not in of_row(plant, seq)[0]
    seq = plant.put(f.GoodsOpened("F01", "PALLET 7", refs, "unpacked", "li"))
    (out,) = of_row(plant, seq)
    assert (out["action"], out["parentID"]) == ("DELETE", ME.code("PALLET 7"))
    assert out["childEPCs"] == [ME.code(each) for each in refs]


@pytest.mark.parametrize("what", ["receipt", "return", "count"])
def test_what_is_reversed_is_declared_wrong_in_the_words_in_which_it_was_told(
    plant: Any, what: str
) -> None:
    if what == "receipt":
        number = "ASN-9"
        seq = plant.put(closed(number, box(0), box(1, unscanned=True)))
    elif what == "return":
        number = "X-1"
        plant.put(closed("ASN-9", box(0)), opened(number, "return_out", other="D00"))
        seq = plant.put(closed(number, box(0, "A-01", "")))
    else:
        number = "C-1"
        plant.put(closed("ASN-9", box(0)), opened(number, "count"))
        seq = plant.put(
            f.CountPosted("F01", number, (box(1),), (box(0, "A-01", ""),), "li", 7, DAY)
        )
    first = of_row(plant, seq)
    before = plant.conn.execute("SELECT max(seq) FROM journal").fetchone()[0]
    plant.put(f.DocumentReversed("F01", number, "wang", "not so", 9, DAY))
    last = [event for event in told(plant.conn) if "errorDeclaration" in event]
    assert [orjson.dumps(without(event)) for event in last] == [
        orjson.dumps(event) for event in first
    ]
    assert {event["errorDeclaration"]["reason"] for event in last} == {"did_not_occur"}
    assert before == seq


def without(event: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in event.items() if name != "errorDeclaration"}


NUMBERS = count(1)


def refused(document: str, verdict: str, code: str = "BOX 2") -> f.ItemDone:
    more = ("F01", "scan", document, "", code, verdict, "li", 0, 0)
    return f.ItemDone("PDA", next(NUMBERS), *more)


def test_goods_for_another_party_are_told_though_they_were_not_taken_in(plant: Any) -> None:
    plant.put(opened("B-1", "receive", other="D00"))
    seq = plant.put(refused("B-1", "not_for_party"))
    (event,) = of_row(plant, seq)
    assert (event["bizStep"], event["epcList"]) == ("inspecting", [f"{BASE}/code/BOX%202"])
    assert event["x:party"] == f"{BASE}/party/F01"
    assert (event["x:inspection"], event["x:refused"]) == (True, True)
    # Other stops say nothing of where goods are; nor does what was to leave.
    assert of_row(plant, plant.put(refused("B-1", "unknown"))) == []
    assert of_row(plant, plant.put(refused("B-1", "not_for_party", code=""))) == []
    plant.put(opened("SO-9", "ship", other="D07"))
    assert of_row(plant, plant.put(refused("SO-9", "not_for_party"))) == []
    assert of_row(plant, plant.put(refused("NONE", "not_for_party"))) == []


def test_every_kind_is_accepted_by_the_judges(
    plant: Any,
    schema: jsonschema_rs.Validator,  # noqa: F811
) -> None:
    mixed = f.Told("MIX", "pallet", "", "", "", 0, "", 48, "inferred")
    plant.put(f.GoodsTold("F01", "", (mixed,)))
    plant.put(closed("ASN-9", box(0), box(1, unscanned=True), missing=("BOX 3",), sampled=1))
    plant.put(opened("B-1", "receive", other="D00"))
    plant.put(closed("B-1", f.Moved("MIX", MIXED, "told", "", "A-01"), box(2)))
    plant.put(refused("B-1", "not_for_party", "BOX 9"))
    plant.put(f.GoodsPacked("F01", "PALLET 7", ("BOX 0", "BOX 1"), "li", "pallet"))
    plant.put(opened("X-4", "transfer", to="B-02"))
    plant.put(closed("X-4", box(2, "A-01", "B-02")))
    plant.put(f.DocumentReversed("F01", "X-4", "wang", "no", 9, DAY))
    plant.put(opened("C-1", "count"))
    plant.put(f.CountPosted("F01", "C-1", (box(3),), (box(2, "A-01", ""),), "li", 7, DAY))
    plant.put(f.GoodsOpened("F01", "PALLET 7", ("BOX 0", "BOX 1"), "unpacked", "li"))
    plant.put(opened("SO-1", "ship", other="D07", territory="east"))
    plant.put(closed("SO-1", f.Moved("u:5", OWN, "made", "A-01", "", implicit=True)))
    plant.put(f.DocumentReversed("F01", "SO-1", "wang", "wrong truck", 9, DAY))
    assert judged(plant.conn, schema) == 11
    kinds = {type(entry.fact) for entry, document in documents(plant.conn) if document.events}
    assert set(TELL) <= kinds
