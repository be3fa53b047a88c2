"""Each trap of an EPCIS document is refused with a reason of its own, and a good one passes."""

import copy
from collections.abc import Callable
from typing import Any

import pytest

from sync.lint import problems

OBJECT: dict[str, Any] = {
    "type": "ObjectEvent",
    "eventID": "urn:uuid:2b5d9c1e-6f2a-5c38-9a77-0d4f5b6c7d8e",
    "eventTime": "2026-11-21T10:15:30.123+08:00",
    "eventTimeZoneOffset": "+08:00",
    "action": "ADD",
    "bizStep": "commissioning",
    "disposition": "active",
    "readPoint": {"id": "https://id.example.cn/loc/1"},
    "epcList": ["https://id.gs1.org/01/06901234000016/21/A1", "https://q.example.cn/B2"],
    "ilmd": {"cbvmda:lotNumber": "L1"},
    "x:seq": 7,
}
FAMILY: dict[str, Any] = {
    **{name: OBJECT[name] for name in list(OBJECT)[:5]},
    "type": "AggregationEvent",
    "eventID": "urn:uuid:2b5d9c1e-6f2a-5c38-9a77-0d4f5b6c7d8f",
    "bizStep": "packing",
    "disposition": "in_progress",
    "readPoint": {"id": "https://id.example.cn/loc/1"},
    "parentID": "https://q.example.cn/C",
    "childEPCs": ["https://q.example.cn/B2", "https://q.example.cn/B3"],
}


def document() -> dict[str, Any]:
    return {
        "@context": [
            "https://ref.gs1.org/standards/epcis/2.0.0/epcis-context.jsonld",
            {"cbvmda": "urn:epcglobal:cbv:mda:"},
            {"x": "https://ns.example.cn/edge/v1/"},
        ],
        "type": "EPCISDocument",
        "schemaVersion": "2.0",
        "creationDate": "2026-11-21T10:15:31.000+08:00",
        "epcisBody": {"eventList": [copy.deepcopy(OBJECT), copy.deepcopy(FAMILY)]},
    }


def test_a_good_document_has_no_problem() -> None:
    assert problems(document(), 19_999) == []


def event(n: int, **changed: Any) -> Callable[[dict[str, Any]], None]:
    def change(doc: dict[str, Any]) -> None:
        doc["epcisBody"]["eventList"][n].update(changed)

    return change


def without(n: int, name: str) -> Callable[[dict[str, Any]], None]:
    return lambda doc: doc["epcisBody"]["eventList"][n].pop(name)


def whole(**changed: Any) -> Callable[[dict[str, Any]], None]:
    return lambda doc: doc.update(changed)


CONTEXT = document()["@context"]

