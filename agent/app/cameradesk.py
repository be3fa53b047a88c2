"""The cameras of a running agent for who sets them up: figures of their last pictures, in words.

Reached by the camera page (agent.web.camera_routes). A picture is measured when somebody looks, in
a thread of its own, at most one at a time and each camera twice a second; the line does not wait.
"""

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from anyio import to_thread

from agent.app.lines import Line
from agent.app.site import decode_settings
from agent.core.errors import DomainError
from agent.line.watch import LastPicture, Watch
from agent.now import monotonic
from agent.sections import ReaderSection
from agent.vision import evidence
from agent.vision.advice import advise
from agent.vision.evidence import CameraEvidence
from agent.vision.settings import DecodeSettings
from agent.vision.tune import Figures, Tuning, measure

AGAIN = 0.4
"""Seconds after which a camera's picture is measured again."""
MARKS = 256
FAILED = 20
"""Pictures of failed reads that are shown."""


@dataclass(slots=True)
class _Looked:
    """What was measured of one camera since somebody looks."""

    tuning: Tuning = field(default_factory=Tuning)
    at: float = 0.0
    seen: LastPicture | None = None


class CameraDesk:
    """The cameras of one agent. `lines` are filled while it runs."""

    def __init__(self, lines: Mapping[str, Line]) -> None:
        self._lines = lines
        self._looked: dict[str, _Looked] = {}
        self._measuring = asyncio.Lock()

    def every(self) -> list[dict[str, Any]]:
        """The cameras of all lines."""
        return [
            {
                "id": watch.reader.id,
                "line": line.section.id,
                "station": watch.station.id,
                "symbology": section.symbology,
                "state": watch.health.state,
                "shown": watch.keeps_pictures,
            }
            for line, watch, section in self._cameras()
        ]

    async def figures(self, name: str) -> dict[str, Any]:
        """How a camera's last pictures are. DomainError: there is no such camera."""
        every = {
            watch.reader.id: (line, watch, section) for line, watch, section in self._cameras()
        }
        if name not in every:
            raise DomainError(
                "unknown_camera",
                f"There is no camera {name} on a line (there are: {', '.join(every) or 'none'}).",
            )
        line, watch, section = every[name]
        looked = self._looked.setdefault(name, _Looked())
        settings = decode_settings(section)
        last = watch.last
        if last is not None and last is not looked.seen and monotonic() - looked.at >= AGAIN:
            looked.at = monotonic()
            looked.seen = last
            async with self._measuring:
                found = await to_thread.run_sync(_measured, last, settings, watch.expected_reads)
            if found is not None:
                looked.tuning.add(found)
        typical = looked.tuning.typical()
        counts = watch.evidence.counts if isinstance(watch.evidence, CameraEvidence) else None
        return {
            "id": name,
            "line": line.section.id,
            "station": watch.station.id,
            "symbology": section.symbology,
            "state": watch.health.state,
            "shown": watch.keeps_pictures,
            "pictures": len(looked.tuning.figures),
            "figures": None if typical is None else _plain(typical),
            "advice": []
            if typical is None
            else [
                {"key": each.key, "zh": each.words("zh"), "en": each.words("en")}
                for each in advise(typical, section.symbology)
            ],
            "picture": None if last is None else _marks(last),
            "evidence": None
            if counts is None
            else {
                "kept": counts.kept,
                "bytes": counts.bytes,
                "lost": counts.lost,
                "why": counts.why or None,
            },
        }

    async def failed(self, name: str) -> list[dict[str, Any]]:
        """The newest pictures of failed reads of a camera, newest first, by name, with the item."""
        folder = self._folder(name)
        if folder is None:
            return []
        names = await to_thread.run_sync(evidence.failed, folder, FAILED)
        return [{"name": each, "number": int(each.split("-")[1])} for each in names]

    async def kept(self, name: str, picture: str) -> bytes | None:
        """One of them as JPEG; None when it is gone."""
        folder = self._folder(name)
        if folder is None:
            return None
        return await to_thread.run_sync(evidence.picture, folder, picture)

    def _folder(self, name: str) -> Path | None:
        """Where a camera's pictures are kept; None for one whose pictures are not to be shown."""
        _, watch, _ = self._camera(name)
        if watch.keeps_pictures and isinstance(watch.evidence, CameraEvidence):
            return watch.evidence.folder
        return None

    def _camera(self, name: str) -> tuple[Line, Watch, ReaderSection]:
        every = {found[1].reader.id: found for found in self._cameras()}
        if name not in every:
            raise DomainError(
                "unknown_camera",
                f"There is no camera {name} on a line (there are: {', '.join(every) or 'none'}).",
            )
        return every[name]

    def _cameras(self) -> Iterator[tuple[Line, Watch, ReaderSection]]:
        for line in self._lines.values():
            sections = {
                reader.device: reader
                for station in line.section.stations
                for reader in station.readers
                if reader.symbology
            }
            for watch in line.runner.watches:
                if watch.reader.id in sections:
                    yield line, watch, sections[watch.reader.id]


def _measured(last: LastPicture, settings: DecodeSettings, places: int) -> Figures | None:
    decoded = last.decoded
    return measure(last.frame.image, settings, decoded.reads, places, decoded.seconds)


def _plain(figures: Figures) -> dict[str, Any]:
    def short(value: float | None, digits: int) -> float | None:
        return None if value is None else round(value, digits)

    return {
        "read": round(figures.read, 4),
        "ms": round(figures.ms, 2),
        "attempts": list(figures.attempts[:3]),
        "module": short(figures.module, 1),
        "blur": short(figures.blur, 1),
        "contrast": round(figures.contrast, 2),
        "level": round(figures.level),
        "sides": [round(each, 2) for each in figures.sides],
    }


def _marks(last: LastPicture) -> dict[str, Any]:
    """The last picture's number and size, the symbols that were read on it by their corners, and of
    an open case the places that did not give their code."""
    height, width = last.frame.image.shape[:2]
    reads = [list(map(list, read.corners)) for read in last.decoded.reads if read.corners]
    return {
        "frame": last.number,
        "at": last.wall_ms,
        "width": width,
        "height": height,
        "reads": reads[:MARKS],
        "places": [
            {"box": list(box), "verdict": verdict}
            for box, verdict in zip(last.decoded.boxes, last.decoded.verdicts, strict=False)
            if verdict != "read"
        ],
    }
