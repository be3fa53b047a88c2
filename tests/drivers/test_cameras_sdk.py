"""GenICam and Basler cameras against their SDKs' own simulations: tests/drivers/sdk_cameras.py."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from drivers.sim.symbols import bitmap
from tests.drivers.sdk_cameras import BASLER, FAULTY, GENICAM, PICTURES, SHAPE, compiles

SDKS = {"basler": ("pypylon", BASLER), "genicam": ("harvesters", GENICAM | FAULTY)}
HERE = Path(__file__).resolve().parents[2]


def installed(package: str) -> bool:
    return importlib.util.find_spec(package) is not None


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, str]]:
    """What became of each scenario of each SDK. Each has a process; both run at a time, for most
    of it is the SDKs' waiting."""
    folder = tmp_path_factory.mktemp("sdk") / "pictures"
    folder.mkdir()
    for number in range(PICTURES):
        symbol = bitmap(f"CODE-{number}", "QRCode").repeat(5, 0).repeat(5, 1)
        picture = np.full(SHAPE, 200, np.uint8)
        picture[40 : 40 + len(symbol), 60 : 60 + len(symbol)] = np.where(symbol, 200, 30)
        cv2.imwrite(str(folder / f"{number:03}.png"), picture)
    running = {
        sdk: subprocess.Popen(
            [sys.executable, "-m", "tests.drivers.sdk_cameras", sdk, str(folder)],
            cwd=HERE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for sdk, (package, _) in SDKS.items()
        if installed(package)
    }
    found = {}
    try:
        for sdk, process in running.items():
            out, err = process.communicate(timeout=120)
            lines = [json.loads(line) for line in out.splitlines()]
            found[sdk] = {line["name"]: line["trace"] for line in lines}
            found[sdk][""] = f"exit code {process.returncode}: {err}"
    finally:
        for process in running.values():
            process.kill()
    return found


@pytest.mark.parametrize(
    ("sdk", "scenario"), [(sdk, name) for sdk, (_, table) in SDKS.items() for name in table]
)
def test_scenario(sdk: str, scenario: str, outcomes: dict[str, dict[str, str]]) -> None:
    package, _ = SDKS[sdk]
    if not installed(package):
        pytest.skip(f"{package} is not installed: pip install 'caselink[{sdk}]'")
    if scenario in FAULTY and not compiles():
        pytest.skip("gentl_faults.c needs gcc, nm and an x86-64 processor")
    ran = outcomes[sdk]
    assert scenario in ran, ran[""]
    assert ran[scenario] == "", ran[scenario]
