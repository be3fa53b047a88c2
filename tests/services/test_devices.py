"""PDAs: a code lets in one device and once, a signature speaks for it, and revoking ends it."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from agent import now
from agent.core import facts as f
from agent.core.errors import DomainError
from agent.core.goods import SUPERVISE
from agent.services import access as rules
from agent.services.access import Access, Signed, scan_time
from agent.services.devices import ALLOWED, CODE_SECONDS, MOST_CODES, Devices, Enrolled, Wanted
from agent.services.gatekeeper import Gatekeeper
from agent.services.pins import Pins
from agent.services.rates import Rate, Rates, TooMany
from agent.services.signing import key_of
from agent.services.users import Users
from agent.store import devices as stored
from agent.store import journal
from agent.store.readers import Readers
from agent.store.verify import verify
from tests.services.pda_help import Key, plain64
from tests.store.store_help import Plant

PIN = "480217"
WANTED = Wanted("Dock 1", "F01", ("DOCK",), ("receive", "ship", "query"), "li")
HOUR_MS = 3_600_000
P256 = 0xFFFFFFFF00000001000000000000000000000000FFFFFFFFFFFFFFFFFFFFFFFF


class Hours:
    """Clocks that a test sets."""

    def __init__(self) -> None:
        self.at = 1_763_700_000.0

    def monotonic(self) -> float:
        return self.at

    def wall_ns(self) -> int:
        return int(self.at * 1000) * 1_000_000

    def synced(self) -> bool:
        return True

    @property
    def ms(self) -> int:
        return int(self.at * 1000)


@pytest.fixture
def hours() -> Iterator[Hours]:
    clock = Hours()
    now.follow(clock)
    yield clock
    now.follow(now.RealTime())


class Site:
    """A store with its devices, people and what lets them in."""

    def __init__(self, where: Path) -> None:
        self.plant = Plant(where)
        self.plant.writer.start()
        self.readers = Readers(self.plant.path, self.plant.key_file)
        places = {"F01": ["A-01", "DOCK"], "D77": ["MAIN"]}
        self.devices = Devices(self.readers, self.plant.writer, places)
        self.users = Users(where / "users", Pins(where / "badges", where / "pepper"), ALLOWED)
        self.access = Access(self.readers, self.plant.writer, self.users)
        self.key = Key()
        self.nonce = 0

    def enrolled(self, key: Key | None = None, **scope: Any) -> Enrolled:
        code = self.devices.invite(WANTED._replace(**scope))
        return self.devices.enrol(code.text, (key or self.key).jwk, "CT58")

    def signed(self, who: Enrolled, key: Key | None = None, **changed: Any) -> Signed:
        """A request of a device, changed after it was signed."""
        self.nonce += 1
        nonce = f"nonce-{self.nonce:016}"
        target, body = "/api/pda/v1/items?x=1", b'{"items": []}'
        signature = (key or self.key).request("POST", target, "1763700000000", nonce, body)
        made = Signed(
            "POST",
            target,
            body,
            who.device.id,
            who.token,
            "1763700000000",
            nonce,
            signature,
            "192.0.2.7",
        )
        return made._replace(**changed)

    def close(self) -> None:
        self.plant.writer.close()
        self.readers.close()
        self.plant.close()


@pytest.fixture
def site(tmp_path: Path, hours: Hours) -> Iterator[Site]:
    made = Site(tmp_path)
    yield made
    made.close()


def reason(work: Callable[[], Any]) -> str:
    with pytest.raises(DomainError) as error:
        work()
    return error.value.reason


# --------------------------------------------------------------------------------------- enrolment


def test_a_code_lets_one_device_in_and_is_kept_by_its_hash(site: Site, tmp_path: Path) -> None:
    code = site.devices.invite(WANTED)
    assert code.seconds == 300
    assert len(code.text) == 22, "128 bits"
    made = site.devices.enrol(code.text, site.key.jwk, "CT58")
    device = made.device
    assert (device.party, device.locations, device.operations) == WANTED[1:4]
    assert (device.name, device.model, device.by, device.revoked) == ("Dock 1", "CT58", "li", None)
    assert reason(lambda: site.devices.enrol(code.text, Key().jwk, "")) == "enrol_used"
    assert reason(lambda: site.devices.enrol("x" * 22, Key().jwk, "")) == "enrol_unknown"
    with site.readers.connection() as conn:
        (fact,) = [e.fact for e in journal.read(conn) if isinstance(e.fact, f.DeviceEnrolled)]
        assert not verify(conn).problems
    assert made.token not in repr(fact)
    assert len(made.token) >= 43, "256 bits"
    assert code.text not in repr(site.devices.__dict__), "a dump of memory gives no code away"


def test_a_code_is_good_for_five_minutes(site: Site, hours: Hours) -> None:
    first, second = site.devices.invite(WANTED), site.devices.invite(WANTED)
    hours.at += CODE_SECONDS - 1
    site.devices.enrol(first.text, site.key.jwk, "")
    hours.at += 1
    assert reason(lambda: site.devices.enrol(second.text, Key().jwk, "")) == "enrol_expired"
    assert len(site.devices.every()) == 1


def test_a_wrong_key_is_refused_and_the_code_stays_good(site: Site) -> None:
    code = site.devices.invite(WANTED)
    good = site.key.jwk
    x = int.from_bytes(bytes.fromhex(key_of(good))[1:33])
    wrong: list[dict[str, Any]] = [
        {},
        {**good, "kty": "RSA"},
        {**good, "crv": "P-384"},
        {**good, "crv": "secp256k1"},
        {**good, "d": good["x"]},
        {**good, "y": good["x"]},  # not on the curve
        {**good, "x": plain64((0).to_bytes(32)), "y": plain64((0).to_bytes(32))},
        {**good, "x": plain64((x + P256).to_bytes(33))},
        {**good, "x": good["x"] + "="},
        {**good, "x": good["x"][:-1] + "!"},
        {**good, "x": 7},
        {**good, "x": "é" * 43},
    ]
    for jwk in wrong:
        assert reason(lambda jwk=jwk: site.devices.enrol(code.text, jwk, "")) == "key_wrong"  # type: ignore[misc]
    assert site.devices.enrol(code.text, good, "").device.party == "F01"


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"party": "D99"}, "unknown_party"),
        ({"locations": ("MAIN",)}, "unknown_location"),
        ({"operations": ("ship", "fly")}, "operation_unknown"),
        ({"operations": (SUPERVISE,)}, "operation_unknown"),
        ({"operations": ()}, "operation_unknown"),
        ({"name": ""}, "name_wrong"),
        ({"name": "a\nb"}, "name_wrong"),
    ],
)
def test_a_scope_that_is_not_there_is_refused(
    site: Site, changed: dict[str, Any], why: str
) -> None:
    assert reason(lambda: site.devices.invite(WANTED._replace(**changed))) == why


def test_codes_are_bounded(site: Site, hours: Hours) -> None:
    for _ in range(MOST_CODES):
        site.devices.invite(WANTED)
    assert reason(lambda: site.devices.invite(WANTED)) == "too_many_codes"
    hours.at += 2 * CODE_SECONDS
    site.devices.invite(WANTED)


# ---------------------------------------------------------------------------------------- requests


def test_a_signed_request_is_believed_once(site: Site) -> None:
    who = site.enrolled()
    asked = site.signed(who)
    assert site.access.device(asked).id == who.device.id
    assert reason(lambda: site.access.device(asked)) == "replayed"
    assert site.access.device(site.signed(who)).id == who.device.id


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"method": "GET"}, "bad_signature"),
        ({"target": "/api/pda/v1/items?x=2"}, "bad_signature"),
        ({"body": b'{"items": [1]}'}, "bad_signature"),
        ({"time": "1763700000001"}, "bad_signature"),
        ({"nonce": "another-nonce-of-mine"}, "bad_signature"),
        ({"signature": ""}, "bad_signature"),
        ({"signature": plain64(bytes(64))}, "bad_signature"),
        ({"signature": plain64(b"\xff" * 64)}, "bad_signature"),
        ({"bearer": ""}, "not_enrolled"),
        ({"bearer": "x" * 43}, "not_enrolled"),
        ({"device": "NOBODY22"}, "not_enrolled"),
        ({"device": ""}, "not_enrolled"),
    ],
)
def test_a_changed_request_is_refused(site: Site, changed: dict[str, Any], why: str) -> None:
    who = site.enrolled()
    assert reason(lambda: site.access.device(site.signed(who, **changed))) == why


def test_one_device_cannot_sign_for_another(site: Site) -> None:
    mine, other = site.enrolled(), Key()
    theirs = site.enrolled(other)
    assert reason(lambda: site.access.device(site.signed(mine, other))) == "bad_signature"
    swapped = site.signed(theirs, other, device=mine.device.id)
    assert reason(lambda: site.access.device(swapped)) == "not_enrolled"
    # The token alone, as one who saw a request would have it, is worth nothing.
    assert reason(lambda: site.access.device(site.signed(mine, Key()))) == "bad_signature"


def test_a_revoked_device_is_refused_at_once_and_for_good(site: Site) -> None:
    who = site.enrolled()
    site.access.device(site.signed(who))
    site.devices.revoke(who.device.id, "li", "lost")
    assert reason(lambda: site.access.device(site.signed(who))) == "device_revoked"
    assert reason(lambda: site.devices.revoke(who.device.id, "li", "")) == "device_revoked"
    assert reason(lambda: site.devices.revoke("NOBODY22", "li", "")) == "unknown_device"
    ((shown, _),) = site.devices.every()
    assert (shown.revoked_by, shown.why) == ("li", "lost")
    with site.readers.connection() as conn:
        assert not verify(conn).problems


def test_only_signed_nonces_are_remembered_and_not_for_ever(site: Site) -> None:
    who = site.enrolled()
    asked = site.signed(who)
    site.access.device(asked)
    for _ in range(20):  # nobody who cannot sign pushes one out
        forged = site.signed(who, signature=plain64(bytes(64)), address=f"192.0.2.{_}")
        assert reason(lambda forged=forged: site.access.device(forged)) == "bad_signature"  # type: ignore[misc]
    assert reason(lambda: site.access.device(asked)) == "replayed"


def test_failures_of_one_address_make_it_wait(site: Site, hours: Hours) -> None:
    who = site.enrolled()
    for _ in range(rules.FAILURES.burst):
        bad = site.signed(who, bearer="x")
        assert reason(lambda bad=bad: site.access.device(bad)) == "not_enrolled"  # type: ignore[misc]
    with pytest.raises(TooMany) as error:
        site.access.device(site.signed(who))
    assert error.value.after >= 1
    assert site.access.device(site.signed(who, address="192.0.2.8")).id == who.device.id
    hours.at += 2
    assert site.access.device(site.signed(who)).id == who.device.id


def test_a_device_that_asks_too_often_waits(site: Site, hours: Hours) -> None:
    who = site.enrolled()
    for _ in range(rules.REQUESTS.burst):
        site.access.device(site.signed(who))
    assert reason(lambda: site.access.device(site.signed(who))) == "too_many"
    hours.at += 1
    site.access.device(site.signed(who))


# ------------------------------------------------------------------------------------------ people


def test_a_log_in_gives_what_device_and_person_both_may(site: Site) -> None:
    device = site.enrolled().device
    site.users.add("1007", "Li", "operator", ["ship", "count"], PIN)
    site.users.add("1008", "Wang", "supervisor", [], "902134")
    made = site.access.login(device, "1007", PIN)
    assert made.operations == ("ship",)
    scope = site.access.person(device, made.token)
    assert (scope.party, scope.locations, scope.operations) == ("F01", ("DOCK",), ("ship",))
    assert (scope.user, scope.device) == ("1007", device.id)
    above = site.access.login(device, "1008", "902134")
    assert above.operations == ("receive", "ship", "query", SUPERVISE)
    assert reason(lambda: site.access.login(device, "1007", "902134")) == "pin_wrong"


def test_a_log_in_is_for_its_device_and_ends(site: Site, hours: Hours) -> None:
    device, other = site.enrolled().device, site.enrolled(Key()).device
    site.users.add("1007", "Li", "operator", [], PIN)
    made = site.access.login(device, "1007", PIN)
    assert made.until == hours.ms + rules.LASTS_MS
    assert reason(lambda: site.access.person(other, made.token)) == "not_logged_in"
    assert reason(lambda: site.access.person(device, "")) == "not_logged_in"
    for _ in range(3):  # somebody who goes on stays
        hours.at += rules.IDLE_MS / 1000 - 1
        site.access.person(device, made.token)
    hours.at += rules.IDLE_MS / 1000
    assert reason(lambda: site.access.person(device, made.token)) == "not_logged_in"
    again = site.access.login(device, "1007", PIN)
    while hours.ms < again.until - 1:
        hours.at += min(rules.IDLE_MS - 1, again.until - 1 - hours.ms) / 1000
        site.access.person(device, again.token)
    hours.at += 0.002
    assert reason(lambda: site.access.person(device, again.token)) == "not_logged_in"


def test_an_idle_log_in_survives_no_start_of_the_agent(site: Site, hours: Hours) -> None:
    device = site.enrolled().device
    site.users.add("1007", "Li", "operator", [], PIN)
    made = site.access.login(device, "1007", PIN)
    fresh = Access(site.readers, site.plant.writer, site.users)
    assert fresh.person(device, made.token).user == "1007"
    hours.at += rules.IDLE_MS / 1000
    fresh = Access(site.readers, site.plant.writer, site.users)
    assert reason(lambda: fresh.person(device, made.token)) == "not_logged_in"


@pytest.mark.parametrize("deed", ["pin", "remove"])
def test_a_new_pin_or_a_removed_badge_ends_log_ins(site: Site, deed: str) -> None:
    device = site.enrolled().device
    site.users.add("1007", "Li", "operator", [], PIN)
    made = site.access.login(device, "1007", PIN)
    if deed == "pin":
        site.users.set_pin("1007", "771122")
    else:
        site.users.remove("1007")
    assert reason(lambda: site.access.person(device, made.token)) == "not_logged_in"


def test_who_scans_offline_is_believed_until_the_log_in_ends(site: Site, hours: Hours) -> None:
    device, other = site.enrolled().device, site.enrolled(Key()).device
    site.users.add("1007", "Li", "operator", [], PIN)
    made = site.access.login(device, "1007", PIN)
    began = hours.ms
    hours.at += 30 * 3600  # more than a day later, the queue comes
    speaks = site.access.speaks(device, "1007")
    assert speaks(began + 60_000).operations == ("receive", "ship", "query")
    assert speaks(made.until - 1).operations == ("receive", "ship", "query")
    assert speaks(made.until).operations == ()
    assert site.access.speaks(device, "1008")(began).operations == (), "never logged in here"
    assert site.access.speaks(other, "1007")(began).operations == (), "not on that device"
    assert speaks(made.until).user == "1007", "but it is still written down who it says it was"


def test_scanning_without_a_network_keeps_the_log_in_going(site: Site, hours: Hours) -> None:
    device = site.enrolled().device
    site.users.add("1007", "Li", "operator", [], PIN)
    made = site.access.login(device, "1007", PIN)
    began = hours.ms
    hours.at += 3 * 3600
    speaks = site.access.speaks(device, "1007")
    for minutes in range(0, 180, 20):
        speaks(began + minutes * 60_000)
    site.access.person(device, made.token)
    again = site.access.login(device, "1007", PIN)
    hours.at += 3 * 3600
    site.access.speaks(device, "1007")(hours.ms - 1000)  # but not over a gap
    assert reason(lambda: site.access.person(device, again.token)) == "not_logged_in"


def test_log_ins_are_limited_for_a_device(site: Site) -> None:
    device = site.enrolled().device
    site.users.add("1007", "Li", "operator", [], PIN)
    for _ in range(rules.LOGINS.burst):
        site.access.login(device, "1007", PIN)
    assert reason(lambda: site.access.login(device, "1007", PIN)) == "too_many"


def test_a_supervisor_lets_devices_in_and_nobody_below(site: Site) -> None:
    site.users.add("1007", "Li", "operator", [], PIN)
    site.users.add("9001", "Wang", "supervisor", [], "902134")
    here = "http://localhost:8080/pda/", ""
    gate = Gatekeeper(site.devices, site.users, lambda: here)
    assert reason(lambda: gate.supervisor("1007", PIN)) == "not_supervisor"
    assert reason(lambda: gate.supervisor("9001", PIN)) == "pin_wrong"
    assert gate.supervisor("9001", "902134").name == "Wang"
    shown = gate.invite(WANTED)
    code = shown["text"].removeprefix("http://localhost:8080/pda/#enrol=")
    assert site.devices.enrol(code, site.key.jwk, "").device.party == "F01"
    assert [set(row) <= {"0", "1"} for row in shown["rows"]] == [True] * len(shown["rows"])
    (told,) = gate.every("F01")
    assert (told["seen_ms"], told["queue"], told["revoked"]) == (0, -1, False)
    assert gate.every("D77") == []


# -------------------------------------------------------------------------------------- small ones


@pytest.mark.parametrize("off", [0, 10 * 365 * 24 * HOUR_MS, -10 * 365 * 24 * HOUR_MS, 7])
def test_the_time_of_a_scan_is_ours_however_wrong_the_clock(off: int) -> None:
    here = 1_763_700_000_000
    assert scan_time(here, here + off, here + off - HOUR_MS) == here - HOUR_MS
    assert scan_time(here, here + off, here + off) == here


def test_a_clock_that_was_set_between_scan_and_upload_says_nothing() -> None:
    here, years = 1_763_700_000_000, 10 * 365 * 24 * HOUR_MS
    assert scan_time(here, here, here + years) == here
    assert scan_time(here, here, here - years) == here


def test_a_bucket_refills_and_takes_nothing_when_it_refuses(hours: Hours) -> None:
    rates = Rates(Rate(2.0, 10))
    rates.take("a", 10)
    with pytest.raises(TooMany) as error:
        rates.take("a", 4)
    assert error.value.after == 2
    hours.at += 2
    rates.take("a", 4)
    rates.take("b", 30)  # more than a burst: of a full bucket only, and paid for
    hours.at += 9
    with pytest.raises(TooMany):
        rates.take("b")
    hours.at += 2
    rates.take("b")


def test_what_was_last_heard_is_remembered(site: Site, hours: Hours, tmp_path: Path) -> None:
    who = site.enrolled().device
    site.devices.heard(who.id, stored.Seen(hours.ms, 12, -3))
    site.devices.heard(who.id, stored.Seen(hours.ms + 5, -1, -3))
    ((_, seen),) = site.devices.every()
    assert seen == stored.Seen(hours.ms + 5, 12, -3)
    again = Devices(site.readers, site.plant.writer, {"F01": []})
    assert again.every()[0][1] == stored.Seen(hours.ms, 12, -3), "written at most once a minute"
