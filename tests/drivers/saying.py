"""What is said of a device, in English, as a person reads it."""

from agent.core.errors import Said
from agent.ports.devices import DeviceCheck
from agent.web.words import in_words


def told(said: Said | None) -> str:
    assert said is not None
    return in_words("en", said)


def english(found: DeviceCheck) -> str:
    return told(found.said)
