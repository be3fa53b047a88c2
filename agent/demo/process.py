"""Processes of the demonstration: started, listened to, killed, and ended by their own pid."""

import json
import signal
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from agent.core.errors import TransientError


class Child:
    """A process of ours that says JSON lines on stdout. Its errors go to a log file."""

    def __init__(self, args: list[str], log: Path, core: int | None = None) -> None:
        """`core` is the processor it is bound to, None for any."""
        self._log = log.open("ab")
        self.log = log
        self.process = subprocess.Popen(
            args if core is None else ["taskset", "--cpu-list", str(core), *args],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
        )
        self.said: dict[str, Any] = {}
        self._news = threading.Condition()
        self._silent = False  # it has closed its stdout
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        stream: IO[str] | None = self.process.stdout
        assert stream is not None
        for line in stream:
            try:
                said = json.loads(line)
            except ValueError:
                continue
            with self._news:
                self.said.update(said)
                self._news.notify_all()
        with self._news:
            self._silent = True
            self._news.notify_all()

    def wait_for(self, key: str, timeout: float) -> Any:
        """What it says under `key`; TransientError with the end of its log if it does not."""
        with self._news:
            self._news.wait_for(lambda: key in self.said or self._silent, timeout)
            if key in self.said:
                return self.said[key]
        tail = self.log.read_text("utf-8", "replace")[-2000:]
        raise TransientError(f"{self.log.stem} did not say {key!r} in {timeout:.0f} s:\n{tail}")

    def tell(self, line: str) -> None:
        """Write a line to its stdin."""
        if self.process.stdin is not None and self.process.poll() is None:
            self.process.stdin.write(line + "\n")
            self.process.stdin.flush()

    def end(self, timeout: float = 15.0) -> None:
        """Ask it to end, and make it."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(timeout)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(5)
        self._reader.join(5)
        for stream in (self.process.stdin, self.process.stdout, self._log):
            if stream is not None:
                stream.close()


class Mortal:
    """The agent's process, which may be killed and is started again at once."""

    def __init__(self, start: Callable[[], Child]) -> None:
        self._start = start
        self.child = start()

    def panel(self, timeout: float) -> str:
        """Where its panel answers, once it does."""
        return str(self.child.wait_for("ready", timeout)["panel"])

    def kill(self) -> None:
        """kill -9, and start it again."""
        self.child.process.kill()
        self.child.end()
        self.child = self._start()

    def end(self) -> None:
        """Ask it to end."""
        self.child.end()


class Ending:
    """End a child on the way out."""

    def __init__(self, child: Child) -> None:
        self._child = child

    def __enter__(self) -> Child:
        return self._child

    def __exit__(self, *_: object) -> None:
        self._child.end()
