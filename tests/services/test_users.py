"""People who scan: who is let in, with which role, and what ends a badge."""

import json
import stat
from pathlib import Path

import pytest

from agent.core.errors import ConfigError, DomainError
from agent.services.pins import FREE, Pins
from agent.services.users import Users

PIN = "480217"
KNOWN = ("receive", "ship", "query")


@pytest.fixture
def users(tmp_path: Path) -> Users:
    return Users(tmp_path / "users", Pins(tmp_path / "badges", tmp_path / "pepper"), KNOWN)


def refused(users: Users, badge: str, pin: str) -> str:
    with pytest.raises(DomainError) as error:
        users.check(badge, pin)
    return error.value.reason


def test_a_badge_is_good_with_its_pin_and_says_who_it_is(users: Users, tmp_path: Path) -> None:
    assert refused(users, "1007", PIN) == "no_users"
    users.add("1007", "李敏", "supervisor", ["ship"], PIN)
    users.add("1008", "Wang", "operator", [], "902134")
    found = users.check("1007", PIN)
    assert (found.name, found.role, found.operations) == ("李敏", "supervisor", ("ship",))
    assert [found.at_least(role) for role in ("operator", "supervisor", "admin")] == [1, 1, 0]
    assert users.check("1008", "902134").operations == KNOWN
    assert refused(users, "1007", "902134") == "pin_wrong"
    assert refused(users, "1009", PIN) == "pin_wrong"
    for name in ("users", "badges"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600
        assert PIN not in (tmp_path / name).read_text("utf-8")


def test_wrong_pins_make_that_badge_wait_and_no_other(users: Users) -> None:
    users.add("1007", "Li", "operator", [], PIN)
    users.add("1008", "Wang", "operator", [], "902134")
    for _ in range(FREE):
        assert refused(users, "1007", "111222") == "pin_wrong"
    assert refused(users, "1007", PIN) == "pin_wait"
    assert users.check("1008", "902134").badge == "1008"


def test_a_new_pin_changes_the_stamp_and_a_removed_badge_is_out(users: Users) -> None:
    users.add("1007", "Li", "operator", [], PIN)
    before = users.check("1007", PIN).stamp
    users.set_pin("1007", "771122")
    assert refused(users, "1007", PIN) == "pin_wrong"
    assert users.check("1007", "771122").stamp != before
    users.remove("1007")
    users.add("1008", "Wang", "operator", [], PIN)
    assert refused(users, "1007", "771122") == "pin_wrong"
    assert users.get("1007") is None
    for deed in (lambda: users.remove("1007"), lambda: users.set_pin("1007", PIN)):
        with pytest.raises(DomainError) as error:
            deed()
        assert error.value.reason == "no_user"


def test_a_pin_without_a_person_opens_nothing(users: Users, tmp_path: Path) -> None:
    """As a power cut between the two files leaves it."""
    users.add("1008", "Wang", "operator", [], "902134")
    Pins(tmp_path / "badges", tmp_path / "pepper").set("1007", PIN)
    assert refused(users, "1007", PIN) == "pin_wrong"


@pytest.mark.parametrize(
    ("badge", "name", "role", "operations", "pin", "reason"),
    [
        ("10 07", "Li", "operator", [], PIN, "badge_wrong"),
        ("", "Li", "operator", [], PIN, "badge_wrong"),
        ("1" * 33, "Li", "operator", [], PIN, "badge_wrong"),
        ("1007", "L\x07i", "operator", [], PIN, "name_wrong"),
        ("1007", "", "operator", [], PIN, "name_wrong"),
        ("1007", "Li", "root", [], PIN, "role_wrong"),
        ("1007", "Li", "operator", ["fly"], PIN, "operation_unknown"),
        ("1007", "Li", "operator", [], "123456", "pin_weak"),
    ],
)
def test_what_is_wrong_is_refused_and_leaves_nothing(
    users: Users, badge: str, name: str, role: str, operations: list[str], pin: str, reason: str
) -> None:
    with pytest.raises(DomainError) as error:
        users.add(badge, name, role, operations, pin)  # type: ignore[arg-type]
    assert error.value.reason == reason
    assert users.every() == []


def test_a_damaged_file_lets_nobody_in(users: Users, tmp_path: Path) -> None:
    users.add("1007", "Li", "operator", [], PIN)
    for content in ("", "[]", '{"1007": {"name": "Li"}}', json.dumps({"1007": {"role": "root"}})):
        (tmp_path / "users").write_text(content, "utf-8")
        with pytest.raises(ConfigError, match="not a file of people"):
            users.check("1007", PIN)


def test_what_another_process_changes_counts_at_the_next_question(
    users: Users, tmp_path: Path
) -> None:
    """The command line's, while the agent runs; each file as long as the one before."""
    users.add("1007", "Li", "operator", [], PIN)
    other = Users(tmp_path / "users", Pins(tmp_path / "badges", tmp_path / "pepper"), KNOWN)
    stamps = set()
    for pin in ("902134", "713902", "460218"):
        found = users.get("1007")
        assert found is not None
        stamps.add(found.stamp)
        other.set_pin("1007", pin)
    assert len(stamps) == 3
    other.remove("1007")
    assert users.get("1007") is None
