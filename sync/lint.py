"""Our own check of an EPCIS document, before it leaves an agent and when it arrives.

The published JSON schema accepts documents that no repository can use (an ADD without a parent, a
child twice, a prefix that nobody declared, a wrong check digit, the year 1970). `problems` names
each by a stable reason, first word, then what is wrong where. Pure and quick: it runs on every
document.
"""

import re
import string
from collections.abc import Collection, Mapping
from functools import lru_cache
from typing import Any

from sync.events import CONTEXT, MAX_BYTES, MAX_EVENTS
from sync.uris import wrong_digital_link

EARLIEST_YEAR, LATEST_YEAR = 2020, 2099
MAX_URI = 2048

_TIME = re.compile(
    r"(\d{4})-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])T(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d"
    r"(?:\.\d{1,6})?[+-](?:0\d|1[0-4]):[0-5]\d"
)
_OFFSET = re.compile(r"[+-](?:0\d|1[0-4]):[0-5]\d")
_UUID = re.compile(r"urn:uuid:[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:(?:[A-Za-z0-9._~:/?#@!$&'()*+,;=-]|%[0-9A-Fa-f]{2})+")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_IN_URIS = (string.ascii_letters + string.digits + "._~:/?#@!$&'()*+,;=%-").encode()
_BAD_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")

_ACTIONS = {"ADD", "OBSERVE", "DELETE"}
_STEPS = {
    "assembling",
    "commissioning",
    "decommissioning",
    "destroying",
    "holding",
    "inspecting",
    "packing",
    "receiving",
    "sampling",
    "shipping",
    "stock_taking",
    "unpacking",
    "void_shipping",
}
_DISPOSITIONS = {
    "active",
    "destroyed",
    "in_progress",
    "in_transit",
    "inactive",
    "non_sellable_other",
    "returned",
    "sellable_accessible",
    "sellable_not_accessible",
}
_KINDS = {"ObjectEvent", "AggregationEvent", "AssociationEvent"}
_OBJECT_ONLY = ("persistentDisposition", "ilmd", "epcList", "quantityList")
_ERRORS = {"incorrect_data", "did_not_occur"}


def problems(document: Any, size: int = 0) -> list[str]:
    """What is wrong with a decoded document ([]: nothing); `size` is its bytes, 0 = unknown."""
    if not isinstance(document, dict):
        return ["not_a_document: it is no JSON object"]
    found: list[str] = []
    if document.get("type") != "EPCISDocument":
        found.append("not_a_document: its type is not EPCISDocument")
    if document.get("schemaVersion") != "2.0":
        found.append("schema_version: it is not 2.0")
    if size > MAX_BYTES:
        found.append(f"too_long: {size} bytes, at most {MAX_BYTES}")
    prefixes, wrong = _prefixes(document.get("@context"))
    found += wrong
    found += _time(document.get("creationDate"), "creationDate")
    body = document.get("epcisBody")
    events = body.get("eventList") if isinstance(body, dict) else None
    if not isinstance(events, list) or not events:
        return [*found, "no_events: epcisBody.eventList is missing or empty"]
    if len(events) > MAX_EVENTS:
        return [*found, f"too_many_events: {len(events)}, at most {MAX_EVENTS}"]
    good: list[Any] = []
    for n, event in enumerate(events):
        if wrong := event_problems(event, prefixes, good):
            found += [f"{problem} (event {n})" for problem in wrong]
    return found


def _prefixes(context: Any) -> tuple[set[str], list[str]]:
    if not isinstance(context, list) or CONTEXT not in context:
        return set(), ["no_context: the EPCIS context is missing"]
    found: set[str] = set()
    wrong = []
    for part in context:
        if isinstance(part, dict):
            if len(part) != 1:
                wrong.append("prefixes_together: each prefix needs an object of its own")
            found.update(str(name) for name in part)
    return found, wrong


def event_problems(
    event: Any, prefixes: Collection[str] = ("cbvmda", "x"), good: list[Any] | None = None
) -> list[str]:
    """What is wrong with one event. `good`: lists of names of the same document with which nothing
    is wrong; a case's bottles are named when they are commissioned and when they are packed."""
    good = [] if good is None else good
    if not isinstance(event, dict):
        return ["not_an_event: it is no JSON object"]
    found: list[str] = []
    kind, action = event.get("type"), event.get("action")
    if not isinstance(kind, str) or kind not in _KINDS:
        return [f"unknown_event_type: {kind}"]
    if not isinstance(action, str) or action not in _ACTIONS:
        found.append(f"unknown_action: {action}")
    event_id = event.get("eventID")
    if not isinstance(event_id, str) or not _UUID.fullmatch(event_id):
        found.append("event_id: it is no urn:uuid:")
    found += _time(event.get("eventTime"), "eventTime")
    offset = event.get("eventTimeZoneOffset")
    if not isinstance(offset, str) or not _OFFSET.fullmatch(offset):
        found.append(f"offset: eventTimeZoneOffset is {offset}, not like +08:00")
    if "recordTime" in event:
        found.append("record_time: whoever keeps the event sets recordTime, not its sender")
    if "readPoint" not in event:
        found.append("no_read_point: readPoint is missing")
    found += _words(event)
    found += _declared(event, prefixes)
    if kind == "ObjectEvent":
        found += _objects(event, good)
    else:
        found += [
            f"object_only: {name} is for ObjectEvents" for name in _OBJECT_ONLY if name in event
        ]
        found += _family(event, good)
    error = event.get("errorDeclaration")
    if error is not None:
        found += _declaration(error)
    return found


