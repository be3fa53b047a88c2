"""A network that misbehaves, between a PDA's browser and a real agent."""

import asyncio
import re
from contextlib import suppress
from threading import Event, Thread

import httpx

_HOPS = {"connection", "content-length", "content-encoding", "transfer-encoding", "host", "origin"}
_MOST = 1 << 20


class Network:
    """Forwards everything to the agent on port `to`, under the name of localhost.

    `down`: nobody answers. `lose` and `double` are for the next so many uploads: the agent takes
    them and the answer gets lost, or they arrive twice. `version` changes the service worker's, as
    an upgrade of the agent does.
    """

    def __init__(self, to: int) -> None:
        self.to = to
        self.down = False
        self.lose = self.double = 0
        self.version = ""
        up = Event()
        self._thread = Thread(target=lambda: asyncio.run(self._run(up)), name="network")
        self._thread.start()
        assert up.wait(10)

    @property
    def url(self) -> str:
        return f"http://localhost:{self.port}"

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join(10)
        assert not self._thread.is_alive()

    async def _run(self, up: Event) -> None:
        self._loop, self._end = asyncio.get_running_loop(), asyncio.Event()
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=_MOST)
        self.port = server.sockets[0].getsockname()[1]
        limits = httpx.Limits(max_keepalive_connections=0)
        async with httpx.AsyncClient(timeout=15, verify=False, limits=limits) as self._client:
            up.set()
            await self._end.wait()
            server.close()
            tasks = asyncio.all_tasks() - {asyncio.current_task()}
            if tasks:
                await asyncio.wait(tasks, timeout=2)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError, TimeoutError):
            async with asyncio.timeout(20):
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                line, *rows = head.strip().split("\r\n")
                headers = dict(row.split(": ", 1) for row in rows)
                lower = {name.lower(): value for name, value in headers.items()}
                body = await reader.readexactly(int(lower.get("content-length", 0)))
                method, target, _ = line.split(" ")
                answer = None if self.down else await self._forward(method, target, lower, body)
                if answer is not None:
                    writer.write(answer)
                    await writer.drain()
        writer.close()

    async def _forward(
        self, method: str, target: str, asked: dict[str, str], body: bytes
    ) -> bytes | None:
        """The answer as bytes; None: it is lost."""
        upload = target.endswith("/items")
        lose, double = upload and self.lose > 0, upload and self.double > 0
        headers = {name: value for name, value in asked.items() if name not in _HOPS}
        headers["host"] = f"localhost:{self.to}"
        if self.version:
            headers.pop("if-none-match", None)  # an upgrade has other hashes
        if "origin" in asked:
            headers["origin"] = f"http://localhost:{self.to}"
        for _ in range(2 if double else 1):
            url = f"http://127.0.0.1:{self.to}{target}"
            told = await self._client.request(method, url, content=body, headers=headers)
        self.lose -= lose
        self.double -= double
        if lose:
            return None
        content = told.content
        if target == "/pda/sw.js" and self.version:
            content = re.sub(rb'VERSION = "\w+"', f'VERSION = "{self.version}"'.encode(), content)
        rows = [f"HTTP/1.1 {told.status_code} x"]
        rows += [f"{name}: {value}" for name, value in told.headers.items() if name not in _HOPS]
        rows += [f"content-length: {len(content)}", "connection: close", "", ""]
        return "\r\n".join(rows).encode("latin-1") + content
