"""Work orders as people ask for them: names instead of numbers, checked against the site file and
the pools that there are."""

import json
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import date
from typing import Protocol

from agent.core import inputs as i
from agent.core.errors import DomainError
from agent.core.scheme import WorkOrder
from agent.ports.line import LineControl
from agent.sections import Site
from agent.store import commands, pools
from agent.store import orders as stored_orders
from agent.store.database import Connection


@dataclass(frozen=True, slots=True)
class OrderSpec:
    """A work order in words. `pools` maps "level/role" to the name of a pool; dates are ISO."""

    number: str
    line: str
    product: str
    lot: str
    scheme: str
    target: int
    pools: Mapping[str, str] = field(default_factory=dict)
    campaign: str = ""
    produced: str = ""
    expires: str = ""


class Reads(Protocol):
    """Gives connections to read with (agent.store.readers)."""

    def connection(self) -> AbstractContextManager[Connection]: ...


class Orders:
    """Use cases of work orders for panel, command line and cloud."""

    def __init__(self, site: Site, readers: Reads, control: LineControl) -> None:
        self._site = site
        self._readers = readers
        self._control = control

    async def create(self, spec: OrderSpec, by: str) -> None:
        """Create a work order. DomainError: something it names does not exist or does not fit."""
        await self._control.command(spec.line, i.CreateOrder(self.made(spec), by))

    def exists(self, order: WorkOrder) -> bool:
        """Whether there is this very work order."""
        with self._readers.connection() as conn:
            return stored_orders.get(conn, order.number) == order

    def made(self, spec: OrderSpec) -> WorkOrder:
        """The work order that is meant. DomainError: something it names does not exist."""
        if spec.product not in self._site.products and not self._told(spec.product):
            known = ", ".join(sorted(self._site.products)) or "none"
            raise DomainError(
                "product_unknown",
                f"Product {spec.product} is not in the site file (it has: {known}), and the cloud "
                "has told of none of that number.",
            )
        if spec.scheme not in self._site.schemes:
            known = ", ".join(sorted(self._site.schemes)) or "none"
            raise DomainError(
                "scheme_unknown",
                f"Packing scheme {spec.scheme} is not in the site file (it has: {known}).",
            )
        _check_dates(spec)
        return WorkOrder(
            number=spec.number,
            line=spec.line,
            product=spec.product,
            lot=spec.lot,
            scheme=self._site.scheme(spec.scheme),
            target=spec.target,
            pools=self._pools(spec.pools),
            campaign=spec.campaign,
            produced=spec.produced,
            expires=spec.expires,
        )

    def _told(self, sku: str) -> bool:
        """Whether the cloud says that there is this product."""
        with self._readers.connection() as conn:
            told = commands.reference(conn, "product", sku)
        return told is not None and not json.loads(told.body).get("withdrawn", False)

    def _pools(self, names: Mapping[str, str]) -> dict[str, int]:
        with self._readers.connection() as conn:
            known = {pool.name: pool for pool in pools.list_pools(conn)}
        found = {}
        for place, name in names.items():
            level, _, role = place.partition("/")
            pool = known.get(name)
            if pool is None:
                listed = ", ".join(sorted(known)) or "none; import one with `caselink pool import`"
                raise DomainError(
                    "pool_unknown", f"There is no pool {name} for {place} (there are: {listed})."
                )
            if pool.level != level or role not in pool.roles:
                raise DomainError(
                    "pool_wrong",
                    f"Pool {name} holds {pool.level}/{', '.join(pool.roles)}, not {place}.",
                )
            found[place] = pool.pool
        return found


def _check_dates(spec: OrderSpec) -> None:
    """DomainError `date_wrong`: a date is none, or it expires before it is made."""
    for name, text in (("produced", spec.produced), ("expires", spec.expires)):
        try:
            if text:
                date.fromisoformat(text)
        except ValueError:
            raise DomainError(
                "date_wrong", f"{name} = {text:.20} is no date: write YYYY-MM-DD, e.g. 2026-01-31."
            ) from None
    if spec.produced and spec.expires and spec.expires < spec.produced:
        raise DomainError(
            "date_wrong",
            f"Lot {spec.lot} would expire on {spec.expires}, before it is made on {spec.produced}: "
            "correct the dates.",
        )
