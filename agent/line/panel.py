"""The line as the panel shows it: a snapshot built from the line's state and from what was observed
of its facts. The contract is docs/live-feed.md; a value that is not known is None, never 0.

The state lives in the store's thread and what was observed on the event loop: `excerpt` copies what
is needed of the one there, and the snapshot is built here.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import takewhile
from typing import Any

from agent.core import facts as f
from agent.core.bypass import left_seconds
from agent.core.errors import said_data
from agent.core.plan import Station
from agent.core.state import LineState
from agent.core.stopping import AGENT
from agent.line import asking
from agent.line.lastpicture import picture
from agent.line.runner import LineRunner
from agent.line.watch import Watch
from agent.now import monotonic, wall_ns
from agent.ports.line import Committed

SPEED_SECONDS = 30
"""Speed is what left the verifier in this time."""
STOPPED_AFTER = 10
"""Seconds without an item after which a running line counts as stopped."""
POINT_SECONDS = 60
POINTS = 720
"""The output chart keeps one point a minute for twelve hours."""
CLOCK_SET = 1.0
"""Seconds by which the wall clock leaves the monotonic one when somebody sets it."""
SEALED = 8
CODES = 2048
"""Units whose code text is remembered for the current container's grid."""


@dataclass(frozen=True, slots=True)
class PanelSettings:
    """What the site file says for people. `products` maps a stock-keeping unit to its names;
    `speed` is the normal band (low, high) in units per minute."""

    names: Mapping[str, str]
    products: Mapping[str, Mapping[str, str]]
    speed: tuple[float, float] | None = None
    reject_pct: float = 0.5
    no_read_pct: float = 0.2


@dataclass(slots=True)
class _Seen:
    """What was observed since the agent started."""

    good: deque[float] = field(default_factory=lambda: deque(maxlen=100_000))
    sealed: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=SEALED))
    points: deque[tuple[int, int]] = field(default_factory=lambda: deque(maxlen=POINTS))
    codes: dict[int, tuple[str | None, int]] = field(default_factory=dict)
    labels: dict[int, str | None] = field(default_factory=dict)
    levels: dict[int, tuple[str, int]] = field(default_factory=dict)
    order: str = ""
    started: int | None = None
    state: tuple[str, int] = ("starting", 0)
    stops: int = 0
    stopped: float = 0.0
    looked: float = 0.0
    failed: int | None = None

    def shift(self, seconds: float) -> None:
        """The wall clock was set: what was seen stays as long ago as it was."""
        ms = int(seconds * 1000)
        self.good = deque((at + seconds for at in self.good), self.good.maxlen)
        self.points = deque(((at + ms, n) for at, n in self.points), self.points.maxlen)
        self.codes = {unit: (text, at + ms) for unit, (text, at) in self.codes.items()}
        for sealed in self.sealed:
            sealed["at"] += ms
        self.started = None if self.started is None else self.started + ms
        self.state = (self.state[0], self.state[1] + ms)
        self.looked += seconds
        self.failed = None if self.failed is None else self.failed + ms


