"""What a PDA sends of what was done on it: checked, given its time, carried out, answered.

Items are carried out a few at a time, so that a queue of days that comes at once does not keep the
line waiting; each part is durable before the next begins, and what an upload got to is its answer.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby, pairwise
from typing import Any, NamedTuple

from agent.core.errors import DomainError, TransientError
from agent.core.goods import Item, Result, Scope
from agent.now import monotonic, wall_ms
from agent.services.access import Access, scan_time
from agent.services.depot import Depot
from agent.store.devices import Device

MOST = 200
"""Items in one upload."""
AT_ONCE = 5
"""Items in one transaction, which a line may wait for: some 2 ms."""
ENOUGH = 5.0
"""Seconds after which an upload is answered as far as it got: the device sends the rest."""


class Rewind(DomainError):
    """The first item is not the next one: the next one is number `upto` + 1."""

    def __init__(self, upto: int) -> None:
        self.upto = upto
        super().__init__(
            "rewind", f"Item {upto + 1} is the next one of this device: upload again from there."
        )


class Uploaded(NamedTuple):
    """How far the device's items are carried out, our time, and the answers of this upload."""

    upto: int
    server_ms: int
    results: list[Result]


class Uploads:
    """Takes items of PDAs."""

    def __init__(self, depot: Depot, access: Access) -> None:
        self._depot = depot
        self._access = access

    def take(self, device: Device, items: Sequence[dict[str, Any]], device_now_ms: int) -> Uploaded:
        """Carry out what was not yet, and answer all of it.

        DomainError `not_in_order`, `item_forged`; Rewind; TooMany; TransientError: nothing of it is
        known to be carried out, send it again.
        """
        numbers = [int(item["seq"]) for item in items]
        if any(two != one + 1 for one, two in pairwise(numbers)):
            raise DomainError(
                "not_in_order", "The items of an upload follow on by their numbers, without a gap."
            )
        self._access.signed_items(device, items)
        self._access.items.take(device.id, max(1, len(items)))
        now = wall_ms()
        results: list[Result] = []
        until = monotonic() + ENOUGH
        for scope, some in self._parts(device, items, now, device_now_ms):
            try:
                results += self._depot.items(scope, some, now)
            except TransientError:
                if not results:
                    raise
                break
            except DomainError as error:
                if error.reason == "rewind":
                    raise Rewind(self._depot.upto(device.id)) from error
                raise
            if monotonic() >= until:
                break
        if results and not results[-1].replayed:  # then it was the next one, and is the last
            return Uploaded(results[-1].seq, now, results)
        return Uploaded(self._depot.upto(device.id), now, results)

    def _parts(
        self, device: Device, items: Sequence[dict[str, Any]], now: int, device_now: int
    ) -> Iterator[tuple[Scope, list[Item]]]:
        """What is carried out together: a few items that one person made with the same rights."""
        speaks: dict[str, Callable[[int], Scope]] = {}
        scoped: list[tuple[Scope, Item]] = []
        for told in items:
            made = _item(told, scan_time(now, device_now, told["at"]))
            if made.by not in speaks:
                speaks[made.by] = self._access.speaks(device, made.by)
            scoped.append((speaks[made.by](made.at_ms), made))
        for scope, run in groupby(scoped, key=lambda each: each[0]):
            part = [item for _, item in run]
            for n in range(0, len(part), AT_ONCE):
                yield scope, part[n : n + AT_ONCE]


def _item(item: dict[str, Any], at_ms: int) -> Item:
    told = {key: value for key, value in item.items() if key not in ("at", "sig")}
    return Item(**told, at_ms=at_ms, device_ms=item["at"])
