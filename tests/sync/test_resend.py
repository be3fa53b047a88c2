"""Sending again on request: from any row that is here, kept before it is answered."""

import asyncio

import pytest

from agent.core.errors import TransientError
from agent.store import journal
from agent.store.outbox import Outbox
from tests.store.store_help import Plant
from tests.sync.brokers import BrokerProcess
from tests.sync.test_uplink import consuming, everything_arrived, running, until
from tests.sync.tiny import Tiny


def test_rows_are_sent_again_as_far_as_the_consumer_wants(
    broker: BrokerProcess, plant: Plant, port: Outbox
) -> None:
    consumer = Tiny(broker.url)
    plant.conn.tail = None
    last = journal.tail(plant.conn)[0]

    async def main() -> None:
        async with consuming(consumer), running(port, broker.url) as uplink:
            await until(lambda: uplink.status.acked == last)
            await uplink.resend(last + 1)  # nothing to do
            with port.view() as view:
                there = view.hash_at(8)
            assert there is not None
            consumer.forget(8, there)
            consumer.seen.clear()
            consumer.mute = True
            await uplink.resend(5)
            assert port.acked().seq == 4
            assert uplink.status.acked == 4
            await until(lambda: bool(consumer.seen))
            assert consumer.seen[0].first == 5
            consumer.mute = False
            await until(lambda: uplink.status.acked == last)
        assert uplink.status.fork == ""
        with pytest.raises(TransientError):
            await uplink.resend(1)

    asyncio.run(main())
    everything_arrived(port, consumer)
