"""An agent with warehouses and PDAs, run for real: its panel on this machine, its app by https."""

import asyncio
import json
import os
import secrets
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import Future
from pathlib import Path
from time import monotonic, sleep, time
from typing import Any

import httpx

from agent.app import Agent, Files
from agent.config import load
from agent.services import site_ca
from agent.services.devices import ALLOWED
from agent.services.pins import Pins
from agent.services.users import Users
from agent.web.pda_route import THREADS
from tests.services.pda_help import Key

API = "/api/pda/v1"
PIN = "480217"
SITE = """
[agent]
id = "hosted"
data = "var"

[web]
port = {panel}

[web.lan]
host = "127.0.0.1"
port = {port}
setup_port = {setup}
names = ["127.0.0.1", "box1.plant.lan"]

[products.cola]
names = {{ zh = "可乐", en = "Cola" }}
units = {{ bottle = 1, case = 24 }}

[parties.S01]
names = {{ zh = "小店", en = "Shop" }}
kind = "shop"

[[warehouse]]
party = "F01"
locations = ["DOCK", "A-01"]

[[warehouse]]
party = "D77"
locations = ["MAIN"]
"""


def wait_for(condition: Callable[[], bool], what: str, seconds: float = 20.0) -> None:
    begun = monotonic()
    while not condition():
        assert monotonic() - begun < seconds, f"not within {seconds} s: {what}"
        sleep(0.02)


