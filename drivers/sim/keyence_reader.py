"""A simulated Keyence SR reader: commands that end with CR, readings as lines of their own."""

from collections.abc import Callable

from drivers.sim.serve import PtyAdapter, TcpAdapter


class SrReader:
    """The reader itself. `read` fires it once. With `navigator` AutoID Navigator holds it, and it
    refuses every command; `quiet` models answer nothing to LON and LOFF."""

    def __init__(self, model: str = "SR-2000", quiet: bool = True) -> None:
        self.model = model
        self.quiet = quiet
        self.navigator = False
        self.error = "none"
        self.reading = False
        self.lens: tuple[str, ...] = ()
        """What it reads when a command fires it."""
        self.commands: list[str] = []
        self.say: Callable[[bytes], None] = lambda data: None

    def read(self, *texts: str) -> None:
        """A trigger was read; no text = no read."""
        self.say((",".join(texts) or "ERROR").encode() + b"\r")

    def answer(self, line: str) -> str:
        """What it answers to one command, without its end; "" for nothing."""
        self.commands.append(line)
        if self.navigator:
            return f"ER,{line},23"
        if line in ("LON", "LOFF"):
            self.reading = line == "LON"
            if self.reading and self.lens:
                self.read(*self.lens)
            return "" if self.quiet else f"OK,{line}"
        if line == "KEYENCE":
            return f"OK,KEYENCE,{self.model},1.73"
        if line == "ERRSTAT":
            return f"OK,ERRSTAT,{self.error}"
        return f"ER,{line},00"


class _Talk:
    def __init__(self, reader: SrReader) -> None:
        self._reader = reader
        self._rest = ""

    def feed(self, data: bytes) -> bytes:
        *lines, self._rest = (self._rest + data.decode("latin-1")).split("\r")
        answers = [self._reader.answer(line) for line in lines]
        return "".join(f"{answer}\r" for answer in answers if answer).encode("latin-1")


class SrServer(TcpAdapter):
    """The reader on its command port, or as the one who connects (`connect_to`)."""

    def __init__(
        self,
        reader: SrReader | None = None,
        *,
        port: int = 0,
        connect_to: tuple[str, int] | None = None,
    ) -> None:
        self.reader = reader if reader is not None else SrReader()
        super().__init__(lambda: _Talk(self.reader), port=port, connect_to=connect_to)
        self.reader.say = self.push

    def read(self, *texts: str) -> None:
        """A trigger was read; no text = no read."""
        self.reader.read(*texts)


class SrPty(PtyAdapter):
    """The reader on a serial line."""

    def __init__(self, reader: SrReader | None = None) -> None:
        self.reader = reader if reader is not None else SrReader()
        super().__init__(lambda: _Talk(self.reader))
        self.reader.say = self.push

    def read(self, *texts: str) -> None:
        """A trigger was read; no text = no read."""
        self.reader.read(*texts)
