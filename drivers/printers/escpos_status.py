"""What an ESC/POS printer says; bytes to frozen dataclasses, no I/O.

`DLE EOT 1..4` are asked together and answered by four bytes, each 0xx1xx10; `GS r 1` by one byte,
00H, 03H, 0CH or 0FH; `GS ( H` function 48 by 37H 22H, the four characters of the process ID and
NUL; `DLE DC4` 8 by 37H 25H NUL. Sources: public Citizen and TG02H manuals, Epson's ESC/POS
reference (TM-J2000 specification), restated in docs/devices.md.
"""

from dataclasses import dataclass

_OFFLINE = {0x04: "cover_open", 0x08: "feed_key", 0x20: "paper_out", 0x40: "error"}
_ERROR = {0x04: "mechanical", 0x08: "cutter_fault", 0x20: "unrecoverable", 0x40: "head_hot"}
_PAPER_END, _PAPER_LOW = 0x60, 0x0C
_SENSORS = (0x00, 0x03, 0x0C, 0x0F)


@dataclass(frozen=True, slots=True)
class EscposStatus:
    """The answers to `DLE EOT` 1 to 4 in one."""

    faults: tuple[str, ...]
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Processed:
    """All that was sent before is printed: the process ID, or "" from `GS r`, which says only that
    it was worked off."""

    process: str


@dataclass(frozen=True, slots=True)
class Cleared:
    """The buffers are empty."""


class EscposCodec:
    """Tells the answers apart by their shape. Four status bytes are one status; `restart` forgets
    those of a question that was never answered whole."""

    def __init__(self) -> None:
        self._status = bytearray()
        self._framed = bytearray()
        self.noise = 0

    def restart(self) -> None:
        self._status.clear()

    def feed(self, data: bytes) -> list[EscposStatus | Processed | Cleared]:
        """The answers that became complete, in order."""
        found: list[EscposStatus | Processed | Cleared] = []
        for byte in data:
            if self._framed:
                answer = self._frame(byte)
                if answer is not None:
                    found.append(answer)
            elif byte == 0x37:
                self._framed.append(byte)
            elif byte & 0x93 == 0x12:
                self._status.append(byte)
                if len(self._status) == 4:
                    found.append(_status(bytes(self._status)))
                    self._status.clear()
            elif byte in _SENSORS:
                found.append(Processed(""))
            else:
                self.noise += 1
        return found

    def _frame(self, byte: int) -> Processed | Cleared | None:
        frame = self._framed
        frame.append(byte)
        kind = frame[1]
        if kind == 0x25 and len(frame) == 3 and byte == 0:
            frame.clear()
            return Cleared()
        if kind == 0x22 and len(frame) == 7 and byte == 0:
            process = bytes(frame[2:6]).decode("latin-1")
            frame.clear()
            return Processed(process)
        if kind == 0x22 and len(frame) < 7 and (len(frame) == 2 or 0x20 <= byte <= 0x7E):
            return None
        if kind == 0x25 and len(frame) < 3:
            return None
        self.noise += len(frame)
        frame.clear()
        return None


def _status(answers: bytes) -> EscposStatus:
    printer, offline, error, paper = answers
    faults = [name for bit, name in _OFFLINE.items() if offline & bit]
    faults += [name for bit, name in _ERROR.items() if error & bit]
    if paper & _PAPER_END == _PAPER_END and "paper_out" not in faults:
        faults.append("paper_out")
    if printer & 0x08 and not faults:
        faults.append("offline")
    if len(faults) > 1 and "error" in faults:
        faults.remove("error")  # the error byte says which
    low = paper & _PAPER_LOW == _PAPER_LOW and "paper_out" not in faults
    return EscposStatus(tuple(faults), ("paper_low",) if low else ())
