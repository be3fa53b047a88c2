"""A real agent with two warehouses, and a PDA's browser: what the tests of the app work with."""

import asyncio
import os
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import tomli_w

from agent.app import Agent
from agent.clockwatch import clock
from agent.config import load
from agent.core import facts as f
from agent.core.goods import Item, Result, Scope
from agent.core.rules import OPERATIONS
from agent.services.devices import ALLOWED
from agent.services.pins import Pins
from agent.services.users import Users
from agent.services.warehouse_documents import told_facts
from agent.store.record import record

BADGE, PIN = "1007", "480217"
SECONDS = 15.0
NAMES = {
    "MILK1": {"zh": "奶粉 800 g 一段", "en": "Milk powder 800 g stage 1"},
    "MILK2": {"zh": "奶粉 800 g 二段", "en": "Milk powder 800 g stage 2"},
}
SITE: dict[str, Any] = {
    "agent": {"id": "pda-test"},
    "web": {"port": 0},
    "products": {
        sku: {"names": names, "gtin": gtin, "units": {"case": 6, "pallet": 60}}
        for (sku, names), gtin in zip(
            NAMES.items(), ("06901234567892", "06901234567908"), strict=True
        )
    },
    "parties": {
        "F01": {"kind": "factory", "names": {"zh": "华东工厂", "en": "East plant"}},
        "D01": {
            "kind": "dealer",
            "names": {"zh": "杭州百联", "en": "Hangzhou Bailian"},
            "territories": ["zhejiang"],
        },
        "D02": {
            "kind": "dealer",
            "names": {"zh": "宁波新世纪", "en": "Ningbo New Century"},
            "territories": ["ningbo"],
        },
    },
    "warehouse": [
        {"party": "F01", "locations": ["A-01", "A-02", "DOCK"], "older_first": "warn"},
        {"party": "D01", "locations": ["B-01"]},
    ],
}


def case_code(name: str, n: int) -> str:
    """A case's code as a printer makes it."""
    return f"https://q.example.cn/{name}/C{n:05d}"


def bottle_code(name: str, n: int, b: int) -> str:
    return f"https://q.example.cn/{name}/B{n:05d}{b:02d}"


def pallet_code(name: str) -> str:
    return f"https://q.example.cn/{name}/P1"


def goods(
    name: str,
    cases: int,
    bottles: int = 6,
    product: str = "MILK1",
    lot: str = "L1",
    pallet: bool = True,
) -> list[f.Told]:
    """A pallet (or cases by themselves) with all that it holds."""
    top = pallet_code(name)
    expires = "2028-06-30"
    rows: list[f.Told] = []
    if pallet:
        rows.append(f.Told(top, "pallet", product, lot, expires, 0, "", 0, "proven"))
    for n in range(cases):
        case = case_code(name, n)
        above = top if pallet else ""
        rows.append(f.Told(case, "case", product, lot, expires, 0, above, 0, "proven"))
        rows += [
            f.Told(bottle_code(name, n, b), "bottle", product, lot, expires, 0, case, 1, "proven")
            for b in range(bottles)
        ]
    return rows


async def _all_threads() -> None:
    """The event loop's own threads, as many as it will ever have, are there after this, too."""
    count = min(32, (os.cpu_count() or 1) + 4)
    together = threading.Barrier(count)
    await asyncio.gather(*(asyncio.to_thread(together.wait, SECONDS) for _ in range(count)))


