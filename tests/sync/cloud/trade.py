"""A small trade in these tests: a factory, and two dealers with agents of their own."""

from collections.abc import Sequence
from typing import Any

from sync.cloud import follower, parties
from sync.cloud.diversion import Belongs
from sync.movements import Kind, Movement, Pieces, moved
from sync.uris import Identity
from tests.sync.cloud.told import NOW, Cloud, Teller

EVERYBODY: Belongs = parties.below({})
FACTORY, EAST, WEST = "brand/plant-1/edge-1", "brand/east/dock", "brand/west/dock"


class Warehouse(Teller):
    """An agent that moves goods, as `sync.goods` tells it."""

    def moves(self, kind: Kind, goods: Sequence[str], part: str = "", **more: Any) -> int:
        say = self.speaker("")
        return self.say(say, moved(say, Movement(kind, tuple(goods), part=part, **more)))

    def ship(
        self,
        goods: Sequence[str],
        number: str,
        to: str,
        by: str = "F01",
        pieces: int = 0,
        **more: Any,
    ) -> int:
        held = {name: [Pieces("cola", "L1", pieces)] for name in goods} if pieces else {}
        own = {"party": _party(by), "document": number, **more}
        return self.moves(
            Kind.SHIPPED,
            goods,
            source=(by, ""),
            destination=(to, ""),
            papers={"desadv": number},
            more=own,
            content=held,
        )

    def take_back(self, goods: Sequence[str], number: str, to: str, by: str = "F01") -> int:
        return self.moves(
            Kind.SHIPMENT_VOIDED,
            goods,
            source=(by, ""),
            destination=(to, ""),
            papers={"desadv": number},
            more={"party": _party(by), "document": number},
        )

    def receive(
        self,
        goods: Sequence[str],
        here: str,
        number: str = "",
        source: str = "",
        pieces: int = 0,
        **more: Any,
    ) -> int:
        held = {name: [Pieces("cola", "L1", pieces)] for name in goods} if pieces else {}
        return self.moves(
            Kind.RECEIVED,
            goods,
            source=(source, ""),
            destination=(here, f"{here}/A-01"),
            papers={"desadv": number, "recadv": f"R-{number or self.last}"},
            more={"party": _party(here), **more},
            content=held,
            here=f"{here}/A-01",
        )

    def refuse(self, code: str, here: str) -> int:
        """A scan of what was sent to somebody else, as `sync.goods.stopped` tells it."""
        say = self.speaker("")
        more: dict[str, Any] = {"x:party": _party(here), "x:inspection": True, "x:refused": True}
        events = say.objects("OBSERVE", "refused", "inspecting", "in_progress", [code], more)
        return self.say(say, events)

    def end(self, goods: Sequence[str], here: str, number: str, source: str) -> int:
        """The rest of a shipment does not come any more."""
        return self.moves(
            Kind.LOST,
            goods,
            "missing",
            source=(source, ""),
            destination=(here, ""),
            papers={"desadv": number},
            more={"party": _party(here), "missing": True},
        )

    def give_back(self, goods: Sequence[str], by: str, to: str, number: str = "RMA") -> int:
        return self.moves(
            Kind.RETURN_SHIPPED,
            goods,
            source=(by, ""),
            destination=(to, ""),
            papers={"rma": number},
            more={"party": _party(by)},
        )

    def get_back(self, goods: Sequence[str], here: str, source: str = "") -> int:
        return self.moves(
            Kind.RETURN_RECEIVED,
            goods,
            source=(source, ""),
            destination=(here, ""),
            papers={"rma": "RMA"},
            more={"party": _party(here)},
        )


def _party(number: str) -> str:
    return Identity("", "", "").own("party", number)


def factory() -> Warehouse:
    return Warehouse(FACTORY)


def east() -> Warehouse:
    return Warehouse(EAST, "e2", clock=NOW + 3_600_000)


def west() -> Warehouse:
    return Warehouse(WEST, "e3", clock=NOW + 7_200_000)


def told(cloud: Cloud, *agents: Teller) -> None:
    """Everything that these agents have not told yet, then what follows of it."""
    for agent in agents:
        if agent.start <= agent.last:
            cloud.take(agent.cut(agent.start))
            agent.start = agent.last + 1
    follower.catch_up(cloud.conn, NOW)
