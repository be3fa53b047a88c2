"""The other end of the demonstration: an MQTT broker and the cloud's consumer, a process each.

Both may be killed at any moment and come back on the same ports; the broker keeps nothing, the
consumer what it has committed.
"""

import json
import socket
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx

from agent.core.errors import TransientError
from agent.demo.process import Child, Mortal
from agent.demo.scene import free_ports
from agent.secret_file import create_secret
from sync.cloud import lists, tokens
from sync.cloud.consumer import now_ms
from sync.cloud.database import Connection, open_database
from sync.embedded import broker_config

START_SECONDS = 40.0
TENANT, SITE = "demo", "plant-1"

Start = Callable[[list[str], str], Child]
"""Starts a command; the name is that of its log."""


class CloudEnd:
    """A broker and a consumer with its database `cloud.db` in `folder`. `broker` is where agents
    find the one, `http` where the other answers whoever has `token`."""

    def __init__(self, folder: Path, start: Start, port: int = 0) -> None:
        self._folder = folder
        self._start = start
        own, web = free_ports(2)
        self.broker = f"mqtt://127.0.0.1:{own}"
        self._port, self._web = own, port or web
        self.http = f"http://127.0.0.1:{self._web}"
        self.token = ""
        self._mortals: dict[str, Mortal] = {}

    @property
    def database(self) -> str:
        """Its URL."""
        return f"sqlite:///{self._folder / 'cloud.db'}"

    @property
    def sync(self) -> Mapping[str, str]:
        """The section of the agent's site file."""
        return {"url": self.broker, "tenant": TENANT, "site": SITE}

    def begin(self, stack: ExitStack) -> None:
        """Start both; the stack ends them. `ready` waits until they answer."""
        config = self._folder / "broker.toml"
        config.write_text(broker_config(self._port), "utf-8")
        commands = {
            "broker": [sys.executable, "-m", "iotcore", "--config", str(config)],
            "cloud": [
                *(sys.executable, "-m", "agent.cli", "cloud", "run"),
                *("--db", self.database, "--broker", self.broker),
                *("--http", f"127.0.0.1:{self._web}"),
            ],
        }
        for name, command in commands.items():
            mortal = Mortal(lambda command=command, name=name: self._start(command, name))  # type: ignore[misc]
            self._mortals[name] = mortal
            stack.callback(mortal.end)

    def ready(self) -> None:
        """Wait until both answer, and make the token. TransientError: they do not."""
        self._answering()
        self._mortals["cloud"].child.wait_for("ready", START_SECONDS)
        with self.connection() as conn:
            self.token = tokens.make(conn, "demo", manage=True, now_ms=now_ms())
        create_secret(self._folder / "cloud.token", self.token)

    def _answering(self) -> None:
        until = time.monotonic() + START_SECONDS
        while time.monotonic() < until:
            try:
                socket.create_connection(("127.0.0.1", self._port), 1.0).close()
                return
            except OSError:
                time.sleep(0.05)
        log = self._mortals["broker"].child.log
        raise TransientError(f"The broker does not answer; see {log}.")

    def kill(self, name: str) -> None:
        """kill -9 of "broker" or "cloud", and start it again."""
        self._mortals[name].kill()

    def running(self) -> None:
        """Wait until the consumer answers."""
        self._mortals["cloud"].child.wait_for("ready", START_SECONDS)

    @contextmanager
    def connection(self) -> Iterator[Connection]:
        """To the consumer's database."""
        database = open_database(self.database)
        conn = database.connect()
        try:
            yield conn
        finally:
            conn.close()
            database.close()

    @contextmanager
    def asking(self) -> Iterator["Questions"]:
        """Asks the consumer over HTTP."""
        self.running()
        headers = {"Authorization": f"Bearer {self.token}"}
        with httpx.Client(base_url=self.http, headers=headers, timeout=30.0) as client:
            yield Questions(client)

    def containers(self) -> list[str]:
        """The names of all containers that it was told of."""
        with self.connection() as conn:
            return list(lists.containers(conn))

    def leave_documents(self) -> int:
        """Write every document that it received into the folder `documents`; how many."""
        where = self._folder / "documents"
        where.mkdir()
        many = 0
        with self.connection() as conn:
            for agent, _epoch, each in lists.documents(conn):
                name = f"{agent.replace('/', '.')}-{each.seq:09d}-{each.n}.json"
                (where / name).write_bytes(bytes(each.doc))
                many += 1
        return many


class Questions:
    """What a user of the cloud asks. TransientError: it did not answer."""

    def __init__(self, client: httpx.Client) -> None:
        self._client = client

    def _get(self, path: str, given: Mapping[str, str] | None = None) -> httpx.Response:
        answer = self._client.get(path, params=given)
        if not answer.is_success:
            raise TransientError(f"The cloud did not answer {path}: {answer.text}")
        return answer

    def get(self, path: str, **given: str) -> Mapping[str, Any]:
        """Any answer of its API."""
        return dict(self._get(path, given or None).json())

    def tell(self, method: str, path: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """Ask for a change."""
        answer = self._client.request(method, path, json=dict(body))
        if not answer.is_success:
            raise TransientError(f"The cloud did not take {path}: {answer.text}")
        return dict(answer.json())

    def trace(self, code: str) -> Mapping[str, Any]:
        """What is known of a code."""
        return dict(self._get(f"/trace/{quote(code, safe='')}").json())

    def relations(self) -> Iterator[Mapping[str, Any]]:
        """Every row of every page from the beginning."""
        cursor, more = "", "1"
        while more == "1":
            page = self._get("/relations", {"since": cursor})
            *rows, _ = page.text.splitlines()
            yield from map(json.loads, rows)
            cursor, more = page.headers["X-Cursor"], page.headers["X-More"]
