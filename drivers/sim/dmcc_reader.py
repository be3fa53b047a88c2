"""A simulated Cognex DataMan reader: it is fired, by its photo-eye or by command, and says what it
read. It parses commands by its own rules and shares nothing with the driver.

Silent until somebody sets COM.DMCC-RESPONSE 1, as the real one; then results are base64.
"""

import base64
from collections.abc import Callable

from drivers.sim.serve import PtyAdapter, TcpAdapter


class DataMan:
    """The reader itself, whoever is connected. `read` fires it once."""

    def __init__(self, model: str = "DM370") -> None:
        self.model = model
        self.extended = False
        self.offline = False
        self.plain = False
        """Newer firmware: what is read goes out as a line although responses are extended."""
        self.reading = False
        self.lens: tuple[str, ...] = ()
        """What it reads when a command fires it."""
        self.commands: list[str] = []
        self.say: Callable[[bytes], None] = lambda data: None

    def read(self, *texts: str) -> None:
        """A trigger was read; no text = no read."""
        payload = ",".join(texts).encode() or b"NO READ"
        if self.extended and not self.plain:
            self.say(b"||0:0[1]" + base64.b64encode(payload) + b"\r\n")
        else:
            self.say(payload + b"\r\n")

    def answer(self, line: bytes) -> bytes:
        """What it answers to one command."""
        if line[:2] != b"||" or b">" not in line:
            return b""
        options, _, rest = line[2:].partition(b">")
        wants_sum, _, number = options.partition(b":")
        if wants_sum == b"1":
            total = 0
            for byte in line:
                total ^= byte
            if total:
                return self._reply(number, 103, b"", False)
            rest = rest[:-1]
        words = rest.decode("latin-1").split(" ")
        self.commands.append(rest.decode("latin-1"))
        status, data = self._do([word.upper() for word in words])
        return self._reply(number, status, data.encode(), wants_sum == b"1")

    def _do(self, words: list[str]) -> tuple[int, str]:
        if words[:2] == ["SET", "COM.DMCC-RESPONSE"]:
            if words[2:] not in (["0"], ["1"]):
                return 102, ""
            self.extended = words[2] == "1"
            return 0, ""
        if self.offline:
            return 105, ""
        if words[:1] == ["TRIGGER"] and words[1:] in (["ON"], ["OFF"]):
            self.reading = words[1] == "ON"
            if self.reading and self.lens:
                self.read(*self.lens)
            return 0, ""
        known = {
            "DEVICE.TYPE": self.model,
            "DEVICE.NAME": "case reader",
            "DEVICE.FIRMWARE-VER": "6.1.16_sr4",
        }
        if words[:1] == ["GET"] and len(words) == 2 and words[1] in known:
            return 0, known[words[1]]
        return 101, ""

    def _reply(self, number: bytes, status: int, data: bytes, summed: bool) -> bytes:
        if not self.extended:
            return data + b"\r\n" if data else b""
        line = b"||%d:%s[%d]%s" % (summed, number, status, data)
        if summed:
            total = 0
            for byte in line:
                total ^= byte
            line += bytes([total])
        return line + b"\r\n"


class _Talk:
    def __init__(self, reader: DataMan) -> None:
        self._reader = reader
        self._rest = b""
        reader.extended = False  # as it is for every new connection

    def feed(self, data: bytes) -> bytes:
        *lines, self._rest = (self._rest + data).split(b"\r\n")
        return b"".join(self._reader.answer(line) for line in lines)


class DataManServer(TcpAdapter):
    """The reader on its telnet port."""

    def __init__(self, reader: DataMan | None = None, *, port: int = 0) -> None:
        self.reader = reader if reader is not None else DataMan()
        super().__init__(lambda: _Talk(self.reader), port=port)
        self.reader.say = self.push

    def read(self, *texts: str) -> None:
        """A trigger was read; no text = no read."""
        self.reader.read(*texts)


class DataManPty(PtyAdapter):
    """The reader on a serial line."""

    def __init__(self, reader: DataMan | None = None) -> None:
        self.reader = reader if reader is not None else DataMan()
        super().__init__(lambda: _Talk(self.reader))
        self.reader.say = self.push

    def read(self, *texts: str) -> None:
        """A trigger was read; no text = no read."""
        self.reader.read(*texts)
