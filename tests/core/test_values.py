"""Values: nobody changes one, and it is the check of types that says so."""

from pathlib import Path

from mypy import api

from agent.core.facts import UnitsDoubted

CHANGED = """
from agent.core.facts.words import Fact
from agent.core.values import value

@value(frozen=True, slots=True)
class Seen(Fact):
    item: int

seen = Seen(1)
seen.item = 2
"""


def test_who_changes_a_value_does_not_pass_the_check_of_types(tmp_path: Path) -> None:
    changed = tmp_path / "changed.py"
    changed.write_text(CHANGED, "utf-8")
    said, wrong, _ = api.run(["--strict", "--no-incremental", str(changed)])
    assert not wrong
    assert 'Property "item" defined in "Seen" is read-only' in said
    assert "Found 1 error in 1 file" in said


def test_equal_values_are_one_key() -> None:
    one, other = UnitsDoubted((1, 2), "jam"), UnitsDoubted((1, 2), "jam")
    assert one == other
    assert {one: 1}[other] == 1
    assert one != UnitsDoubted((1,), "jam")
