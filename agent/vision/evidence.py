"""Pictures that prove how a camera read: every failed read and every n-th good one, as JPEG.

A ring on disk per camera, bounded by size and age. Whoever has a picture offers it and goes on: one
thread writes, from a queue with a bound. A full queue, a full disk or a disk that fails loses
pictures and says so; a verdict never waits for one.

`<time>-<number>-<failed|good>.jpg`, and beside it `.json` with what was read (`Sidecar`). A picture
shows its code to everyone who can open the file: cameras of a secret role keep none unless their
section says `secret = true`.
"""

import json
import logging
import os
import queue
import re
import shutil
import threading
import time
from collections import deque
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import cv2

from agent.ports.reading import Decoded, Image

log = logging.getLogger(__name__)

QUEUE = 16
"""Pictures that wait for the disk, of all cameras together;"""
QUEUE_BYTES = 64_000_000
"""and their pixels, at most (one picture may always wait)."""
RESERVE = 1_000_000_000
"""Bytes that are left free on the disk: the record needs them more."""
AGEING = 60.0
"""Seconds between two looks for what is too old."""
MOST_FILES = 50_000
"""Pictures of one camera, whatever their size."""
_NAME = re.compile(r"(\d{8}T\d{9})-(\d{1,10})-(failed|good)\.jpg")


@dataclass(frozen=True, slots=True)
class EvidenceSettings:
    """What one camera keeps: every failed read if `failed`, every `good_every`-th good one (0 =
    none), at most `megabytes`, none older than `days`; JPEG `quality` of 100."""

    failed: bool = True
    good_every: int = 500
    megabytes: int = 100
    days: float = 14.0
    quality: int = 85


@dataclass(frozen=True, slots=True)
class Sidecar:
    """What is kept beside a picture. `verdicts` are those of an open case's cells."""

    station: str
    number: int
    wall_ms: int
    failed: bool
    texts: tuple[str, ...]
    attempts: tuple[str, ...]
    late: bool
    ms: float
    places: tuple[int, ...] = ()
    verdicts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Counts:
    """Since the agent started: pictures on disk now and their bytes, written, lost."""

    kept: int
    bytes: int
    written: int
    lost: int
    why: str


@dataclass(slots=True)
class _Ring:
    """One camera's pictures on disk, oldest first: name, bytes (with the sidecar), time (s)."""

    folder: Path
    settings: EvidenceSettings
    files: deque[tuple[str, int, float]] = field(default_factory=deque)
    bytes: int = 0
    written: int = 0
    lost: int = 0
    why: str = ""


@dataclass(frozen=True, slots=True)
class _Job:
    ring: _Ring
    image: Image
    about: Sidecar


class EvidenceWriter:
    """The thread that writes for all cameras of an agent."""

    def __init__(self, reserve: int = RESERVE) -> None:
        self._jobs: queue.Queue[_Job] = queue.Queue(QUEUE)
        self._reserve = reserve
        self._waiting = 0
        self._rings: list[_Ring] = []
        self._begun: set[Path] = set()
        self._aged = 0.0
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._work, name="evidence", daemon=True)
        self._thread.start()

    def camera(self, folder: Path, station: str, settings: EvidenceSettings) -> "CameraEvidence":
        """What one camera offers its pictures to; they are kept in `folder`."""
        ring = _Ring(folder, settings)
        with self._lock:
            self._rings.append(ring)
        return CameraEvidence(self, ring, station)

    def take(self, job: _Job) -> None:
        """Queue a picture or lose it; never waits."""
        size = job.image.nbytes
        with self._lock:
            full = self._waiting > 0 and self._waiting + size > QUEUE_BYTES
            if not full:
                self._waiting += size
        if full or self._closing.is_set():
            self._lose(job.ring, "the disk is slower than the failed reads come")
            return
        try:
            self._jobs.put_nowait(job)
        except queue.Full:
            self._done(job)
            self._lose(job.ring, "the disk is slower than the failed reads come")

    def close(self, timeout: float = 2.0) -> None:
        """Write what waits, for `timeout` s at most, and end."""
        self._closing.set()
        self._thread.join(timeout)

    def _done(self, job: _Job) -> None:
        with self._lock:
            self._waiting -= job.image.nbytes

    def _work(self) -> None:
        while True:
            try:
                job = self._jobs.get(timeout=0.2)
            except queue.Empty:
                if self._closing.is_set():
                    return
                self._age()
                continue
            try:
                self._begin(job.ring)
                self._write(job)
            except (OSError, cv2.error) as error:
                self._begun.discard(job.ring.folder)  # somebody may have taken it away
                self._lose(job.ring, f"{job.ring.folder} cannot be written: {error}")
            finally:
                self._done(job)

    def _begin(self, ring: _Ring) -> None:
        if ring.folder not in self._begun:
            _find(ring)
            self._begun.add(ring.folder)

    def _age(self) -> None:
        """What grew too old goes, though nothing new comes."""
        if time.monotonic() < self._aged:
            return
        self._aged = time.monotonic() + AGEING
        with self._lock:
            rings = list(self._rings)
        for ring in rings:
            try:
                self._begin(ring)
                _trim(ring, time.time())
            except OSError as error:
                log.debug("%s: %s", ring.folder, error)  # it is said when a picture is lost

    def _write(self, job: _Job) -> None:
        ring, about = job.ring, job.about
        free = shutil.disk_usage(ring.folder).free
        if free < self._reserve:
            self._lose(ring, f"only {free // 1_000_000} MB are free on the disk")
            return
        done, data = cv2.imencode(
            ".jpg", job.image, [cv2.IMWRITE_JPEG_QUALITY, ring.settings.quality]
        )
        if not done:
            self._lose(ring, "a picture could not be encoded")
            return
        name = _name(about)
        said = json.dumps(asdict(about), ensure_ascii=True).encode()
        _put(ring.folder / f"{name}.json", said)
        _put(ring.folder / f"{name}.jpg", bytes(data.data))
        size = len(said) + data.nbytes
        ring.files.append((name, size, about.wall_ms / 1000))
        ring.bytes += size
        ring.written += 1
        _trim(ring, about.wall_ms / 1000)
        if ring.why:
            log.warning("%s: pictures are kept again; %d were lost.", ring.folder.name, ring.lost)
            ring.why = ""

    def _lose(self, ring: _Ring, why: str) -> None:
        ring.lost += 1
        if not ring.why:
            log.warning(
                "%s: pictures of reads are not kept: %s. Reading goes on; make room on the disk, "
                "or keep fewer (evidence of the reader in the site file).",
                ring.folder.name,
                why,
            )
        ring.why = why


