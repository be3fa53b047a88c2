"""Follows the quality index of one camera beside the line: samples its reads, grades them when the
machine has nothing else to do, and tells when the index becomes too low or recovers."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from agent.ports.reading import Decoded, Image, Read
from agent.vision.quality import GRADED, Quality, grade
from agent.vision.quality_trend import LEAST, SHORT, Trend, TrendSettings
from agent.vision.workers import VisionWorkers

Low = Callable[[bool, Mapping[str, str]], None]


@dataclass(frozen=True, slots=True)
class SampleSettings:
    """`every` so many frames that the first attempt read one is graded (0 = none at all), and each
    that a later attempt read; `white` is the grey value that counts as full reflectance."""

    every: int = 20
    white: float = 255.0
    trend: TrendSettings = field(default_factory=TrendSettings)


class QualityWatch:
    """One camera's. `low` is called in the loop when the index is known for the first time to be
    low or not, and at each change; `now_ms` gives the times of the trend's points. `graded`,
    `skipped` and `failed` count samples: measured, left out because the machine was busy, and those
    of which there was nothing to measure."""

    def __init__(
        self,
        workers: VisionWorkers,
        symbology: str,
        settings: SampleSettings,
        low: Low,
        now_ms: Callable[[], int],
    ) -> None:
        self.graded = self.skipped = self.failed = 0
        self.trend = Trend(settings.trend)
        self.last: Quality | None = None
        self._workers = workers
        self._symbology = symbology
        self._settings = settings
        self._low = low
        self._now_ms = now_ms
        self._told: bool | None = None
        self._since = 0  # good frames since the last sample
        self._turn = 0

    def offer(self, image: Image, decoded: Decoded) -> None:
        """A frame was read and its verdict is on its way: maybe it is a sample. Never waits."""
        reads = [read for read in decoded.reads if len(read.corners) == 4]
        if not self._settings.every or self._symbology not in GRADED or not reads:
            return
        hard = [read for read in reads if read.attempt != "fast"]
        self._since += 1
        if not hard and self._since < self._settings.every:
            return
        # Of many symbols in one picture another one each time.
        self._turn += 1
        among = hard or reads
        read = among[self._turn % len(among)]
        loop = asyncio.get_running_loop()

        def done(quality: Quality | None) -> None:
            loop.call_soon_threadsafe(self._graded, quality)

        if self._workers.offer(partial(self._grade, image, read), done):
            self._since = 0
        else:
            self.skipped += 1

    def _grade(self, image: Image, read: Read) -> Quality | None:
        return grade(image, read, self._symbology, self._settings.white)

    def _graded(self, quality: Quality | None) -> None:
        if quality is None:
            self.failed += 1
            return
        self.graded += 1
        self.last = quality
        self.trend.add(quality, self._now_ms())
        if self.trend.samples >= LEAST and self.trend.low != self._told:
            self._told = self.trend.low
            self._low(self._told, self.told())

    def told(self) -> dict[str, str]:
        """What an alarm says of it: the worst parameter, its letter and its smoothed score."""
        trend = self.trend
        return {
            "parameter": SHORT.get(trend.worst, trend.worst),
            "letter": trend.letter,
            "score": f"{trend.score:.1f}",
        }

    def facts(self) -> dict[str, Any] | None:
        """For the live feed (docs/live-feed.md); None before the first sample."""
        trend = self.trend
        if not trend.samples:
            return None
        return {
            "letter": trend.letter,
            "score": round(trend.score, 1),
            "worst": SHORT.get(trend.worst, trend.worst),
            "low": trend.low,
            "limit": trend.settings.limit,
            "samples": trend.samples,
            "scores": {SHORT.get(n, n): round(score, 1) for n, score in trend.scores.items()},
            "points": [list(point) for point in trend.points],
        }