def _time(value: Any, name: str) -> list[str]:
    year = _year(value) if isinstance(value, str) else None
    if year is None:
        return [f"time: {name} is {value}, not like 2026-11-21T10:15:30.123+08:00"]
    if not EARLIEST_YEAR <= year <= LATEST_YEAR:
        return [f"year: {name} is in {year:04d}"]
    return []


@lru_cache(256)
def _year(text: str) -> int | None:
    """The year of a time, None: it is none. All events of a document give the same one."""
    found = _TIME.fullmatch(text)
    return int(found[1]) if found else None


def _words(event: Mapping[str, Any]) -> list[str]:
    found = []
    for name, words in (("bizStep", _STEPS), ("disposition", _DISPOSITIONS)):
        word = event.get(name)
        if word is None:
            found.append(f"no_{name}: it is missing")
        elif not isinstance(word, str) or (word not in words and not _URI.fullmatch(word)):
            found.append(f"word: {name} {word} is neither of the vocabulary nor a full URI")
    return found


def _declared(event: Mapping[str, Any], prefixes: Collection[str]) -> list[str]:
    names = [*event, *(event["ilmd"] if isinstance(event.get("ilmd"), dict) else ())]
    return [
        f"undeclared_prefix: {name}"
        for name in names
        if ":" in name and name[: name.index(":")] not in prefixes
    ]


def _objects(event: Mapping[str, Any], good: list[Any]) -> list[str]:
    found = []
    epcs, quantities = event.get("epcList", []), event.get("quantityList", [])
    if not epcs and not quantities:
        found.append("no_epcs: an ObjectEvent names nothing")
    found += _uris(epcs, "epcList", good)
    if isinstance(quantities, list):
        classes = [q.get("epcClass") if isinstance(q, dict) else None for q in quantities]
        found += _uris(classes, "quantityList", good)
    else:
        found.append("no_list: quantityList is no list")
    if "ilmd" in event and (event.get("action"), event.get("bizStep")) != ("ADD", "commissioning"):
        found.append("ilmd: it is for commissioning only")
    return found


def _family(event: Mapping[str, Any], good: list[Any]) -> list[str]:
    """Parent and children."""
    found = []
    parent, children = event.get("parentID"), event.get("childEPCs", [])
    if parent is None:
        found.append("no_parent: parentID is missing")
    else:
        found += _uris([parent], "parentID", good)
    if not children:
        found.append("no_children: childEPCs is missing or empty")
    found += _uris(children, "childEPCs", good)
    if isinstance(children, list) and parent in children:
        found.append("own_child: the parent is among its children")
    return found


def _uris(names: Any, where: str, good: list[Any]) -> list[str]:
    if not isinstance(names, list):
        return [f"no_list: {where} is no list"]
    if not names or names in good:
        return []
    if _plainly_good(names):
        good.append(names)
        return []
    found = []
    for name in names:
        if not isinstance(name, str) or len(name) > MAX_URI or not _URI.fullmatch(name):
            found.append(f"uri: {where} has {str(name)[:80]!r}, which is no URI")
        elif "/0" in name and (wrong := wrong_digital_link(name)):
            found.append(f"check_digit: {wrong} in {where} has a wrong check digit")
    if len({name for name in names if isinstance(name, str)}) < len(names) and not found:
        found.append(f"duplicate: {where} names a thing twice")
    return found


def _plainly_good(names: list[Any]) -> bool:
    """Whether nothing at all is wrong with these names; False where it needs a closer look. All at
    once takes a tenth of the time."""
    try:
        lines = "\n".join(names)
    except TypeError:
        return False
    scheme = _SCHEME.match(lines)
    if scheme is None:
        return False
    sizes = set(map(len, names))
    data = lines.encode("utf-8", "surrogatepass")
    return (
        lines.count("\n" + scheme[0]) == len(names) - 1
        and data.translate(None, _IN_URIS) == b"\n" * (len(names) - 1)
        and min(sizes) > len(scheme[0])
        and max(sizes) <= MAX_URI
        and len(set(names)) == len(names)
        and "/01/" not in lines
        and "/00/" not in lines
        and ("%" not in lines or _BAD_PERCENT.search(lines) is None)
    )


def _declaration(error: Any) -> list[str]:
    if not isinstance(error, dict):
        return ["error_declaration: it is no JSON object"]
    found = _time(error.get("declarationTime"), "declarationTime")
    reason = error.get("reason")
    if not isinstance(reason, str) or (reason not in _ERRORS and not _URI.fullmatch(reason)):
        found.append(f"error_declaration: reason {reason}")
    return found
