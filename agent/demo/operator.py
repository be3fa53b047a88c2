"""The person at the demonstration's panel: when the line has stopped by itself, looks, acknowledges
what stopped it, and starts it again. Once over the agent's API, once in virtual time."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import httpx

from agent.core import inputs as i
from agent.core.errors import CaselinkError
from agent.core.state import LineState
from agent.core.stopping import AGENT

LOOK = 0.5
"""Seconds between two looks at the panel."""
SLOW = 5.0
"""The same in virtual time: what a person needs to come and look."""
BY = "demo"


class Operator:
    """Looks at the panel of `line` (an API path) while the block runs. `client` opens the agent's
    API; the agent may be away. `stops` counts how often the line had to be started again."""

    def __init__(
        self, client: Callable[[], httpx.Client], line: str, say: Callable[[str], None]
    ) -> None:
        self.stops = 0
        self._client = client
        self._line = line
        self._say = say
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._work, name="operator", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        self._thread.join(30)

    def _work(self) -> None:
        while not self._over.wait(LOOK):
            try:
                with self._client() as client:
                    self._look(client)
            except (CaselinkError, httpx.HTTPError, OSError, ValueError):
                continue  # the agent is away, or answers with nothing yet

    def _look(self, client: httpx.Client) -> None:
        now: dict[str, Any] = client.get(f"{self._line}/snapshot").json()
        cause = now.get("state", {}).get("cause") or {}
        if not (cause.get("by") and cause.get("agent")):
            return
        for alarm in now["alarms"]:
            if alarm["key"] == cause["key"]:
                name = quote(alarm["id"], safe="")
                client.post(f"{self._line}/alarms/{name}/acknowledge", json={"by": BY})
        if client.post(f"{self._line}/resume", json={"by": BY}).is_success:
            self.stops += 1
            self._say(f"The line had stopped ({cause['key']}); it was started again.")


async def attend(
    look: Callable[[Callable[[LineState], list[i.Input]]], list[i.Input]],
    command: Callable[[i.Input], Awaitable[object]],
    also: Sequence[Callable[[LineState], list[i.Input]]] = (),
) -> None:
    """The same for a line in virtual time, until cancelled. `look` reads the line's state; `also`
    are other things that people do when they see it."""
    while True:
        await asyncio.sleep(SLOW)
        for each in (_presses, *also):
            # Refused while the cause stands, or the store cannot keep it: looks again later.
            with suppress(CaselinkError):
                for what in look(each):
                    await command(what)


def _presses(state: LineState) -> list[i.Input]:
    """What a person would press now."""
    if state.order is None or state.status != "paused" or state.paused_by != AGENT:
        return []
    seen = [name for name, alarm in state.alarms.items() if alarm.key == state.paused_why]
    return [
        *(i.AcknowledgeAlarm(name, BY) for name in seen),
        i.StartOrder(state.order.number, BY),
    ]
