"""What becomes of a camera's pictures between its lens and the agent: lost, extra, late, repeated.

The camera numbers every exposure; whatever goes wrong afterwards shows in those numbers or not at
all.
"""

from collections import deque
from collections.abc import Mapping, Sequence
from math import inf

from drivers.sim.layout import View
from drivers.sim.optics import Eye
from drivers.sim.troubles import Trouble
from drivers.sim.truth import Item, Mark, Truth
from drivers.sim.world import Exposure, Scene

MAX_DELAY = 2.0  # s that a late picture is late at most
BOUNCE = 0.03  # s after which a camera that fires by itself has fired again


class Shutter:
    """One camera. What it delivers goes to `out` in the order of its numbers; what is late waits
    until `deliver`, and so does everything behind it."""

    def __init__(
        self,
        view: View,
        seed: int,
        rates: Mapping[str, float],
        truth: Truth,
        out: list[Exposure],
    ) -> None:
        name = self.camera = view.camera
        self.dark_until = -inf  # no picture arrives
        self.stuck_until = -inf  # every picture is the last one
        self._booted_at: float | None = None
        self._eye = Eye(view, seed)
        self._truth = truth
        self.out = out
        self._late: deque[tuple[float, Exposure]] = deque()
        self._picture: Scene | None = None
        self._shots = 0
        (self._lost, self._extra, self._delayed, self._twice, self._frozen) = (
            Trouble(seed, trouble, rates.get(trouble, 0), name)
            for trouble in (
                "lost_frame",
                "extra_frame",
                "late_frame",
                "repeated_frame",
                "repeated_picture",
            )
        )

    @property
    def due(self) -> float:
        """When the next late picture is delivered; inf: none waits."""
        return self._late[0][0] if self._late else inf

    def deliver(self, t: float) -> None:
        """Hand over what is due."""
        while self._late and self._late[0][0] <= t:
            self.out.append(self._late.popleft()[1])

    def boot(self, until: float) -> None:
        """Off until then; afterwards its numbers begin at 1."""
        self._booted_at = until
        self._late.clear()
        self._picture = None

    def shoot(
        self,
        now: float,
        own: Item | None,
        content: Sequence[Item] = (),
        cap: Mark | None = None,
        beside: Sequence[Item] = (),
    ) -> None:
        """The camera was fired."""
        if self._booted_at is not None:
            if now < self._booted_at:
                return
            self._booted_at = None
            self._eye.restart()
        exposure = self._eye.shoot(now, own, content, cap, beside)
        number = exposure.counter
        self._shots += 1
        shot = self._shots
        stuck = now < self.stuck_until
        if self._picture is not None and (stuck or self._frozen.hits(shot)):
            if not stuck:
                self._happened("repeated_picture", now, own)
            exposure = Exposure(exposure.camera, number, now, self._picture)
        self._picture = exposure.scene
        if now < self.dark_until:
            return
        if self._lost.hits(shot):
            self._happened("lost_frame", now, own)
        else:
            delay = 0.0
            if self._delayed.hits(shot):
                self._happened("late_frame", now, own)
                delay = MAX_DELAY * self._delayed.share(shot)
            self._send(exposure, now, delay)
            if self._twice.hits(shot):
                self._happened("repeated_frame", now, own)
                self._send(exposure, now, delay)
        if self._extra.hits(shot):
            self._happened("extra_frame", now, own)
            again = self._eye.shoot(now + BOUNCE, None)
            self._send(again, now, BOUNCE)

    def _send(self, exposure: Exposure, now: float, delay: float) -> None:
        if not delay and not self._late:
            self.out.append(exposure)
            return
        due = now + delay
        if self._late:
            due = max(due, self._late[-1][0])
        self._late.append((due, exposure))

    def _happened(self, trouble: str, now: float, own: Item | None) -> None:
        self._truth.happened(trouble, now, own, self.camera)
