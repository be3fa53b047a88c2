"""A work order as people ask for it: what is refused before it reaches the line."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agent.config import load
from agent.core import inputs as i
from agent.core.errors import DomainError
from agent.services.orders import Orders, OrderSpec
from agent.store.database import Connection, in_memory
from drivers.shipped import CONFIG

ORDER = OrderSpec("WO-1", "L1", "COLA-500", "B1", "case24-pallet8", 24)


class Nothing:
    """An empty store, and a line of which nothing may be asked here."""

    def connection(self) -> AbstractContextManager[Connection]:
        return closing(in_memory("test"))

    def lines(self) -> Sequence[str]:
        raise AssertionError

    async def command(self, line: str, what: i.Input) -> None:
        raise AssertionError

    def snapshot(self, line: str) -> Any:
        raise AssertionError


@pytest.fixture(scope="module")
def orders() -> Orders:
    return Orders(load(Path(CONFIG / "bottling.toml")), Nothing(), Nothing())


@pytest.mark.parametrize(
    ("produced", "expires", "said"),
    [
        ("2026-13-01", "", "produced = 2026-13-01 is no date: write YYYY-MM-DD"),
        ("", "2026-02-30", "expires = 2026-02-30 is no date: write YYYY-MM-DD"),
        ("2026-02-02", "2026-02-01", "Lot B1 would expire on 2026-02-01, before it is made"),
    ],
)
def test_an_order_with_a_wrong_date_is_refused(
    orders: Orders, produced: str, expires: str, said: str
) -> None:
    with pytest.raises(DomainError, match=said) as refused:
        orders.made(replace(ORDER, produced=produced, expires=expires))
    assert refused.value.reason == "date_wrong"


def test_an_order_with_right_dates_or_none_is_made(orders: Orders) -> None:
    assert orders.made(ORDER).expires == ""
    made = orders.made(replace(ORDER, produced="2026-02-01", expires="2026-02-01"))
    assert (made.produced, made.expires) == ("2026-02-01", "2026-02-01")
