"""What is said of a device, in English, as a person reads it."""

from agent.core.errors import Said
from agent.ports.devices import DeviceCheck
from agent.told import spoken


def told(said: Said | None) -> str:
    assert said is not None
    return spoken("en", said)


def english(found: DeviceCheck) -> str:
    return told(found.said)
