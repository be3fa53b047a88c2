"""A secret in a file of its own: whole or not there, whenever the power goes."""

import os
from pathlib import Path


def sync_directory(path: Path) -> None:
    """Make a new file's name durable; without it a power cut may lose the whole file."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def create_secret(path: Path, text: str) -> None:
    """Write a line of text into a new file of mode 0600; FileExistsError if it is there, OSError
    if it cannot be written. The name appears when the content is durable."""
    if path.exists():
        raise FileExistsError(f"{path} is there already")
    draft = path.with_name(path.name + ".new")
    draft.unlink(missing_ok=True)  # of a start that was cut short
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.write(handle, text.encode() + b"\n")
        os.fsync(handle)
    finally:
        os.close(handle)
    draft.rename(path)
    sync_directory(path.parent)
