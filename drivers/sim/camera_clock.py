"""The clock of a simulated camera: begins where it likes, runs a little fast or slow, and trembles.

It begins anew when the camera's count does.
"""

from drivers.sim.troubles import Dice
from drivers.sim.world import Exposure

DRIFT = 50e-6  # s per s that it is fast or slow at most
JITTER = 0.0005  # s by which a stamp is late at most
BEGINS = 1000.0  # s that it may show when it begins

_FULL = float(1 << 64)


class CameraClock:
    """What one camera stamps on its exposures."""

    def __init__(self, name: str, seed: int) -> None:
        self._dice = Dice(seed, f"clock/{name}")
        self._rate = 1 + DRIFT * (2 * self._share(0) - 1)
        self._counter: int | None = None
        self._began = 0.0

    def stamp(self, exposure: Exposure) -> float:
        """Seconds of its clock at an exposure whose `camera_time` is the plant's time."""
        counter = exposure.counter
        if self._counter is None or counter < self._counter:
            self._began = exposure.camera_time - BEGINS * self._share(-counter)
        self._counter = counter
        jitter = JITTER * self._share(counter)
        return (exposure.camera_time - self._began) * self._rate + jitter

    def _share(self, what: int) -> float:
        return self._dice.roll(what) / _FULL
