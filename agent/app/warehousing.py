"""Now and then takes receipts as received that nobody scanned in time."""

import asyncio
import logging

from agent.core.errors import CaselinkError
from agent.now import wall_ms
from agent.services.warehouse import Warehouse

log = logging.getLogger(__name__)

FIRST, EVERY = 60.0, 3600.0
"""Seconds after the start, and between two looks: a day begins at no special moment."""


async def accept_unscanned(warehouse: Warehouse, *, first: float = FIRST) -> None:
    """Until cancelled."""
    wait = first
    while True:
        await asyncio.sleep(wait)
        wait = EVERY
        try:
            taken = await asyncio.to_thread(warehouse.accept_unscanned, wall_ms())
        except CaselinkError as error:
            log.error("Receipts that nobody scanned could not be booked: %s", error)
        else:
            if taken:
                log.info("%d receipts that nobody scanned are booked, marked unscanned.", taken)
