"""What a camera's settings should be, from pictures of the line: region and track, or the cells of
an open case and how its children look; the order of attempts; the exposure."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import dist
from typing import Any

import numpy as np

from agent.ports.reading import Image, Read
from agent.vision import look as looks
from agent.vision.advice import exposure_factor
from agent.vision.attempts import ATTEMPTS, CASCADES
from agent.vision.cascade import attempt_all, attempt_one, decode
from agent.vision.formats import LINEAR
from agent.vision.gridlearn import learn_cells
from agent.vision.look import Look
from agent.vision.multiread import decode_cells
from agent.vision.region import Track, find_region, middle_of
from agent.vision.replay import read
from agent.vision.settings import DecodeSettings
from agent.vision.tune import Figures, Tuning, measure

SECONDS = 2.0
"""For one picture: at commissioning a read may take its time."""
ORDER_FRAMES = 60
"""Pictures that every attempt is tried on."""
LOOK_FRAMES = 12
_GAIN = 0.9
"""An order of attempts is proposed when it takes at most this share of the time of today's."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """Keys of the reader in the site file and their values, `exposure` by which that of the camera
    should be multiplied (None: as it is), `look` of a case's children, and the read rate and mean
    ms of the pictures before and after."""

    keys: dict[str, Any]
    exposure: float | None
    look: Look | None
    before: tuple[float, float]
    after: tuple[float, float]


@dataclass(slots=True)
class Commissioning:
    """The pictures of one camera, read as the station would, with everything beside."""

    settings: DecodeSettings
    tuning: Tuning
    pictures: list[Image]
    reads: list[tuple[Read, ...]]

    @classmethod
    def begin(cls, settings: DecodeSettings) -> "Commissioning":
        return cls(settings, Tuning(), [], [])

    def add(self, image: Image) -> Figures | None:
        """Read and measure one more picture; None when it is none."""
        until = time.monotonic() + SECONDS
        if self.settings.grid is None:
            decoded = decode(image, self.settings, until)
            reads, places, seconds = decoded.reads, 1, decoded.seconds
            if reads and self.settings.region is None:
                reads = (_central(image, reads[0], self.settings.symbology),)
        else:
            cells = decode_cells(image, self.settings, until)
            reads = (*(read for read in cells.cells if read is not None), *cells.strays)
            places, seconds = len(cells.cells), cells.seconds
        figures = measure(image, self.settings, reads, places, seconds)
        if figures is None:
            return None
        self.tuning.add(figures)
        self.pictures.append(image)
        self.reads.append(reads)
        return figures

    def propose(self, progress: Callable[[str], None] = lambda what: None) -> Proposal:
        """The settings that these pictures ask for."""
        progress("region")
        keys, look = self._places()
        settings = settings_with(self.settings, keys, look)
        if self.settings.grid is None and self.settings.symbology not in LINEAR:
            progress("order")
            order = propose_order(self.pictures, self.reads, settings)
            if order is not None:
                keys["attempts"] = order
                settings = replace(settings, attempts=order)
        progress("proof")
        typical = self.tuning.typical()
        before, after = _proof(self.pictures, self.settings), _proof(self.pictures, settings)
        if self._hard and typical is not None and typical.module is not None:
            pitch = round(typical.module, 1)
            known = _proof(self.pictures, replace(settings, pitch=pitch))
            if known[0] >= after[0] and known[1] < _GAIN * after[1]:
                keys["pitch"], after = pitch, known
        exposure = exposure_factor(typical) if typical is not None and typical.read else None
        return Proposal(keys, exposure, look, before, after)

    @property
    def _hard(self) -> bool:
        """Whether the first attempt leaves enough to the others for their order to matter."""
        by = self.tuning.attempts()
        return self.settings.grid is None and by["fast"] < 0.95 * len(self.pictures)

    def _places(self) -> tuple[dict[str, Any], Look | None]:
        if not self.pictures:
            return {}, None
        height, width = self.pictures[0].shape
        if self.settings.grid is not None:
            return self._cells((width, height))
        others = [
            other
            for image, reads in list(zip(self.pictures, self.reads, strict=True))[:20]
            for other in attempt_all(image, self.settings.symbology, ATTEMPTS["full"], (0, 0))
            if reads and other.text != reads[0].text
        ]
        found = find_region([reads[0] for reads in self.reads if reads], (width, height), others)
        if found is None:
            return {}, None
        region, track = found
        return {"region": region, "track": track}, None

    def _cells(self, frame: tuple[int, int]) -> tuple[dict[str, Any], Look | None]:
        grid = self.settings.grid
        assert grid is not None
        seen = [
            np.array([middle_of(read) for read in reads], np.float64).reshape(-1, 2)
            for reads in self.reads
        ]
        learnt = learn_cells(seen, grid, frame)
        if learnt is None:
            return {}, None
        region, cells = learnt
        settings = replace(self.settings, region=region, cells=cells)
        frames = []
        for image in self.pictures[:LOOK_FRAMES]:
            result = decode_cells(image, settings, time.monotonic() + SECONDS)
            boxes = settings.cell_boxes(*frame)
            if result.pose is not None:
                boxes = result.pose.boxes(boxes)
                pairs = zip(boxes, result.cells, strict=True)
                frames.append((image, [box for box, cell in pairs if cell is not None]))
        return {"region": region, "cells": cells}, looks.learn(frames)


def _central(image: Image, read: Read, symbology: str) -> Read:
    """Of all symbols in view the one that is nearest to the middle: neighbours are at the sides."""
    every = [read, *attempt_all(image, symbology, ATTEMPTS["fast"], (0, 0))]
    height, width = image.shape
    return min(every, key=lambda each: dist(middle_of(each), (width / 2, height / 2)))


def settings_with(
    settings: DecodeSettings, keys: dict[str, Any], look: Look | None
) -> DecodeSettings:
    """The settings with the keys of a proposal."""
    return replace(settings, look=look or settings.look, **keys)


def propose_order(
    pictures: Sequence[Image], reads: Sequence[tuple[Read, ...]], settings: DecodeSettings
) -> tuple[str, ...] | None:
    """The order of attempts that reads these pictures soonest; None when today's is as good.

    Each next attempt is the one that reads most of what is left for its time. Those of today's
    order that were not needed stay behind them: tomorrow's pictures are others.
    """
    sample = _sample(pictures, reads)
    x, y, _, _ = box = _search(settings, sample)
    ours = {name: attempt for name, attempt in ATTEMPTS.items() if not attempt.second}
    hits: dict[str, set[int]] = {name: set() for name in ATTEMPTS}
    cost: dict[str, float] = dict.fromkeys(ATTEMPTS, 0.0)
    for name, attempt in ours.items():
        start = time.perf_counter()
        for n, (image, text) in enumerate(sample):
            region = image[box[1] : box[1] + box[3], box[0] : box[0] + box[2]]
            found = attempt_one(region, settings.symbology, attempt, (x, y))
            if found is not None and found.text == text:
                hits[name].add(n)
        cost[name] = (time.perf_counter() - start) / max(1, len(sample))
        if name == "fast" and len(hits["fast"]) == len(sample):
            return None  # the others are not needed
    left = set(range(len(sample))) - hits["fast"]
    order = ["fast"]
    while True:
        rest = [name for name in ours if name not in order and hits[name] & left]
        if not rest:
            break
        best = max(rest, key=lambda name: len(hits[name] & left) / max(1e-6, cost[name]))
        order.append(best)
        left -= hits[best]
    today = CASCADES[settings.symbology] if not settings.attempts else settings.attempts
    order += [name for name in today if name not in order]
    if _mean(order, hits, cost, len(sample)) > _GAIN * _mean(today, hits, cost, len(sample)):
        return None
    return tuple(order)


def _sample(
    pictures: Sequence[Image], reads: Sequence[tuple[Read, ...]]
) -> list[tuple[Image, str]]:
    """Pictures whose text is known, those that were hard to read first."""
    known = [
        (found[0].attempt == "fast", n, image, found[0].text)
        for n, (image, found) in enumerate(zip(pictures, reads, strict=True))
        if found
    ]
    return [(image, text) for _, _, image, text in sorted(known, key=lambda k: k[:2])][
        :ORDER_FRAMES
    ]


def _search(
    settings: DecodeSettings, sample: Sequence[tuple[Image, str]]
) -> tuple[int, int, int, int]:
    """Region with its track: what is looked at when the close look gave nothing."""
    if not sample:
        return 0, 0, 1, 1
    height, width = sample[0][0].shape
    x, y, w, h = settings.box(width, height)
    dx, dy = round(settings.track * width), round(settings.track * height)
    left, top = max(0, x - dx), max(0, y - dy)
    return left, top, min(width, x + w + dx) - left, min(height, y + h + dy) - top


def _mean(
    order: Sequence[str], hits: dict[str, set[int]], cost: dict[str, float], total: int
) -> float:
    """Mean seconds of an order over the pictures."""
    left, spent = set(range(total)), 0.0
    for name in order:
        spent += len(left) * cost[name]
        left -= hits[name]
    return spent / max(1, total)


def _proof(pictures: Sequence[Image], settings: DecodeSettings) -> tuple[float, float]:
    """Share of places read, and mean ms, over a sample of the pictures."""
    sample = pictures[:: max(1, len(pictures) // ORDER_FRAMES)]
    if not sample:
        return 0.0, 0.0
    rows, columns = settings.grid or (1, 1)
    track = Track()
    answers = [read(image, settings, SECONDS, track) for image in sample]
    got = sum(len(answer.texts) for answer in answers) / (len(sample) * rows * columns)
    return got, 1000 * sum(answer.seconds for answer in answers) / len(answers)
