"""What the command line says when the agent does not answer as it should: what happened, to what,
what to do now."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Thread

import pytest

from agent.app import Files
from agent.cli.common import ask, load_site
from agent.core.errors import TransientError
from agent.sections import Site


@contextmanager
def listening(tmp_path: Path) -> Iterator[tuple[socket.socket, Site, Files]]:
    """A port on which a test answers in the agent's place."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        path = tmp_path / "site.toml"
        port = server.getsockname()[1]
        path.write_text(f'[agent]\nid = "test"\ndata = "."\n\n[web]\nport = {port}\n', "utf-8")
        site, files = load_site(path)
        files.token.write_text("token", "ascii")
        yield server, site, files


def test_an_agent_that_hangs_is_told_as_not_known(tmp_path: Path) -> None:
    with (
        listening(tmp_path) as (_, site, files),
        pytest.raises(TransientError, match=rf"127.0.0.1:{site.web.port} gave no answer") as told,
    ):
        ask(site, files, "POST", "/api/lines/L1/order", {}, seconds=0.2)
    assert "before you repeat it" in str(told.value)


def test_an_agent_that_breaks_off_is_told_as_not_known(tmp_path: Path) -> None:
    with ExitStack() as stack:
        server, site, files = stack.enter_context(listening(tmp_path))

        def break_off() -> None:
            talk, _ = server.accept()
            talk.recv(65_536)
            talk.close()

        thread = Thread(target=break_off)
        thread.start()
        stack.callback(thread.join)
        with pytest.raises(TransientError, match="broke off before it answered") as told:
            ask(site, files, "POST", "/api/lines/L1/order", {}, seconds=10.0)
    assert "before you repeat it" in str(told.value)


def test_where_nobody_listens_no_agent_runs(tmp_path: Path) -> None:
    with listening(tmp_path) as (_, site, files):
        pass
    assert ask(site, files, "POST", "/api/lines/L1/order", {}, seconds=10.0) is None
