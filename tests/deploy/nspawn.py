"""A bare Debian that boots its own systemd: a container of systemd-nspawn with its own network.

Where the machine outside runs no systemd, the container gets control groups of our making.
"""

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import IO

GROUPS = (Path("/sys/fs/cgroup/systemd"), Path("/sys/fs/cgroup/unified"), Path("/sys/fs/cgroup"))
"""Where control groups may be made: both hierarchies of the hybrid kind, or the only one."""
TRUSTED = Path("usr/local/share/ca-certificates")
ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "LANG": "C.UTF-8",
    "DEBIAN_FRONTEND": "noninteractive",
    "SYSTEMD_PAGER": "cat",
    "SYSTEMD_COLORS": "0",
    "PIP_CERT": "/etc/ssl/certs/ca-certificates.crt",
}


def why_not() -> str:
    """What is missing on this machine, "" if nothing is."""
    if os.geteuid() != 0:
        return "it needs root: systemd-nspawn makes namespaces and control groups"
    missing = [name for name in ("systemd-nspawn", "debootstrap", "nsenter") if not found(name)]
    if missing:
        return f"{', '.join(missing)}: not installed (apt install systemd-container debootstrap)"
    return ""


def found(name: str) -> bool:
    """Whether the program is on this machine."""
    return shutil.which(name, path="/usr/sbin:/usr/bin:/sbin:/bin") is not None


def unpack(base: Path, root: Path, name: str) -> None:
    """A fresh copy of a bare Debian 12 in `root`; `base` is made once and kept."""
    if not (base / "sbin" / "init").exists():
        shutil.rmtree(base, ignore_errors=True)
        packages = "systemd,systemd-sysv,dbus,udev,ca-certificates"
        include = ("--variant=minbase", f"--include={packages}")
        subprocess.run(["debootstrap", *include, "bookworm", base], check=True, timeout=1200)
    shutil.rmtree(root, ignore_errors=True)
    subprocess.run(["cp", "-a", "--reflink=auto", base, root], check=True, timeout=300)
    (root / "etc" / "machine-id").write_text("")
    (root / "etc" / "hostname").write_text(f"{name}\n")
    (root / "etc" / "hosts").write_text(f"127.0.0.1 localhost {name} broker.example.cn\n")
    shutil.copy("/etc/resolv.conf", root / "etc" / "resolv.conf")
    if (Path("/") / TRUSTED).is_dir():  # of a proxy between here and the packages
        shutil.copytree(Path("/") / TRUSTED, root / TRUSTED, dirs_exist_ok=True)


class Container:
    """One container; boot it, type into it, end it."""

    def __init__(self, root: Path, log: Path) -> None:
        self._root = root
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None
        self._made: list[Path] = []

    def boot(self) -> None:
        """Start it and wait until its systemd has started everything; TimeoutError after 90 s."""
        with self._log.open("ab") as log:
            self._process = self._start(log)
        deadline = time.monotonic() + 90
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise TimeoutError(
                    f"systemd-nspawn ended: {self._log.read_text('utf-8', 'replace')}"
                )
            if self._leader() and self.run("systemctl is-system-running --wait")[1].strip() in (
                "running",
                "degraded",
            ):
                return
            time.sleep(0.5)
        raise TimeoutError(f"it did not boot within 90 s: see {self._log}")

    def run(self, script: str, network: bool = False, seconds: float = 600) -> tuple[int, str]:
        """Exit status and output of a script typed into it as root; `network`: with the network of
        the machine outside, for packages."""
        spaces = ["-m", "-u", "-i", "-p", "-C", *([] if network else ["-n"])]
        inside = f"/proc/{self._leader()}/root"
        command = [
            "nsenter",
            "-t",
            str(self._leader()),
            *spaces,
            f"--root={inside}",
            f"--wd={inside}",
        ]
        command += ["env", "-i", *(f"{k}={v}" for k, v in ENVIRONMENT.items()), "bash", "-s"]
        done = subprocess.run(
            command,
            input=script,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            timeout=seconds,
            check=False,
        )
        return done.returncode, done.stdout

    def end(self) -> None:
        """Shut it down, at the latest after 60 s."""
        if self._process is None:
            return
        if self._process.poll() is None and self._leader():
            os.kill(self._leader(), signal.SIGRTMIN + 4)  # systemd(1): power off
        try:
            self._process.wait(60)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(30)
        for group in self._made:
            for below in sorted(group.rglob("*/"), reverse=True):
                below.rmdir()
            group.rmdir()
        self._made.clear()

    def _start(self, log: IO[bytes]) -> "subprocess.Popen[bytes]":
        ours = Path("/run/systemd/system").exists()
        if not ours:
            for top in GROUPS:
                if (top / "cgroup.procs").exists():
                    self._made.append(top / "caselink-boot")
                    self._made[-1].mkdir(exist_ok=True)
        joins = "".join(f"echo $$ > {group}/cgroup.procs; " for group in self._made)
        command = ["systemd-nspawn", "--quiet", "--register=no", *([] if ours else ["--keep-unit"])]
        command += [
            "--settings=no",
            "--link-journal=no",
            "--private-network",
            "--console=read-only",
        ]
        # What the hardening of units needs inside: BPF programs decide on devices.
        command += ["--capability=all", "--system-call-filter=bpf add_key keyctl request_key"]
        command += ["--machine=caselink-boot", f"--directory={self._root}", "--boot"]
        return subprocess.Popen(
            ["bash", "-c", f'{joins}exec "$@"', "boot", *command],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={**os.environ, "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"},
        )

    def _leader(self) -> int:
        """The container's first process, 0 while there is none."""
        assert self._process is not None
        number = self._process.pid
        try:
            children = Path(f"/proc/{number}/task/{number}/children").read_text("ascii").split()
        except OSError:
            return 0
        return int(children[0]) if children else 0
