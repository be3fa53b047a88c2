"""Runs inside the hardened unit: what it must be able to do, and what not. One JSON object."""

import ctypes
import errno
import json
import os
import socket
import sys
import time
from pathlib import Path

import numpy as np
import segno

from agent.vision.second import SecondOpinion


def refused(device: str, number: int) -> bool:
    """Whether opening this device ends with this errno."""
    try:
        os.close(os.open(device, os.O_RDWR | os.O_NONBLOCK | os.O_NOCTTY))
    except OSError as error:
        return error.errno == number
    return False


def second_reads() -> bool:
    """Whether the second reader's child starts under its memory cap, and reads."""
    symbol = np.array(list(segno.make_qr("HELLO-123").matrix_iter(scale=8, border=4)), np.uint8)
    second = SecondOpinion()
    try:
        if not second.warm(10):
            return False
        read = second.read(255 * (1 - symbol), "QRCode", time.monotonic() + 5)
        return read is not None and read.text == "HELLO-123"
    finally:
        second.close()


def sets_clock() -> bool:
    try:
        time.clock_settime(time.CLOCK_REALTIME, time.time())
    except PermissionError:
        return False
    return True


def main() -> None:
    libc = ctypes.CDLL(None)
    here = Path(os.environ["CREDENTIALS_DIRECTORY"])
    told = {
        "keys are given": all((here / f"caselink.{name}").is_file() for name in ("key", "pepper")),
        "the clock's state is told": libc.adjtimex(ctypes.create_string_buffer(300)) != -1,
        "the clock cannot be set": not sets_clock(),
        "network interfaces are told": bool(socket.if_nameindex()),
        # There is no such hardware: who is let through hears ENXIO.
        "a USB serial port is let in": refused("/dev/test-usb", errno.ENXIO),
        "another device is shut out": refused("/dev/test-ram", errno.EPERM),
        "/etc is read-only": bool(os.statvfs("/etc").f_flag & os.ST_RDONLY),
        "/home is shut": not os.access("/home", os.R_OK),
        "other processes are hidden": not Path("/proc/1").exists(),
        "the second reader reads": second_reads(),
    }
    json.dump(told, sys.stdout)


if __name__ == "__main__":
    main()
