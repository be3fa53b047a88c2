"""The line comes down and goes on again, with a real agent and a plant over real sockets: an agent
that stands still, a bypass by a leader's PIN, and a test between two work orders."""

import os
import signal
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

from agent.app import Files
from agent.config import load
from agent.demo import scene as scenes
from agent.demo.result import Result
from agent.demo.run import Child, Demo, DemoOptions, Mortal
from agent.services import reports
from agent.services.pins import Pins
from agent.store import journal
from agent.store.balance import balances
from agent.store.database import open_reader
from agent.store.verify import verify

SECONDS = 30.0
PIN = "480217"


def wait_for(what: Callable[[], bool], why: str) -> None:
    until = time.monotonic() + SECONDS
    while not what():
        assert time.monotonic() < until, why
        time.sleep(0.1)


class Watched(Demo):
    """A demonstration whose plant and panel can be asked while it plays."""

    def __init__(self, folder: Path) -> None:
        options = DemoOptions(seconds=25, speed=36_000, web=False, keep=folder)
        super().__init__(options, say=lambda text: None)
        self._gaps = True

    def progress(self, plant: Child) -> dict[str, Any]:
        plant.said.pop("progress", None)
        plant.tell("progress")
        return dict(plant.wait_for("progress", SECONDS))

    def fed(self, plant: Child, more: int, why: str) -> None:
        """Wait until so many more bottles were laid on the line."""
        before = self.progress(plant)["fed"]
        wait_for(lambda: self.progress(plant)["fed"] >= before + more, why)


class StoodStill(Watched):
    """The agent's process stands still for a while: nothing is lost but its heartbeat."""

    def _feed(self, config: Path, agent: Mortal, plant: Child, line: str) -> None:
        self.fed(plant, 40, "the line does not run")
        rejected = sum(self.progress(plant)["rejected"].values())
        os.kill(agent.child.process.pid, signal.SIGSTOP)
        try:
            wait_for(lambda: self.progress(plant)["on_belts"] == 0, "the belts do not run empty")
            stopped = self.progress(plant)
            assert sum(stopped["rejected"].values()) > rejected, "what nobody judged is rejected"
            time.sleep(1.0)
            assert self.progress(plant)["fed"] == stopped["fed"], "the infeed still runs"
        finally:
            os.kill(agent.child.process.pid, signal.SIGCONT)
        self.fed(plant, 30, "the line does not go on by itself")
        plant.tell("stop")


def test_a_line_without_its_agent_s_heartbeat_runs_empty_and_goes_on_with_it(
    tmp_path: Path,
) -> None:
    result = StoodStill(tmp_path / "demo").run()
    assert result.good, result.data()
    assert result.rejected
    assert result.passed >= 40


class Bypassed(Watched):
    """A leader lets the line run without coding, for a while."""

    def _feed(self, config: Path, agent: Mortal, plant: Child, line: str) -> None:
        files = Files(load(config), config)
        Pins(files.pins, files.pepper).set("wang", PIN)
        self.fed(plant, 40, "the line does not run")
        with self._client(config, agent) as client:
            asked = {"by": "wang", "pin": "904412", "reason": "camera broken", "minutes": 5}
            refused = client.post(f"{line}/bypass", json=asked)
            assert (refused.status_code, refused.json()["reason"]) == (409, "pin_wrong")
            assert client.post(f"{line}/bypass", json=asked | {"pin": PIN}).is_success

            def shown() -> dict[str, Any] | None:
                bypass: dict[str, Any] | None = client.get(f"{line}/snapshot").json()["bypass"]
                return bypass

            wait_for(lambda: shown() is not None, "the panel does not show it")
            self.fed(plant, 60, "the line stands in bypass")
            wait_for(lambda: (shown() or {})["unseen"].get("verify", 0) >= 40, "nothing is counted")
            now = shown()
            assert now is not None
            assert (now["by"], now["reason"]) == ("wang", "camera broken")
            assert 200 < now["left_s"] <= 300
            self._end(client, line)
        self.fed(plant, 30, "the line does not code again")
        plant.tell("stop")

    def _end(self, client: httpx.Client, line: str) -> None:
        assert client.post(f"{line}/bypass/end", json={"by": "li"}).is_success
        wait_for(lambda: client.get(f"{line}/snapshot").json()["bypass"] is None, "it still lasts")

    def _audit(self, config: Path, folder: Path) -> Result:
        """The audit knows no bypass: look at what the record claims."""
        files = Files(load(config), config)
        conn = open_reader(files.database, files.key)
        try:
            assert verify(conn).problems == []
            self.cases = [one for one in reports.containers(conn) if one["level"] == "case"]
        finally:
            conn.close()
        return Result()


def test_a_bypass_claims_nothing(tmp_path: Path) -> None:
    demo = Bypassed(tmp_path / "demo")
    demo.run()
    closed = [case for case in demo.cases if case["closed_at"]]
    unknown = [case for case in closed if None in case["children"]]
    assert len(unknown) >= 2
    assert {case["integrity"] for case in unknown} == {"incomplete"}
    named = [case for case in closed if case not in unknown and case["code"]]
    assert {case["integrity"] for case in named} <= {"proven"}


class Tried(Watched):
    """Between two work orders the line is tried, without waiting for what is on the belts."""

    def _feed(self, config: Path, agent: Mortal, plant: Child, line: str) -> None:
        self.fed(plant, 60, "the line does not run")
        with self._client(config, agent) as client:

            def tell(path: str, **body: Any) -> None:
                answer = client.post(path, json=body)
                assert answer.is_success, answer.text

            tell(f"{line}/finish", by="li")
            tell(
                "/api/orders",
                number="WO-2",
                line=self._scene.line,
                product=self._scene.product,
                lot="B41121",
                scheme=self._scene.scheme,
                target=1000,
                pools=dict(self._scene.orders),
                campaign=scenes.CAMPAIGN,
            )
            tell(f"{line}/test-mode", order="WO-2", by="wang")

            def seen() -> dict[str, int]:
                test: dict[str, Any] = client.get(f"{line}/snapshot").json()["test"] or {}
                return dict(test.get("seen", {}))

            wait_for(lambda: seen().get("pass", 0) >= 30, "nothing is tried")
            tell(f"{line}/start", order="WO-2", by="li")
            wait_for(lambda: not client.get(f"{line}/snapshot").json()["test"], "it still lasts")
        self.fed(plant, 60, "the line does not make goods again")
        plant.tell("stop")

    def _audit(self, config: Path, folder: Path) -> Result:
        files = Files(load(config), config)
        conn = open_reader(files.database, files.key)
        try:
            assert all(found.difference == 0 for _, found in balances(conn))
            kinds = Counter(row.kind for row in journal.rows(conn))
        finally:
            conn.close()
        assert kinds["ItemTested"] >= 30
        return super()._audit(config, folder)


def test_a_line_is_tried_between_two_orders_and_nothing_of_it_lives(tmp_path: Path) -> None:
    result = Tried(tmp_path / "demo").run()
    assert result.good, result.data()
    assert result.bottles - result.passed >= 30, "what was tried left the line"
