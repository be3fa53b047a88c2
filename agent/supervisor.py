"""Supervised sessions: opens a device, runs its loop, closes it, and tries again with back-off.

The only place that owns reconnection, and the only one that may catch everything: a loop that dies
of a bug is logged with its trace and started again, so that one device cannot take the agent down.
Logs once when a device is lost and once when it is back.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from agent.core.errors import CaselinkError, Said, TransientError
from agent.health import Health, State
from agent.now import monotonic
from agent.ports.devices import Device
from agent.told import told

log = logging.getLogger(__name__)

FIRST_WAIT = 0.2
LONGEST_WAIT = 5.0
"""Seconds between attempts: doubled from the first up to the longest."""
OPEN_SECONDS = 10.0
CLOSE_SECONDS = 3.0

Changed = Callable[[Health], Awaitable[None]]


def longer(wait: float) -> float:
    """The next wait after one that did not help."""
    return min(2 * wait, LONGEST_WAIT)


class Session:
    """One supervised device. `work` runs while it is open and ends only by an exception."""

    def __init__(
        self,
        device: Device,
        health: Health,
        work: Callable[[], Awaitable[None]],
        changed: Changed,
        close_seconds: float = CLOSE_SECONDS,
        *,
        ok_when_open: bool = True,
    ) -> None:
        """`ok_when_open`: that it opens is a sign of life; else its work says `up` when it has
        seen one."""
        self.device = device
        self.health = health
        self._work = work
        self._changed = changed
        self._close_seconds = close_seconds
        self._ok_when_open = ok_when_open
        self._wanted = asyncio.Event()  # somebody wants the device
        self._free = asyncio.Event()  # it is closed, and his
        self._back = asyncio.Event()
        self._lending = asyncio.Lock()

    async def run(self) -> None:
        """Until cancelled. Closes the device on the way out."""
        wait = FIRST_WAIT
        while True:
            began = monotonic()
            said: Said | None = None
            try:
                await self._open()
                if self._ok_when_open:
                    await self.up()
                await self._attend()
                error, said = told("session_over")
            except CaselinkError as lost:
                error, said = str(lost), lost.said
            except Exception as bug:
                log.exception("%s: its loop failed; this is a bug, please report it", self._name)
                error, said = told("bug", kind=type(bug).__name__)
            finally:
                await self._close()
            if self._wanted.is_set():
                self.health.state = "starting"
                self.health.error, self.health.said = told("being_tested")
                self._free.set()
                await self._back.wait()
                continue
            await self._is("lost", error, said)
            if monotonic() - began > 2 * LONGEST_WAIT:
                wait = FIRST_WAIT
            await asyncio.sleep(wait)
            wait = longer(wait)

    @asynccontextmanager
    async def lent(self) -> AsyncIterator[None]:
        """The device is closed meanwhile and another one may talk to it; then a new session begins.
        TransientError when it does not let go in time."""
        async with self._lending:
            self._back.clear()
            self._wanted.set()
            try:
                async with asyncio.timeout(OPEN_SECONDS + self._close_seconds):
                    await self._free.wait()
                yield
            except TimeoutError:
                raise TransientError(*told("busy", name=self.health.id)) from None
            finally:
                self._wanted.clear()
                self._free.clear()
                self._back.set()

    async def _attend(self) -> None:
        """Its work, until that fails or somebody wants the device."""
        work = asyncio.ensure_future(self._work())
        wanted = asyncio.ensure_future(self._wanted.wait())
        try:
            await asyncio.wait({work, wanted}, return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                work.result()
        finally:
            for task in (work, wanted):
                task.cancel()
            await asyncio.wait({work, wanted})
            if not work.cancelled():
                work.exception()  # it failed as we were told to end: nobody wants to know

    async def up(self) -> None:
        """The device works."""
        await self._is("ok", None)

    async def _open(self) -> None:
        try:
            async with asyncio.timeout(OPEN_SECONDS):
                await self.device.open()
        except TimeoutError:
            raise TransientError(*told("did_not_open", s=f"{OPEN_SECONDS:.0f}")) from None

    async def _close(self) -> None:
        try:
            async with asyncio.timeout(self._close_seconds):
                await self.device.close()
        except Exception:
            log.exception("%s: closing it failed; this is a bug, please report it", self._name)

    @property
    def _name(self) -> str:
        return f"{self.health.kind} {self.health.id}"

    async def _is(self, state: State, error: str | None, said: Said | None = None) -> None:
        before, self.health.state = self.health.state, state
        self.health.error, self.health.said = error, said
        if state == "ok":
            self.health.alive()
            if before == "lost":
                log.warning("%s is back.", self._name)
        elif before != "lost":
            self.health.losses += 1
            why = (error or "no reason").rstrip(".")
            log.warning("%s is lost: %s. Trying again.", self._name, why)
        if before != state:
            await self._changed(self.health)


async def unless_bug(name: str, work: Callable[[], Awaitable[None]]) -> None:
    """Run what the lines can do without: if it fails, say so loudly, and let them go on."""
    try:
        await work()
    except Exception:
        log.exception("%s failed; this is a bug, please report it. The lines go on.", name)
