"""A simulated code reader: it says the lines that the test or the plant gives it.

`ReaderFormat` makes the lines; `ReaderServer` and `ReaderPty` put them on a socket or a pty. What
a host sends to it is ignored, as by a reader without a command set.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from drivers.sim.serve import PtyAdapter, TcpAdapter


@dataclass(frozen=True, slots=True)
class ReaderFormat:
    """How the reader is set up."""

    prefix: bytes = b""
    terminator: bytes = b"\r\n"
    separator: bytes = b";"
    no_read: bytes = b"NOREAD"
    heartbeat: bytes = b"HB"

    def line(self, texts: Sequence[str]) -> bytes:
        """One trigger: its codes, or the no-read text."""
        body = self.separator.join(text.encode() for text in texts) or self.no_read
        return self.prefix + body + self.terminator

    def alive(self) -> bytes:
        """The heartbeat line."""
        return self.prefix + self.heartbeat + self.terminator


class _Deaf:
    def feed(self, data: bytes) -> bytes:
        return b""


class ReaderServer(TcpAdapter):
    """The reader on a TCP socket, or as the one who connects (`connect_to`)."""

    def __init__(
        self,
        form: ReaderFormat | None = None,
        *,
        port: int = 0,
        connect_to: tuple[str, int] | None = None,
    ) -> None:
        super().__init__(_Deaf, port=port, connect_to=connect_to)
        self.form = form if form is not None else ReaderFormat()

    def read(self, *texts: str) -> None:
        """A trigger was read; no text = no read."""
        self.push(self.form.line(texts))


class ReaderPty(PtyAdapter):
    """The reader on a serial line."""

    def __init__(self, form: ReaderFormat | None = None) -> None:
        super().__init__(_Deaf)
        self.form = form if form is not None else ReaderFormat()

    def read(self, *texts: str) -> None:
        """A trigger was read; no text = no read."""
        self.push(self.form.line(texts))