class ScanSite:
    """The agent in a thread; `secure` is a client by https, `local` one of this machine."""

    def __init__(self, folder: Path, ports: Sequence[int], text: str = SITE) -> None:
        self.config = folder / "site.toml"
        self.config.write_text(text.format(port=ports[0], setup=ports[1], panel=ports[2]), "utf-8")
        site = load(self.config)
        self.files = Files(site, self.config)
        self.files.data.mkdir()
        self.users = Users(self.files.users, Pins(self.files.badges, self.files.pepper), ALLOWED)
        self.users.add("1007", "Li", "operator", [], PIN)
        self.users.add("9001", "Wang", "supervisor", [], PIN)
        self.ca = site_ca.ca_files(self.files.tls)
        self.agent = Agent(site, self.config)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=self._work)
        self._thread.start()
        wait_for(self.agent.ready.is_set, "the agent is ready")
        self.spawn(self._all_threads()).result(20)
        self.local = httpx.Client(base_url=f"http://127.0.0.1:{self.agent.port}", timeout=20)
        self.local.headers["accept-language"] = "en"
        self.token = self.files.token.read_text().strip()

    def _work(self) -> None:
        async def run() -> None:
            self._loop = asyncio.get_running_loop()
            await self.agent.run()

        asyncio.run(run())

    async def _all_threads(self) -> None:
        """Let every thread there can be start now, and none in a test that did not start it."""
        loop, scanning = asyncio.get_running_loop(), self.agent.scanning
        assert scanning is not None
        most = min(32, (os.cpu_count() or 1) + 4)
        all_at_once = threading.Barrier(most)
        await asyncio.gather(*(loop.run_in_executor(None, all_at_once.wait) for _ in range(most)))
        together = threading.Barrier(THREADS)
        await asyncio.gather(*(scanning.workers.run(together.wait) for _ in range(THREADS)))

    def stop(self) -> None:
        self.local.close()
        assert self._loop is not None
        self._loop.call_soon_threadsafe(self.agent.stop)
        self._thread.join(30)
        assert not self._thread.is_alive()

    def spawn(self, work: Coroutine[Any, Any, None]) -> "Future[None]":
        """Run something in the agent's loop."""
        assert self._loop is not None
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def raw(self, request: str) -> str:
        """What the agent answers to bytes that no client would send."""
        with socket.create_connection(("127.0.0.1", self.agent.port), timeout=20) as peer:
            peer.sendall(request.encode())
            return peer.recv(65536).decode()

    def fingerprint(self, *words: str, text: str = "") -> str:
        """SHA-256 of a certificate as OpenSSL says it, hex."""
        done = subprocess.run(
            ["openssl", *words, "-noout", "-fingerprint", "-sha256"],
            input=text,
            capture_output=True,
            text=True,
            timeout=20,
        )
        return done.stdout.strip().split("=")[-1].replace(":", "").lower()

    # ------------------------------------------------------------------------------ as people do

    def certify(self) -> None:
        """`caselink tls init`, as a person types it."""
        self.caselink("tls", "init", "--suffix", "plant.lan", "--network", "127.0.0.0/8")

    def caselink(self, *words: str) -> str:
        """The command line; what it said."""
        done = subprocess.run(
            [sys.executable, "-m", "agent.cli", *words, "--config", str(self.config)],
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def secure(self) -> httpx.Client:
        """A client by https that trusts the site's authority."""
        context = ssl.create_default_context(cafile=self.ca.cert)
        lan = self.agent.lan
        assert lan is not None
        wait_for(lambda: bool(lan.port), "https is there")
        client = httpx.Client(base_url=f"https://127.0.0.1:{lan.port}", verify=context, timeout=20)
        client.headers["accept-language"] = "en"
        return client

    def code(self, party: str = "F01", **more: Any) -> str:
        """A code for a device, as the panel would show it."""
        body = {"name": "one", "party": party, "operations": list(ALLOWED), "by": "test", **more}
        answer = self.local.post(
            "/api/local/devices/enrol",
            json=body,
            headers={"authorization": f"Bearer {self.token}"},
        )
        assert answer.status_code == 201, answer.text
        return str(answer.json()["text"].split("#enrol=")[1].split("&")[0])

    def device(self, party: str = "F01", badge: str = "1007", **more: Any) -> "Pda":
        """An enrolled device on which somebody is logged in."""
        made = Pda(self.local)
        made.enrol(self.code(party, **more))
        if badge:
            made.login(badge, PIN)
        return made


class Pda:
    """A PDA that does what docs/pda-api.md says, or what a test wants of it."""

    def __init__(self, client: httpx.Client) -> None:
        self.client = client
        self.key = Key()
        self.device = self.token = self.session = self.badge = ""
        self.seq = 0
        self.ahead = 0

    def now(self) -> int:
        return int(time() * 1000) + self.ahead

    def enrol(self, code: str) -> dict[str, Any]:
        asked = {"code": code, "key": self.key.jwk, "name": "test", "model": "CT58"}
        answer = self.client.post(f"{API}/enrol", json=asked)
        assert answer.status_code == 201, answer.text
        told: dict[str, Any] = answer.json()
        self.device, self.token = told["device"], told["token"]
        return told

    def login(self, badge: str, pin: str) -> dict[str, Any]:
        answer = self.post("/login", {"badge": badge, "pin": pin})
        assert answer.status_code == 200, answer.text
        told: dict[str, Any] = answer.json()
        self.session, self.badge = told["session"], badge
        return told

    def headers(self, method: str, target: str, body: bytes, **changed: str) -> dict[str, str]:
        at, nonce = str(self.now()), secrets.token_urlsafe(16)
        made = {
            "authorization": f"Bearer {self.token}",
            "x-device": self.device,
            "x-time": at,
            "x-nonce": nonce,
            "x-signature": self.key.request(method, target, at, nonce, body),
            "x-session": self.session,
        }
        return {**made, **{name.replace("_", "-"): value for name, value in changed.items()}}

    def get(self, path: str, **changed: str) -> httpx.Response:
        return self.client.get(
            f"{API}{path}", headers=self.headers("GET", f"{API}{path}", b"", **changed)
        )

    def post(self, path: str, body: Any, **changed: str) -> httpx.Response:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = self.headers("POST", f"{API}{path}", data, **changed)
        return self.client.post(
            f"{API}{path}", content=data, headers={**headers, "content-type": "application/json"}
        )

    def item(self, do: str = "scan", document: str = "", text: str = "", **more: Any) -> Any:
        """The next item, signed; `more` changes it before that."""
        self.seq += 1
        item = {
            "seq": self.seq,
            "id": f"{self.device}-{self.seq}-{secrets.token_hex(4)}",
            "do": do,
            "document": document,
            "text": text,
            "remove": False,
            "answer": "",
            "reason": "",
            "condition": "",
            "body": {},
            "at": self.now(),
            "by": self.badge,
            **more,
        }
        return self.key.item(self.device, item)

    def open(self, kind: str = "receive", **body: Any) -> Any:
        """An item that opens a document."""
        number = f"{self.device}-{self.seq + 1}"
        told = {"kind": kind, "location": "", "other": "", "blind": True, **body}
        return self.item("open", number, body=told)

    def upload(self, *items: Any) -> httpx.Response:
        return self.post("/items", {"items": list(items), "now": self.now()})
