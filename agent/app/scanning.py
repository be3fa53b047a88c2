"""Wires what PDAs need: who may scan, their API, and the listeners for the network."""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from fastapi import APIRouter

from agent.app.files import Files
from agent.core.errors import ConfigError
from agent.now import monotonic
from agent.sections import LanSection, Site
from agent.services import site_ca
from agent.services.access import Access
from agent.services.depot import Depot
from agent.services.devices import ALLOWED, Devices
from agent.services.gatekeeper import Gatekeeper
from agent.services.pins import Pins
from agent.services.site_ca import ca_files
from agent.services.uploads import Uploads
from agent.services.users import Users
from agent.store.readers import Readers
from agent.store.writer import Writer
from agent.web.devices import devices_router
from agent.web.door import Limits
from agent.web.lan import Certificate, create_pda_app
from agent.web.pda_api import pda_router
from agent.web.pda_route import Workers
from agent.web.server import WebServer
from agent.web.setup_page import Shown, create_setup_app

log = logging.getLogger(__name__)

LOOK_SECONDS = 2.0
"""How often the certificate's files are looked at."""
TELL_SECONDS = 86_400.0
"""How often it is said that the certificate should be renewed."""


class Scanning:
    """What the PDA's API asks of the agent (agent.web.pda_api.PdaServices)."""

    def __init__(
        self,
        site: Site,
        files: Files,
        readers: Readers,
        writer: Writer,
        depot: Depot,
        places: Mapping[str, Sequence[str]],
    ) -> None:
        self._site = site
        self._files = files
        self.users = Users(files.users, Pins(files.badges, files.pepper), ALLOWED)
        self.devices = Devices(readers, writer, places)
        self.access = Access(readers, writer, self.users)
        self.depot = depot
        self.uploads = Uploads(depot, self.access)
        self.workers = Workers()
        self.gatekeeper = Gatekeeper(self.devices, self.users, self._address)
        lan = site.web.lan
        self.open_party = next(iter(places)) if len(places) == 1 else ""
        if lan is not None and not lan.open_query:
            self.open_party = ""
        self.port = site.web.port
        """Where the panel listens, once it does."""

    def routers(self) -> list[APIRouter]:
        """For this machine: the API, and the command line's routes."""
        return [pda_router(self), devices_router(self.gatekeeper)]

    def close(self) -> None:
        """Take no more requests."""
        self.workers.close()

    def _address(self) -> tuple[str, str]:
        lan = self._site.web.lan
        if lan is not None:
            leaf = site_ca.read_leaf(_leaf_file(lan, self._files))
            if leaf is not None:
                return _app(lan.names[0], lan.port), leaf.fingerprint
        return f"http://localhost:{self.port}/pda/", ""


def _app(name: str, port: int) -> str:
    host = f"[{name}]" if ":" in name else name
    return f"https://{host}/pda/" if port == 443 else f"https://{host}:{port}/pda/"


def _leaf_file(lan: LanSection, files: Files) -> Path:
    return files.beside(lan.cert) if lan.cert else ca_files(files.tls).leaf


class Lan:
    """The listeners for the network. Whatever fails here is said and tried again: no line stops
    because of it."""

    def __init__(self, lan: LanSection, files: Files, scanning: Scanning) -> None:
        self._lan = lan
        self._files = files
        self._scanning = scanning
        key = files.beside(lan.key) if lan.key else None
        self._certificate = Certificate(_leaf_file(lan, files), key)
        self._told = -TELL_SECONDS
        self._said = ""
        self.port = self.setup_port = 0
        """Where they listen, once they do."""

    async def run(self) -> None:
        """Serve until cancelled."""
        serving: dict[str, tuple[WebServer, asyncio.Task[None]]] = {}
        try:
            while True:
                await asyncio.to_thread(self._certificate.refresh)
                for name in [name for name, (_, task) in serving.items() if task.done()]:
                    serving.pop(name)[1].result()
                try:
                    await self._begin(serving)
                except ConfigError as error:
                    self._say(str(error))
                await asyncio.to_thread(self._tell_of_renewal)
                await asyncio.sleep(LOOK_SECONDS)
        finally:
            for server, _ in serving.values():
                server.stop()
            if serving:
                await asyncio.wait({task for _, task in serving.values()})

    async def _begin(self, serving: dict[str, tuple[WebServer, asyncio.Task[None]]]) -> None:
        lan, context = self._lan, self._certificate.context
        if "https" not in serving and context is not None:
            app = create_pda_app(lan.names, pda_router(self._scanning))
            server = WebServer(
                app, lan.host, lan.port, tls=context, setting="web.lan.port", limits=Limits()
            )
            self.port = server.port
            serving["https"] = server, asyncio.create_task(server.run(), name="web for PDAs")
        if "setup" not in serving and lan.setup_port:
            app = create_setup_app(self._shown)
            server = WebServer(
                app, lan.host, lan.setup_port, setting="web.lan.setup_port", limits=Limits()
            )
            self.setup_port = server.port
            serving["setup"] = server, asyncio.create_task(server.run(), name="set-up for PDAs")

    def _shown(self) -> Shown | None:
        """What /setup says; nothing while the site has no authority of its own."""
        if self._certificate.context is None:
            return None
        ca = site_ca.read_ca(ca_files(self._files.tls).cert)
        if ca is None:
            return None
        return Shown(*ca, tuple(_app(name, self._lan.port) for name in self._lan.names))

    def _tell_of_renewal(self) -> None:
        now = monotonic()
        if now - self._told < TELL_SECONDS:
            return
        try:
            leaf = site_ca.read_leaf(_leaf_file(self._lan, self._files))
        except ConfigError as error:
            self._say(str(error))
            return
        if leaf is not None and leaf.due():
            self._told = now
            log.warning(
                "The certificate for PDAs ends on %s: bring the site CA's key and run "
                "`caselink tls renew`, or put a new one in its place.",
                leaf.ends.date(),
            )

    def _say(self, what: str) -> None:
        if what != self._said:
            self._said = what
            log.error("PDAs cannot be served: %s", what)
