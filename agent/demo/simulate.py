"""One shift of the demonstration in virtual time: plant, line shell, core and store in one process,
without sockets, threads or wall clock, then the same audit. The same seed gives the same bytes.
"""

import asyncio
import gc
import json
import logging
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import cache
from hashlib import blake2b
from math import inf
from pathlib import Path
from time import perf_counter
from typing import Any

from agent import config as site_config
from agent import now
from agent.app import Files
from agent.clockwatch import clock
from agent.core import inputs as i
from agent.core.errors import ConfigError, TransientError
from agent.demo import scene as scenes
from agent.demo import simfates
from agent.demo.audit import Printers, audit, truth_level
from agent.demo.result import Result
from agent.demo.signing import doubted, hands_told, let_through
from agent.demo.simagent import Moment, SimAgent
from agent.demo.simeyes import MemoryCamera
from agent.demo.simfates import BLINDING, Fates
from agent.demo.simpeople import People
from agent.demo.simports import MemoryPlc
from agent.demo.simprinters import MemoryCoder, MemoryLabels
from agent.demo.simscan import Hand
from agent.demo.simtime import VirtualLoop
from agent.demo.slips import Slips, slips
from agent.sections import Site
from agent.services import clearance, pool_files, reports
from agent.services.orders import Orders, OrderSpec
from agent.store import balance, journal, trace
from agent.store.database import Connection, Database, in_memory
from agent.store.gate import AGENT
from agent.store.writer import Writer
from drivers.sim.host import PrinterSpec, canonical_text
from drivers.sim.layout import Feed
from drivers.sim.plant import Plant
from drivers.sim.text_coder import TextCoder
from drivers.sim.world import SLOTS, AgentImage, Ask
from drivers.sim.zpl_printer import ZplPrinter

STATIONS = 16
TICK = 0.1
"""Seconds of plant time between two looks at its watches, when nothing else happens."""
LOOK = 1.0
"""Seconds between looks whether the shift is over."""
SETTLE = 3.0
DRAIN = 120.0
"""Seconds within which the belts must run empty after the last bottle."""
START = 30.0
LAST = 600.0
"""Seconds that people have to scan what the panel asks for when everything is packed."""
PATIENCE = 3.0
"""A shift that takes so many times as long as its bottles need is ended."""
ORDER, LOT, BY = "WO-1", "B41120", "demo"


@dataclass(frozen=True, slots=True)
class SimOptions:
    """What to simulate: `bottles` at `speed` an hour. `troubles` is a preset, `rates` replaces
    single ones of it."""

    bottles: int
    speed: int = 36_000
    troubles: str = "none"
    rates: Mapping[str, float] = field(default_factory=dict)
    pack: str = "multiread"
    site: str = "bottling"
    keep: Path | None = None


@dataclass(slots=True)
class Outcome:
    """One shift: what the audit says, and what shows that it was the same shift again. `met` counts
    the troubles that happened, whether they mattered or not."""

    seed: int
    result: Result
    journal: str
    truth: str
    rows: int
    virtual: float
    real: float
    met: dict[str, int] = field(default_factory=dict)
    slips: Slips = field(default_factory=Slips)

    def data(self) -> dict[str, Any]:
        """For --json; nothing in it but the speed depends on the machine."""
        found = self.result.data()
        del found["latency_ms"]
        return {
            "seed": self.seed,
            "good": self.result.good,
            **found,
            "met": self.met,
            "slips": self.slips.data(),
            "virtual_s": round(self.virtual, 3),
            "journal": {"rows": self.rows, "hash": self.journal},
            "truth": self.truth,
        }


class _OneConnection:
    """Gives the only connection there is, to read with."""

    def __init__(self, conn: Connection) -> None:
        self._conn = conn

    @contextmanager
    def connection(self) -> Iterator[Connection]:
        yield self._conn


