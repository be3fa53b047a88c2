"""Documents and stock from the command line: of a store that rests, and of a dealer's agent that
runs without a line."""

import asyncio
import json
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from agent.app import Agent
from agent.clockwatch import clock
from agent.config import load
from agent.core import facts as f
from agent.core.goods import Item, Scope
from agent.core.rules import OPERATIONS
from agent.services.warehouse import Warehouse
from agent.services.warehouse_documents import told_facts
from agent.store.database import Database
from agent.store.gate import Gate
from agent.store.readers import Readers
from agent.store.record import record
from agent.store.writer import Writer
from tests.services.depot_help import pallet
from tests.test_cli import Shell

SCOPE = Scope("D01", (), OPERATIONS, "li", "pda-1")


@pytest.fixture
def dealer(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Shell:
    """The dealer of the example file with a notice of two pallets, one of them scanned."""
    monkeypatch.setenv("COLUMNS", "200")
    shell = Shell(tmp_path, capsys)
    text = Path("config/dealer.toml").read_text("utf-8")
    shell.site.write_text(text + "\n[web]\nport = 0\n", "utf-8")
    site = load(shell.site)
    data = tmp_path / "var"
    data.mkdir()
    db = Database.open(data / "caselink.db", data / "caselink.key")
    writer = Writer(db.conn)
    opened = f.DocumentOpened(
        "D01", "ASN-7", "receive", "DOCK", "F01", "", "", "", (), "", False, "cloud", ""
    )
    rows = [*pallet("P1", "L1", product="tonic-330"), *pallet("P2", "L2", product="tonic-330")]

    def told(conn: object) -> None:
        record(db.conn, "", (opened, *told_facts(db.conn, "D01", "ASN-7", rows)), clock())

    writer.run_inline(told)
    readers = Readers(data / "caselink.db", data / "caselink.key", size=1)
    warehouse = Warehouse(site, readers, writer, Gate(writer, []))
    scan = Item(1, "scan", "ASN-7", "P1", at_ms=5, id="a")
    (done,) = writer.run_inline(lambda conn: warehouse.carry_out(conn, SCOPE, [scan], 5))
    assert done.verdict == "accepted"
    readers.close()
    db.close()
    return shell


def test_a_file_is_looked_at_and_imported_without_an_agent(dealer: Shell) -> None:
    file = dealer.folder / "orders.csv"
    head = "单号,类型,客户,产品,数量,单位,库位,目的库位\n"
    rows = "CK-1,出库,S01,汤力水 330 毫升,2,箱,,\nT-1,调拨,,tonic-330,3,瓶,DOCK,A-01\n"
    file.write_bytes((head + rows).encode("gbk"))
    status, out, _ = dealer("document", "import", file, "--check")
    assert (status, "Sound: 2 documents." in out) == (0, True)
    status, out, _ = dealer("document", "list")
    assert "CK-1" not in out, "it was only looked at"
    status, out, _ = dealer("document", "import", file)
    assert (status, "ship CK-1 S01: 1 lines, 48 pieces" in out) == (0, True)
    assert "transfer T-1  DOCK > A-01: 1 lines, 3 pieces" in out
    status, out, _ = dealer("document", "show", "T-1")
    assert status == 0
    status, _, err = dealer("document", "import", file)
    assert (status, "line 2, number (单号): there is a document CK-1 already" in err) == (1, True)
    file.write_bytes((head + "CK-2,出库,S01,tonic-330,1,桶,,\n").encode("utf-16"))
    status, _, err = dealer("document", "import", file)
    assert (status, "UTF-16" in err, "save it as CSV UTF-8" in err) == (1, True, True)


def test_a_document_is_listed_shown_closed_and_reversed(dealer: Shell) -> None:
    status, out, _ = dealer("document", "list")
    assert (status, "ASN-7" in out, "1/2" in out) == (0, True, True)
    status, out, _ = dealer("document", "show", "ASN-7")
    assert (status, "missing: P2 pallet tonic-330 L2 (8 pieces)" in out) == (0, True)
    status, _, err = dealer("document", "close", "ASN-7", "--by", "wang")
    assert (status, "1 missing" in err, "--difference" in err) == (1, True, True)
    status, out, _ = dealer("document", "close", "ASN-7", "--difference", "--reason", "late")
    assert (status, "Posted as ASN-7.1: 1 units, 8 pieces." in out) == (0, True)
    status, out, _ = dealer("stock", "--json")
    (row,) = json.loads(out)["stock"]
    assert (status, row["product"], row["lot"], row["pieces"]) == (0, "tonic-330", "L1", 8)
    assert "DOCK" in dealer("stock")[1]
    status, out, _ = dealer("document", "reverse", "ASN-7.1", "--reason", "wrong lorry")
    assert (status, "ASN-7.1 is reversed" in out) == (0, True)
    assert json.loads(dealer("stock", "--json")[1]) == {"stock": []}
    listed = json.loads(dealer("document", "list", "--status", "all", "--json")[1])["documents"]
    assert [(each["number"], each["status"]) for each in listed] == [
        ("ASN-7.1", "reversed"),
        ("ASN-7", "open"),
    ]
    assert dealer("db", "verify")[0] == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["document", "show", "NONE"], "no document NONE"),
        (["document", "list", "--status", "lost"], "no status lost"),
        (["document", "list", "--party", "D09"], "No warehouse of D09"),
        (["document", "close", "NONE"], "no open document of this number"),
        (["document", "reverse", "ASN-7", "--reason", "x"], "Only a posted document"),
        (["stock", "--party", "D09"], "No warehouse of D09"),
    ],
)
def test_what_cannot_be_is_refused_with_a_reason(
    dealer: Shell, words: list[str], said: str
) -> None:
    status, _, err = dealer(*words)
    assert (status, said in err) == (1, True), err


@contextmanager
def running(shell: Shell) -> Iterator[Agent]:
    """The agent of the site file, in a thread."""
    agent = Agent(load(shell.site), shell.site)
    loops: list[asyncio.AbstractEventLoop] = []

    async def run() -> None:
        loops.append(asyncio.get_running_loop())
        await agent.run()

    thread = threading.Thread(target=lambda: asyncio.run(run()))
    thread.start()
    try:
        deadline = threading.Event()
        for _ in range(400):
            if agent.ready.is_set() or not thread.is_alive():
                break
            deadline.wait(0.05)
        assert agent.ready.is_set()
        yield agent
    finally:
        loops[0].call_soon_threadsafe(agent.stop)
        thread.join(30)


def test_an_agent_without_a_line_runs_and_closes_a_document(dealer: Shell) -> None:
    with running(dealer) as agent:
        assert list(agent.lines()) == []
        text = dealer.site.read_text("utf-8").replace("port = 0", f"port = {agent.port}")
        dealer.site.write_text(text, "utf-8")
        words = ("document", "close", "ASN-7", "--difference", "--reason", "late")
        status, out, err = dealer(*words)
        assert (status, "8 pieces" in out) == (0, True), err
        status, _, err = dealer("document", "reverse", "NONE", "--reason", "x")
        assert status == 1
        assert "no open document" in err
        assert json.loads(dealer("stock", "--json")[1])["stock"][0]["pieces"] == 8
    shutil.rmtree(dealer.folder / "var")
