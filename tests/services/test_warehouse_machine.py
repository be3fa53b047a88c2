"""Whatever PDAs do, and however their uploads go, the stock is what was booked: a short run.

The long one: `python -m tests.services.warehouse_machine --steps 100000`.
"""

from tests.services.warehouse_machine import run


def test_the_stock_is_what_was_booked() -> None:
    run(examples=60, steps=60, number=2026)