class LinePanel:
    """Observes one line and answers with snapshots. Lives on the event loop."""

    def __init__(self, runner: LineRunner, settings: PanelSettings) -> None:
        self._runner = runner
        self._settings = settings
        self._seen = _Seen()
        self._offset = wall_ns() / 1e9 - monotonic()

    def _now(self) -> float:
        """Wall time in seconds. Where the wall clock was set, all that was seen goes with it."""
        now = wall_ns() / 1e9
        offset = now - monotonic()
        if abs(offset - self._offset) > CLOCK_SET:
            self._seen.shift(offset - self._offset)
        self._offset = offset
        return now

    def observe(self, committed: Committed) -> None:
        """Facts that became durable."""
        now = self._now()
        seen = self._seen
        for fact in committed.facts:
            match fact:
                case f.ItemPassed(commissioned=True):
                    seen.good.append(now)
                    text = committed.texts.get(fact.codes[0].key) if fact.codes else None
                    seen.codes[fact.unit] = (text or _masked(fact.codes), int(now * 1000))
                    if len(seen.codes) > CODES:
                        del seen.codes[next(iter(seen.codes))]
                case f.ContainerFormed():
                    seen.levels[fact.unit] = (fact.level, fact.expected)
                    if len(seen.levels) > CODES:
                        del seen.levels[next(iter(seen.levels))]
                case f.LabelBound():
                    text = committed.texts.get(fact.codes[0].key) if fact.codes else None
                    seen.labels[fact.container] = text or _masked(fact.codes)
                    if len(seen.labels) > CODES:
                        del seen.labels[next(iter(seen.labels))]
                case f.ContainerClosed() if seen.levels.get(fact.container, ("", 0))[1] != 1:
                    # A box around one bottle is sealed with every bottle: no news.
                    level, expected = seen.levels.get(fact.container, ("", 0))
                    seen.sealed.appendleft(
                        {
                            "code": seen.labels.get(fact.container),
                            "level": level,
                            "count": fact.count - fact.unknown,
                            "of": expected or None,
                            "integrity": str(fact.integrity),
                            "at": int(now * 1000),
                        }
                    )
                case f.OrderStarted() if fact.number != seen.order:
                    self._seen = seen = _Seen(
                        order=fact.number, started=int(now * 1000), state=seen.state, looked=now
                    )

    def snapshot(self, state: LineState) -> dict[str, Any]:
        """The snapshot of this moment; `state` is an `excerpt`, and only read."""
        now = self._now()
        packml, since = self._packml(state, now)
        return {
            "v": 1,
            "at": int(now * 1000),
            "line": {"id": state.line, "names": dict(self._settings.names)},
            "state": {"packml": packml, "since": since, "cause": self._cause(state, packml)},
            "order": self._order(state),
            "bypass": _bypass(state),
            "test": _test(state),
            "orders": _startable(state),
            "devices": self._devices(),
            "backlog": {"events": None, "oldest": None},
            "operator": None,
            "shift": None,
            "alarms": [*self._shell_alarms(state.line, now), *_alarms(state, self._seen.labels)],
            **self._numbers(state, now),
            "current": self._current(state),
            "camera": self._camera(state),
            "trend": self._trend(state, now),
            "sealed": list(self._seen.sealed),
        }

    def _packml(self, state: LineState, now: float) -> tuple[str, int]:
        runner, seen = self._runner, self._seen
        plc = runner.healths[0].state
        if plc != "ok":
            name = "starting" if plc == "starting" else "lost"
        elif "estop" in runner.plc_flags:
            name = "aborted"
        elif state.status == "idle" and state.trial is None:
            name = "idle"
        elif state.status == "paused" or not runner.wants_running or runner.held_by:
            name = "held"
        elif "running" not in runner.plc_flags:
            name = "stopped"
        elif state.trial is not None:
            name = "execute"
        elif not seen.good or now - seen.good[-1] > STOPPED_AFTER:
            name = "suspended"
        else:
            name = "execute"
        if name != seen.state[0]:
            if seen.state[0] == "execute" and state.status != "idle":
                seen.stops += 1
            seen.state = (name, int(now * 1000))
        if state.status != "idle" and name != "execute" and seen.looked:
            seen.stopped += now - seen.looked
        seen.looked = now
        return seen.state

    def _cause(self, state: LineState, packml: str) -> dict[str, Any] | None:
        """Why the line is held, by whom (None: by itself, and it goes on by itself)."""
        if packml != "held":
            return None
        if state.status == "paused":
            by_us = state.paused_by == AGENT
            return {
                "key": state.paused_why or None,
                "by": state.paused_by,
                "agent": by_us,
                "device": None,
            }
        held = self._runner.held_by
        found: dict[str, Any] = {"key": held or None, "by": None, "agent": True, "device": None}
        if any(health.id == held for health in self._runner.healths):
            return found | {"key": "device", "device": held}
        if not held:
            alarms = {alarm.key for alarm in state.alarms.values()}
            found["key"] = "pool_in_question" if "pool_in_question" in alarms else "pool_empty"
        return found

    def _shell_alarms(self, line: str, now: float) -> list[dict[str, Any]]:
        """That the store keeps nothing cannot be kept either: it is said here."""
        if self._runner.held_by != "store_failed":
            self._seen.failed = None
            return []
        self._seen.failed = self._seen.failed or int(now * 1000)
        return [
            {
                "id": f"{line}/store_failed",
                "priority": 1,
                "key": "store_failed",
                "args": {},
                "since": self._seen.failed,
                "acked": False,
            }
        ]

    def _order(self, state: LineState) -> dict[str, Any] | None:
        order = state.order
        if order is None:
            return None
        return {
            "number": order.number,
            "sku": order.product,
            "names": dict(self._settings.products.get(order.product, {})),
            "lot": order.lot,
            "target": order.target,
            "level": order.scheme.levels[0].name,
            "status": state.status,
        }

    def _devices(self) -> dict[str, Any]:
        healths = self._runner.healths
        quality = {
            watch.health.id: watch.quality.facts()
            for watch in self._runner.watches
            if watch.quality is not None
        }
        return {
            "ok": sum(health.state == "ok" for health in healths),
            "all": len(healths),
            "list": [
                {
                    "id": health.id,
                    "kind": health.kind,
                    "state": health.state,
                    "latency_ms": None
                    if health.latency is None
                    else round(health.latency * 1000, 2),
                    "last": health.last_ms,
                    "error": health.error,
                    "said": said_data(health.said),
                    "quality": quality.get(health.id),
                    "warnings": list(health.warnings),
                    "losses": health.losses,
                    "faults": health.faults,
                }
                for health in healths
            ],
        }

    def _numbers(self, state: LineState, now: float) -> dict[str, Any]:
        tally, settings, seen = state.tally, self._settings, self._seen
        low, high = settings.speed or (None, None)
        minutes = 0.0 if seen.started is None else (now * 1000 - seen.started) / 60_000
        recent = sum(1 for _ in takewhile(lambda at: at > now - SPEED_SECONDS, reversed(seen.good)))
        span = min(SPEED_SECONDS, max(minutes * 60, 1.0))
        active = state.order is not None
        plan = value = None
        if active and high and low and minutes > 0:
            target = state.order.target if state.order else 0
            plan = int(min(target, minutes * (low + high) / 2))
            value = round(min(1.0, tally.good / (minutes * high)), 3)
        unit = state.order.scheme.levels[0].name if state.order else None
        return {
            "good": tally.good if active else None,
            "plan": plan,
            "rejected": {
                "count": tally.rejected if active else None,
                "limit_pct": settings.reject_pct,
                "reasons": dict(tally.reasons),
            },
            "no_read": {
                "count": tally.reasons.get("no_read", 0) if active else None,
                "limit_pct": settings.no_read_pct,
            },
            "speed": {
                "per_min": round(recent * 60 / span) if active else None,
                "low": low,
                "high": high,
                "unit": unit,
            },
            "oee": {
                "value": value,
                "stops": seen.stops if active else None,
                "stopped_s": round(seen.stopped) if active else None,
            },
        }

    def _packer(self, state: LineState) -> Station | None:
        """The packer people watch: the first whose container holds more than one child."""
        order = state.order
        if order is None:
            return None
        packers = (station for station in self._runner.plan.stations if station.kind == "pack")
        return next((s for s in packers if order.scheme.level(s.level).children > 1), None)

    def _current(self, state: LineState) -> dict[str, Any] | None:
        station, order = self._packer(state), state.order
        if station is None or order is None:
            return None
        spec = order.scheme.level(station.level)
        units = _waiting(state, station)[: spec.children]
        cells: list[dict[str, Any]] = []
        for unit in units:
            code, at = self._seen.codes.get(unit, (None, None)) if unit else (None, None)
            code = code or (self._seen.labels.get(unit) if unit else None)
            cells.append({"s": "good" if unit else "unknown", "code": code, "at": at, "why": None})
        waiting = {"s": "wait", "code": None, "at": None, "why": None}
        cells += [waiting] * (spec.children - len(cells))
        return {
            "level": station.level,
            "number": state.tally.closed.get(station.level, 0) + 1,
            "count": len(units),
            "of": spec.children,
            "columns": max(station.lanes, -(-spec.children // station.lanes))
            if station.lanes > 1
            else 6,
            "cells": cells,
        }

    def _camera(self, state: LineState) -> dict[str, Any] | None:
        packer = self._packer(state)
        shown: Watch | None = None
        for watch in self._runner.watches:
            if watch.last is not None and (shown is None or watch.station == packer):
                shown = watch
        if shown is None or shown.last is None:
            return None
        return picture(shown, shown.last)

    def _trend(self, state: LineState, now: float) -> dict[str, Any] | None:
        seen, order = self._seen, state.order
        if order is None or seen.started is None:
            return None
        at = int(now * 1000)
        if not seen.points or at - seen.points[-1][0] >= POINT_SECONDS * 1000 / 12:
            seen.points.append((at, state.tally.good))
        high = self._settings.speed[1] if self._settings.speed else None
        minutes = order.target / high if high else 480.0
        return {
            "from": seen.started,
            "to": max(at, seen.started + int(minutes * 60_000)),
            "target": order.target,
            "points": [[seen.started, 0], *map(list, seen.points)],
        }


def excerpt(state: LineState) -> LineState:
    """A copy of what a snapshot needs of a line's state."""
    return LineState(
        line=state.line,
        status=state.status,
        order=state.order,
        orders=dict(state.orders),
        finished=list(state.finished),
        lanes={
            station: {lane: list(units) for lane, units in lanes.items()}
            for station, lanes in state.lanes.items()
        },
        paused_by=state.paused_by,
        paused_why=state.paused_why,
        alarms=asking.alarms(state),
        tally=replace(
            state.tally, reasons=dict(state.tally.reasons), closed=dict(state.tally.closed)
        ),
        bypass=None
        if state.bypass is None
        else replace(state.bypass, unseen=dict(state.bypass.unseen)),
        trial=None if state.trial is None else replace(state.trial, seen=dict(state.trial.seen)),
    )


def _masked(codes: tuple[f.Attachment, ...]) -> str | None:
    return f"{codes[0].key.pool}/{codes[0].key.position}" if codes else None


def _bypass(state: LineState) -> dict[str, Any] | None:
    """The bypass that the line is in, None if it codes."""
    now = state.bypass
    if now is None:
        return None
    return {
        "by": now.by,
        "reason": now.reason,
        "left_s": left_seconds(now, int(monotonic() * 1000)),
        "unseen": dict(now.unseen),
    }


def _test(state: LineState) -> dict[str, Any] | None:
    """The test that the line is in, None if there is none."""
    now = state.trial
    if now is None:
        return None
    return {"by": now.by, "order": now.order, "seen": dict(now.seen)}


def _startable(state: LineState) -> list[dict[str, Any]]:
    active = state.order.number if state.order else None
    return [
        {
            "number": order.number,
            "sku": order.product,
            "lot": order.lot,
            "target": order.target,
            "state": "created",
        }
        for order in state.orders.values()
        if order.number != active and order.number not in state.finished
    ]


def _alarms(state: LineState, labels: Mapping[int, str | None]) -> list[dict[str, Any]]:
    return [
        {
            "id": name,
            "priority": alarm.priority,
            "key": alarm.key,
            "args": {
                "station": alarm.station,
                **({"item": str(alarm.item)} if alarm.item is not None else {}),
                **asking.shown(alarm.args, labels),
            },
            "since": alarm.since_ms,
            "acked": alarm.acknowledged,
        }
        for name, alarm in sorted(
            state.alarms.items(), key=lambda each: (each[1].priority, -each[1].since_ms)
        )
    ]


def _waiting(state: LineState, station: Station) -> list[int | None]:
    """Units in the packer's lanes, row by row."""
    lanes = state.lanes.get(station.id, {})
    rows = max((len(lane) for lane in lanes.values()), default=0)
    return [
        lanes[lane][row] for row in range(rows) for lane in sorted(lanes) if row < len(lanes[lane])
    ]