class CameraEvidence:
    """One camera's offers (ports.PictureSink)."""

    def __init__(self, writer: EvidenceWriter, ring: _Ring, station: str) -> None:
        self._writer = writer
        self._ring = ring
        self._station = station
        self._good = 0

    def offer(
        self, image: Image, decoded: Decoded, number: int, wall_ms: int, *, failed: bool
    ) -> None:
        """Keep this picture if it is one to keep; never waits, never raises."""
        settings = self._ring.settings
        if failed:
            wanted = settings.failed
        else:
            self._good += 1
            wanted = bool(settings.good_every) and self._good % settings.good_every == 1 % (
                settings.good_every
            )
        if not wanted:
            return
        about = Sidecar(
            self._station,
            number,
            wall_ms,
            failed,
            tuple(read.text for read in decoded.reads),
            tuple(read.attempt for read in decoded.reads),
            decoded.late,
            round(decoded.seconds * 1000, 2),
            decoded.places,
            decoded.verdicts,
        )
        self._writer.take(_Job(self._ring, image, about))

    @property
    def folder(self) -> Path:
        """Where they are kept."""
        return self._ring.folder

    @property
    def counts(self) -> Counts:
        """How the ring stands."""
        ring = self._ring
        return Counts(len(ring.files), ring.bytes, ring.written, ring.lost, ring.why)


def failed(folder: Path, most: int) -> list[str]:
    """The names of the newest pictures of failed reads, newest first; none where no folder is."""
    try:
        names = [name for name in os.listdir(folder) if _NAME.fullmatch(name)]
    except OSError:
        return []
    return sorted((name for name in names if "-failed." in name), reverse=True)[:most]


def picture(folder: Path, name: str) -> bytes | None:
    """A kept picture as JPEG; None when there is none of that name (any more)."""
    if _NAME.fullmatch(name) is None:
        return None
    try:
        return (folder / name).read_bytes()
    except OSError:
        return None


def sidecar(picture: Path) -> Sidecar | None:
    """What lies beside a kept picture; None when nothing readable does."""
    try:
        data = json.loads(picture.with_suffix(".json").read_text("utf-8"))
        for key in ("texts", "attempts", "places", "verdicts"):
            data[key] = tuple(data[key])
        return Sidecar(**data)
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _name(about: Sidecar) -> str:
    at = datetime.fromtimestamp(about.wall_ms / 1000, UTC)
    stamp = f"{at:%Y%m%dT%H%M%S}{about.wall_ms % 1000:03d}"
    return f"{stamp}-{about.number}-{'failed' if about.failed else 'good'}"


def _put(path: Path, data: bytes) -> None:
    """A file for us alone; half of one is never seen under its name."""
    draft = path.with_suffix(".draft")
    draft.unlink(missing_ok=True)
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(data)
    draft.rename(path)


def _find(ring: _Ring) -> None:
    """Find what an earlier run left; sidecars and drafts without their picture go."""
    ring.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    found: list[tuple[str, int, float]] = []
    sizes: dict[str, int] = {}
    with os.scandir(ring.folder) as entries:
        for entry in entries:
            if entry.is_file(follow_symlinks=False):
                sizes[entry.name] = entry.stat(follow_symlinks=False).st_size
    for name, size in sizes.items():
        stem, dot, suffix = name.rpartition(".")
        if _NAME.fullmatch(name):
            at = datetime.strptime(name[:15] + "+0000", "%Y%m%dT%H%M%S%z").timestamp()
            found.append((stem, size + sizes.get(f"{stem}.json", 0), at))
        elif suffix in ("json", "draft") and dot and f"{stem}.jpg" not in sizes:
            (ring.folder / name).unlink(missing_ok=True)
    ring.files = deque(sorted(found))
    ring.bytes = sum(size for _, size, _ in found)


def _trim(ring: _Ring, now: float) -> None:
    """Remove the oldest until size, number and age are within their bounds."""
    settings = ring.settings
    while ring.files:
        name, size, at = ring.files[0]
        if (
            ring.bytes <= settings.megabytes * 1_000_000
            and len(ring.files) <= MOST_FILES
            and now - at <= settings.days * 86_400
        ):
            return
        for suffix in (".jpg", ".json"):
            (ring.folder / (name + suffix)).unlink(missing_ok=True)
        ring.files.popleft()
        ring.bytes -= size
