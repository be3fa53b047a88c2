"""Packages of npm that judge what we make, each fetched once into `var/npm` of this checkout."""

import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[1] / "var" / "npm"


def packed(package: str) -> Path:
    """What a package holds (name@version). FileNotFoundError: npm is not installed;
    SubprocessError: it cannot fetch it."""
    found = FOLDER / package.strip("@").replace("@", "-").replace("/", "-")
    if not found.exists():
        FOLDER.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=FOLDER) as fresh:
            done = subprocess.run(
                ["npm", "pack", "--silent", package],
                cwd=fresh,
                capture_output=True,
                text=True,
                timeout=120,
                check=True,
            )
            shutil.unpack_archive(Path(fresh) / done.stdout.split()[-1], fresh, "gztar")
            try:
                (Path(fresh) / "package").rename(found)
            except OSError:
                if not found.exists():  # else another process was faster
                    raise
    return found


def judge(package: str) -> Path:
    """The same for a test, which is skipped where the package cannot be had."""
    if shutil.which("npm") is None:
        pytest.skip(f"npm is not installed: {package} cannot be fetched")
    try:
        return packed(package)
    except subprocess.CalledProcessError as error:
        pytest.skip(f"npm cannot fetch {package}: {error.stderr.strip()[-200:]}")
