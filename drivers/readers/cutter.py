"""Cuts what a reader sends into lines, whatever the reads were, and makes readings of them; no
I/O."""

from drivers.readers.payload import Heard, PayloadConfig, heard


class LineCutter:
    """Lines end with `end`. One that is longer than `longest` bytes is dropped up to its end;
    `dropped` counts those, and whatever else a codec could not use. `config` says what a payload
    holds."""

    def __init__(self, end: bytes, longest: int, config: PayloadConfig) -> None:
        self._config = config
        self._end = end
        self._longest = longest
        self._buffer = bytearray()
        self._overlong = False
        self.dropped = 0

    def _cut(self, data: bytes) -> list[bytes]:
        """The lines that became complete, in order and without their ends; empty ones are none."""
        self._buffer += data
        *lines, rest = bytes(self._buffer).split(self._end)
        self._buffer = bytearray(rest)
        if lines and self._overlong:
            del lines[0]  # the rest of one that is dropped already
            self._overlong = False
        if len(self._buffer) > self._longest + len(self._end) - 1:
            # The end itself may have come in part.
            del self._buffer[: len(self._buffer) - len(self._end) + 1]
            self.dropped += not self._overlong
            self._overlong = True
        found = [line for line in lines if line]
        fitting = [line for line in found if len(line) <= self._longest]
        self.dropped += len(found) - len(fitting)
        return fitting

    def _reading(self, payload: bytes) -> Heard | None:
        """The reading that a payload is: one of nothing where it is not in the character set, None
        where its trigger's number is missing; both are counted as dropped."""
        try:
            reading = heard(payload, self._config)
        except UnicodeDecodeError:
            self.dropped += 1
            return Heard(())
        self.dropped += reading is None
        return reading