TRAPS: list[tuple[str, Callable[[dict[str, Any]], None]]] = [
    ("no_parent", without(1, "parentID")),
    ("no_children", without(1, "childEPCs")),
    ("no_children", event(1, childEPCs=[])),
    ("duplicate", event(1, childEPCs=["https://q.example.cn/B2"] * 2)),
    ("duplicate", event(0, epcList=["https://q.example.cn/B2"] * 2)),
    ("own_child", event(1, parentID="https://q.example.cn/B2")),
    ("undeclared_prefix", event(0, **{"acme:seq": 7})),
    ("undeclared_prefix", event(0, ilmd={"acme:lot": "L"})),
    ("prefixes_together", whole(**{"@context": [CONTEXT[0], {**CONTEXT[1], **CONTEXT[2]}]})),
    ("no_context", whole(**{"@context": [CONTEXT[1]]})),
    ("check_digit", event(0, epcList=["https://id.gs1.org/01/06901234000017/21/A1"])),
    ("check_digit", event(0, epcList=["https://shop.example.cn/01/12345678901234"])),
    ("check_digit", event(1, parentID="https://id.gs1.org/00/069012340000123457")),
    ("year", event(0, eventTime="1970-01-01T08:00:00.000+08:00")),
    ("year", whole(creationDate="1970-01-01T08:00:00.000+08:00")),
    ("time", event(0, eventTime="2026-11-21T10:15:30.123Z")),
    ("time", event(0, eventTime="2026-13-21T10:15:30.123+08:00")),
    ("offset", event(0, eventTimeZoneOffset="Z")),
    ("record_time", event(0, recordTime="2026-11-21T10:15:30.123+08:00")),
    ("object_only", event(1, persistentDisposition={"set": ["in_transit"]})),
    ("object_only", event(1, ilmd={"cbvmda:lotNumber": "L"})),
    ("ilmd", event(0, action="OBSERVE")),
    ("event_id", event(0, eventID="7")),
    ("event_id", without(0, "eventID")),
    ("unknown_event_type", event(0, type="TransformationEvent")),
    ("unknown_action", event(0, action="PUT")),
    ("word", event(0, bizStep="urn:")),
    ("word", event(0, disposition="fine")),
    ("no_bizStep", without(0, "bizStep")),
    ("no_epcs", without(0, "epcList")),
    ("no_read_point", without(0, "readPoint")),
    ("uri", event(0, epcList=["not a uri"])),
    ("uri", event(0, epcList=["https://q.example.cn/码"])),
    ("uri", event(0, epcList=[None])),
    ("no_list", event(0, epcList="https://q.example.cn/B2")),
    ("error_declaration", event(1, errorDeclaration="wrong")),
    ("time", event(1, errorDeclaration={"reason": "incorrect_data"})),
    ("too_many_events", whole(epcisBody={"eventList": [OBJECT] * 101})),
    ("no_events", whole(epcisBody={"eventList": []})),
    ("no_events", whole(epcisBody=[])),
    ("not_an_event", whole(epcisBody={"eventList": [7]})),
    ("not_a_document", whole(type="EPCISQueryDocument")),
    ("schema_version", whole(schemaVersion="1.2")),
]


@pytest.mark.parametrize(("reason", "change"), TRAPS)
def test_a_trap_is_refused_by_its_name(
    reason: str, change: Callable[[dict[str, Any]], None]
) -> None:
    doc = document()
    change(doc)
    found = problems(doc)
    assert reason in {problem.split(":")[0] for problem in found}, found


def test_a_long_document_and_what_is_none_are_refused() -> None:
    assert problems(document(), 20_001) == ["too_long: 20001 bytes, at most 20000"]
    for other in (None, [], 7, "x"):
        assert problems(other) == ["not_a_document: it is no JSON object"]


GOOD = "https://q.example.cn/B2"
NAMES: list[tuple[str, str]] = [
    ("https://q.example.cn/B3?a=%2F", ""),
    ("urn:x:1", ""),
    ("https:", "uri"),
    ("", "uri"),
    ("1:2", "uri"),
    ("q.example.cn/B3", "uri"),
    ("https://q.example.cn/B3\n", "uri"),
    ("https://q.example.cn/B3\nhttps://q.example.cn/B4", "uri"),
    ("https://q.example.cn/B 3", "uri"),
    ("https://q.example.cn/B%3", "uri"),
    ("https://q.example.cn/\udcff", "uri"),
    ("https://q.example.cn/" + "B" * 2048, "uri"),
    ("https://id.gs1.org/01/06901234000017", "check_digit"),
]


@pytest.mark.parametrize(("name", "reason"), NAMES)
def test_a_name_is_judged_alike_alone_and_among_others(name: str, reason: str) -> None:
    for names in ([name], [GOOD, name], [name, GOOD], [GOOD, name, "https://q.example.cn/B3"]):
        changed = document()
        event(0, epcList=names)(changed)
        assert [each.split(":")[0] for each in problems(changed)] == [reason][: len(reason)]


def test_a_list_that_was_good_says_nothing_of_one_that_differs_from_it() -> None:
    changed = document()
    event(0, epcList=FAMILY["childEPCs"])(changed)
    assert problems(changed) == []
    event(1, childEPCs=[*FAMILY["childEPCs"][:-1], "no uri"])(changed)
    assert [each.split(":")[0] for each in problems(changed)] == ["uri"]
    event(1, childEPCs=FAMILY["childEPCs"], parentID=FAMILY["childEPCs"][0])(changed)
    assert [each.split(":")[0] for each in problems(changed)] == ["own_child"]
