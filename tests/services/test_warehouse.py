"""What people do in a warehouse, deed by deed, over the real service and store."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.clockwatch import clock
from agent.core import facts as f
from agent.core.errors import DomainError
from agent.core.goods import Item, Scope
from agent.core.rules import OPERATIONS
from agent.ports.cloud import Entry
from agent.services.warehouse import turn_of
from agent.services.warehouse_documents import asn_facts, dispatch_facts, told_facts
from agent.store import journal
from agent.store.database import Connection, in_memory
from agent.store.record import record
from agent.store.turns import Turn
from sync import kinds
from tests.services.depot_help import DAY, NOW, Hosted, pallet

D1 = Scope("D1")


@pytest.fixture
def h(tmp_path: Path) -> Iterator[Hosted]:
    hosted = Hosted(tmp_path)
    yield hosted
    problems = hosted.replayed()
    hosted.close()
    assert problems == []


def stocked(h: Hosted, party: str = "D1", *lots: str, device: str = "pda-1") -> None:
    """Receive a pallet of two cases of four bottles of each lot, named after it."""
    units = [told for lot in lots for told in pallet(f"{party}-{lot}", lot)]
    h.asn(party, f"IN-{party}", units)
    for lot in lots:
        assert h.word(party, device, "scan", f"IN-{party}", f"{party}-{lot}") == "accepted"
    assert h.word(party, device, "close", f"IN-{party}") == "posted"


def pieces(h: Hosted, party: str = "D1", **of: str) -> int:
    return sum(h.stock(party, **of).values())


# -------------------------------------------------------------------------------- uploads


def test_an_item_is_carried_out_once_however_often_it_comes(h: Hosted) -> None:
    h.asn("D1", "ASN", pallet("P", "L1"))
    items = [h.item("a", "scan", "ASN", "P"), h.item("a", "close", "ASN")]
    first = h.send("D1", "a", *items)
    assert [each.verdict for each in first] == ["accepted", "posted"]
    again = h.send("D1", "a", *items)
    assert [(r.seq, r.verdict, r.severity, r.args) for r in again] == [
        (r.seq, r.verdict, r.severity, r.args) for r in first
    ]
    assert all(r.replayed for r in again)
    assert pieces(h) == 8
    assert h.warehouse.upto("a") == 2


@pytest.mark.parametrize("do", ["close", "accept_all", "count_done", "reverse"])
def test_what_posts_a_document_does_not_ride_with_a_lines_reports(do: str) -> None:
    scan = Item(1, "scan", "D-1", "x")
    assert turn_of([scan, Item(2, "open", "D-2")]) is Turn.SHORT
    assert turn_of([scan, Item(2, do, "D-1")]) is Turn.ANY


def test_a_gap_is_refused_and_nothing_is_done(h: Hosted) -> None:
    h.asn("D1", "ASN", pallet("P", "L1"))
    first, second, third = (h.item("a", "scan", "ASN", text) for text in ("P-0", "P-1", "P"))
    with pytest.raises(DomainError, match="send again from 1") as refused:
        h.send("D1", "a", second)
    assert refused.value.reason == "rewind"
    with pytest.raises(DomainError, match="send again from 2"):
        h.send("D1", "a", first, third)
    assert h.warehouse.upto("a") == 0
    assert h.warehouse.document(D1, "ASN")["scanned"] == 0


def test_another_item_under_a_used_number_is_told_and_not_done(h: Hosted) -> None:
    h.asn("D1", "ASN", pallet("P", "L1"))
    assert h.word("D1", "a", "scan", "ASN", "P-0") == "accepted"
    forged = Item(1, "scan", "ASN", "P-1", id="else")
    (result,) = h.send("D1", "a", forged)
    assert (result.verdict, result.severity) == ("other_item", "stop")
    assert h.warehouse.document(D1, "ASN")["scanned"] == 1


def test_one_bad_item_of_an_upload_leaves_the_others(h: Hosted) -> None:
    h.asn("D1", "ASN", pallet("P", "L1"))
    items = [
        h.item("a", "scan", "ASN", "P-0"),
        h.item("a", "open", "bad/number", body={"kind": "ship"}),
        h.item("a", "fly", "ASN"),
        h.item("a", "scan", "ASN", "P-1"),
    ]
    results = h.send("D1", "a", *items)
    assert [r.verdict for r in results] == ["accepted", "refused", "refused", "accepted"]
    assert [r.args.get("reason") for r in results[1:3]] == ["number_wrong", "kind_unknown"]
    assert h.warehouse.document(D1, "ASN")["scanned"] == 2


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("", "not_a_code"),
        ("x" * 10_000, "not_a_code"),
        ("两瓶\x07", "not_a_code"),
        ("😀", "not_expected"),
        ("https://weixin.qq.com/r/abc", "not_expected"),
        ("https://id.gs1.org/01/06901234567890/21/1", "not_a_code"),  # wrong check digit
    ],
)
def test_what_is_scanned_may_be_anything(h: Hosted, text: str, word: str) -> None:
    h.asn("D1", "ASN", pallet("P", "L1"))
    assert h.word("D1", "a", "scan", "ASN", text) == word
    assert h.warehouse.query(D1, text)["known"] is False


# ------------------------------------------------------------------------------- receiving


def test_a_partial_receipt_is_posted_and_the_notice_waits_for_the_rest(h: Hosted) -> None:
    h.asn("D1", "ASN", [*pallet("P", "L1"), *pallet("Q", "L2")], territory="east")
    assert h.word("D1", "a", "scan", "ASN", "SN-P") == "accepted"  # any code of the unit
    asked = h.do("D1", "a", "close", "ASN")
    assert (asked.verdict, asked.args) == ("difference", {"missing": 1, "extra": 0})
    posted = h.do("D1", "a", "close", "ASN", answer="difference", reason="second lorry")
    assert posted.args["number"] == "ASN.1"
    assert h.warehouse.document(D1, "ASN.1")["paper"] == "ASN"
    assert [each["ref"] for each in h.warehouse.document(D1, "ASN")["missing"]] == ["Q"]
    assert h.word("D1", "a", "scan", "ASN", "P") == "duplicate"
    assert h.word("D1", "a", "close", "ASN", answer="difference") == "refused"
    ended = h.do("D1", "a", "close", "ASN", answer="difference", reason="lost", body={"end": True})
    assert (ended.verdict, ended.args["missing"]) == ("posted", 1)
    assert h.warehouse.document(D1, "ASN")["status"] == "closed"
    assert h.word("D1", "a", "scan", "ASN", "Q") == "closed"
    assert pieces(h) == 8


def test_cases_one_by_one_are_the_pallet_or_leave_it(h: Hosted) -> None:
    h.asn("D1", "ASN", [*pallet("P", "L1"), *pallet("Q", "L2")])
    for text in ("P-0", "P-1", "Q-0"):
        assert h.word("D1", "a", "scan", "ASN", text) == "accepted"
    assert h.word("D1", "a", "close", "ASN", answer="difference") == "posted"
    whole, opened = h.warehouse.query(D1, "P-0"), h.warehouse.query(D1, "Q-0")
    assert [each["ref"] for each in whole["parents"]] == ["P"]
    assert opened["parents"] == []
    assert h.warehouse.query(D1, "Q")["pieces"] == 4
    assert h.word("D1", "a", "scan", "ASN", "Q") == "accepted"
    assert h.word("D1", "a", "close", "ASN") == "posted"
    assert pieces(h) == 16


def test_more_than_was_told_is_asked_about_and_taken_with_a_reason(h: Hosted) -> None:
    h.asn("D1", "ASN", pallet("P", "L1"))
    h.asn("D1", "LATER", pallet("Q", "L2"))
    assert h.word("D1", "a", "scan", "ASN", "P") == "accepted"
    assert h.word("D1", "a", "scan", "ASN", "Q") == "not_expected"
    why = h.do("D1", "a", "scan", "ASN", "Q", answer="not_expected")
    assert (why.verdict, why.args) == ("not_expected", {"need": "reason"})
    more = {"answer": "not_expected", "reason": "too_many_sent"}
    assert h.word("D1", "a", "scan", "ASN", "Q", **more) == "accepted"
    named = {"body": {"product": "tonic", "lot": "L9", "pieces": 4, "level": "case"}}
    assert h.word("D1", "a", "scan", "ASN", "NEW-1", **more) == "not_expected"
    assert h.word("D1", "a", "scan", "ASN", "NEW-1", **more, **named) == "accepted"
    assert h.do("D1", "a", "close", "ASN").args == {"missing": 0, "extra": 2}
    assert h.word("D1", "a", "close", "ASN", answer="difference") == "posted"
    assert h.stock("D1") == {
        ("tonic", "L1", "A"): 8,
        ("tonic", "L2", "A"): 8,
        ("tonic", "L9", "A"): 4,
    }
    assert h.warehouse.document(D1, "LATER")["status"] == "open"


def test_a_blind_receipt_takes_codes_that_name_their_product(h: Hosted) -> None:
    h.open("D1", "R", "receive", location="B", blind=True)
    gs1 = "(01)06901234567892(10)L7(21)S1"
    assert h.word("D1", "a", "scan", "R", gs1) == "accepted"
    assert h.word("D1", "a", "scan", "R", "https://id.gs1.org/01/06901234567892/21/S1") == (
        "duplicate"
    )
    assert h.word("D1", "a", "scan", "R", "CASE-9") == "not_expected"
    body = {"product": "tonic", "lot": "L7", "level": "case"}
    assert h.word("D1", "a", "scan", "R", "CASE-9", body=body) == "accepted"
    assert h.word("D1", "a", "scan", "R", "CASE-8", body={"product": "gin"}) == "not_expected"
    assert h.word("D1", "a", "close", "R") == "posted"
    assert h.stock("D1") == {("tonic", "L7", "B"): 5}


def test_a_whole_notice_is_taken_by_one_confirmation_and_samples(h: Hosted) -> None:
    h.asn("D1", "ASN", [*pallet("P", "L1"), *pallet("Q", "L2")])
    asked = h.do("D1", "a", "accept_all", "ASN")
    assert (asked.verdict, asked.args) == ("samples_missing", {"left": 1})
    assert h.word("D1", "a", "scan", "ASN", "P-1") == "accepted"
    assert h.word("D1", "a", "accept_all", "ASN") == "posted"
    assert pieces(h) == 16
    closed = [e.fact for e in _journal(h) if isinstance(e.fact, f.DocumentClosed)][-1]
    assert closed.sampled == 1
    assert {moved.ref: moved.unscanned for moved in closed.moved} == {"P": False, "Q": True}


def _journal(h: Hosted) -> list[Entry]:
    return list(journal.read(h.db.conn))


def test_a_notice_that_nobody_scans_counts_as_received_after_some_days(h: Hosted) -> None:
    h.asn("D1", "ASN", [*pallet("P", "L1"), *pallet("Q", "L2")])
    h.open("D1", "R", "receive", location="B")
    assert h.word("D1", "a", "scan", "ASN", "P-0") == "accepted"
    assert h.warehouse.accept_unscanned(h.now + 2 * DAY) == 0
    assert h.warehouse.accept_unscanned(h.now + 4 * DAY) == 1
    assert h.warehouse.accept_unscanned(h.now + 9 * DAY) == 0
    assert pieces(h) == 16
    assert h.warehouse.document(D1, "ASN")["status"] == "closed"
    assert h.warehouse.document(D1, "R")["status"] == "open"


# --------------------------------------------------------------------------------- shipping


def test_an_order_takes_its_products_lots_and_quantities(h: Hosted) -> None:
    stocked(h, "D1", "L1", "L2")
    h.asn("D1", "ASN", pallet("C", "L5", product="cola"))
    lines = [
        {"product": "tonic", "level": "case", "quantity": 1, "lot": "L1"},
        {"product": "tonic", "level": "", "quantity": 3},
    ]
    h.open("D1", "S", "ship", other="S1", lines=lines)
    scan = ("D1", "a", "scan", "S")
    assert h.word(*scan, "C") == "wrong_product"
    over = h.do(*scan, "D1-L2-0")
    assert (over.verdict, over.args["left"]) == ("over_quantity", 3)
    assert h.word(*scan, "D1-L1-0") == "accepted"
    assert h.word(*scan, "D1-L2-0-0") == "accepted_older"
    done = [line["done"] for line in h.warehouse.document(D1, "S")["lines"]]
    assert done == [4, 1]
    asked = h.do("D1", "a", "close", "S")
    assert (asked.verdict, asked.args["missing"]) == ("difference", 1)
    assert h.word("D1", "a", "close", "S", answer="difference", reason="short") == "posted"
    assert (pieces(h, lot="L1"), pieces(h, lot="L2")) == (4, 7)


def test_older_stock_goes_first_until_all_of_it_is_scanned(h: Hosted) -> None:
    stocked(h, "D1", "L1", "L2")
    h.open("D1", "S", "ship", other="S1", location="A")
    older = h.do("D1", "a", "scan", "S", "D1-L2")
    assert (older.verdict, older.severity, older.args) == ("accepted_older", "warn", {"lot": "L1"})
    assert h.word("D1", "a", "scan", "S", "D1-L2", remove=True) == "removed"
    assert h.word("D1", "a", "scan", "S", "D1-L1") == "accepted"
    assert h.word("D1", "a", "scan", "S", "D1-L2") == "accepted"


def test_goods_for_one_territory_do_not_go_to_another(h: Hosted) -> None:
    h.asn("D1", "ASN", pallet("P", "L1"), territory="east")
    assert h.word("D1", "a", "scan", "ASN", "P") == "accepted"
    assert h.word("D1", "a", "close", "ASN") == "posted"
    h.open("D1", "S-2", "ship", other="S2")
    verdict = h.do("D1", "a", "scan", "S-2", "P")
    assert (verdict.verdict, verdict.args) == ("not_for_party", {"territory": "east"})
    h.open("D1", "S-1", "ship", other="S1")
    assert h.word("D1", "a", "scan", "S-1", "P") == "accepted"


def test_a_scan_that_a_device_stopped_is_judged_anew_and_claims_nothing(h: Hosted) -> None:
    h.asn("D1", "ASN", pallet("P", "L1"), territory="east")
    assert h.word("D1", "a", "scan", "ASN", "P") == "accepted"
    assert h.word("D1", "a", "close", "ASN") == "posted"
    h.open("D1", "S-2", "ship", other="S2")
    told = h.do("D1", "a", "stopped", "S-2", "P")
    assert (told.verdict, told.severity) == ("not_for_party", "stop")
    h.open("D1", "S-1", "ship", other="S1")
    told = h.do("D1", "a", "stopped", "S-1", "P")  # the device knew less: it may be scanned again
    assert (told.verdict, told.severity, told.args) == ("noted", "ok", {"word": "accepted"})
    assert h.word("D1", "a", "stopped", "S-1", "NEVER-SEEN") == "unknown"
    assert h.warehouse.document(D1, "S-1")["scanned"] == 0
    assert h.warehouse.exceptions(D1) == []  # a person stood before each of these stops
    assert h.word("D1", "a", "scan", "S-1", "P") == "accepted"
    assert h.replayed() == []


def test_what_was_never_received_is_shipped_all_the_same_and_flagged(h: Hosted) -> None:
    h.asn("D1", "ASN", pallet("P", "L1"))
    h.open("D1", "S", "ship", other="S1")
    assert h.word("D1", "a", "scan", "S", "P-0") == "accepted_implicit"
    assert h.word("D1", "a", "close", "S") == "posted"
    closed = [e.fact for e in _journal(h) if isinstance(e.fact, f.DocumentClosed)][-1]
    assert [(m.ref, m.implicit) for m in closed.moved] == [("P-0", True)]
    (row,) = h.warehouse.ledger(D1, "0000", "9999")
    assert (row["received"], row["shipped"], row["stock"]) == (4, 4, 0)
    assert h.do("D1", "a", "scan", "ASN", "P-0").verdict == "shipped_already"


def test_two_devices_and_two_documents_want_the_same_case(h: Hosted) -> None:
    stocked(h, "D1", "L1")
    h.open("D1", "S-1", "ship", device="a", other="S1")
    h.open("D1", "S-2", "ship", device="b", other="S1")
    assert h.word("D1", "a", "scan", "S-1", "D1-L1-0") == "accepted"
    assert h.word("D1", "b", "scan", "S-1", "D1-L1-0") == "duplicate"
    taken = h.do("D1", "b", "scan", "S-2", "D1-L1-0")
    assert (taken.verdict, taken.args) == ("claimed", {"document": "S-1"})
    assert h.word("D1", "b", "scan", "S-2", "D1-L1") == "claimed"  # the pallet around it
    assert h.word("D1", "b", "scan", "S-2", "D1-L1-0-3") == "claimed"  # a bottle in it
    assert h.word("D1", "b", "scan", "S-1", "D1-L1-1") == "accepted"
    devices = h.warehouse.document(D1, "S-1")["devices"]
    assert [(each["device"], each["units"]) for each in devices] == [("a", 1), ("b", 1)]
    assert h.word("D1", "b", "hand_over", "S-1", body={"device": "b"}) == "handed_over"
    assert h.warehouse.document(D1, "S-1")["device"] == "b"
    assert h.word("D1", "b", "close", "S-1") == "posted"
    late = h.do("D1", "a", "scan", "S-1", "D1-L1-1")
    assert (late.verdict, late.args) == ("closed", {"status": "closed"})
    left = [each["verdict"] for each in h.warehouse.exceptions(D1)]
    assert left == ["claimed", "claimed", "claimed", "closed"]


def test_a_pallet_replaces_its_cases_when_that_is_meant(h: Hosted) -> None:
    stocked(h, "D1", "L1")
    h.open("D1", "S", "ship", other="S1")
    assert h.word("D1", "a", "scan", "S", "D1-L1-0") == "accepted"
    assert h.word("D1", "a", "scan", "S", "D1-L1") == "around_scanned"
    assert h.word("D1", "a", "scan", "S", "D1-L1", answer="around_scanned") == "accepted"
    told = h.warehouse.document(D1, "S")
    assert (told["scanned"], told["pieces"]) == (1, 8)
    assert h.warehouse.exceptions(D1) == []  # the question was answered


def test_a_document_that_was_posted_is_only_reversed(h: Hosted) -> None:
    stocked(h, "D1", "L1")
    h.open("D1", "S", "ship", other="S1")
    assert h.word("D1", "a", "scan", "S", "D1-L1-0-0") == "accepted"
    assert h.word("D1", "a", "close", "S") == "posted"
    assert h.word("D1", "a", "scan", "S", "D1-L1-0-0", remove=True) == "closed"
    operator = h.scope("D1", "a", OPERATIONS)
    item = h.item("a", "reverse", "S", reason="wrong shop")
    assert h.warehouse.items(operator, [item], h.now)[0].verdict == "not_allowed"
    assert h.word("D1", "a", "reverse", "S", reason="wrong shop") == "reversed"
    assert (pieces(h), h.warehouse.query(D1, "D1-L1-0-0")["state"]) == (8, "stock")
    assert h.word("D1", "a", "reverse", "S", reason="again") == "refused"
    received = h.do("D1", "a", "reverse", "IN-D1", reason="not ours")
    assert (received.verdict, received.args["reason"]) == ("refused", "moved_since")


# --------------------------------------------------------------- returns, transfers, counting


def test_returned_goods_are_held_until_somebody_says_that_they_are_good(h: Hosted) -> None:
    stocked(h, "D1", "L1")
    h.open("D1", "S", "ship", other="S1")
    assert h.word("D1", "a", "scan", "S", "D1-L1-0") == "accepted"
    assert h.word("D1", "a", "close", "S") == "posted"
    h.open("D1", "B", "return_in", location="B", other="S1", reason="unsold", condition="inspect")
    assert h.word("D1", "a", "scan", "B", "D1-L1-0") == "accepted"
    assert h.word("D1", "a", "scan", "B", "D1-L1-1") == "duplicate"  # it never left
    assert h.word("D1", "a", "close", "B") == "posted"
    assert h.stock("D1") == {("tonic", "L1", "A"): 4, ("tonic", "L1", "B"): 4}
    h.open("D1", "S-2", "ship", other="S1")
    assert h.word("D1", "a", "scan", "S-2", "D1-L1-0") == "held"
    h.open("D1", "T", "transfer", location="B", to="A", condition="sellable")
    assert h.word("D1", "a", "scan", "T", "D1-L1-1") == "not_here"
    assert h.word("D1", "a", "scan", "T", "D1-L1-0") == "accepted"
    assert h.word("D1", "a", "close", "T") == "posted"
    assert h.stock("D1") == {("tonic", "L1", "A"): 8}
    assert h.word("D1", "a", "scan", "S-2", "D1-L1-0") == "accepted"
    (row,) = h.warehouse.ledger(D1, "0000", "9999")
    assert (row["returned_in"], row["moved"], row["stock"]) == (4, 0, 8)


def test_a_stock_take_is_counted_twice_and_posted_by_a_supervisor(h: Hosted) -> None:
    stocked(h, "D1", "L1", "L2")
    h.asn("D1", "ASN", pallet("P", "L3"))
    h.open("D1", "C", "count", location="A")
    seen = ("D1-L1", "D1-L2-0", "P-0")
    for text in seen:
        assert h.word("D1", "a", "scan", "C", text) == "accepted"
    first = h.do("D1", "a", "count_done", "C")
    assert (first.verdict, first.args) == ("count_again", {"found": 1, "lost": 1})
    for text in seen:
        assert h.word("D1", "a", "scan", "C", text) == "accepted"
    assert h.word("D1", "a", "count_done", "C") == "counted"
    assert h.word("D1", "a", "scan", "C", "D1-L2-1") == "closed"
    operator = h.scope("D1", "a", OPERATIONS)
    close = h.item("a", "close", "C", answer="difference")
    assert h.warehouse.items(operator, [close], h.now)[0].verdict == "not_allowed"
    assert h.word("D1", "a", "close", "C") == "difference"
    assert h.word("D1", "a", "close", "C", answer="difference") == "posted"
    assert h.stock("D1") == {
        ("tonic", "L1", "A"): 8,
        ("tonic", "L2", "A"): 4,
        ("tonic", "L3", "A"): 4,
    }
    assert h.warehouse.query(D1, "D1-L2-1")["state"] == "lost"
    h.open("D1", "S", "ship", other="S1", location="A")
    assert h.word("D1", "a", "scan", "S", "D1-L2-1") == "accepted_implicit"  # found after all
    assert h.word("D1", "a", "close", "S") == "posted"
    rows = {row["lot"]: row for row in h.warehouse.ledger(D1, "0000", "9999")}
    assert (rows["L2"]["difference"], rows["L2"]["shipped"], rows["L2"]["stock"]) == (0, 4, 4)
    assert h.word("D1", "a", "reverse", "C", reason="miscounted") == "refused"


def test_a_count_that_fits_is_posted_at_once(h: Hosted) -> None:
    stocked(h, "D1", "L1")
    h.open("D1", "C", "count", location="A")
    for text in ("D1-L1-0", "D1-L1-1"):
        assert h.word("D1", "a", "scan", "C", text) == "accepted"
    assert h.word("D1", "a", "count_done", "C") == "posted"
    assert h.warehouse.query(D1, "D1-L1-0")["parents"] != []


# ---------------------------------------------------------------------------- unpack, repack


def test_a_child_scanned_alone_leaves_its_case_and_goes_into_another(h: Hosted) -> None:
    stocked(h, "D1", "L1")
    assert h.do("D1", "a", "unpack", "", "D1-L1-0-0", reason="broken").verdict == "unpacked"
    assert h.warehouse.query(D1, "D1-L1-0")["pieces"] == 3
    assert h.warehouse.query(D1, "D1-L1")["pieces"] == 7
    assert pieces(h) == 8
    whole = h.do("D1", "a", "unpack", "", "D1-L1-1", body={"all": True})
    assert (whole.verdict, whole.args) == ("unpacked", {"units": 4})
    inner = ["D1-L1-0-0", "D1-L1-1-0", "D1-L1-1-1"]
    packed = h.do("D1", "a", "pack", "", "BOX-1", body={"children": inner, "level": "case"})
    assert (packed.verdict, packed.args) == ("packed", {"units": 3})
    found = h.warehouse.query(D1, "BOX-1")
    assert (found["pieces"], found["location"], found["lot"]) == (3, "A", "L1")
    h.open("D1", "S", "ship", other="S1")
    assert h.word("D1", "a", "scan", "S", "D1-L1-1") == "empty"
    assert h.word("D1", "a", "scan", "S", "BOX-1") == "accepted"
    assert h.word("D1", "a", "unpack", "", "D1-L1-0-0") == "claimed"
    assert h.word("D1", "a", "close", "S") == "posted"
    assert pieces(h) == 5


@pytest.mark.parametrize(
    ("text", "children", "reason"),
    [
        ("BOX", [], "children_missing"),
        ("BOX", ["D1-L1-0"], "still_inside"),
        ("D1-L1", ["D1-L1"], "in_itself"),
    ],
)
def test_what_cannot_be_packed_is_told(
    h: Hosted, text: str, children: list[str], reason: str
) -> None:
    stocked(h, "D1", "L1")
    result = h.do("D1", "a", "pack", "", text, body={"children": children, "level": "case"})
    assert (result.verdict, result.args.get("reason")) == ("refused", reason)


# ------------------------------------------------------------------------- who sees and may what


def test_each_party_sees_and_touches_only_its_own(h: Hosted) -> None:
    stocked(h, "D1", "L1")
    stocked(h, "D2", "L2", device="b")
    d2 = Scope("D2")
    assert h.warehouse.query(d2, "D1-L1")["known"] is False
    assert h.warehouse.query(d2, "D1-L1")["verdict"]["word"] == "unknown"
    assert [each["number"] for each in h.warehouse.documents(d2, "all")] == ["IN-D2"]
    with pytest.raises(DomainError, match="no document IN-D1"):
        h.warehouse.document(d2, "IN-D1")
    assert h.word("D2", "b", "close", "IN-D1") == "no_document"
    assert h.word("D2", "b", "unpack", "", "D1-L1-0") == "unknown"
    h.open("D2", "R", "receive", device="b", location="C")
    assert h.word("D2", "b", "scan", "R", "D1-L1") == "not_for_party"
    h.open("D2", "B", "return_out", device="b", other="F")
    assert h.word("D2", "b", "scan", "B", "SN-D1-L1") == "unknown"
    last = h.warehouse.exceptions(d2)[-1]
    assert (last["ref"], last["text"]) == ("", "SN-D1-L1")  # and no other code of it
    assert {row["lot"] for row in h.warehouse.stock(d2)} == {"L2"}
    assert all(each["do"] != "settle" for each in h.warehouse.exceptions(d2))
    with pytest.raises(DomainError, match="No warehouse of X9"):
        h.warehouse.stock(Scope("X9"))


def test_one_dealers_exception_is_not_settled_by_another(h: Hosted) -> None:
    h.open("D1", "R", "receive", location="A")
    assert h.word("D1", "a", "scan", "R", "WHAT") == "not_expected"
    (left,) = h.warehouse.exceptions(D1)
    settle = {"device": left["device"], "seq": left["seq"]}
    h.word("D2", "b", "settle", body=settle)
    assert len(h.warehouse.exceptions(D1)) == 1
    assert h.word("D1", "a", "settle", body=settle) == "settled"
    assert h.warehouse.exceptions(D1) == []


def test_a_scope_is_of_locations_and_operations(h: Hosted) -> None:
    stocked(h, "D1", "L1")
    at_b = Scope("D1", ("B",), ("ship",), "li", "b")
    assert h.warehouse.stock(at_b) == []
    assert h.warehouse.ledger(at_b, "0000", "9999") == []
    wrong = [
        h.item("b", "open", "S", body={"kind": "ship", "location": "A", "other": "S1"}),
        h.item("b", "open", "R", body={"kind": "receive", "location": "B"}),
        h.item("b", "open", "S", body={"kind": "ship", "location": "B", "other": "S1"}),
    ]
    results = h.warehouse.items(at_b, wrong, h.now)
    assert [r.verdict for r in results] == ["refused", "not_allowed", "opened"]
    assert results[0].args["reason"] == "unknown_location"
    assert [each["number"] for each in h.warehouse.documents(at_b)] == ["S"]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"kind": "fly"}, "kind_unknown"),
        ({"kind": "ship", "other": "NOBODY"}, "other_unknown"),
        ({"kind": "ship", "other": "D1"}, "other_unknown"),
        ({"kind": "ship"}, "party_missing"),
        ({"kind": "return_in"}, "reason_missing"),
        ({"kind": "return_in", "reason": "x", "condition": "wet"}, "condition_unknown"),
        ({"kind": "transfer", "location": "A", "to": "A"}, "location_missing"),
        ({"kind": "count"}, "location_missing"),
        ({"kind": "ship", "other": "S1", "lines": 5}, "line_wrong"),
        ({"kind": "ship", "other": "S1", "lines": [{"product": "gin", "quantity": 1}]}, ""),
        ({"kind": "ship", "other": "S1", "lines": [{"product": "tonic", "quantity": 0}]}, ""),
        (
            {
                "kind": "ship",
                "other": "S1",
                "lines": [{"product": "tonic", "level": "lorry", "quantity": 1}],
            },
            "level_unknown",
        ),
    ],
)
def test_a_document_is_checked_on_entry(h: Hosted, body: dict[str, object], reason: str) -> None:
    result = h.do("D1", "a", "open", "X", body=body)
    assert result.verdict == "refused"
    assert result.args["reason"] in ({reason} if reason else {"product_unknown", "line_wrong"})


def test_where_orders_are_needed_nothing_is_shipped_without_one(h: Hosted) -> None:
    result = h.do("D2", "b", "open", "S", body={"kind": "ship", "other": "S2"})
    assert result.args["reason"] == "order_needed"
    lines = [{"product": "tonic", "level": "case", "quantity": 1}]
    h.open("D2", "S", "ship", device="b", other="S2", lines=lines)
    assert h.word("D2", "b", "open", "S", body={"kind": "ship", "other": "S2", "lines": lines}) == (
        "exists"
    )


# ------------------------------------------------------------------------------ of the cloud


def test_a_notice_of_the_cloud_becomes_a_receipt_with_its_content(h: Hosted) -> None:
    units = [
        kinds.Coming(code="P", level="pallet", product="tonic", lot="L1", pieces=8),
        kinds.Coming(code="P-0", level="case", parent="P", children=["b0", "b1", "b2", "b3"]),
        kinds.Coming(code="P-1", level="case", product="cola", lot="L4", parent="P", pieces=4),
    ]
    asn = kinds.Asn(number="A-1", sender="F", receiver="D1", units=units, territory="east")

    def job(conn: Connection) -> list[f.Fact]:
        facts = asn_facts(conn, h.site, asn, NOW)
        record(conn, "", facts, clock())
        return facts

    facts = h.writer.wait(job)
    assert [type(fact).__name__ for fact in facts] == ["DocumentOpened", "GoodsTold"]
    assert h.word("D1", "a", "scan", "A-1", "P") == "accepted"
    assert h.word("D1", "a", "close", "A-1") == "posted"
    assert h.stock("D1") == {("tonic", "L1", "A"): 4, ("cola", "L4", "A"): 4}
    assert h.warehouse.query(D1, "b3")["pieces"] == 1
    with pytest.raises(DomainError, match="document A-1 already"):
        asn_facts(h.db.conn, h.site, asn, NOW)
    for wrong, reason in (
        (kinds.Asn(number="A-2", sender="F", receiver="X", units=units), "unknown_party"),
        (kinds.Asn(number="A-2", sender="F", units=units), "unknown_party"),
        (
            kinds.Asn(
                number="A-2",
                sender="F",
                receiver="D1",
                units=[kinds.Coming(code="C", level="case", parent="NOT-TOLD")],
            ),
            "goods_nested_wrong",
        ),
    ):
        with pytest.raises(DomainError) as refused:
            asn_facts(h.db.conn, h.site, wrong, NOW)
        assert refused.value.reason == reason


def test_a_dispatch_of_the_cloud_becomes_an_order(h: Hosted) -> None:
    wanted = [kinds.Wanted(product="tonic", level="case", quantity=2)]
    asked = kinds.Dispatch(number="DO-1", party="S1", sender="D1", lines=wanted)
    (opened,) = dispatch_facts(h.db.conn, h.site, asked, NOW)
    assert isinstance(opened, f.DocumentOpened)
    assert (opened.kind, opened.other, opened.lines[0].pieces) == ("ship", "S1", 8)


def test_a_unit_in_itself_is_refused() -> None:
    units = [
        f.Told("A", "case", "", "", "", 0, "B", 1, ""),
        f.Told("B", "case", "", "", "", 0, "A", 1, ""),
    ]
    with pytest.raises(DomainError, match="not among the goods"):
        told_facts(in_memory("e"), "D1", "ASN", units)


# ------------------------------------------------------------------------------ what PDAs cache


def test_a_pda_gets_what_it_needs_to_judge_offline(h: Hosted) -> None:
    h.asn("D1", "ASN", [*pallet("P", "L1"), *pallet("Q", "L2")])
    assert h.word("D1", "a", "scan", "ASN", "P-0") == "accepted"
    rows: list[dict[str, object]] = []
    after = 0
    for _ in range(9):
        page = h.warehouse.goods(D1, "ASN", after, most=11)
        assert len(page["goods"]) <= 11
        rows += page["goods"]
        after = page["next"]
        if not after:
            break
    assert len(rows) == len({row["ref"] for row in rows}) == 22
    by_ref = {row["ref"]: row for row in rows}
    assert by_ref["P"]["codes"] == ["P", "SN-P"]
    assert (by_ref["P-0"]["parent"], by_ref["P-0"]["claimed_here"]) == ("P", True)
    assert all(row["expected"] and row["state"] == "expected" for row in rows)
    stocked(h, "D1", "L5")
    h.open("D1", "S", "ship", other="S1")
    there = h.warehouse.goods(D1, "S")["goods"]
    assert {row["ref"] for row in there if not row["parent"]} == {"D1-L5"}
    assert {row["state"] for row in there} == {"stock"}


def test_what_came_by_a_notice_leaves_the_record_of_who_had_it(h: Hosted) -> None:
    """A dealer shipped without scanning, and the cloud told the other one what comes."""
    stocked(h, "D1", "L1")
    h.asn("D2", "ASN", [f.Told("D1-L1", "pallet", "tonic", "L1", "", 0, "", 8, "")], other="D1")
    assert h.word("D2", "b", "scan", "ASN", "D1-L1") == "accepted"
    assert h.word("D2", "b", "close", "ASN") == "posted"
    assert (pieces(h, "D1"), pieces(h, "D2")) == (0, 8)
    (row,) = h.warehouse.ledger(D1, "0000", "9999")
    assert (row["received"], row["difference"], row["stock"]) == (8, -8, 0)
    assert h.warehouse.query(D1, "D1-L1")["known"] is False


def test_a_unit_that_changed_since_its_scan_is_not_posted(h: Hosted) -> None:
    h.asn("D1", "ASN", pallet("P", "L1"))
    h.open("D1", "R", "receive", location="B")
    assert h.word("D1", "a", "scan", "R", "P-0") == "accepted"
    h.asn("D2", "ALSO", pallet("P", "L1"))
    assert h.word("D2", "b", "scan", "ALSO", "P-0") == "accepted"
    assert h.word("D2", "b", "close", "ALSO", answer="difference") == "posted"
    result = h.do("D1", "a", "close", "R")
    assert (result.verdict, result.args["reason"]) == ("refused", "claim_gone")
    assert h.word("D1", "a", "scan", "R", "P-0", remove=True) == "removed"
    assert (pieces(h), pieces(h, "D2")) == (0, 4)


def test_a_unit_that_a_count_found_is_not_received_once_more(h: Hosted) -> None:
    h.asn("D1", "ASN", pallet("P", "L1"))
    assert h.word("D1", "a", "scan", "ASN", "P") == "accepted"
    h.open("D1", "C", "count", location="A")
    for _ in range(2):
        assert h.word("D1", "b", "scan", "C", "P") == "accepted"
        h.word("D1", "b", "count_done", "C")
    assert h.word("D1", "b", "close", "C", answer="difference") == "posted"
    assert pieces(h) == 8
    result = h.do("D1", "a", "close", "ASN")
    assert (result.verdict, result.args["reason"]) == ("refused", "claim_gone")
    assert h.word("D1", "a", "scan", "ASN", "P", remove=True) == "removed"
    assert h.word("D1", "a", "scan", "ASN", "P") == "duplicate"
    end = {"answer": "difference", "reason": "counted", "body": {"end": True}}
    assert h.word("D1", "a", "close", "ASN", **end) == "posted"
    assert pieces(h) == 8


def test_what_is_in_something_scanned_is_not_scanned_again(h: Hosted) -> None:
    stocked(h, "D1", "L1")
    h.open("D1", "S", "ship", other="S1")
    assert h.word("D1", "a", "scan", "S", "D1-L1") == "accepted"
    assert h.word("D1", "a", "scan", "S", "D1-L1-1") == "inside_scanned"
    assert h.word("D1", "a", "scan", "S", "D1-L1-1-2") == "inside_scanned"
    assert h.word("D1", "a", "scan", "S", "D1-L1-1", remove=True) == "inside_scanned"
