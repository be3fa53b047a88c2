"""Feeds systemd's watchdog, and only while every loop of the agent turns.

A loop that hangs, a store that does not answer and vision threads that are all stuck look healthy
from outside; systemd hears nothing then and starts the agent anew.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence

from agent.notify import Notifier

log = logging.getLogger(__name__)

LONGEST = 10.0
"""Seconds within which every loop turns; its longest wait is below that."""

Probe = Callable[[float], Awaitable[Sequence[str]]]
"""Names of what did not answer or turn within so many seconds."""


async def feed(notifier: Notifier, probe: Probe, longest: float = LONGEST) -> None:
    """Until cancelled; returns at once where systemd does not watch us."""
    interval = notifier.interval
    if interval is None:
        return
    said: Sequence[str] = ()
    while True:
        began = time.monotonic()
        stuck = await probe(longest)
        if not stuck:
            notifier.alive("running")
        else:
            notifier.status(f"stuck: {', '.join(stuck)}")
            if list(stuck) != list(said):
                log.error("Stuck, so the watchdog is not fed: %s.", ", ".join(stuck))
        said = stuck
        await asyncio.sleep(max(0.1, interval / 3 - (time.monotonic() - began)))
