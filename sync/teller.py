"""What telling one journal row needs: the names of units, and telling what the cloud does not know.

`sync.epcis` says which kind of fact is told how. Pure.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from agent.core.facts import Attachment
from agent.ports.cloud import Look
from sync.events import Event, Speaker, only
from sync.pending import State, Thing, replay


class Teller:
    """What telling one journal row needs: names, and telling what is pending."""

    def __init__(self, state: State, look: Look, speaker: Speaker) -> None:
        self.state = state
        self.look = look
        self.say = speaker
        self.identity = speaker.identity
        self.seq = speaker.entry.seq
        self.names: dict[int, str] = {}

    # ------------------------------------------------------------------------------- names

    def uris(self, codes: Sequence[Attachment]) -> list[str]:
        """One URI for each code; secret ones by their place."""
        pools = [self.look.pool(code.key.pool) for code in codes]
        open_ = [
            n
            for n, (code, pool) in enumerate(zip(codes, pools, strict=True))
            if pool.roles[code.key.column] not in pool.secret
        ]
        texts = dict(zip(open_, self.look.texts([codes[n].key for n in open_]), strict=True))
        return [
            self.identity.code(texts[n])
            if n in texts
            else self.identity.secret(pool.name, pool.roles[code.key.column], code.key.position)
            for n, (code, pool) in enumerate(zip(codes, pools, strict=True))
        ]

    def primary(self, thing: Thing) -> Attachment | None:
        """The code that names the unit."""
        order = self.look.order(thing.order)
        if order is not None:
            role = order.scheme.level(thing.level).primary
            for code in thing.codes:
                if code.role == role:
                    return code
            if thing.is_container:
                return None
        return thing.codes[0] if thing.codes else None

    def name(self, unit: int, thing: Thing) -> str:
        """The URI of a unit: its primary code, or the unit's own number where it has none."""
        code = self.primary(thing)
        return self.identity.unit(unit) if code is None else self.uris([code])[0]

    def thing(self, unit: int, seq: int) -> Thing:
        """A unit that was told, as of row `seq`."""
        found = replay(self.look.history(unit, seq), unit)
        if found is None:
            raise LookupError(f"the journal does not say how unit {unit} began before row {seq}")
        return found

    def known_as(self, unit: int) -> str:
        """The URI of a unit that was told before this row or by it."""
        name = self.names.get(unit)
        if name is None:
            name = self.names[unit] = self.name(unit, self.thing(unit, self.seq))
        return name

    # ------------------------------------------------------------------- telling what is pending

    def first(self, units: Iterable[int | None]) -> list[Event]:
        """Tell those of the units that are pending: a container with all that it holds."""
        events: list[Event] = []
        items: list[tuple[int, Thing]] = []
        for unit in dict.fromkeys(units):
            thing = self.state.things.pop(unit, None) if unit is not None else None
            if unit is None or thing is None:
                continue
            if thing.is_container:
                events += self.first(child for child, _ in thing.children)
                events += self._container(unit, thing)
            else:
                items.append((unit, thing))
        return self._items(items) + events

    def _items(self, items: Sequence[tuple[int, Thing]]) -> list[Event]:
        groups: dict[tuple[str, str, str], list[tuple[int, Thing]]] = {}
        for unit, thing in items:
            code = self.primary(thing)
            key = thing.order, thing.level, code.role if code else ""
            groups.setdefault(key, []).append((unit, thing))
        events = []
        for (order, level, role), group in groups.items():
            named = [self.primary(thing) for _, thing in group]
            bearing = [code for code in named if code is not None]
            names = iter(self.uris(bearing))
            for (unit, _), code in zip(group, named, strict=True):
                self.names[unit] = self.identity.unit(unit) if code is None else next(names)
            told = [self.names[unit] for unit, _ in group]
            part = f"commission/{group[0][0]}"
            events += self._commission(part, told, order, level, role)
            for unit, thing in group:
                events += self._others(unit, thing)
        off = [unit for unit, thing in items if thing.seen_off]
        return events + self.inspected(off, "non_sellable_other", "off", {"x:reason": "rejected"})

    def _commission(
        self, part: str, names: Sequence[str], order: str, level: str, role: str
    ) -> list[Event]:
        work = self.look.order(order)
        ilmd: dict[str, Any] = {}
        if work is not None:
            ilmd = {
                "cbvmda:lotNumber": work.lot,
                "cbvmda:itemExpirationDate": work.expires,
                "x:productionDate": work.produced,
                "x:product": work.product,
                "x:productClass": self.identity.product(work.product),
                "x:campaign": work.campaign,
            }
        more = {
            "ilmd": {name: value for name, value in ilmd.items() if value},
            "x:level": level,
            "x:role": role,
        }
        return self.say.objects("ADD", part, "commissioning", "active", names, more, order)

    def _others(self, unit: int, thing: Thing) -> list[Event]:
        """The association of a unit's other codes with its primary one."""
        primary = self.primary(thing)
        return self.associate(
            f"codes/{unit}", self.names[unit], [code for code in thing.codes if code != primary]
        )

    def associate(self, part: str, parent: str, codes: Sequence[Attachment]) -> list[Event]:
        if not codes:
            return []
        more = {
            "x:roles": [code.role for code in codes],
            "x:pairs": only([code.integrity.value for code in codes]),
        }
        return [self.say.associated(part, parent, self.uris(codes), more)]

    def _container(self, unit: int, thing: Thing) -> list[Event]:
        code = self.primary(thing)
        self.names[unit] = name = self.name(unit, thing)
        role = code.role if code is not None else ""
        events = self._commission(f"commission/{unit}", [name], thing.order, thing.level, role)
        events += self._others(unit, thing)
        events += self.content("ADD", f"pack/{unit}", unit, thing)
        if thing.seen_off:
            more = {"x:reason": "rejected"}
            events += self.inspected([unit], "non_sellable_other", f"off/{unit}", more)
        return events

    def content(self, action: str, part: str, unit: int, thing: Thing) -> list[Event]:
        """All that a container holds."""
        known = [(child, why) for child, why in thing.children if child is not None]
        more: dict[str, Any] = {
            "x:level": thing.level,
            "x:integrity": thing.integrity.value if thing.integrity else "",
            "x:evidence": only([why for _, why in known]) if known else "",
            "x:expectedQuantity": thing.expected,
            "x:unknown": len(thing.children) - len(known),
            "x:own": thing.own,
            "x:partialReason": thing.reason,
            "x:doubtful": thing.doubtful,
        }
        more = {name: value for name, value in more.items() if value not in ("", False)}
        children = [self.known_as(child) for child, _ in known]
        name = self.known_as(unit)
        if not children:  # an aggregation needs a child that has a name
            return self.say.objects("OBSERVE", part, "inspecting", "in_progress", [name], more)
        if isinstance(more["x:evidence"], list):
            more["x:evidence"] = dict(zip(children, more["x:evidence"], strict=True))
        return self.say.aggregated(action, part, name, children, more, thing.order)

    def inspected(
        self, units: Iterable[int], disposition: str, part: str, more: dict[str, Any]
    ) -> list[Event]:
        names = [self.known_as(unit) for unit in units]
        return self.say.objects("OBSERVE", part, "inspecting", disposition, names, more)

    def told(self, units: Iterable[int]) -> list[int]:
        """Those of the units that the cloud knows."""
        return [unit for unit in dict.fromkeys(units) if unit not in self.state.things]
