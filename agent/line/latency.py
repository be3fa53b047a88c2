"""How long a verdict took, split into its parts, for the panel, the demo and the benchmark."""

from collections import deque
from dataclasses import dataclass, fields

KEPT = 20_000
"""Verdicts that are remembered per line."""


@dataclass(frozen=True, slots=True)
class VerdictTime:
    """Seconds of one verdict: `frame` from trigger to picture received, `decode` until read,
    `queue` waiting for the writer, `decide` look-up, decision and append, `commit` until durable,
    `write` into the PLC's slot, `total` from trigger to written."""

    frame: float
    decode: float
    queue: float
    decide: float
    commit: float
    write: float
    total: float


class Latency:
    """The last verdicts' times."""

    def __init__(self) -> None:
        self._times: deque[VerdictTime] = deque(maxlen=KEPT)
        self.count = 0
        """Verdicts since the start, those that are forgotten too."""

    def add(self, time: VerdictTime) -> None:
        self._times.append(time)
        self.count += 1

    def last(self) -> VerdictTime | None:
        return self._times[-1] if self._times else None

    def percentiles(self, last: int = KEPT) -> dict[str, dict[str, float]]:
        """p50, p95, p99 and max in milliseconds of the last verdicts, per part; empty without
        one."""
        times = list(self._times)[-last:] if last > 0 else []
        if not times:
            return {}
        table = {}
        for part in fields(VerdictTime):
            values = sorted(getattr(time, part.name) for time in times)
            at = {
                name: values[min(len(values) - 1, int(len(values) * share))]
                for name, share in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99))
            }
            at["max"] = values[-1]
            table[part.name] = {name: round(value * 1000, 3) for name, value in at.items()}
        return table
