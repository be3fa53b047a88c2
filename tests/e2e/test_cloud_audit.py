"""What the demonstration's audit says of the cloud: nothing where it has what the record has, and
each way in which it could differ counted."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import msgspec
import pytest

from agent import config as site_config
from agent.app import Files
from agent.demo.cloudaudit import Cloud, Record, compare
from agent.demo.result import Result
from agent.demo.simulate import SimOptions, simulate
from agent.store import journal
from agent.store.database import Connection, open_reader
from agent.store.look import Journalled
from sync.cloud import answers, lists, relations
from sync.cloud.database import Connection as CloudConnection
from sync.cloud.database import open_database
from sync.cloud.ingest import Ingest, Prepared
from sync.envelope import ZERO, Batch, Doc, encode
from sync.epcis import translate
from sync.pending import State
from sync.uris import Identity

ME = Identity("demo", "plant-1", "edge-1")
SEED = 2


class Shift(NamedTuple):
    """A simulated shift: its audit, its record, and a cloud that was told all of it."""

    result: Result
    record: Connection
    cloud: CloudConnection
    truth: list[dict[str, Any]]
    fates: list[dict[str, Any]]


def tell(record: Connection, ingest: Ingest) -> None:
    """The whole journal, in one batch."""
    state, look, docs = State(), Journalled(record), []
    for entry in journal.read(record, 1):
        told = translate(state, entry, look, ME)
        docs += [
            Doc(entry.seq, n, len(told), msgspec.Raw(each.body)) for n, each in enumerate(told)
        ]
    batch = Batch(
        agent=ME.name,
        epoch=entry.epoch,
        first=1,
        last=entry.seq,
        prev=ZERO,
        hash=entry.hash.hex(),
        docs=docs,
    )
    prepared = ingest.prepare(ME.name, encode(batch))
    assert isinstance(prepared, Prepared)
    (ack,) = ingest.apply([prepared], 1)
    assert (ack.upto, ack.reject) == (entry.seq, [])


@pytest.fixture(scope="module", params=["bottling-sequence", "liquor-multiread"])
def shift(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Shift]:
    site, _, pack = request.param.partition("-")
    keep = tmp_path_factory.mktemp("shift")
    options = SimOptions(bottles=300, site=site, pack=pack, troubles="harsh", keep=keep)
    result = simulate(options, SEED).result
    assert result.good, result.notes
    folder = keep / f"seed-{SEED}"
    files = Files(site_config.load(folder / "site.toml"), folder / "site.toml")
    record = open_reader(files.database, files.key)
    database = open_database(f"sqlite:///{folder / 'cloud.db'}")
    ingest = Ingest(database)
    tell(record, ingest)
    ingest.close()
    cloud = database.connect()
    truth = [json.loads(line) for line in (folder / "truth.jsonl").read_text().splitlines()]
    fates = json.loads((folder / "plant.json").read_text())["containers"]
    yield Shift(result, record, cloud, truth, fates)
    cloud.close()
    database.close()
    record.close()


def told(cloud: CloudConnection) -> Iterator[dict[str, Any]]:
    """All relations, page by page."""
    page = relations.relations(cloud)
    yield from page.rows
    while page.more:
        page = relations.relations(cloud, page.cursor)
        yield from page.rows


def audited(
    shift: Shift, changed: Mapping[str, Mapping[str, Any] | None], *more: str, moved: str = ""
) -> Result:
    """The audit where the cloud answers otherwise for some codes (None: it does not know them),
    knows of `more` containers, and says in its relations that the item `moved` is in nothing."""

    def ask(code: str) -> Mapping[str, Any]:
        answer = answers.trace(shift.cloud, code)
        if code not in changed:
            return answer
        change = changed[code]
        return {"code": code, "answer": "not_known_yet"} if change is None else {**answer, **change}

    found = Result(**{name: getattr(shift.result, name) for name in KEPT})
    known = [each for each in lists.containers(shift.cloud) if changed.get(each, {}) is not None]
    cloud = Cloud(ask, [*known, *more])
    rows = [row for row in told(shift.cloud) if row["bottle"] != moved]
    rows += [{"bottle": moved, "case": None, "pallet": None}] if moved else []
    record = Record(shift.record, ME)
    compare(found, record, cloud, rows, shift.truth, shift.fates, ME.code)
    return found


KEPT = ("wrong_proven", "wrong_anchored", "wrong_inferred", "wrong_incomplete", "wrong_doubtful")
KEPT += ("missing", "child_in_two")


def counted(result: Result) -> tuple[int | None, int | None, int | None]:
    return result.cloud_missing, result.cloud_extra, result.cloud_wrong


def case(shift: Shift) -> str:
    """A closed case that is what it is said to be."""
    (first, *_) = [
        each["code"]
        for each, fate in zip(shift.truth, shift.fates, strict=True)
        if each["level"] == "case" and not each["open"] and not fate["rejected"] and each["code"]
    ]
    return str(first)


def test_after_a_harsh_shift_the_cloud_has_what_the_record_has(shift: Shift) -> None:
    result = audited(shift, {})
    assert counted(result) == (0, 0, 0), result.notes
    assert len(list(lists.containers(shift.cloud))) >= 8


def test_a_container_that_the_cloud_does_not_know_is_missing(shift: Shift) -> None:
    result = audited(shift, {case(shift): None})
    missing, extra, wrong = counted(result)
    assert (missing, extra) == (1, 0)
    assert wrong  # the plant's account misses it too
    assert not result.good


def test_a_container_that_is_in_no_record_is_extra(shift: Shift) -> None:
    strange = "https://q.example.cn/NOBODYKNOWSTHIS7"
    result = audited(shift, {}, strange)
    assert counted(result) == (0, 1, 0)
    assert not result.good


@pytest.mark.parametrize(
    "change",
    [
        {"down": []},
        {"down": [{"code": "https://q.example.cn/FOREIGN"}]},
        {"integrity": "proven", "unknown": 1},
        {"unknown": 3},
        {"doubtful": "other"},
        {"state": "rejected"},
        {"level": "pallet"},
        {"integrity": "other"},
    ],
    ids=str,
)
def test_what_the_cloud_says_otherwise_is_wrong(shift: Shift, change: dict[str, Any]) -> None:
    code = case(shift)
    before = answers.trace(shift.cloud, code)
    if change.get("doubtful") == "other":
        change = {"doubtful": not before["doubtful"]}
    if change.get("integrity") == "other":
        change = {"integrity": "incomplete"}
    result = audited(shift, {code: change})
    missing, extra, wrong = counted(result)
    assert (missing, extra) == (0, 0)
    assert wrong
    assert not result.good


def test_an_item_that_the_relations_put_elsewhere_is_wrong(shift: Shift) -> None:
    code = case(shift)
    row = next(row for row in told(shift.cloud) if row["case"] == code)
    result = audited(shift, {}, moved=row["bottle"])
    assert counted(result) == (0, 0, 1), result.notes


def test_a_child_that_is_said_to_be_elsewhere_is_not_inside(shift: Shift) -> None:
    code = case(shift)
    down = answers.trace(shift.cloud, code)["down"]
    down[0]["elsewhere"] = "unpacked"
    assert counted(audited(shift, {code: {"down": down}}))[2]
