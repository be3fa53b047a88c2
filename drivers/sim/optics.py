"""What a camera's exposure sees of the things in front of it."""

from collections.abc import Sequence

from drivers.sim.layout import View
from drivers.sim.troubles import Dice, mix
from drivers.sim.truth import Item, Mark
from drivers.sim.world import Exposure, Scene, Symbol

SIDES = (0.16, 0.84)
"""Where in the width of the frame a neighbour's symbol stands."""


class Eye:
    """One camera: counts its exposures and strews symbols a little, by seed and exposure."""

    __slots__ = ("_angle", "_cells", "_counter", "_dice", "_jitter", "_shots", "_view")

    def __init__(self, view: View, seed: int) -> None:
        self._view = view
        self._dice = Dice(seed, f"view/{view.camera}")
        self._counter = self._shots = 0
        self._jitter = view.jitter / 128
        self._angle = view.angle / 128
        self._cells = [
            ((column + 0.5) * view.width / view.columns, (row + 0.5) * view.height / view.rows)
            for row in range(view.rows)
            for column in range(view.columns)
        ]

    def restart(self) -> None:
        """Number exposures from 1 again."""
        self._counter = 0

    def shoot(
        self,
        now: float,
        own: Item | None,
        content: Sequence[Item] = (),
        cap: Mark | None = None,
        beside: Sequence[Item] = (),
    ) -> Exposure:
        """The exposure of `own` (its codes; None: nothing stands there), of `content` in grid
        order, of a waiting cap, and of what else is in view at the edges."""
        view = self._view
        self._counter += 1
        self._shots += 1
        chance = self._dice.roll(self._shots)
        symbols: list[Symbol] = []
        for seen in view.see:
            role, kind, size, gs1 = seen.role, seen.kind, seen.size, seen.gs1
            if seen.of == "content":
                shown = content[: seen.most] if seen.most else content
                for (x, y), child in zip(self._cells, shown, strict=False):
                    mark = child.marks.get(role)
                    if mark is not None:
                        chance = mix(chance)
                        symbols.append(self._symbol(mark, kind, x, y, size, gs1, chance))
                continue
            if seen.of == "cap":
                mark = cap
            else:
                mark = None if own is None else own.marks.get(role)
                for place, other in enumerate(beside):
                    stray = other.marks.get(role)
                    if stray is not None:
                        chance = mix(chance)
                        x = view.width * (SIDES[place % 2])
                        y = seen.y * view.height
                        symbols.append(self._symbol(stray, kind, x, y, size, gs1, chance))
            if mark is not None:
                chance = mix(chance)
                x, y = seen.x * view.width, seen.y * view.height
                symbols.append(self._symbol(mark, kind, x, y, size, gs1, chance))
        scene = Scene(
            view.width,
            view.height,
            tuple(symbols),
            view.blur,
            view.noise,
            # Four steps of light: a lamp that is never quite the same.
            view.light * (0.92 + 0.04 * (chance >> 40 & 3)),
            0.0,
            chance & 0x7FFFFFFF,
        )
        return Exposure(view.camera, self._counter, now, scene)

    def _symbol(
        self, mark: Mark, kind: str, x: float, y: float, size: float, gs1: bool, chance: int
    ) -> Symbol:
        return Symbol(
            mark.text,
            kind,
            x + ((chance & 255) - 128) * self._jitter,
            y + ((chance >> 8 & 255) - 128) * self._jitter,
            size,
            ((chance >> 16 & 255) - 128) * self._angle,
            0.0 if mark.readable else 1.0,
            gs1,
        )
