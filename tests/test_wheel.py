"""What an installation by pip holds: all that the program reads beside its own modules."""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def test_wheel_holds_every_file_that_is_not_code(tmp_path: Path) -> None:
    source = tmp_path / "source"
    for name in ("agent", "drivers", "sync", "config"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source / name)
    build = ["wheel", "-q", "--no-deps", "--no-build-isolation", "--no-index", "-w", tmp_path]
    subprocess.run([sys.executable, "-m", "pip", *build, source], check=True, timeout=120)
    (wheel,) = tmp_path.glob("caselink-*.whl")
    data = wheel.name.replace("-py3-none-any.whl", ".data/data/share/caselink/")
    held = set(zipfile.ZipFile(wheel).namelist())

    wanted = [path.relative_to(ROOT) for path in ROOT.glob("config/**/*") if path.is_file()]
    assert len(wanted) > 15
    assert [path for path in wanted if data + path.as_posix() not in held] == []
    beside = [
        path.relative_to(ROOT).as_posix()
        for room in ("agent", "drivers", "sync")
        for path in (ROOT / room).rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    ]
    assert [path for path in beside if path not in held] == []


def test_files_that_come_with_it_are_found(tmp_path: Path) -> None:
    """In the source tree, and where only an installation is."""
    tell = "from drivers.shipped import CONFIG; print(CONFIG)"
    ask = [sys.executable, "-c", tell]
    told = subprocess.run(ask, cwd=ROOT, capture_output=True, text=True)
    assert told.stdout.strip() == str(ROOT / "config")
    alone = tmp_path / "drivers"
    alone.mkdir()
    for name in ("__init__.py", "shipped.py"):
        shutil.copy(ROOT / "drivers" / name, alone / name)
    told = subprocess.run(
        [sys.executable, "-c", tell], cwd=tmp_path, capture_output=True, text=True
    )
    assert told.stdout.strip() == f"{sys.prefix}/share/caselink/config"