class PdaSite:
    """The agent in a thread with a loop of its own; it can stop and come back on its port."""

    def __init__(self, where: Path) -> None:
        self.where = where
        self.port = 0
        self._seq: dict[str, int] = {}
        self.start()
        files = self.agent.files
        users = Users(files.users, Pins(files.badges, files.pepper), ALLOWED)
        users.add(BADGE, "李敏", "supervisor", OPERATIONS, PIN)
        users.add(BADGE, "李敏", "supervisor", ALLOWED, PIN)

    def start(self) -> None:
        """Run the agent; returns when it answers."""
        config = self.where / "site.toml"
        config.write_text(tomli_w.dumps(SITE | {"web": {"port": self.port}}), "utf-8")
        up = threading.Event()
        self._failure: BaseException | None = None

        async def run() -> None:
            self.agent, self._loop = Agent(load(config), config), asyncio.get_running_loop()
            running = asyncio.create_task(self.agent.run())
            waiting = asyncio.create_task(self.agent.ready.wait())
            await asyncio.wait({running, waiting}, return_when=asyncio.FIRST_COMPLETED)
            waiting.cancel()
            up.set()
            await running

        def thread() -> None:
            try:
                asyncio.run(run())
            except BaseException as error:  # noqa: BLE001 - told in the test's thread
                self._failure = error
                up.set()

        self._thread = threading.Thread(target=thread, name="agent")
        self._thread.start()
        assert up.wait(SECONDS)
        if self._failure:
            raise self._failure
        self.port = self.agent.port
        # The threads that answer PDAs are there from now on: no test of a scan leaves them behind.
        with ThreadPoolExecutor(8) as asking:
            for _ in range(32):
                asking.submit(httpx.post, f"{self.url}/api/pda/v1/query", json={"text": "x"})
        asyncio.run_coroutine_threadsafe(_all_threads(), self._loop).result(SECONDS)

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self.agent.stop)
        self._thread.join(SECONDS)
        assert not self._thread.is_alive(), "the agent did not end"
        if self._failure:
            raise self._failure

    @property
    def url(self) -> str:
        return f"http://localhost:{self.port}"

    # ------------------------------------------------------------------------------ devices

    def local(self, method: str, path: str, body: Any = None) -> Any:
        """A route of the command line."""
        token = self.agent.files.token.read_text().strip()
        answer = httpx.request(
            method,
            f"{self.url}/api/local{path}",
            json=body,
            headers={"authorization": f"Bearer {token}"},
            verify=False,
            timeout=SECONDS,
        )
        assert answer.is_success, answer.text
        return answer.json()

    def invitation(self, party: str = "F01") -> str:
        """The text of a QR that lets a device in."""
        told = self.local(
            "POST",
            "/devices/enrol",
            {"name": "T1", "party": party, "operations": ALLOWED, "by": "test"},
        )
        return str(told["text"])

    # ------------------------------------------------------------------------------- goods

    def asn(
        self, number: str, units: Sequence[f.Told], party: str = "F01", territory: str = ""
    ) -> None:
        """A notice of what is coming, with its content, and where it may be sold."""
        place = "DOCK" if party == "F01" else "B-01"
        opened = f.DocumentOpened(
            *(
                party,
                number,
                "receive",
                place,
                "D02",
                "",
                territory,
                "",
                (),
                "",
                False,
                "cloud",
                "",
            ),
            at_ms=clock().wall_ms,
        )

        def job(conn: Any) -> None:
            record(conn, "", (opened, *told_facts(conn, party, number, units)), clock())

        assert self.agent.writer is not None
        self.agent.writer.wait(job)

    def do(self, device: str, do: str, document: str = "", text: str = "", **more: Any) -> Result:
        """An item of another device, done at once."""
        self._seq[device] = seq = self._seq.get(device, 0) + 1
        now = clock().wall_ms
        item = Item(seq, do, document, text, at_ms=now, device_ms=now, by="x", id=str(seq), **more)
        scope = Scope(more.pop("party", "F01"), (), (*ALLOWED, "supervise"), "x", device)
        assert self.agent.warehouse is not None
        (result,) = self.agent.warehouse.items(scope, [item], now)
        return result

    def received(self, name: str, cases: int, territory: str = "", **more: Any) -> None:
        """Cases in stock, on a pallet or by themselves."""
        units = goods(name, cases, **more)
        self.asn(f"IN-{name}", units, territory=territory)
        for unit in units:
            if not unit.parent:
                result = self.do("dock", "scan", f"IN-{name}", unit.ref)
                assert result.verdict == "accepted", result
        result = self.do("dock", "close", f"IN-{name}")
        assert result.verdict == "posted", result

    def order(self, number: str, cases: int, product: str = "MILK1", **more: Any) -> None:
        """An order to ship cases."""
        line = {"product": product, "level": "case", "quantity": cases, "lot": ""}
        body = {"kind": "ship", "other": "D01", "location": "DOCK", "lines": [line], **more}
        result = self.do("desk", "open", number, body=body)
        assert result.verdict == "opened", result

    def document(self, number: str, party: str = "F01") -> dict[str, Any]:
        assert self.agent.warehouse is not None
        return self.agent.warehouse.document(Scope(party, (), ALLOWED), number)

    def told(self, number: str) -> list[tuple[str, str, str]]:
        """What was done for a document: deed, code, verdict, in order."""
        said = "SELECT do, code, verdict FROM item_done WHERE document = ? AND do <> 'open'"
        assert self.agent.writer is not None
        rows = self.agent.writer.wait(lambda conn: conn.execute(said, (number,)).fetchall())
        return [tuple(row) for row in rows]

    def inside(self, code: str, party: str = "F01") -> int:
        """How many units a unit holds."""
        assert self.agent.warehouse is not None
        found = self.agent.warehouse.query(Scope(party, (), ALLOWED), code)
        return int(found["children"]) if found["known"] else 0

    def pieces(self, party: str = "F01") -> int:
        """Bottles in a party's stock."""
        assert self.agent.warehouse is not None
        return sum(row["pieces"] for row in self.agent.warehouse.stock(Scope(party, (), ALLOWED)))
