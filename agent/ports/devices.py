"""What every device is to the agent: a session that opens and closes, and what one may do besides.

Drivers never retry and never reconnect: they raise `TransientError` and the supervisor opens a new
session. `open` is called once per session, `close` always after it. Every wait takes its deadline
in seconds; a wait that runs out returns None (nothing came) or raises TransientError (an answer was
owed). This holds for the ports of cameras, readers, printers and the PLC beside this file too.
"""

from collections.abc import Sequence
from typing import NamedTuple, Protocol, runtime_checkable

from agent.core.errors import Said


@runtime_checkable
class Device(Protocol):
    """A session with a thing."""

    async def open(self) -> None:
        """Connect within the device's configured deadline; TransientError if it is not there."""

    async def close(self) -> None:
        """End the session and release every resource; never raises for a peer that is gone."""


class DeviceCheck(NamedTuple):
    """One thing that was looked at on a device: whether it is as it should be, and what was found
    and what to do (`errors.say`; a driver without words of its own says `say("plain", words=...)`).
    """

    good: bool
    said: Said


@runtime_checkable
class Checked(Protocol):
    """What a device can add to a check of it besides its status."""

    async def check(self) -> Sequence[DeviceCheck]:
        """Look at the open device without changing anything on it; within 10 s. It may be in use
        at the same time. TransientError when it does not answer."""


@runtime_checkable
class Tested(Protocol):
    """A device that can do something harmless for a person to see."""

    async def test(self) -> Said:
        """Do it, within 20 s, and say what should have been seen. Only while nothing else is asked
        of the device. TransientError when it does not answer, DomainError when it cannot."""


@runtime_checkable
class Fired(Protocol):
    """A camera or reader that can be told to take one picture or reading, in place of its eye."""

    async def fire(self) -> bool:
        """Do it; False where it is set up to be fired by its eye alone. TransientError when it does
        not."""
