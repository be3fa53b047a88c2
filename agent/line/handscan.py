"""The hand scanner of a station: what a person scans at one container becomes one hand scan.

Codes are gathered until none comes for a while; then they go to the core as they are (core.scan
says which container it is and what follows). Labels on the wall say the rest: `COMPLETE` that these
were all of its children, `EMPTY` that it holds none, `CANCEL` that they shall be forgotten, `WHO`
and a name who scans from now on.
"""

import logging
from collections.abc import Awaitable, Callable

from agent.core import inputs as i
from agent.core.codes import Refused, canonical
from agent.core.errors import CaselinkError
from agent.health import Health
from agent.now import monotonic
from agent.ports.reading import CodeReader, Reading

log = logging.getLogger(__name__)

COMPLETE = "CASELINK-COMPLETE"
EMPTY = "CASELINK-EMPTY"
CANCEL = "CASELINK-CANCEL"
WHO = "CASELINK-BY:"
WAIT = 1.0
"""Seconds between looks at the clock while nothing comes."""
MOST = 513
"""Codes of one scan that are gathered: one more than the core takes, for it to say so."""
MOST_NAME = 64


class HandScans:
    """One hand scanner. `command` hands an input to the core, as a person's; `tell` is for what
    stands in the panel. `by` is who scans until a label says who does; `pause` the seconds without
    a code that end a scan."""

    def __init__(
        self,
        line: str,
        station: str,
        source: CodeReader,
        health: Health,
        command: Callable[[i.Input], Awaitable[object]],
        tell: Callable[[i.Input], None],
        *,
        by: str = "",
        pause: float = 3.0,
    ) -> None:
        self.source = source
        self.health = health
        self._alarm = f"{line}/{health.id}/scan_refused"
        self._station = station
        self._command = command
        self._tell = tell
        self._standing = self._by = by
        self._pause = pause
        self._codes: dict[str, None] = {}
        self._last = 0.0
        self._refused = False

    async def run(self) -> None:
        """One session of the scanner: until it is lost (TransientError). What was scanned before
        is forgotten then, and so is who scanned: somebody else may pick it up."""
        self._codes.clear()
        self._by = self._standing
        while True:
            wait = WAIT
            if self._codes:
                wait = self._last + self._pause - monotonic()
                if wait <= 0:
                    await self._hand_over(complete=False)
                    continue
            reading = await self.source.next_reading(min(wait, WAIT))
            if reading is not None:
                self.health.alive()
                await self._take(reading)

    async def _take(self, reading: Reading) -> None:
        self._last = reading.received
        if not reading.reads:
            self._refuse("The scan was not understood. Scan all of this container again.")
            return
        for read in reading.reads:
            if read.text == COMPLETE:
                await self._hand_over(complete=True)
            elif read.text == EMPTY:
                await self._hand_over(complete=True, empty=True)
            elif read.text == CANCEL:
                self._codes.clear()
                self._settle()
            elif read.text.startswith(WHO):
                # A name that says who scanned what came before would be a guess.
                self._codes.clear()
                self._by = read.text.removeprefix(WHO).strip()[:MOST_NAME]
            else:
                self._gather(read.symbology + read.text)

    def _gather(self, raw: str) -> None:
        try:
            text = canonical(raw).text
        except Refused as reason:
            log.debug("%s: %s", self.health.id, reason)
            self._refuse("What was scanned is no code. Scan all of this container again.")
            return
        if len(self._codes) < MOST:
            self._codes[text] = None

    async def _hand_over(self, *, complete: bool, empty: bool = False) -> None:
        texts = tuple(self._codes)
        self._codes.clear()
        try:
            await self._command(i.HandScanned(texts, complete, self._by, empty))
        except CaselinkError as error:
            self._refuse(str(error))
        else:
            self._settle()

    def _refuse(self, why: str) -> None:
        """What was gathered is not whole any more: none of it counts."""
        self._codes.clear()
        self._settle()  # an alarm that stands would keep the words of the one before
        self._refused = True
        self._tell(self._condition(True, why))

    def _settle(self) -> None:
        if self._refused:
            self._refused = False
            self._tell(self._condition(False, ""))

    def _condition(self, active: bool, why: str) -> i.ConditionChanged:
        args = (("device", self.health.id), ("error", why))
        return i.ConditionChanged(self._alarm, active, 3, "scan_refused", self._station, args)
