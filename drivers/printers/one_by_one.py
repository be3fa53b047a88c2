"""One value at a time in a device that only counts its prints: the counter tells the print.

The value stays in the device, so a product too early gets it a second time: that is told, and ends
the session.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from agent.ports.printing import PrintEvent, PrintEventKind
from agent.told import told
from drivers.printers.coder_link import CoderLink, M


@dataclass(frozen=True, slots=True)
class Out:
    """The value that is in the device: our number, and the counter before it came there."""

    ref: int
    counter: int


class OneByOne:
    """`count` asks the counter; `printed` is called when it has moved, before it is asked again:
    the place to stop the device. `poll` seconds lie between two looks."""

    def __init__(
        self,
        link: CoderLink[M],
        count: Callable[[], Awaitable[int]],
        poll: float,
        printed: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self.out: Out | None = None
        self._link = link
        self._count = count
        self._poll = poll
        self._printed = printed
        self._looking = asyncio.Lock()

    async def free(self) -> bool:
        """Whether the device may have the next value."""
        if self.out is not None:
            await self.look()
        return self.out is None

    async def look(self) -> None:
        """Compare the counter, and tell the print of the value that is out."""
        async with self._looking:  # two that look at once would both tell the print
            if self.out is not None:
                await self._compare(self.out)

    async def _compare(self, out: Out) -> None:
        counter = await self._count()
        if counter == out.counter or self.out is not out:
            return
        if self._printed is not None:
            await self._printed()
            counter = await self._count()
        self.out = None
        prints, name = counter - out.counter, self._link.name
        if prints < 0:
            raise self._link.fail(
                *told("counter_back", name=name, before=out.counter, now=counter, record=out.ref)
            )
        self._link.tell(PrintEventKind.PRINTED, out.ref, time.monotonic(), counter)
        if prints > 1:
            self._link.end(*told("printed_more", name=name, record=out.ref, times=prints))

    async def counter(self) -> int:
        """The counter as far as its prints were fetched from here: a print that is on its way to be
        told is no difference between what is counted and what is told."""
        await self.look()
        counter = self.out.counter if self.out is not None else await self._count()
        told = (event.kind is PrintEventKind.PRINTED for event in self._link.events)
        return counter - sum(told)

    async def next_event(self, timeout: float) -> PrintEvent | None:
        """The next event of the link, with a look at the counter every `poll` seconds."""
        end = time.monotonic() + timeout
        while True:
            if self.out is not None and not self._link.events:
                await self.look()
            left = end - time.monotonic()
            wait = left if self.out is None else min(left, self._poll)
            event = await self._link.next_event(max(0.0, wait))
            if event is not None or end <= time.monotonic():
                return event
