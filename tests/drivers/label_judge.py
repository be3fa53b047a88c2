"""A ZPL renderer that we did not write: npm's zpl-renderer-js (zebrash in WebAssembly), and what
zxing-cpp reads from what it draws.

It is fetched once into `var/`, pinned; where npm cannot, the tests say so and are skipped.
"""

import base64
import json
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest
import zxingcpp

PACKAGE = "zpl-renderer-js@3.4.0"
FOLDER = Path(__file__).resolve().parents[2] / "var" / "npm" / PACKAGE.replace("@", "-")
DRAW = """
const jobs = JSON.parse(require('fs').readFileSync(0, 'utf8'));
require('zpl-renderer-js').ready.then(async ({api}) => {
  const out = [];
  for (const [zpl, wide, high, density] of jobs) {
    try { out.push(await api.zplToBase64MultipleAsync(zpl, wide, high, density)); }
    catch (error) { out.push(String(error)); }
  }
  process.stdout.write(JSON.stringify(out), () => process.exit(0));
});
"""


@dataclass(frozen=True)
class Sheet:
    """A stream of ZPL and the size of its labels in mm, with the head's dots/mm."""

    zpl: bytes
    wide: float
    high: float
    density: int = 8


def renderer() -> Path:
    """The folder in which node finds the renderer; skips the test where it cannot be had."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip(f"node or npm is not installed: {PACKAGE} cannot judge the labels")
    if not (FOLDER / "node_modules" / "zpl-renderer-js").is_dir():
        FOLDER.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=FOLDER.parent) as fresh:
            done = subprocess.run(
                ["npm", "install", "--silent", "--no-audit", "--no-fund", PACKAGE],
                cwd=fresh,
                capture_output=True,
                text=True,
                timeout=120,
                check=False,
            )
            if done.returncode:
                pytest.skip(f"npm cannot fetch {PACKAGE}: {done.stderr.strip()[-200:]}")
            shutil.copytree(fresh, FOLDER, dirs_exist_ok=True)
    return FOLDER


def rendered(folder: Path, sheets: Sequence[Sheet]) -> list[list[np.ndarray]]:
    """The labels of each stream, as grey pictures."""
    jobs = [[s.zpl.decode("utf-8"), s.wide, s.high, s.density] for s in sheets]
    done = subprocess.run(
        ["node", "-e", DRAW],
        cwd=folder,
        input=json.dumps(jobs),
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    answers = json.loads(done.stdout)
    wrong = [answer for answer in answers if isinstance(answer, str)]
    assert not wrong, wrong[:3]
    return [[_grey(picture) for picture in answer] for answer in answers]


def _grey(text: str) -> np.ndarray:
    data = np.frombuffer(base64.b64decode(text), np.uint8)
    picture = cv2.imdecode(data, cv2.IMREAD_GRAYSCALE)
    assert picture is not None
    return np.asarray(picture)


def reads(picture: np.ndarray) -> dict[str, str]:
    """Text -> AIM identifier of every symbol that zxing-cpp finds."""
    return {
        read.bytes.decode("utf-8", "backslashreplace"): read.symbology_identifier
        for read in zxingcpp.read_barcodes(picture)
    }
