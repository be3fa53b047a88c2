"""Each broker of the tests of the way to the cloud, started once for a module."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.store.outbox import Outbox
from agent.store.readers import Readers
from tests.store.store_help import Plant, shift
from tests.sync import brokers
from tests.sync.brokers import BrokerProcess


@pytest.fixture(scope="module", params=["mosquitto", "iotcore"])
def broker(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[BrokerProcess]:
    """A running broker of each kind."""
    folder: Path = tmp_path_factory.mktemp("broker")
    if request.param == "mosquitto":
        if brokers.MOSQUITTO is None:
            pytest.skip("mosquitto is not installed: tests/install_needed does it")
        process = brokers.mosquitto(folder)
    else:
        process = brokers.iotcore(folder)
    with brokers.running(process):
        yield process


@pytest.fixture
def plant(tmp_path: Path) -> Iterator[Plant]:
    """A store after a busy day, its writer in a thread."""
    plant = Plant(tmp_path).load()
    for facts in shift(plant):
        plant.put(*facts)
    plant.writer.start()
    yield plant
    plant.writer.close()
    plant.close()


@pytest.fixture
def port(plant: Plant) -> Iterator[Outbox]:
    """The way out of that store."""
    readers = Readers(plant.path, plant.key_file, 3)
    yield Outbox(readers, plant.writer)
    readers.close()
