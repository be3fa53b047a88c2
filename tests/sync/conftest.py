"""Each broker of the tests of the way to the cloud, started once for a module."""

from collections.abc import Iterator
from pathlib import Path

import pytest

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
