"""PINs of leaders: who is let in, how long wrong ones wait, and what the files give away."""

import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent import now
from agent.core.errors import ConfigError, DomainError
from agent.services.pins import FIRST_WAIT, FREE, LONGEST_WAIT, Pins

PIN = "480217"


class Hours:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.at = 100.0

    def monotonic(self) -> float:
        return self.at

    def wall_ns(self) -> int:
        return 0

    def synced(self) -> bool:
        return False


@pytest.fixture
def hours() -> Iterator[Hours]:
    clock = Hours()
    now.follow(clock)
    yield clock
    now.follow(now.RealTime())


@pytest.fixture
def pins(tmp_path: Path) -> Pins:
    return Pins(tmp_path / "pins", tmp_path / "pepper")


def refused(pins: Pins, name: str, pin: str) -> str:
    with pytest.raises(DomainError) as error:
        pins.check(name, pin)
    assert pin not in str(error.value)
    return error.value.reason


def test_the_right_pin_is_let_in_and_no_other(pins: Pins, caplog: pytest.LogCaptureFixture) -> None:
    assert refused(pins, "wang", PIN) == "no_pins"
    pins.set("wang", PIN)
    pins.set("李敏", "771122")
    pins.check("wang", PIN)
    pins.check("李敏", "771122")
    with caplog.at_level(logging.WARNING):
        assert refused(pins, "wang", "771122") == "pin_wrong"
        assert refused(pins, "nobody", PIN) == "pin_wrong"
        assert refused(pins, "wang", "x" * 64) == "pin_wrong"
    assert "wang" in caplog.text
    assert "771122" not in caplog.text
    pins.set("wang", "902134")
    assert refused(pins, "wang", PIN) == "pin_wrong"
    pins.remove("wang")
    assert refused(pins, "wang", "902134") == "pin_wrong"
    assert pins.names() == ["李敏"]
    with pytest.raises(DomainError, match="no PIN"):
        pins.remove("wang")


def test_wrong_ones_wait_longer_and_longer_each_person_alone(pins: Pins, hours: Hours) -> None:
    pins.set("wang", PIN)
    pins.set("li", PIN)
    for _ in range(FREE):
        assert refused(pins, "wang", "111222") == "pin_wrong"
    assert refused(pins, "wang", PIN) == "pin_wait", "even the right one waits"
    pins.check("li", PIN)
    hours.at += FIRST_WAIT
    assert refused(pins, "wang", "111222") == "pin_wrong"
    hours.at += FIRST_WAIT
    assert refused(pins, "wang", PIN) == "pin_wait", "twice as long now"
    for _ in range(20):
        hours.at += LONGEST_WAIT
        assert refused(pins, "wang", "111222") == "pin_wrong"
    hours.at += LONGEST_WAIT - 1
    assert refused(pins, "wang", PIN) == "pin_wait"
    hours.at += 1
    pins.check("wang", PIN)
    assert refused(pins, "wang", "111222") == "pin_wrong", "the count began anew"


def test_a_restart_ends_no_wait(pins: Pins, hours: Hours, tmp_path: Path) -> None:
    pins.set("wang", PIN)
    pins.set("li", PIN)
    for _ in range(FREE):
        refused(pins, "wang", "111222")
    refused(pins, "li", "111222")
    hours.at = 3.0  # the machine was started anew, and so was its clock
    again = Pins(tmp_path / "pins", tmp_path / "pepper")
    assert refused(again, "wang", PIN) == "pin_wait"
    again.check("li", PIN)
    hours.at += FIRST_WAIT
    again.check("wang", PIN)
    third = Pins(tmp_path / "pins", tmp_path / "pepper")
    for _ in range(FREE):
        assert refused(third, "wang", "111222") == "pin_wrong", "the count began anew"
    wrong = tmp_path / "pins.wrong"
    assert wrong.stat().st_mode & 0o777 == 0o600
    assert json.loads(wrong.read_text("utf-8")) == {"wang": FREE}
    wrong.write_text("[]", "utf-8")
    with pytest.raises(ConfigError, match="Delete it"):
        Pins(tmp_path / "pins", tmp_path / "pepper").check("wang", PIN)


def test_names_that_have_no_pin_share_one_wait(pins: Pins, hours: Hours) -> None:
    pins.set("wang", PIN)
    for n in range(FREE):
        assert refused(pins, f"guess{n}", PIN) == "pin_wrong"
    assert refused(pins, "another", PIN) == "pin_wait"
    assert len(pins._wrong) == 1
    pins.check("wang", PIN)


@pytest.mark.parametrize(
    "pin", ["", "12345", "1234567890123", "abcdef", "111111", "234567", "٤٨٠٢١٧"]
)
def test_a_weak_pin_is_refused(pins: Pins, pin: str) -> None:
    with pytest.raises(DomainError) as error:
        pins.set("wang", pin)
    assert error.value.reason == "pin_weak"
    assert pins.names() == []


def test_the_files_are_private_and_the_hashes_worth_nothing_without_the_pepper(
    pins: Pins, tmp_path: Path
) -> None:
    pins.set("wang", PIN)
    for name in ("pins", "pepper"):
        assert (tmp_path / name).stat().st_mode & 0o777 == 0o600
    kept = json.loads((tmp_path / "pins").read_text("utf-8"))
    assert kept["wang"].startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert PIN not in (tmp_path / "pins").read_text("utf-8")
    assert len((tmp_path / "pepper").read_bytes()) == 32
    (tmp_path / "other").write_bytes(bytes(32))
    assert refused(Pins(tmp_path / "pins", tmp_path / "other"), "wang", PIN) == "pin_wrong"
    Pins(tmp_path / "pins", tmp_path / "pepper").check("wang", PIN)


def test_a_file_that_is_none_of_ours_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "pins").write_text("{", "utf-8")
    with pytest.raises(ConfigError, match="Delete it"):
        Pins(tmp_path / "pins", tmp_path / "pepper").check("wang", PIN)
