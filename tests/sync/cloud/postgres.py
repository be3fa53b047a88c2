"""A PostgreSQL server of the tests' own: Debian's programs, an empty folder, a free port."""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.sync.brokers import free_port

SECONDS = 60


def programs() -> Path | None:
    """Where initdb and pg_ctl are; Debian does not put them on the path."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if found:
        return found[-1].parent
    there = shutil.which("initdb")
    return None if there is None else Path(there).resolve().parent


def _user() -> dict[str, Any]:
    """PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return {}
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
    pytest.skip("PostgreSQL does not run as root, and there is no user postgres or nobody")


@contextmanager
def server(durable: bool = False) -> Iterator[str]:
    """A running server: the URL of its databases, up to the name. Skips where there is none."""
    where = programs()
    if where is None:
        pytest.skip("PostgreSQL is not installed: tests/install_needed does it")
    user = _user()
    memory = None if durable or not os.access("/dev/shm", os.W_OK) else "/dev/shm"
    folder = Path(tempfile.mkdtemp(prefix="caselink-pg-", dir=memory))
    port = free_port()
    try:
        if user:
            os.chown(folder, user["user"], user["group"])
        data = folder / "data"

        def run(*command: str | Path) -> None:
            done = subprocess.run(
                [str(word) for word in command],
                cwd=folder,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=SECONDS,
                check=False,
                **user,
            )
            assert done.returncode == 0, done.stdout

        run(
            where / "initdb",
            "-D",
            data,
            "-U",
            "caselink",
            "-A",
            "trust",
            "-N",
            "-E",
            "UTF8",
            "--locale=C.UTF-8",
        )
        options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c max_connections=60"
        if not durable:
            options += " -c fsync=off -c full_page_writes=off"
        subprocess.run(
            [
                str(where / "pg_ctl"),
                "-D",
                str(data),
                "-o",
                options,
                "-l",
                str(folder / "log"),
                "-w",
                "-t",
                str(SECONDS),
                "start",
            ],
            cwd=folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=SECONDS,
            check=True,
            **user,
        )
        try:
            yield f"postgresql://caselink@127.0.0.1:{port}/"
        finally:
            run(where / "pg_ctl", "-D", data, "-m", "immediate", "-w", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
