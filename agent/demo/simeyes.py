"""Cameras in memory: what the plant exposed arrives as frames, and is read by what is in view."""

import asyncio
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agent.demo.simbox import Mailbox
from agent.ports.reading import Decoded, Frame, Image, Read
from agent.sections import ReaderSection
from drivers.sim.camera_clock import CameraClock
from drivers.sim.troubles import Dice
from drivers.sim.world import Exposure, Scene, Symbol

FRAME_MS = (4, 14)
"""How long a picture takes from its exposure to the agent."""
BEHIND = 1e-6
"""Seconds that a picture arrives after the one before at the least."""
DECODE_MS = (3, 12)
CONTENT_MS = (20, 60)
"""How long a picture of one symbol, or of many, takes to be read."""

_AIM = {"QRCode": "]Q1", "DataMatrix": "]d1", "Code128": "]C0", "EAN13": "]E0"}
_AIM_GS1 = {"DataMatrix": "]d2", "Code128": "]C1", "QRCode": "]Q3"}


def _loop() -> asyncio.AbstractEventLoop:
    return asyncio.get_running_loop()


class Sight(np.ndarray[Any, np.dtype[np.uint8]]):
    """A picture that is never painted: it knows the scene that it would show."""

    scene: Scene
    chance: int


def sight(exposure: Exposure, chance: int) -> Sight:
    # Pixels of another exposure are other pixels: whoever looks for a picture that comes again
    # must find the one that does.
    taken = exposure.scene.seed.to_bytes(8, "big")
    pixels: NDArray[np.uint8] = np.frombuffer(taken, np.uint8).reshape(1, 8)
    seen = pixels.view(Sight)
    seen.scene, seen.chance = exposure.scene, chance
    return seen


def _between(span: tuple[int, int], chance: int) -> float:
    low, high = span
    return (low + chance % 4096 / 4096 * (high - low)) / 1000


class MemoryCamera:
    """ports.FrameSource: what the plant exposed, a little later and in its order."""

    def __init__(self, name: str, seed: int) -> None:
        self.name = name
        self._dice = Dice(seed, f"latency/{name}")
        self._clock = CameraClock(name, seed)
        self._frames: Mailbox[Frame] = Mailbox()
        self._shown = 0
        self._last = 0.0  # when the picture before arrives

    async def open(self) -> None:
        self._frames.open()

    async def close(self) -> None: ...

    def show(self, exposure: Exposure) -> None:
        """The camera was fired."""
        self._shown += 1
        chance = self._dice.roll(self._shown)
        loop = _loop()
        at = max(self._last + BEHIND, loop.time() + _between(FRAME_MS, chance))
        self._last = at
        loop.call_at(at, self._arrived, exposure, chance >> 12)

    def _arrived(self, exposure: Exposure, chance: int) -> None:
        now = _loop().time()
        picture = sight(exposure, chance)
        self._frames.put(Frame(picture, exposure.counter, self._clock.stamp(exposure), now))

    async def next_frame(self, timeout: float) -> Frame | None:
        return await self._frames.get(timeout)


class MemoryDecoder:
    """ports.FrameDecoder: reads what can be read in a scene, when a decoder would have."""

    def __init__(self, section: ReaderSection) -> None:
        self._kind = section.symbology
        self._grid = section.grid
        self._span = CONTENT_MS if section.grid else DECODE_MS

    async def decode(self, image: Image, deadline: float) -> Decoded:
        assert isinstance(image, Sight)
        loop = _loop()
        now = loop.time()
        takes = _between(self._span, image.chance)
        if now + takes > deadline:
            await asyncio.sleep(max(0.0, deadline - now))
            return Decoded((), deadline - now, late=True)
        await asyncio.sleep(takes)
        symbols = [
            symbol
            for symbol in image.scene.symbols
            if symbol.kind == self._kind and symbol.damage < DAMAGE
        ]
        if self._grid is None:
            # A decoder for one symbol gives one of those in view.
            one = symbols[image.scene.seed % len(symbols)] if symbols else None
            return Decoded(() if one is None else (_read(one),), takes)
        return _content(image.scene, self._grid, symbols, takes)


DAMAGE = 0.3
"""The share of a symbol that its error correction cannot do without."""


def _read(symbol: Symbol) -> Read:
    aim = (_AIM_GS1 if symbol.gs1 else _AIM)[symbol.kind]
    x, y, half = round(symbol.x), round(symbol.y), round(symbol.size / 2)
    corners = (
        (x - half, y - half),
        (x + half, y - half),
        (x + half, y + half),
        (x - half, y + half),
    )
    return Read(symbol.text, aim, corners, "fast")


def _content(
    scene: Scene, grid: tuple[int, int], symbols: Sequence[Symbol], seconds: float
) -> Decoded:
    """Reads with their places as agent.vision.multiread gives them: cells first, then strays."""
    rows, columns = grid
    cells: dict[int, Read] = {}
    strays: list[Read] = []
    texts: dict[str, int] = {}
    for symbol in symbols:
        texts[symbol.text] = texts.get(symbol.text, 0) + 1
        column = int(symbol.x * columns // scene.width)
        row = int(symbol.y * rows // scene.height)
        inside = 0 <= column < columns and 0 <= row < rows
        place = row * columns + column
        if inside and place not in cells:
            cells[place] = _read(symbol)
        else:
            strays.append(_read(symbol))
    placed = sorted(cells.items())
    places = [place for place, _ in placed] + [rows * columns + n for n in range(len(strays))]
    doubles = sum(count > 1 for count in texts.values())
    reads = (*(read for _, read in placed), *strays)
    return Decoded(reads, seconds, False, tuple(places), doubles)
