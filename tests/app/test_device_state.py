"""What the cloud is told of a device."""

from agent.app.uplink import device_state
from agent.health import Health
from sync.messages import DeviceState


def test_a_devices_health_goes_to_the_cloud() -> None:
    health = Health("coder", "printer", warnings=("ink_low",) * 40, faults=3, losses=2)
    health.alive(0.0123)
    told = device_state(health)
    assert told == DeviceState(
        kind="printer",
        state="ok",
        latency_ms=12.3,
        last_ms=health.last_ms or 0,
        lost=2,
        faults=3,
        warnings=["ink_low"] * 32,
    )
    assert told.last_ms > 0