class Floor:
    """The plant in virtual time: goes on when the loop has nothing else to do (simtime.World)."""

    def __init__(self, plant: Plant, loop: VirtualLoop) -> None:
        self.plant = plant
        self.agent = AgentImage(slots={n: [0] * SLOTS for n in range(STATIONS)})
        self.cameras: Mapping[str, MemoryCamera] = {}
        self.printers: Mapping[str, MemoryCoder | MemoryLabels] = {}
        self.due: Callable[[], float] = lambda: inf
        self._away: frozenset[str] = frozenset()
        self.asks: Callable[[tuple[Ask, ...]], None] = lambda asks: None
        self._loop = loop
        self._tick = 0.0
        image = plant.advance(0.0, self.agent).plc
        self.plc = MemoryPlc(image, self.agent, lambda: self.due(), self._written)

    def attach(self, agent: SimAgent | None) -> None:
        """Let this agent's devices be the plant's, or nobody's."""
        self.cameras = agent.devices.cameras if agent else {}
        self.printers = agent.devices.printers if agent else {}
        self.due = agent.due if agent else lambda: inf
        self.plc.mend()
        self._away = frozenset()

    def next_time(self) -> float:
        return min(self.plant.next_time(), self._tick)

    def advance(self, now: float) -> None:
        self._tick = now + TICK
        out = self.plant.advance(now, self.agent)
        for exposure in out.exposures:
            camera = self.cameras.get(exposure.camera)
            if camera is not None:
                camera.show(exposure)
        if out.asks:
            self.asks(out.asks)
        if out.away != self._away:
            self._unplug(out.away)
        self.plc.changed(out.plc)

    def _unplug(self, away: frozenset[str]) -> None:
        """Cut the links of what is away now, mend those of what is back. A camera that is away
        shows nothing: it has no link to cut."""
        links: dict[str, MemoryPlc | MemoryCoder | MemoryLabels] = {
            "plc": self.plc,
            **self.printers,
        }
        for name, link in links.items():
            if name in away and name not in self._away:
                link.lose(f"{name} does not answer")
            elif name in self._away and name not in away:
                link.mend()
        self._away = away

    def _written(self) -> None:
        self.advance(self._loop.time())


class _Stage:
    """The agent of the hour on the floor of the shift (simfates.Stage)."""

    def __init__(
        self,
        site: Site,
        conn: Connection,
        floor: Floor,
        models: Mapping[str, TextCoder | ZplPrinter],
        seed: int,
        loop: VirtualLoop,
    ) -> None:
        self.conn = conn
        self.plc = floor.plc
        self.loop = loop
        self._floor = floor
        self.dead = False
        self._lots = 0
        self.hand = hand = Hand(
            floor.plant.truth, cache(canonical_text), lambda unit: trace.name_of(conn, unit)
        )
        self._birth: Callable[[], SimAgent] = lambda: SimAgent(
            site, conn, floor.plc, models, seed, hand.look
        )
        self.agent = self._birth()

    @property
    def asked(self) -> set[str]:
        """The packers of which the panel asks for a container that there is."""
        return self.agent.gate.look(self.agent.runner.plan.id, self.hand.wanted)

    def begin(self) -> None:
        """Let the agent see the plant, and run."""
        self._floor.attach(self.agent)
        self.agent.start()

    async def kill(self, moment: Moment, patience: float, away: float) -> None:
        """simfates.Stage.kill."""
        self.dead = True
        if moment != "now":
            self.agent.gate.dying = moment
            with suppress(TimeoutError):
                async with asyncio.timeout(patience):
                    await self.agent.gate.reached.wait()
        await self.agent.end()
        self._floor.attach(None)
        await asyncio.sleep(away)
        await self.revive()

    async def change_lot(self) -> None:
        """simfates.Stage.change_lot."""
        line = self.agent.runner.plan.id
        now = self.agent.gate.look(line, lambda state: state.order)
        if now is None:
            return
        self._lots += 1
        number = f"{ORDER}-{self._lots + 1}"
        await self.agent.command(
            line, i.CreateOrder(replace(now, number=number, lot=f"{LOT}-{self._lots + 1}"), BY)
        )
        await self.agent.command(line, i.ChangeOrder(number, BY))

    async def revive(self) -> None:
        """Start another agent if there is none."""
        if self.dead:
            self.dead = False
            await self.agent.end()
            self.conn.forget()
            self.plc.forget()
            self.agent = self._birth()
            self.begin()


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


