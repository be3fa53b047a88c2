"""`caselink user`, `device` and `tls` as a person types them, without a running agent."""

import json
import stat
from pathlib import Path

import pytest

from agent.services.devices import ALLOWED, Devices, Wanted
from agent.store.database import Database
from agent.store.readers import Readers
from agent.store.writer import Writer
from tests.services.pda_help import Key
from tests.test_cli import Shell, shell

__all__ = ["shell"]

PIN = "480217"


@pytest.fixture
def typed(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> Shell:
    monkeypatch.setenv("CASELINK_PIN", PIN)
    return shell


def test_people_come_and_go(typed: Shell) -> None:
    said = typed("user", "add", "1007", "--name", "李敏", "--operation", "ship")
    assert said[0] == 0, said
    assert typed("user", "add", "9001", "--name", "Wang", "--role", "supervisor")[0] == 0
    status, out, _ = typed("user", "list", "--json")
    assert (status, json.loads(out)) == (
        0,
        [
            {"badge": "1007", "name": "李敏", "role": "operator", "operations": ["ship"]},
            {"badge": "9001", "name": "Wang", "role": "supervisor", "operations": [*ALLOWED]},
        ],
    )
    assert "李敏" in typed("user", "list")[1]
    assert PIN not in typed.files.users.read_text("utf-8")
    assert stat.S_IMODE(typed.files.badges.stat().st_mode) == 0o600
    assert typed("user", "pin", "1007")[0] == 0
    assert typed("user", "remove", "1007")[0] == 0
    status, _, err = typed("user", "remove", "1007")
    assert (status, err.strip()) == (1, "Nobody has the badge 1007: see `caselink user list`.")
    status, _, err = typed("user", "add", "1007", "--name", "Li", "--operation", "fly")
    assert status == 1
    assert "no such operation" in err


def test_no_pin_is_set_past_the_sealed_pepper(
    typed: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a pepper that the command made for itself the agent would refuse the PIN."""
    sealed = tmp_path / "credentials"
    sealed.mkdir()
    typed.files.data.mkdir(parents=True, exist_ok=True)
    Database.open(typed.files.database, sealed / "caselink.key").close()
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(sealed))
    li = ("user", "add", "1007", "--name", "Li")
    for command in (("pin", "set", "Wang"), li):
        status, _, err = typed(*command)
        assert (status, "caselink-here" in err) == (1, True), err
    assert not (typed.files.data / "caselink.pepper").exists()
    (sealed / "caselink.pepper").write_text("5" * 64)
    for command in (("pin", "set", "Wang"), li):
        assert typed(*command)[0] == 0
    assert not (typed.files.data / "caselink.pepper").exists()


def test_a_device_is_listed_and_revoked_without_an_agent(typed: Shell) -> None:
    enrol = ("pda", "enrol", "--name", "one", "--party", "F01")
    assert "has no warehouse to scan for: add a [[warehouse]]" in typed(*enrol)[2]
    with typed.site.open("a") as file:
        file.write('[[warehouse]]\nparty = "F01"\nlocations = ["W1"]\n')
    assert "No agent runs" in typed(*enrol)[2]
    typed.files.data.mkdir(parents=True, exist_ok=True)
    database = Database.open(typed.files.database, typed.files.key)
    writer = Writer(database.conn)
    writer.start()
    readers = Readers(typed.files.database, typed.files.key)
    devices = Devices(readers, writer, {"F01": ["DOCK"]})
    code = devices.invite(Wanted("one", "F01", (), ("ship",), "li"))
    device = devices.enrol(code.text, Key().jwk, "CT58").device.id
    writer.close()
    readers.close()
    database.close()
    status, out, _ = typed("pda", "list", "--json")
    assert status == 0
    (shown,) = json.loads(out)
    assert (shown["device"], shown["revoked"], shown["seen_ms"]) == (device, False, 0)
    assert typed("pda", "revoke", device, "--why", "lost")[0] == 0
    assert json.loads(typed("pda", "list", "--json")[1])[0]["why"] == "lost"
    assert "cli: lost" in typed("pda", "list")[1]
    assert "revoked before" in typed("pda", "revoke", device, "--why", "lost")[2]
    assert "There is no device" in typed("pda", "revoke", "NOBODY22", "--why", "lost")[2]


def test_https_for_the_network_is_made_shown_and_renewed(typed: Shell) -> None:
    init = ("tls", "init", "--suffix", "plant.lan", "--network", "192.168.10.0/24")
    assert "no [web.lan]" in typed(*init)[2]
    whole = typed.site.read_text("utf-8")
    typed.site.write_text(whole + '[web.lan]\nnames = ["bank.example"]\n', "utf-8")
    assert "may not sign for bank.example" in typed(*init)[2]
    assert "no authority yet" in typed("tls", "show")[2]
    typed.site.write_text(whole + '[web.lan]\nnames = ["box1.plant.lan"]\n', "utf-8")
    status, out, _ = typed(*init)
    assert status == 0
    assert "take the authority's key off this machine" in out
    assert "is there already" in typed(*init)[2]
    first = typed("tls", "show")[1]
    assert "The authority's key is still here" in first
    assert "Not yet" in typed("tls", "renew")[1]
    away = typed.folder / "usb.key"
    (typed.files.tls / "site-ca.key").rename(away)
    # Another name is reason enough.
    lan = '[web.lan]\nnames = ["box1.plant.lan", "192.168.10.5"]\n'
    typed.site.write_text(whole + lan, "utf-8")
    assert "bring the authority's key" in typed("tls", "renew")[2]
    status, out, _ = typed("tls", "renew", "--ca-key", away)
    assert status == 0
    assert "192.168.10.5" in out
    shown = typed("tls", "show")[1]
    assert "still here" not in shown
    assert shown.splitlines()[0] == first.splitlines()[0], "the same authority"
    assert shown.splitlines()[1] != first.splitlines()[1]
    typed.site.write_text(whole + lan + 'cert = "a.pem"\nkey = "a.key"\n', "utf-8")
    assert "a certificate of your own" in typed("tls", "renew")[2]
    typed.site.write_text(whole + lan + 'cert = "a.pem"\n', "utf-8")
    assert "cert and key belong together" in typed("tls", "renew")[2]
