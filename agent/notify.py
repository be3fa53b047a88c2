"""What systemd is told: ready, stopping, a line of status, and that all loops are alive.

The protocol of sd_notify(3): datagrams to the socket that NOTIFY_SOCKET names. Without systemd
nothing is sent.
"""

import os
import socket

MAX_STATUS = 500


class Notifier:
    """Speaks to systemd where it started us (Type=notify), else to nobody."""

    def __init__(self, address: str | None = None) -> None:
        """`address` is a socket's path, "@..." in the abstract name space; None: what the
        environment says."""
        given = os.environ.get("NOTIFY_SOCKET", "") if address is None else address
        self._address = "\0" + given[1:] if given.startswith("@") else given

    @property
    def interval(self) -> float | None:
        """Seconds within which systemd wants to hear `alive`, None if it does not watch us."""
        text = os.environ.get("WATCHDOG_USEC", "")
        ours = os.environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        if not self._address or not ours or not text.isdigit() or int(text) == 0:
            return None
        return int(text) / 1_000_000

    def ready(self) -> None:
        """The start is complete."""
        self._send("READY=1")

    def stopping(self) -> None:
        """The end has begun."""
        self._send("STOPPING=1")

    def alive(self, status: str) -> None:
        """Every loop is alive; `status` is what `systemctl status` shows."""
        self._send(f"WATCHDOG=1\nSTATUS={_line(status)}")

    def status(self, status: str) -> None:
        """What `systemctl status` shows; no sign of life."""
        self._send(f"STATUS={_line(status)}")

    def _send(self, text: str) -> None:
        if not self._address:
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as out:
            out.settimeout(1.0)
            try:
                out.sendto(text.encode(), self._address)
            except OSError:
                # systemd that does not hear us restarts us; there is nothing else to do.
                return


def _line(text: str) -> str:
    return " ".join(text.split())[:MAX_STATUS]
