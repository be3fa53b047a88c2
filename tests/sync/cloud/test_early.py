"""A container of which the cloud was told before it was closed, by a hold or by its pallet, and
that is corrected later. Its correction declares wrong what the row that closed it told again, not
what told it first: nothing of the first telling may stay, and nothing may be lost."""

from pathlib import Path

import pytest

from agent.core import facts as f
from agent.core.facts import Fact
from agent.store import trace
from sync.cloud.answers import trace as asked
from sync.cloud.database import open_database
from sync.cloud.relations import relations
from tests.store.store_help import PALLETS, Plant, boxed
from tests.sync.cloud.test_shift import batches, named
from tests.sync.cloud.told import Cloud

CASE, FIRST, LATE = 5, (1, 2, 3, 4), 9
HELD = f.HoldPlaced(1, (CASE,), "", "", -1, 0, 0, "looks odd", "qa")
BY_PARENT = boxed(20, "pallet", (CASE,), f.CodeKey(PALLETS, 0, 0), "pallet")

EARLY: dict[str, tuple[list[Fact], list[Fact]]] = {
    # what tells it: before its label (by then it can be in no pallet), before its end
    "a hold before its label": ([HELD], []),
    "a hold before its end": ([], [HELD]),
    "its pallet before its end": ([], BY_PARENT),
}


@pytest.mark.parametrize("early", EARLY)
@pytest.mark.parametrize("content", [(2, 3, 4), (2, 3, 4, LATE), (1, 2, 3, LATE), FIRST])
def test_a_correction_of_what_was_told_early(
    tmp_path: Path, early: str, content: tuple[int, ...]
) -> None:
    plant = Plant(tmp_path).load()
    before_label, before_end = EARLY[early]
    facts = plant.case(1, 0, 0)
    label = next(n for n, fact in enumerate(facts) if isinstance(fact, f.LabelAssigned))
    plant.put(*facts[:label], plant.bottle(LATE, 8))
    plant.put(*before_label)
    plant.put(*facts[label:-1])
    plant.put(*before_end)
    plant.put(facts[-1])
    removed = tuple(child for child in FIRST if child not in content)
    why = (f.LinkEvidence.SCANNED,)
    plant.put(f.LinksCorrected(CASE, content, removed, why, f.Integrity.PROVEN, "scanned", "li"))
    cloud = Cloud(open_database(f"sqlite:///{tmp_path / 'cloud.db'}"))
    for batch in batches(plant.conn):
        assert cloud.take(batch).reject == []
    (box,) = (each for each in trace.containers(plant.conn) if each["level"] == "case")
    found = asked(cloud.conn, box["code"])
    known = sorted(named(child) for child in box["children"])
    assert len(known) == len(content)
    assert sorted(each["code"] for each in found["down"]) == known
    assert (found["unknown"], found["integrity"]) == (0, "proven")
    rows = {row["bottle"]: row for row in relations(cloud.conn, "", 100).rows}
    assert sorted(bottle for bottle, row in rows.items() if row["case"]) == known
    assert (cloud.count("claim"), cloud.count("dead_letter")) == (0, 0)
    cloud.close()
    plant.close()
