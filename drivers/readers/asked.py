"""What readers have in common that answer commands: opened, asked what they are, closed."""

from agent.core.errors import ConfigError, Said, TransientError
from agent.ports.reading import Reading
from agent.told import told
from drivers.readers.link import ReaderLink


class Refused(TransientError):
    """The reader answered a command with an error, its `status`."""

    status = 0


class AskedReader:
    """A reader over its link; `wanted` must stand in what it says it is, "" takes any."""

    def __init__(self, name: str, wanted: str, link: ReaderLink) -> None:
        self.name = name
        self._wanted = wanted
        self._link = link

    async def open(self) -> None:
        """Connect, or wait for the reader to connect, and ask what it is; see ports.Device.
        ConfigError when it is another model than the config says."""
        await self._link.open()
        try:
            if await self._greeted():
                self._link.forget()  # a greeting is no code
        except BaseException:
            await self._link.close()
            raise

    async def close(self) -> None:
        """End the session; see ports.Device."""
        await self._link.close()

    async def next_reading(self, timeout: float) -> Reading | None:
        """The next reading in the order of arrival; see ports.CodeReader."""
        return await self._link.next_reading(timeout)

    async def _greeted(self) -> bool:
        """What is done first; False where nothing is asked."""
        raise NotImplementedError

    def _checked(self, model: str) -> str:
        if self._wanted not in model:
            about = {"model": repr(model), "wanted": repr(self._wanted)}
            where = self._link.address
            raise ConfigError(*told("reader_other_model", name=self.name, where=where, **about))
        return model

    def _refused(self, command: str, status: int, why: Said) -> Refused:
        """The error for an answer that is one."""
        about = {"name": self.name, "where": self._link.address, "command": command}
        error = Refused(*told("reader_refused", **about, why=why))
        error.status = status
        return error
