"""A simulated hand scanner that types like a keyboard: the records of a Linux input device, on a
FIFO in place of /dev/input. It makes them by the names of the keys; the driver reads them by its
own table.
"""

import os
import struct
import time
from collections.abc import Iterator
from pathlib import Path

# Names and numbers of linux/input-event-codes.h.
NUMBERS = {
    "1": 2, "2": 3, "3": 4, "4": 5, "5": 6, "6": 7, "7": 8, "8": 9, "9": 10, "0": 11,
    "MINUS": 12, "EQUAL": 13, "TAB": 15, "Q": 16, "W": 17, "E": 18, "R": 19, "T": 20, "Y": 21,
    "U": 22, "I": 23, "O": 24, "P": 25, "LEFTBRACE": 26, "RIGHTBRACE": 27, "ENTER": 28,
    "LEFTCTRL": 29, "A": 30, "S": 31, "D": 32, "F": 33, "G": 34, "H": 35, "J": 36, "K": 37,
    "L": 38, "SEMICOLON": 39, "APOSTROPHE": 40, "GRAVE": 41, "LEFTSHIFT": 42, "BACKSLASH": 43,
    "Z": 44, "X": 45, "C": 46, "V": 47, "B": 48, "N": 49, "M": 50, "COMMA": 51, "DOT": 52,
    "SLASH": 53, "RIGHTSHIFT": 54, "LEFTALT": 56, "SPACE": 57, "CAPSLOCK": 58, "KP7": 71,
    "KP8": 72, "KP9": 73, "KP4": 75, "KP5": 76, "KP6": 77, "KP1": 79, "KP2": 80, "KP3": 81,
    "KP0": 82, "KPENTER": 96, "102ND": 86, "F1": 59,
}  # fmt: skip
_PLAIN = {
    "-": "MINUS", "=": "EQUAL", "[": "LEFTBRACE", "]": "RIGHTBRACE", ";": "SEMICOLON",
    "'": "APOSTROPHE", "`": "GRAVE", "\\": "BACKSLASH", ",": "COMMA", ".": "DOT", "/": "SLASH",
    " ": "SPACE",
}  # fmt: skip
_SHIFTED = {
    "!": "1", "@": "2", "#": "3", "$": "4", "%": "5", "^": "6", "&": "7", "*": "8", "(": "9",
    ")": "0", "_": "MINUS", "+": "EQUAL", "{": "LEFTBRACE", "}": "RIGHTBRACE",
    ":": "SEMICOLON", '"': "APOSTROPHE", "~": "GRAVE", "|": "BACKSLASH", "<": "COMMA",
    ">": "DOT", "?": "SLASH",
}  # fmt: skip
_CONTROL = {"\x1d": "RIGHTBRACE", "\x1c": "BACKSLASH", "\x1e": "6", "\x1f": "MINUS", "\x04": "D"}


class Keyboard:
    """Makes the records of what it types; `at` is its clock, moved on by `pace` s a record."""

    def __init__(self, pace: float = 0.0) -> None:
        self.at = 1_700_000_000.0
        self._pace = pace

    def record(self, kind: int, code: int, value: int) -> bytes:
        """One record."""
        self.at += self._pace
        whole = int(self.at)
        return struct.pack("@llHHi", whole, int((self.at - whole) * 1e6), kind, code, value)

    def key(self, name: str, value: int) -> bytes:
        """A key goes down (1), up (0) or is held (2): scan code, key, and the end of the report."""
        number = NUMBERS[name]
        return (
            self.record(4, 4, 0x70000 + number)
            + self.record(1, number, value)
            + self.record(0, 0, 0)
        )

    def tap(self, *names: str) -> bytes:
        """Keys down in order, and up in the other."""
        down = b"".join(self.key(name, 1) for name in names)
        return down + b"".join(self.key(name, 0) for name in reversed(names))

    def typed(self, text: str, end: str = "ENTER") -> bytes:
        """A scan: its characters, and the key that ends it ("" for none)."""
        return b"".join(self._char(char) for char in text) + (self.tap(end) if end else b"")

    def by_number(self, char: str) -> bytes:
        """A character as Alt and its number on the pad, as some scanners type controls."""
        digits = b"".join(self.tap(f"KP{digit}") for digit in f"{ord(char):04}")
        return self.key("LEFTALT", 1) + digits + self.key("LEFTALT", 0)

    def _char(self, char: str) -> bytes:
        if char in _CONTROL:
            return self.tap("LEFTCTRL", _CONTROL[char])
        if char in _SHIFTED:
            return self.tap("LEFTSHIFT", _SHIFTED[char])
        if char in _PLAIN:
            return self.tap(_PLAIN[char])
        if char.isupper():
            return self.tap("RIGHTSHIFT", char)
        return self.tap(char.upper())


class KeyboardFifo:
    """A keyboard that is plugged in at `path`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.keyboard = Keyboard()
        self._file = -1

    async def start(self) -> str:
        """Plug it in, and give its path."""
        if not self.path.exists():
            os.mkfifo(self.path)
        self._file = os.open(self.path, os.O_RDWR | os.O_NONBLOCK)
        return str(self.path)

    async def stop(self) -> None:
        """Unplug it."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
            self.path.unlink()

    def push(self, data: bytes) -> None:
        """Records as they are."""
        os.write(self._file, data)

    def read(self, *texts: str) -> None:
        """A scan of each text."""
        self.keyboard.at = time.time()
        for text in texts:
            self.push(self.keyboard.typed(text))


def printable() -> Iterator[str]:
    """Every character that a US keyboard types, and the control characters of codes."""
    yield from (chr(number) for number in range(0x20, 0x7F))
    yield from _CONTROL
