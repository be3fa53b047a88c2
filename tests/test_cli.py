"""The command line: what a person types, what is answered, and the exit status.

Everything but the entry point itself runs in this process, through `main` as a shell would call it.
"""

import json
import os
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import typer.main

from agent.app import Files
from agent.cli import app, main
from agent.cli import status as status_command
from agent.config import load
from agent.core import inputs as i
from agent.core.errors import TransientError
from agent.ports.cloud import Parked
from agent.services.pins import Pins
from agent.store import outbox
from agent.store.database import Database, connect
from agent.store.writer import Writer
from drivers.shipped import CONFIG
from tests.core.lines import Line, filled, labelled, shown

SITE = """
[agent]
id = "test"
data = "."

[products.cola]
names = { zh = "可乐", en = "Cola" }

[schemes.two-to-a-case]
levels = [
  { name = "bottle", primary = "body", roles = ["body"] },
  { name = "case", primary = "case-outer", roles = ["case-outer"], children = 2 },
]
"""

Said = tuple[int, str, str]


class Shell:
    """Types commands; answers with exit status, stdout, stderr."""

    def __init__(self, folder: Path, captured: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self.site = folder / "site.toml"
        self.site.write_text(SITE, "utf-8")
        self.files = Files(load(self.site), self.site)
        self._captured = captured

    def __call__(self, *words: str | Path, config: bool = True) -> Said:
        args = [str(word) for word in words] + (["--config", str(self.site)] if config else [])
        with pytest.raises(SystemExit) as end:
            main(args)
        out, err = self._captured.readouterr()
        return int(str(end.value.code or 0)), out, err


@pytest.fixture
def shell(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Shell:
    monkeypatch.setenv("COLUMNS", "200")
    return Shell(tmp_path, capsys)


@pytest.fixture
def packed(shell: Shell) -> Shell:
    """A store with two bottles in a closed case and one that is still free."""
    with Line(shell.folder).start() as line:
        filled(line, 0, 1)
        shown(line, "B-0000", "B-0001")
        labelled(line, "C-0000")
        line.good_bottle(2)
    return shell


def commands() -> Iterator[tuple[str, ...]]:
    """Every command there is, e.g. ("pool", "import")."""

    def below(command: Any, above: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
        for name, each in getattr(command, "commands", {}).items():
            if hasattr(each, "commands"):
                yield from below(each, (*above, name))
            else:
                yield (*above, name)

    yield from below(typer.main.get_command(app), ())


# ---------------------------------------------------------------------------------- what there is


def test_there_are_these_commands() -> None:
    assert sorted(" ".join(command) for command in commands()) == [
        "alarms",
        "backup",
        "bypass start",
        "bypass stop",
        "clearance",
        "clearances",
        "cloud commands",
        "cloud party",
        "cloud resend",
        "cloud revoke",
        "cloud run",
        "cloud send-asn",
        "cloud send-config",
        "cloud send-dispatch",
        "cloud send-order",
        "cloud send-party",
        "cloud send-pool",
        "cloud send-product",
        "cloud token add",
        "cloud token list",
        "cloud token revoke",
        "cloud trace",
        "cloud withdraw",
        "config check",
        "config schema",
        "db rebuild",
        "db verify",
        "demo",
        "destroy",
        "device check",
        "device list",
        "device log",
        "device prove",
        "device test",
        "document close",
        "document import",
        "document list",
        "document reverse",
        "document show",
        "export containers",
        "hold",
        "holds",
        "label preview",
        "order change",
        "order create",
        "order finish",
        "order list",
        "order pause",
        "order resume",
        "order start",
        "pack",
        "pda enrol",
        "pda list",
        "pda revoke",
        "pin list",
        "pin remove",
        "pin set",
        "pool import",
        "pool list",
        "pool settle",
        "relabel",
        "release",
        "reopen",
        "replace",
        "restore",
        "run",
        "sample",
        "scan",
        "simulate",
        "status",
        "stock",
        "sync commands",
        "sync key",
        "sync parked",
        "sync settle",
        "sync status",
        "test-mode start",
        "test-mode stop",
        "tls init",
        "tls renew",
        "tls show",
        "trace",
        "unpack",
        "user add",
        "user list",
        "user pin",
        "user remove",
        "vision grade",
        "vision replay",
        "vision score",
        "vision tune",
        "void",
    ]


@pytest.mark.parametrize("command", list(commands()), ids=" ".join)
def test_every_command_is_in_the_help_and_in_the_guide(
    shell: Shell, command: tuple[str, ...]
) -> None:
    status, out, _ = shell(*command[:-1], "--help", config=False)
    assert status == 0
    assert re.search(rf"\b{command[-1]}\b", out)
    status, out, _ = shell(*command, "--help", config=False)
    assert status == 0
    guide = Path("docs/integrator.md").read_text("utf-8")
    assert f"`caselink {' '.join(command)}" in guide, "document it in docs/integrator.md"


@pytest.mark.parametrize("command", list(commands()), ids=" ".join)
def test_every_option_says_what_it_is_for(command: tuple[str, ...]) -> None:
    found: Any = typer.main.get_command(app)
    for name in command:
        found = found.commands[name]
    assert found.help
    for option in found.params:
        if option.param_type_name == "option":
            assert option.help, f"{' '.join(command)} {option.opts[0]}"


@pytest.mark.parametrize("words", [["--help"], ["config", "check", "config/bottling.toml"]])
def test_the_module_is_a_program(words: list[str]) -> None:
    """`python -m agent.cli` is how the demonstration starts its agent."""
    command = [sys.executable, "-m", "agent.cli", *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert "Usage" in done.stdout or "good" in done.stdout


# ------------------------------------------------------------------------------------ exit status


@pytest.mark.parametrize(
    "words",
    [
        ["fly"],
        ["trace"],
        ["pool", "import"],
        ["pool", "import", "x.csv", "--rule", "RULE-"],
        ["order", "create", "WO-1"],
        ["demo", "--for", "soon"],
        ["demo", "--for", "2d"],
        ["demo", "--speed", "1"],
        ["demo", "--troubles", "some"],
        [
            *("cloud", "send-order", "WO-1", "--db", "sqlite:///x", "--to", "a/b/c", "--line", "L"),
            *("--product", "P", "--lot", "B", "--scheme", "s", "--target", "1", "--pool", "caps"),
        ],
    ],
    ids=" ".join,
)
def test_what_is_not_understood_ends_with_2(shell: Shell, words: list[str]) -> None:
    status, _, err = shell(*words, config=words[0] not in ("demo", "cloud"))
    assert status == 2
    assert "Usage" in err


def test_a_file_that_is_not_there_ends_with_1_and_a_remedy(shell: Shell) -> None:
    shell.site.unlink()
    status, out, err = shell("pool", "list")
    assert (status, out) == (1, "")
    assert "cannot be read" in err
    assert "--config" in err
    assert "Traceback" not in err


def test_a_command_for_a_running_agent_says_that_none_runs(shell: Shell) -> None:
    shell.files.data.mkdir(exist_ok=True)
    for words in (["order", "start", "WO-1", "--line", "L1"], ["order", "pause", "--line", "L1"]):
        status, _, err = shell(*words)
        assert status == 1
        assert "No agent answers on port 8080" in err
        assert "caselink run" in err


# ----------------------------------------------------------------- a place that cannot be used


def test_a_state_folder_that_cannot_be_made_is_said_in_one_line(shell: Shell) -> None:
    (shell.folder / "file").write_text("")
    shell.site.write_text(SITE.replace('data = "."', 'data = "file/below"'))
    for words in (["run"], ["user", "list"], ["db", "rebuild"]):
        status, _, err = shell(*words)
        assert (status, len(err.splitlines())) == (1, 1)
        assert f"{shell.folder}/file/below: Not a directory: " in err
        assert "name another place" in err


def test_a_state_folder_of_another_user_is_not_a_missing_agent(shell: Shell) -> None:
    shell.files.token.write_text("secret")
    shell.files.token.chmod(0)
    here = [sys.executable, "-m", "agent.cli", "order", "start", "WO-1", "--line", "L1"]
    drop: list[str] = []
    if os.geteuid() == 0:  # root passes over permissions until it gives that up
        drop = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-all"]
    asked = [*drop, *here, "--config", str(shell.site)]
    done = subprocess.run(asked, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert f"{shell.files.token}: Permission denied: run the command as the agent's" in done.stderr


def test_a_database_that_does_not_open_says_what_to_look_at(tmp_path: Path) -> None:
    with pytest.raises(TransientError, match=r"cannot be opened: .*; look with `dmesg`"):
        connect(tmp_path / "x.db", "0" * 64, read_only=True)


# ----------------------------------------------------------------------------------------- status


def test_status_of_an_agent_that_does_not_run(packed: Shell) -> None:
    status, out, _ = packed("status")
    assert status == 1
    assert "DOES NOT RUN: systemctl status caselink-agent" in out
    status, out, _ = packed("status", "--json")
    data = json.loads(out)
    assert (status, data["running"], data["agent"], data["lines"]) == (1, False, "test", [])
    assert data["rows"] > 0
    assert data["disk_free_bytes"] > 0


def test_status_of_an_agent_that_does_not_answer(packed: Shell) -> None:
    """A port that takes connections and ends them, as of an agent that hangs or dies."""
    packed.files.token.write_text("secret")
    with socket.create_server(("127.0.0.1", 0)) as port:
        number = port.getsockname()[1]
        packed.site.write_text(f"{SITE}\n[web]\nport = {number}\n", "utf-8")
        dropping = threading.Thread(target=lambda: port.accept()[0].close())
        dropping.start()
        status, out, _ = packed("status")
        dropping.join(10)
    assert status == 1
    assert "test DOES NOT ANSWER: look into journalctl" in out
    assert "rows, the last of" in out  # the record is looked at all the same


@pytest.mark.parametrize(
    ("cause", "said"),
    [
        ({"key": "store_failed", "by": None, "agent": True, "device": None}, "The disk does not"),
        ({"key": "device_lost", "by": None, "agent": True, "device": "ink"}, "Device lost"),
        ({"key": "quality", "by": "li", "agent": False, "device": None}, "Paused by li: "),
        ({"key": "", "by": "agent", "agent": True, "device": None}, "The line stopped by itself"),
    ],
)
def test_status_says_why_a_line_is_held_in_words(cause: dict[str, Any], said: str) -> None:
    assert said in status_command.why(cause)


def test_status_before_the_first_start(shell: Shell) -> None:
    status, out, _ = shell("status")
    assert status == 1
    assert "there is no database" in out


def test_version_is_told(shell: Shell) -> None:
    status, out, _ = shell("--version", config=False)
    assert (status, out) == (0, f"caselink {version('caselink')}\n")


# ----------------------------------------------------------------------------------------- config


def test_config_check_names_every_mistake(shell: Shell) -> None:
    shell.site.write_text(SITE.replace("children = 2", "childs = 2"))
    status, out, err = shell("config", "check", shell.site, config=False)
    assert (status, out) == (1, "")
    line = SITE.splitlines().index("levels = [") + 1
    assert err.startswith(f"{shell.site}:{line}: unknown key schemes.two-to-a-case.levels.1.childs")


def test_config_check_says_that_nothing_is_wrong(shell: Shell) -> None:
    status, out, _ = shell("config", "check", shell.site, config=False)
    assert (status, out) == (0, f"{shell.site}: 0 lines, 0 stations, 0 devices: good.\n")


def test_config_check_takes_the_file_of_config(shell: Shell) -> None:
    status, out, _ = shell("config", "check")
    assert (status, out) == (0, f"{shell.site}: 0 lines, 0 stations, 0 devices: good.\n")


@pytest.mark.parametrize(
    ("right", "wrong", "said"),
    [
        (
            '"06901234000016"',
            '"06901234000017"',
            "its check digit is 6, not 7: compare",
        ),
        ('"bottling-1"', '"bottling 1"', "agent.id: 'bottling 1' is not a name: write letters"),
        ('"generic-queue"', '"no-such"', "the printer profile no-such cannot be read"),
        ('{ case = "case" }', '{ case = "no-such" }', "the label no-such cannot be read"),
        ('template = "case"', 'template = "box"', "case-printer has no label box: write template"),
        (
            'roles = ["body"], symbology = "QRCode" }',
            'roles = ["body"] }',
            "camera verify: add symb",
        ),
        ('"127.0.0.1:9202"', '"127.0.0.1:9201"', "listens on port 9201 as device verify does"),
        ('"127.0.0.1:9202"', '"0.0.0.0:8080"', "listens on port 8080 as the panel does"),
    ],
)
def test_config_check_looks_at_what_devices_name(
    shell: Shell, right: str, wrong: str, said: str
) -> None:
    text = (CONFIG / "bottling.toml").read_text("utf-8")
    assert right in text
    shell.site.write_text(text.replace(right, wrong, 1), "utf-8")
    status, out, err = shell("config", "check")
    assert (status, out, len(err.splitlines())) == (1, "", 1)
    assert re.match(rf"{re.escape(str(shell.site))}:\d+: ", err)
    assert said in err


def test_config_check_says_what_a_reader_misses_without_the_whole_section(shell: Shell) -> None:
    section = '[devices.eye]\ntype = "line_reader"\naddress = "tcp://127.0.0.1:9"\nprofile = "nix"'
    shell.site.write_text(f"{SITE}{section}\n", "utf-8")
    _, _, err = shell("config", "check")
    assert "device eye: the reader profile nix cannot be read (No such file or directory)" in err
    assert "'type'" not in err


def test_config_schema_is_json(shell: Shell) -> None:
    status, out, _ = shell("config", "schema", config=False)
    assert status == 0
    assert json.loads(out)["required"] == ["agent"]


# ------------------------------------------------------------------------------------------ pools


def test_a_pool_says_whose_codes_it_holds(shell: Shell) -> None:
    file = shell.folder / "caps.csv"
    file.write_text("body\nB-1\n")
    status, _, err = shell("pool", "import", file)
    assert status == 2
    assert "--level LEVEL --role ROLE" in err
    status, _, err = shell("pool", "import", file, "--level", "bottel", "--role", "body")
    assert status == 1
    assert "has bottel/body (there are bottle/body, case/case-outer)" in err


def import_pool(shell: Shell, text: str | bytes, *more: str, name: str = "caps") -> Said:
    file = shell.folder / f"{name}.csv"
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    return shell("pool", "import", file, "--level", "bottle", "--role", "body", *more)


def pools(shell: Shell) -> list[dict[str, Any]]:
    status, out, err = shell("pool", "list", "--json")
    assert status == 0, err
    return list(json.loads(out))


def test_a_pool_is_imported_and_listed(shell: Shell) -> None:
    status, out, _ = import_pool(shell, "body\nB1\nB2\nB3\n", "--product", "cola")
    assert (status, out) == (0, "Pool caps: 3 rows, roles body.\n")
    (pool,) = pools(shell)
    assert pool == {
        "pool": "caps",
        "level": "bottle",
        "roles": ["body"],
        "count": 3,
        "used": 0,
        "in_question": False,
    }
    status, out, _ = shell("pool", "list")
    assert "caps" in out


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("body\nB1\nB2\nB1\n", ["line 4", "line 2"]),
        ("body\n(01)06901234000016(21)A\n(01)06901234000017(21)B\n", ["line 3", "check digit"]),
        ("body\nB1\n\n", ["line 3"]),
        ("body\nB1\nB2", ["line 3", "newline"]),
        ("boddy\nB1\n", ["line 1", "body"]),
        ("# count=3\nbody\nB1\nB2\n", ["2 rows", "says 3"]),
        ("body\nB1\n可乐\n".encode("gbk"), ["line 3", "UTF-8"]),
    ],
    ids=["duplicate", "check digit", "empty", "truncated", "column", "manifest", "encoding"],
)
def test_a_bad_pool_file_is_refused_whole_with_its_lines(
    shell: Shell, text: str | bytes, words: list[str]
) -> None:
    import_pool(shell, "body\nGOOD-1\n", name="good")
    status, out, err = import_pool(shell, text)
    assert (status, out) == (1, "")
    assert "refused whole, nothing of it was imported" in err
    assert all(word in err for word in words), err
    assert [pool["pool"] for pool in pools(shell)] == ["good"]
    # Nothing is left that would be in the way of the mended file.
    assert import_pool(shell, "body\nB1\nB2\n")[0] == 0


def test_a_code_of_another_pool_and_a_name_that_is_taken_are_refused(shell: Shell) -> None:
    import_pool(shell, "body\nB1\nB2\n", name="one")
    status, _, err = import_pool(shell, "body\nB3\nB2\n", name="two")
    assert status == 1
    assert "row 2" in err
    assert "one" in err
    status, _, err = import_pool(shell, "body\nB4\n", "--name", "one")
    assert status == 1
    assert "another name" in err


def test_a_pool_by_rule(shell: Shell) -> None:
    common = ["--name", "urls", "--level", "bottle", "--role", "body"]
    status, out, _ = shell("pool", "import", *common, "--rule", "https://q.example.cn/")
    assert status == 0, out
    assert pools(shell)[0]["count"] == 0
    status, _, err = shell("pool", "import", *common, "--secret", "body", "--rule", "LONG-PREFIX")
    assert status == 1
    assert "secret" in err


# ----------------------------------------------------------------------------- what the record says


def test_trace_tells_where_a_bottle_is(packed: Shell) -> None:
    status, out, _ = packed("trace", "B-0000", "--json")
    assert status == 0
    found = json.loads(out)
    assert (found["code"], found["level"], found["state"]) == ("B-0000", "bottle", "packed")
    assert (found["product"], found["lot"], found["parent"]["code"]) == ("cola", "A", "C-0000")
    status, out, _ = packed("trace", "B-0000")
    assert status == 0
    assert "C-0000" in out


def test_trace_of_a_case_tells_its_children_and_its_worth(packed: Shell) -> None:
    found = json.loads(packed("trace", "C-0000", "--json")[1])
    assert found["integrity"] == "proven"
    assert sorted(found["children"]) == ["B-0000", "B-0001"]


def test_trace_of_nobodys_code(packed: Shell) -> None:
    status, _, err = packed("trace", "X-1")
    assert status == 1
    assert "No pool lists or admits X-1" in err


def test_export_gives_one_json_line_per_container(packed: Shell) -> None:
    status, out, _ = packed("export", "containers")
    assert status == 0
    (case,) = map(json.loads, out.splitlines())
    marks = {"doubtful", "broken"}
    assert (
        set(case)
        == {
            "level",
            "code",
            "children",
            "evidence",
            "integrity",
            "state",
            "closed_at",
        }
        | marks
    )
    assert (case["level"], case["code"], case["integrity"]) == ("case", "C-0000", "proven")
    assert sorted(case["children"]) == ["B-0000", "B-0001"]


# ------------------------------------------------------------------- what people do with units


def test_a_case_is_mended_where_no_agent_runs(packed: Shell) -> None:
    why = ("--reason", "leaks", "--by", "li")
    status, out, _ = packed("replace", "B-0002", "--old", "B-0001", *why)
    assert (status, out) == (0, "Done: 1 taken out, 1 put in.\n")
    case = json.loads(packed("trace", "C-0000", "--json")[1])
    assert (case["children"], case["integrity"]) == (["B-0000", "B-0002"], "proven")
    (former,) = json.loads(packed("trace", "B-0001", "--json")[1])["formerly"]
    assert former["container"] == "C-0000"
    status, _, err = packed("replace", "B-0001", "--old", "B-0001", *why)
    assert status == 1
    assert "is in no container" in err
    assert packed("unpack", "C-0000", "--child", "B-0000", *why)[0] == 0
    assert packed("unpack", "C-0000", *why)[1] == "Done: 1 taken out, open again.\n"
    assert packed("sample", "B-0000", *why)[1] == "Done: 1 sampled.\n"
    assert packed("destroy", "B-0000", *why)[1] == "Done: 1 destroyed.\n"
    assert packed("void", "B-0030", "B-0031", *why)[1] == "Done: 2 codes void.\n"
    rows = ("--pool", "bottles", "--from", "32", "--to", "39")
    assert packed("void", *rows, *why)[1] == "Done: 8 codes void.\n"
    assert packed("db", "verify")[0] == 0


def test_quality_holds_and_lets_go(packed: Shell) -> None:
    why = ("--reason", "smell", "--by", "qa")
    assert packed("hold", "C-0000", *why)[1] == "Done: 3 units held, hold 1.\n"
    assert packed("hold", "--lot", "A", "--product", "cola", *why)[0] == 0
    (lot, units) = json.loads(packed("holds", "--json")[1])
    assert (lot["hold"], lot["lot"], units["units"]) == (2, "A", 3)
    assert "lot A of cola" in packed("holds")[1]
    status, _, err = packed("release", "B-0002", *why)
    assert status == 1
    assert "release that one" in err
    assert packed("release", "--hold", "2", *why)[0] == 0
    assert packed("release", "B-0000", *why)[1] == "Done: 1 units released.\n"
    held = json.loads(packed("trace", "B-0001", "--json")[1])
    assert (held["held"], held["holds"]) == (True, [1])


def test_a_hand_scan_says_when_it_differs(packed: Shell) -> None:
    status, out, err = packed("scan", "C-0000", "B-0000", "B-0001", "--complete", "--by", "li")
    assert (status, out, err) == (0, "Done: 2 scanned.\n", "")
    status, _, err = packed("scan", "C-0000", "B-0000", "B-0002", "--by", "li")
    assert status == 0
    assert "differs from the record" in err
    assert json.loads(packed("trace", "C-0000", "--json")[1])["doubtful"]


def test_a_reason_is_asked_for(packed: Shell) -> None:
    assert packed("unpack", "C-0000", "--by", "li")[0] == 2
    assert packed("unpack", "C-0000", "--by", "li", "--reason", "")[0] == 2


def test_the_orders_are_listed(packed: Shell) -> None:
    (order,) = json.loads(packed("order", "list", "--json")[1])
    assert (order["number"], order["line"], order["state"]) == ("WO-1", "L1", "running")
    assert "WO-1" in packed("order", "list")[1]


# --------------------------------------------------------------------------------------- the store


def test_verify_finds_nothing_and_rebuild_changes_nothing(packed: Shell) -> None:
    before = packed("export", "containers")[1]
    status, out, _ = packed("db", "verify")
    assert status == 0
    assert re.fullmatch(r"\d+ journal entries, 0 problems\.\n", out)
    status, out, _ = packed("db", "rebuild")
    assert status == 0
    assert "Tables made anew" in out
    assert packed("export", "containers")[1] == before
    assert json.loads(packed("db", "verify", "--json")[1])["problems"] == []


def test_verify_tells_what_was_tampered_with(packed: Shell) -> None:
    with Line(packed.folder, fresh=False) as line:
        line.conn.execute("UPDATE container SET count = 5")
        line.conn.commit()
    status, out, _ = packed("db", "verify")
    assert status == 1
    assert "0 problems" not in out
    assert packed("db", "rebuild")[0] == 0
    assert packed("db", "verify")[0] == 0


def test_a_store_that_is_not_there_is_told(shell: Shell) -> None:
    for words in (["trace", "B-0000"], ["db", "verify"], ["export", "containers"]):
        status, _, err = shell(*words)
        assert status == 1
        assert "there is no database" in err


# ----------------------------------------------------------------------------------------- alarms


@pytest.fixture
def alarmed(shell: Shell) -> Shell:
    """A store with an alarm that is open, and one that a person has acknowledged and is over."""
    with Line(shell.folder).start() as line:
        line.code_bottle(7, 0)
        line.tell(i.ItemTriggered("verify", 7), i.GateReported("verify", 7, i.GateSaw.FAILED))
        line.tell(i.AcknowledgeAlarm("L1/verify/reject_failed", "li"))
        line.tell(i.ConditionChanged("L1/plc/low_air", True, 1, "low_air"))
    return shell


def test_alarms_say_cause_item_and_remedy_in_both_languages(alarmed: Shell) -> None:
    status, out, _ = alarmed("alarms")
    assert status == 0
    assert "Open alarms: 1" in out
    assert "Air pressure low" in out
    assert "Check air supply" in out
    assert re.search(r"over: 1\n\[1\] .* L1  Reject failed: station verify · item 7", out)
    assert "acknowledged by li" in out
    status, out, _ = alarmed("alarms", "--lang", "zh", "--limit", "0")
    assert "气压低" in out
    assert "剔除失败" not in out
    assert not re.search("[A-Za-z]{4}", out), "one language"


def test_alarms_as_json(alarmed: Shell) -> None:
    status, out, _ = alarmed("alarms", "--json", "--lang", "zh")
    assert status == 0
    found = json.loads(out)
    (now,), (over,) = found["open"], found["history"]
    assert (now["key"], now["priority"], now["cleared"]) == ("low_air", 1, None)
    assert (over["key"], over["item"], over["acknowledged_by"]) == ("reject_failed", 7, "li")
    assert over["do"].startswith("停线")
    assert over["raised"] < over["cleared"]
    assert json.loads(alarmed("alarms", "--json", "--line", "L9")[1]) == {"open": [], "history": []}


# ----------------------------------------------------------------------------------------- bypass


def test_a_leader_gets_a_pin_that_nobody_sees(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CASELINK_PIN", "480217")
    status, out, err = shell("pin", "set", "wang")
    assert (status, "wang has a new PIN" in out) == (0, True)
    assert "480217" not in out + err
    Pins(shell.files.pins, shell.files.pepper).check("wang", "480217")
    assert shell("pin", "list")[1] == "wang\n"
    monkeypatch.setenv("CASELINK_PIN", "111111")
    status, _, err = shell("pin", "set", "li")
    assert (status, "digits" in err) == (1, True)
    assert shell("pin", "remove", "wang")[0] == 0
    assert shell("pin", "remove", "wang")[0] == 1


def test_a_bypass_needs_a_running_agent(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CASELINK_PIN", "480217")
    asked = ("bypass", "start", "--line", "L1", "--reason", "r", "--minutes", "5", "--by", "wang")
    status, _, err = shell(*asked)
    assert (status, "No agent answers" in err) == (1, True)


# -------------------------------------------------------------------------------------- test mode


def test_test_mode_needs_a_running_agent(shell: Shell) -> None:
    for asked in (
        ("test-mode", "start", "--line", "L1", "--order", "WO-1", "--by", "wang"),
        ("test-mode", "stop", "--line", "L1"),
    ):
        status, _, err = shell(*asked)
        assert (status, "No agent answers" in err) == (1, True)


# ------------------------------------------------------------------------------------ the cloud


def test_what_waits_for_the_cloud_is_told_of_an_agent_that_does_not_run(packed: Shell) -> None:
    status, out, _ = packed("sync", "status", "--json")
    data = json.loads(out)
    assert status == 0
    assert (data["running"], data["configured"]) == (False, False)
    assert data["rows"] == data["last"] > 10
    assert data["items"] == 3
    assert data["age_ms"] >= 0
    assert (data["acked"], data["last_ack"], data["parked"]) == (0, None, 0)
    assert "not configured: add [sync]" in packed("sync", "status")[1]
    url = '[sync]\nurl = "mqtt://h"\ntenant = "acme"\nsite = "plant"\n'
    packed.site.write_text(SITE + url, "utf-8")
    assert "the agent does not run" in packed("sync", "status")[1]


def test_refused_documents_are_listed(packed: Shell) -> None:
    assert "Nothing was refused" in packed("sync", "parked")[1]
    database = Database.open(packed.files.database, packed.files.key)
    refused = [Parked(3, 0, "agent", "uri: it is none", b"{}"), Parked(4, 1, "cloud", "no")]
    Writer(database.conn).run_inline(lambda conn: outbox.park(conn, refused))
    database.close()
    assert "row 4, document 1: refused by the cloud: no" in packed("sync", "parked")[1]
    lines = packed("sync", "parked", "--json")[1].splitlines()
    assert json.loads(lines[1])["document"] == "{}"
    assert json.loads(packed("sync", "status", "--json")[1])["parked"] == 2
    settle = ("sync", "settle", "4", "--by", "li", "--reason", "told the cloud")
    assert packed(*settle)[0] == 0
    assert "(settled by li: told the cloud)" in packed("sync", "parked")[1]
    assert json.loads(packed("sync", "status", "--json")[1])["parked"] == 1
    status, _, err = packed(*settle)
    assert status == 1
    assert "No document of row 4" in err


# ---------------------------------------------------------------------------- backup and restore


def backed_up(shell: Shell, file: Path) -> Said:
    """In a process of its own: the command lets others go first for good."""
    words = ("backup", str(file), "--json", "--config", str(shell.site))
    done = subprocess.run(
        [sys.executable, "-m", "agent.cli", *words], capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout, done.stderr


def test_a_backup_is_made_restored_and_settled(packed: Shell) -> None:
    file = packed.folder / "evening.bak"
    status, out, _ = backed_up(packed, file)
    assert status == 0
    made = json.loads(out)
    assert (made["file"], made["archives"]) == (str(file), [])
    status, _, err = backed_up(packed, file)
    assert (status, "overwrites nothing" in err) == (1, True)
    assert packed("restore", file)[0] == 2, "who restores must be said"
    status, out, _ = packed("restore", file, "--by", "li", "--json")
    assert status == 0
    done = json.loads(out)
    assert (done["rows"], done["first"], done["lost"]) == (made["rows"], made["rows"] + 1, 0)
    assert done["in_question"] == ["bottles", "cases"]
    pools = json.loads(packed("pool", "list", "--json")[1])
    assert all(pool["in_question"] for pool in pools)
    status, _, err = packed("restore", file, "--by", "li")
    assert status == 1
    assert "1 rows that the backup lacks" in err
    status, out, _ = packed("restore", file, "--by", "li", "--force", "a test")
    assert (status, "kept as" in out) == (0, True)
    why = ("--by", "li", "--reason", "no cloud", "--void-rest")
    assert packed("pool", "settle", "cases", *why)[0] == 0
    assert "are void" in packed("pool", "settle", "*", *why)[1]
    assert not any(p["in_question"] for p in json.loads(packed("pool", "list", "--json")[1]))
    assert packed("db", "verify")[0] == 0