class Shift:
    """One seed's shift, from the pools to the audit."""

    def __init__(self, options: SimOptions, seed: int) -> None:
        self._options = options
        self._seed = seed
        self._scene = scenes.SCENES[options.site]
        self._loop = VirtualLoop()

    def run(self) -> Outcome:
        """Play and audit it. ConfigError when it cannot be played."""
        began = perf_counter()
        with ExitStack() as stack:
            scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="caselink-")))
            now.follow(self._loop)
            stack.callback(now.follow, now.RealTime())
            stack.callback(self._loop.close)
            pools = scenes.make_pools(self._scene, self._options.bottles, self._seed, scratch)
            floor = self._floor(pools)
            site = self._site(scratch)
            conn = stack.enter_context(self._database(scratch))
            self._import(conn, pools)
            # Exceptions make few cycles, and looking for them takes a fifth of the time.
            gc.disable()
            stack.callback(gc.enable)
            account = self._loop.run_until_complete(self._play(site, conn, floor))
            result, truth, slipped = self._audit(site, conn, floor.plant, account, scratch)
            rows, last, _ = journal.tail(conn)
            if self._options.keep is not None:
                for name in ("site.toml", "truth.jsonl", "plant.json"):
                    shutil.copy(scratch / name, self._folder / name)
        took = perf_counter() - began
        met = self._fates.met + Counter(each.trouble for each in floor.plant.truth.troubled)
        return Outcome(
            self._seed,
            result,
            last.hex(),
            truth,
            rows,
            self._loop.time(),
            took,
            dict(sorted(met.items())),
            slipped,
        )

    # ------------------------------------------------------------------------------------ set-up

    @property
    def _folder(self) -> Path:
        assert self._options.keep is not None
        return self._options.keep / f"seed-{self._seed}"

    def _floor(self, pools: Mapping[str, Path]) -> Floor:
        options = self._options
        layout = scenes.layout(options.site, options.pack, pools)
        self._models: dict[str, TextCoder | ZplPrinter] = {
            name: TextCoder(capacity=PrinterSpec("text").capacity)
            if name == "coder"
            else ZplPrinter(print_time=scenes.PRINT_TIME)
            for name in layout.printers()
        }
        self._cameras = list(layout.cameras())
        given = {**simfates.preset(options.troubles), **options.rates}
        rates, self._shell_rates = simfates.split({**scenes.rates(options.troubles), **given})
        feed = Feed(options.bottles, options.speed)
        plant = Plant(layout, self._seed, rates, self._models, feed, people=True)
        return Floor(plant, self._loop)

    def _site(self, scratch: Path) -> Site:
        ports = {"plc": 1, "printers": dict.fromkeys(self._models, 1)}
        cameras = dict.fromkeys(self._cameras, 1)
        path = scratch / "site.toml"
        path.write_text(
            scenes.site_file(
                self._scene, self._options.speed, 8080, ports, cameras, pack=self._options.pack
            ),
            "utf-8",
        )
        return site_config.load(path)

    @contextmanager
    def _database(self, scratch: Path) -> Iterator[Connection]:
        epoch = blake2b(f"epoch/{self._seed}".encode(), digest_size=8).hexdigest()
        if self._options.keep is None:
            conn = in_memory(epoch)
            try:
                yield conn
            finally:
                conn.close()
            return
        folder = self._folder
        if folder.exists() and any(folder.iterdir()):
            raise ConfigError(f"{folder} is not empty: name another folder with --keep.")
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(scratch / "site.toml", folder / "site.toml")
        files = Files(site_config.load(folder / "site.toml"), folder / "site.toml")
        database = Database.open(files.database, files.key)
        try:
            database.conn.execute("UPDATE epoch SET name = ?", (epoch,))
            database.conn.execute("PRAGMA synchronous = OFF")
            yield database.conn
        finally:
            database.close()

    def _import(self, conn: Connection, pools: Mapping[str, Path]) -> None:
        writer = Writer(conn)
        for plan in self._scene.pools:
            read = pool_files.read_file(pools[plan.declared.name], plan.declared)
            pool_files.keep_in_steps(writer.run_inline, read, clock())

    # ----------------------------------------------------------------------------------- playing

    async def _play(self, site: Site, conn: Connection, floor: Floor) -> dict[str, Any]:
        stage = self._stage = _Stage(site, conn, floor, self._models, self._seed, self._loop)
        self._loop.world = floor
        self._fates = Fates(stage, self._shell_rates, self._seed)
        stage.begin()
        people = self._people = self._hands(site, stage, floor.plant)
        floor.asks = people.told
        working = self._loop.create_task(people.run())
        try:
            await self._until(lambda: stage.agent.runner.ready, START)
            await self._order(site, conn, stage.agent)
            befalling = self._loop.create_task(self._fates.run())
            try:
                await self._feed(floor.plant)
            finally:
                await _cancel(befalling)
                await stage.revive()
            floor.plant.rest()
            await self._until(lambda: floor.plant.calm, DRAIN)
            # What a printer that cannot be asked has in hand, nobody can say.
            self._asked = await self._until(lambda: stage.agent.runner.ready, START)
            await asyncio.sleep(SETTLE)
            account = stage.agent.account()
            await stage.agent.command(self._scene.line, i.FinishOrder(BY))
            await self._until(lambda: not stage.asked and people.idle, LAST)
            self._unprinted = balance.unprinted(conn)
            before = doubted(conn, self._scene.lowest)
            await self._clear(conn, stage.agent)
            self._signed = doubted(conn, self._scene.lowest) - before
        finally:
            await _cancel(working)
            await stage.agent.end()
        return account

    async def _clear(self, conn: Connection, agent: SimAgent) -> None:
        """A person clears the line of every order that it ran, and signs for what is missing."""
        line = self._scene.line
        for number in agent.gate.look(line, lambda state: list(state.uncleared)):
            _, asked = clearance.asked(conn, number, BY, "demo")
            await agent.command(line, asked)

    def _hands(self, site: Site, stage: _Stage, plant: Plant) -> People:
        """Who builds pallets by hand, at the agent of the hour."""

        async def line(what: i.Input) -> None:
            await stage.agent.command(self._scene.line, what)

        async def desk(what: i.Input) -> None:
            if stage.dead:
                raise TransientError("the agent is away")
            await stage.agent.gate.submit(AGENT, [(what, clock())])

        return People(
            site.lines[0].plan(),
            plant.truth,
            cache(canonical_text),
            plant.trouble("wrong_scan"),
            line,
            desk,
        )

    async def _order(self, site: Site, conn: Connection, agent: SimAgent) -> None:
        scene = self._scene
        order = OrderSpec(
            number=ORDER,
            line=scene.line,
            product=scene.product,
            lot=LOT,
            scheme=scene.scheme,
            target=self._options.bottles,
            pools=dict(scene.orders),
            campaign=scenes.CAMPAIGN,
        )
        await Orders(site, _OneConnection(conn), agent).create(order, by="")
        await agent.command(scene.line, i.StartOrder(ORDER, BY))

    async def _until(self, condition: Callable[[], bool], seconds: float) -> bool:
        end = self._loop.time() + seconds
        while not condition():
            if self._loop.time() > end:
                return False
            await asyncio.sleep(0.1)
        return True

    async def _feed(self, plant: Plant) -> None:
        """Until the belts are empty, or it is no use to wait on."""
        options = self._options
        most = self._loop.time() + DRAIN + PATIENCE * options.bottles * 3600 / options.speed
        drain = inf
        while not plant.finished:
            await asyncio.sleep(LOOK)
            at = self._loop.time()
            if plant.stopping:
                drain = min(drain, at + DRAIN)
            elif at > most:
                plant.stop_feed()
            if at > drain:
                return

    # ------------------------------------------------------------------------------------- audit

    def _audit(
        self, site: Site, conn: Connection, plant: Plant, account: Mapping[str, Any], scratch: Path
    ) -> tuple[Result, str, Slips]:
        canonical = cache(canonical_text)
        more = {"seed": self._seed, "finished": plant.finished}
        plant.truth.write(scratch, canonical, more)
        body = (scratch / "truth.jsonl").read_bytes()
        truth = [json.loads(line) for line in body.splitlines()]
        told = json.loads((scratch / "plant.json").read_text("utf-8"))
        lowest = truth_level(told)
        held = frozenset(canonical(x) for model in self._models.values() for x in model.held())
        result = audit(
            truth,
            told,
            list(reports.containers(conn)),
            account,
            {name: found.difference for name, found in balance.balances(conn)},
            balance.recorded_units(conn, lowest),
            strict=self._options.troubles == "none" and not self._options.rates,
            stations={each.id: each.index for line in site.lines for each in line.stations},
            killed=bool(BLINDING & self._fates.met.keys()),
            printers=Printers(held, self._unprinted) if self._asked else None,
            signed=self._signed,
            hands_told=hands_told(conn),
            let_through=let_through(conn),
        )
        return result, blake2b(body, digest_size=16).hexdigest(), slips(conn, truth, told)


def simulate(options: SimOptions, seed: int) -> Outcome:
    """Play one shift. Its log is silent: what matters is in the audit."""
    root = logging.getLogger()
    before = root.level
    root.setLevel(logging.CRITICAL)
    try:
        return Shift(options, seed).run()
    finally:
        root.setLevel(before)
