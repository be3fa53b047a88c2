"""A panel served for real, fed from a scripted line: what the tests of the web room look at."""

import asyncio
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import cv2
import numpy as np
from fastapi import APIRouter
from playwright.sync_api import Page, expect

from agent.core.errors import CaselinkError, DomainError
from agent.web.api import BypassBody, NewOrder
from agent.web.app import PanelServer, create_app

T0 = 1_763_703_600_000
"""2025-11-21 05:40 UTC: the scripted line's first instant, ms."""

TOKEN = "a-local-token-of-the-command-line"


def wait_for(condition: Callable[[], bool], seconds: float, what: str) -> float:
    """Wait until the condition holds; returns how long it took, fails after `seconds`."""
    begun = monotonic()
    while not condition():
        assert monotonic() - begun < seconds, f"not within {seconds} s: {what}"
        sleep(0.01)
    return monotonic() - begun


def held(page: Page) -> None:
    """Wait while a button is held down until it has acted, however slow the browser is."""
    holding = page.locator("[data-holding]")
    expect(holding).to_have_count(1)
    expect(holding).to_have_count(0)


def snapshot() -> dict[str, Any]:
    """A line at work, as docs/live-feed.md writes it."""
    cells: list[dict[str, Any]] = [
        {
            "s": "good",
            "code": f"https://q.example.cn/A7{n:04d}",
            "at": T0 - 60_000 + n * 900,
            "why": None,
        }
        for n in range(18)
    ]
    cells[10] = {"s": "bad", "code": None, "at": T0 - 50_000, "why": "no_read"}
    cells += [{"s": "wait", "code": None, "at": None, "why": None} for _ in range(6)]
    marks = [
        {"s": "good", "x": 70 + 150 * (n % 6), "y": 60 + 145 * (n // 6), "w": 84, "h": 84}
        for n in range(24)
    ]
    marks[9]["s"], marks[16]["s"], marks[23]["s"] = "no_read", "duplicate", "wait"
    worth = ["proven", "proven", "inferred", "incomplete", "proven", "anchored"]
    return {
        "v": 1,
        "at": T0,
        "line": {"id": "L1", "names": {"zh": "3 号线", "en": "Line 3"}},
        "state": {"packml": "execute", "since": T0 - 20_640_000},
        "order": {
            "number": "WO-2411-073",
            "sku": "MILK800",
            "names": {"zh": "奶粉 800 g", "en": "Milk powder 800 g"},
            "lot": "B41120",
            "target": 96000,
            "level": "bottle",
            "status": "running",
        },
        "orders": [
            {
                "number": f"WO-2411-07{n}",
                "sku": "MILK800",
                "lot": f"B4112{n}",
                "target": 24000 * n,
                "state": "created",
            }
            for n in (4, 5)
        ],
        "devices": {
            "ok": 6,
            "all": 6,
            "list": [
                {
                    "id": f"{kind}{n}",
                    "kind": kind,
                    "state": "ok",
                    "latency_ms": 3.1 + n,
                    "last": T0 - 200 * n,
                    "error": None,
                }
                for n, kind in enumerate(
                    ("camera", "camera", "printer", "coder", "plc", "scanner"), start=1
                )
            ],
        },
        "backlog": {"events": 0, "oldest": None},
        "operator": "李敏",
        "shift": "早班",
        "alarms": [],
        "good": 61204,
        "plan": 63684,
        "rejected": {
            "count": 214,
            "limit_pct": 0.5,
            "reasons": {"duplicate": 2, "no_read": 38, "foreign": 174},
        },
        "no_read": {"count": 38, "limit_pct": 0.2},
        "speed": {"per_min": 241, "low": 220, "high": 260, "unit": "bottle"},
        "oee": {"value": 0.87, "stops": 3, "stopped_s": 1080},
        "current": {
            "level": "case",
            "number": 2539,
            "count": 18,
            "of": 24,
            "columns": 6,
            "cells": cells,
        },
        "camera": {
            "id": "camera1",
            "frame": 2539,
            "at": T0,
            "good": 21,
            "no_read": 1,
            "waiting": 1,
            "width": 960,
            "height": 640,
            "marks": marks,
        },
        "trend": {
            "from": T0 - 22_800_000,
            "to": T0 + 20_400_000,
            "target": 96000,
            "points": [
                [T0 - 22_800_000 + n * 600_000, round(61204 * min(n, max(14, n - 3)) / 35)]
                for n in range(39)
            ],
        },
        "sealed": [
            {
                "code": f"0006901234560{538 - n:07d}",
                "level": "case",
                "count": 24 if n != 3 else 22,
                "of": 24,
                "integrity": worth[n],
                "at": T0 - 367_000 * n - 4000,
            }
            for n in range(6)
        ],
    }


def alarm(key: str, priority: int, **args: str) -> dict[str, Any]:
    return {
        "id": f"L1/verify/{key}",
        "priority": priority,
        "key": key,
        "args": args,
        "since": T0 - 8000 * priority,
        "acked": False,
    }


def empty_snapshot() -> dict[str, Any]:
    """A line without a work order: everything that is not known is null."""
    base = snapshot()
    nothing: dict[str, Any] = {
        "state": {"packml": "idle", "since": T0, "cause": None},
        "bypass": None,
        "test": None,
        "order": None,
        "operator": None,
        "shift": None,
        "backlog": {"events": None, "oldest": None},
        "good": None,
        "plan": None,
        "rejected": {"count": None, "limit_pct": None, "reasons": {}},
        "no_read": {"count": None, "limit_pct": None},
        "speed": {"per_min": None, "low": None, "high": None, "unit": None},
        "oee": {"value": None, "stops": None, "stopped_s": None},
        "current": None,
        "camera": None,
        "trend": None,
        "sealed": [],
    }
    return base | nothing


def picture(marks: Sequence[Mapping[str, Any]]) -> bytes:
    """A JPEG of caps with something like symbols on them, where the marks are."""
    image = np.full((640, 960), 92, np.uint8)
    chance = np.random.default_rng(7)
    for mark in marks:
        x, y, w, h = mark["x"], mark["y"], mark["w"], mark["h"]
        cv2.circle(image, (x + w // 2, y + h // 2), int(w * 0.68), 178, -1, cv2.LINE_AA)
        cells = (chance.integers(0, 2, (14, 14)) * 150 + 30).astype(np.uint8)
        symbol = cv2.resize(cells, (w - 20, h - 20), interpolation=cv2.INTER_NEAREST)
        image[y + 10 : y + h - 10, x + 10 : x + w - 10] = symbol
    ok, data = cv2.imencode(".jpg", cv2.GaussianBlur(image, (3, 3), 0))
    assert ok
    return data.tobytes()


class ScriptedLine:
    """Implements agent.web.api.WebServices from plain data that a test may change at any time."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """As in the beginning."""
        self.now = snapshot()
        self.commands: list[tuple[Any, ...]] = []
        self.picture_seconds = 0.0
        self.refuse: CaselinkError | None = None
        self.mute: CaselinkError | None = None
        self.line_ids = ["L1"]
        self.jpeg: bytes | None = picture(self.now["camera"]["marks"])
        self.pictures = 0

    def set(self, **parts: Any) -> None:
        """Replace parts of the snapshot at once."""
        self.now = {**self.now, **parts}

    def lines(self) -> Sequence[str]:
        return self.line_ids

    def snapshot(self, line: str) -> Mapping[str, Any]:
        if self.mute:
            raise self.mute
        return self.now

    async def _do(self, *what: Any) -> None:
        if self.refuse:
            raise self.refuse
        self.commands.append(what)

    async def create_order(self, order: NewOrder) -> None:
        await self._do("create", order)

    async def start(self, line: str, order: str, by: str) -> None:
        await self._do("start", line, order, by)

    async def change(self, line: str, order: str, by: str) -> None:
        await self._do("change", line, order, by)

    async def pause(self, line: str, by: str, why: str) -> None:
        await self._do("pause", line, by, why)

    async def resume(self, line: str, by: str) -> None:
        await self._do("resume", line, by)

    async def finish(self, line: str, by: str) -> None:
        await self._do("finish", line, by)

    async def begin_bypass(self, line: str, body: BypassBody) -> None:
        await self._do("bypass", line, body)

    async def end_bypass(self, line: str, by: str) -> None:
        await self._do("end_bypass", line, by)

    async def begin_test_mode(self, line: str, order: str, by: str) -> None:
        await self._do("test_mode", line, order, by)

    async def end_test_mode(self, line: str, by: str) -> None:
        await self._do("end_test_mode", line, by)

    async def acknowledge(self, line: str, alarm: str, by: str) -> None:
        await self._do("acknowledge", line, alarm, by)
        self.set(
            alarms=[
                {**one, "acked": one["acked"] or one["id"] == alarm} for one in self.now["alarms"]
            ]
        )

    async def trace(self, code: str) -> Mapping[str, Any]:
        if code != "KNOWN":
            raise DomainError("unknown_code", f"Nothing is known of {code}.")
        return {"code": code}

    async def picture(self, camera: str) -> bytes | None:
        self.pictures += 1
        await asyncio.sleep(self.picture_seconds)
        return self.jpeg


class Site:
    """The web room on a real port, in a thread with a loop of its own; can stop and come back."""

    def __init__(
        self, line: ScriptedLine, port: int = 0, routers: Sequence[APIRouter] = ()
    ) -> None:
        self.line = line
        self.port = port
        self._routers = routers
        self._start()

    def _start(self) -> None:
        ready = threading.Event()
        self._failure: BaseException | None = None

        async def serve() -> None:
            server = PanelServer(
                create_app(
                    self.line,
                    token=TOKEN,
                    names=("panel.plant.example",),
                    routers=self._routers,
                ),
                "127.0.0.1",
                self.port,
            )
            self.server, self._loop = server, asyncio.get_running_loop()
            serving = asyncio.create_task(server.run())
            await server.started()
            self.port = server.port
            ready.set()
            await serving

        def run() -> None:
            try:
                asyncio.run(serve())
            except BaseException as error:  # noqa: BLE001 - handed to the test's thread
                self._failure = error
                ready.set()

        self._thread = threading.Thread(target=run, name="site")
        self._thread.start()
        assert ready.wait(10)
        self._check()

    def _check(self) -> None:
        if self._failure:
            raise self._failure

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def clients(self) -> int:
        """How many panels the hub feeds now."""
        return self.server.hub.clients

    def stop(self) -> None:
        with suppress(RuntimeError):  # its loop has ended: the thread is gone, or says why
            self._loop.call_soon_threadsafe(self.server.stop)
        self._thread.join(8)
        assert not self._thread.is_alive(), "the web server did not stop"
        self._check()

    def restart(self) -> None:
        """Come back on the same port."""
        self._start()


CHROMIUM = Path("/usr/bin/chromium")
CHROMIUM_ARGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
