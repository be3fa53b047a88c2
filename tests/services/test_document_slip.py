"""A document's slip: what stands on it, however long and strange, in the printer's language."""

from typing import Any

from agent.services.document_slip import LINES, MOST_LABELS, slip_fields
from drivers.printers.label_files import load_label
from drivers.printers.zpl_label import recall


def document(lines: int, **more: Any) -> dict[str, Any]:
    line = {"product": "cola", "level": "case", "quantity": 4, "lot": "B41120", "pieces": 96}
    made = {
        "number": "CK-1",
        "kind": "ship",
        "location": "DOCK",
        "to": "",
        "paper": "PO-77",
        "lines": [line] * lines,
    }
    return {**made, **more}


def test_number_party_lines_and_total() -> None:
    (label,) = slip_fields(document(2), "Dealer East", "2026-11-22 10:00")
    assert (label["code"], label["number"], label["kind"]) == ("CK-1", "CK-1", "出库 Ship")
    assert (label["party"], label["paper"], label["total"]) == ("Dealer East", "PO-77", "2 / 192")
    assert (label["line1"], label["line3"]) == ("4 case  cola  B41120", "")


def test_a_long_document_is_several_labels_and_never_a_roll() -> None:
    labels = slip_fields(document(LINES + 1), "", "")
    assert [label["page"] for label in labels] == ["1 / 2", "2 / 2"]
    assert labels[1]["line1"] and not labels[1]["line2"]  # noqa: PT018 - one line each
    assert len(slip_fields(document(1000), "", "")) == MOST_LABELS


def test_what_is_too_long_for_the_label_is_cut_and_says_so() -> None:
    (label,) = slip_fields(document(1, paper="P" * 60), "D" * 64, "")
    assert (label["paper"], label["party"]) == ("P" * 43 + "…", "D" * 43 + "…")


def test_a_blind_document_and_a_transfer() -> None:
    (label,) = slip_fields(document(0, kind="transfer", to="A-01"), "", "")
    assert (label["party"], label["line1"], label["total"]) == ("DOCK > A-01", "-", "")


def test_every_field_of_the_label_is_there_and_no_text_becomes_a_command() -> None:
    evil = "^XZ^XA~JA_5E\\"
    strange = document(1, number="CK^FS", paper=evil, location=evil)
    strange["lines"][0]["lot"] = evil
    template = load_label("slip", "label-printer")
    (fields,) = slip_fields(strange, evil, evil)
    sent = recall("CL0", template, fields)
    assert sent.count(b"^XA") == 1
    assert sent.count(b"^XZ") == 1
    assert b"~" not in sent
    plain = recall("CL0", template, slip_fields(document(1), "", "")[0])
    assert sent.count(b"^") == plain.count(b"^")
