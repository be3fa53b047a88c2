"""The people who build pallets by hand in virtual time: one leaves half full, and is topped up
later with cases that are scanned; now and then a person scans the wrong one first."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress

from agent.core import inputs as i
from agent.core.errors import CaselinkError, DomainError
from agent.core.plan import LinePlan
from drivers.sim.troubles import Trouble
from drivers.sim.truth import Item, Truth
from drivers.sim.world import Ask

LOOK = 0.2
"""Seconds between two looks at what is to be done."""
TRIES = 300
"""Looks after which a person gives up: the agent is away no longer than that."""
REASON, BY = "half pallet", "demo"

Do = Callable[[i.Input], Awaitable[None]]


class People:
    """Do at the agent what the plant's people do on the floor. `line` tells the line, `desk` the
    whole agent; `canonical` makes the text of a code of what a scanner reads. What the agent
    refuses is put aside; a wrong scan that it takes shows in the audit."""

    def __init__(
        self,
        plan: LinePlan,
        truth: Truth,
        canonical: Callable[[str], str],
        wrong: Trouble,
        line: Do,
        desk: Do,
    ) -> None:
        self._plan = plan
        self._truth = truth
        self._canonical = canonical
        self._wrong = wrong
        self._line = line
        self._desk = desk
        self._todo: deque[tuple[Ask, int]] = deque()
        self._scans = 0

    def told(self, asks: Iterable[Ask]) -> None:
        """People will do this."""
        self._todo += ((ask, 0) for ask in asks)

    @property
    def idle(self) -> bool:
        return not self._todo

    async def run(self) -> None:
        """For ever, one thing after the other."""
        while True:
            await asyncio.sleep(LOOK)
            while self._todo and await self._does(*self._todo[0]):
                self._todo.popleft()

    async def _does(self, ask: Ask, tries: int) -> bool:
        """Whether it is done, or given up."""
        try:
            if ask.kind == "close_partial":
                station = self._plan.by_index[ask.station].id
                await self._line(i.ClosePartial(station, REASON, BY))
            else:
                await self._top_up(ask)
        except CaselinkError:
            if tries < TRIES:
                self._todo[0] = (ask, tries + 1)
                return False
            if ask.kind == "top_up":
                self._put_aside(ask)
        return True

    async def _top_up(self, ask: Ask) -> None:
        pallet = self._canonical(ask.code)
        await self._scan_wrong(pallet)
        try:
            await self._desk(i.Reopen(REASON, BY, pallet))
        except DomainError as refusal:
            if refusal.reason != "container_is_open":
                raise
        children = tuple(self._canonical(text) for text in ask.children)
        try:
            await self._desk(i.Pack(REASON, BY, pallet, children))
        except DomainError as refusal:
            if refusal.reason == "too_many":
                await self._take_out(pallet)
            raise

    async def _take_out(self, pallet: str) -> None:
        """By the record there is no room: a case stands there that is not on the pallet any more.
        It is closed as it is, taken out, and topped up at the next look."""
        await self._desk(i.Pack(REASON, BY, pallet, ()))
        for case in self._truth.levels[-2]:
            code = self._truth.code(case, self._canonical)
            if "unstacked" in case.befell and case.parent is None and code is not None:
                with suppress(DomainError):
                    await self._desk(i.Unpack(REASON, BY, pallet, (code,)))

    async def _scan_wrong(self, pallet: str) -> None:
        """A case that is on another pallet, or on this one already."""
        self._scans += 1
        if not self._wrong.hits(self._scans):
            return
        packed = [case for case in self._truth.levels[-2] if case.parent is not None]
        code = self._truth.code(packed[0], self._canonical) if packed else None
        if code is None:
            return
        self._truth.happened(self._wrong.name, 0.0, packed[0])
        with suppress(DomainError):
            await self._desk(i.Pack(REASON, BY, pallet, (code,)))

    def _put_aside(self, ask: Ask) -> None:
        """The agent takes none of them: off the pallet again."""
        texts = {self._canonical(text) for text in ask.children}
        for child in self._truth.levels[-2]:
            if self._truth.code(child, self._canonical) in texts:
                _off(child)


def _off(child: Item) -> None:
    if child.parent is not None and child in child.parent.children:
        child.parent.children.remove(child)
    child.parent, child.place = None, "taken"
