"""What every driver's constructor is given besides its name and its own section of the config."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


def no_mask(data: bytes) -> bytes:
    """Mask nothing: for devices that never carry a secret value, and for tests."""
    return data


@dataclass(frozen=True, slots=True)
class DeviceContext:
    """Where drivers of one agent keep their wire logs, and how these hide secret values.

    `wire_log_dir` is None where no wire log is kept. `mask` takes the bytes that went over the
    wire and gives them back with the values of secret roles replaced.
    """

    wire_log_dir: Path | None = None
    mask: Callable[[bytes], bytes] = no_mask
