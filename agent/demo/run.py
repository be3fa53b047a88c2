"""The demonstration: a simulated plant, a real agent, a broker and the cloud's consumer in four
processes, a work order, an audit.

Nothing here decides anything: it starts them, presses start, waits for the belts to run empty and
the cloud to have everything, and holds the record against the plant's own account, and what the
cloud answers against both.
"""

import json
import random
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx

from agent import config as site_config
from agent.app import Files
from agent.app.uplink import identity
from agent.clockwatch import clock
from agent.core.errors import ConfigError, TransientError
from agent.core.poolfile import PoolFile
from agent.demo import cloudaudit
from agent.demo import scene as scenes
from agent.demo.audit import audit, truth_level
from agent.demo.cloudend import CloudEnd
from agent.demo.operator import Operator
from agent.demo.process import Child, Ending, Mortal
from agent.demo.result import Result
from agent.demo.signing import doubted, hands_told, let_through
from agent.demo.story import Story, Told, books, local_client, whole_pallet
from agent.services import pool_files, reports
from agent.store import balance, outbox
from agent.store.database import Connection, Database, open_reader
from agent.store.writer import Writer
from drivers.sim.host import dump_spec

START_SECONDS = 40.0
END_SECONDS = 60.0
DEFAULT_SECONDS = 60.0
EARLY_KILLS = 0.2
"""Share of the kills that meet an agent which is starting."""
STARTING, RUNNING = (0.05, 1.5), (0.0, 3.0)
"""Seconds to its end by a kill: from its start, or from the moment when its panel answers."""
LONGER = 5.0
"""Times RUNNING where there is a cloud: something must be made for it between two kills."""
AFTER_KILLS = 4.0
"""Seconds of feeding after the last kill."""
OTHERS = {"cloud": 0.25, "broker": 0.15}
"""With which share of the agent's kills these are killed too."""
UPLOAD_SECONDS = 180.0
"""What the cloud gets to acknowledge the last row of the journal."""


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """What to show. `bottles` or `seconds` of feeding, 60 s without either. `rates` replace those
    of the preset `troubles`. `pin` gives plant and agent a processor each, for measuring."""

    bottles: int | None = None
    seconds: float | None = None
    speed: int = 36_000
    seed: int = 1
    troubles: str = "none"
    rates: Mapping[str, float] = field(default_factory=dict)
    pack: str = "multiread"
    site: str = "bottling"
    web: bool = True
    port: int = 8080
    keep: Path | None = None
    stay: bool = False
    pin: bool = False
    kills: int = 0
    """Ends of the agent by kill -9 at random moments, now and then of consumer and broker too; the
    feed stops a while after the last."""
    cloud: bool = False
    """Whether a broker and the cloud's consumer run beside it, and are audited."""
    story: bool = False
    """Whether a pallet is then followed to two dealers (needs `cloud`)."""


class Demo:
    """One demonstration. `say` tells a person how far it is."""

    def __init__(self, options: DemoOptions, say: Callable[[str], None]) -> None:
        self._options = options
        self._say = say
        self._scene = scenes.SCENES[options.site]
        self._gaps = options.kills > 0  # the agent does not see everything that the gates do
        self._cloud: CloudEnd | None = None
        self._bottle = ""
        self._signed: frozenset[str] = frozenset()
        self.told: Told | None = None

    def run(self) -> Result:
        """Play it and audit it. ConfigError or TransientError when it cannot be played."""
        options = self._options
        with ExitStack() as stack:
            if options.keep is None:
                folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="caselink-")))
            else:
                folder = options.keep.resolve()
                if folder.exists() and any(folder.iterdir()):
                    raise ConfigError(f"{folder} is not empty: name another folder with --keep.")
                folder.mkdir(parents=True, exist_ok=True)
            plant = stack.enter_context(Ending(self._start_plant(folder)))
            if options.cloud:
                self._cloud = CloudEnd(
                    folder, lambda args, name: self._child(args, folder, name, 1)
                )
                self._cloud.begin(stack)
            ports = plant.wait_for("ready", START_SECONDS)
            config = self._write_site(folder, ports)
            self._import_pools(config)
            command = [*self._agent(), "run", "--config", str(config)]
            agent = Mortal(lambda: self._child(command, folder, "agent", 0))
            stack.callback(agent.end)
            if self._cloud is not None:
                self._cloud.ready()
            panel = agent.panel(START_SECONDS)
            if options.web:
                self._say(f"Open {panel} to watch the line.")
            try:
                self._play(config, agent, plant)
            except httpx.TransportError as error:
                raise TransientError(
                    f"The agent of the demonstration does not answer ({error}): {agent.child.log} "
                    "says what happened, where --keep FOLDER was given. Start it again."
                ) from error
            result = self._audit(config, folder)
            page = self._story(stack, config, folder, agent) if options.story else ""
            if self._cloud is not None and options.keep is not None:
                self._cloud.leave_documents()
            if options.stay and options.web:
                self._say(str_of(result))
                if self.told is not None:
                    self._say(str_of(self.told))
                    self._say(page)
                self._say(f"The panel stays up on {panel}. Press Ctrl-C to end.")
                if self._cloud is not None:
                    self._say(f"The cloud answers: {_example(self._cloud, self._bottle)}")
                _wait_for_interrupt(agent.child)
        return result

    def _story(self, stack: ExitStack, config: Path, folder: Path, agent: Mortal) -> str:
        """Follow a pallet; where a person can go on with a PDA of their own."""
        if self._cloud is None:
            raise ConfigError("The story needs the cloud: leave --no-cloud out.")
        with _reading(config) as conn:
            pallet = whole_pallet(reports.containers(conn))
        if pallet is None:
            self._say("The line has made no pallet that is proven whole: no story. Feed more.")
            return ""

        def start(command: list[str], name: str) -> Child:
            return self._child(command, folder, name, 1)

        def client() -> httpx.Client:
            return self._client(config, agent)

        story = Story(folder, config, self._cloud, start, client, self._say)
        story.begin(stack)
        self.told = story.play(*pallet)
        return story.invitation()

    # ------------------------------------------------------------------------------------ set-up

    @property
    def _most(self) -> int:
        """Bottles that the pools must be able to serve."""
        if self._options.bottles is not None:
            return self._options.bottles
        return int(self._seconds * self._options.speed / 3600) + 200

    @property
    def _seconds(self) -> float:
        return self._options.seconds or DEFAULT_SECONDS

    def _start_plant(self, folder: Path) -> Child:
        options = self._options
        self._pools = scenes.make_pools(self._scene, self._most, options.seed, folder)
        names = scenes.layout(options.site, options.pack, self._pools).cameras()
        self._cameras = dict(zip(names, scenes.free_ports(len(names)), strict=True))
        spec = scenes.host_spec(
            options.site,
            options.pack,
            self._pools,
            self._cameras,
            bottles=options.bottles,
            speed=options.speed,
            seed=options.seed,
            troubles=scenes.rates(options.troubles, options.rates),
            folder=folder,
        )
        path = folder / "plant-spec.json"
        path.write_text(json.dumps(dump_spec(spec)), "utf-8")
        command = [sys.executable, "-m", "drivers.sim.host", str(path)]
        return self._child(command, folder, "plant", 1)

    @staticmethod
    def _agent() -> list[str]:
        """The agent's command."""
        return [sys.executable, "-m", "agent.cli"]

    def _child(self, command: list[str], folder: Path, name: str, core: int) -> Child:
        # Killed with -9 we end nobody: the kernel does, when the thread that started them is gone.
        ours = threading.current_thread() is threading.main_thread()
        fatal = ["setpriv", "--pdeathsig", "TERM"] if ours and shutil.which("setpriv") else []
        return Child(
            [*fatal, *command], folder / f"{name}.log", core if self._options.pin else None
        )

    def _write_site(self, folder: Path, ports: Mapping[str, Any]) -> Path:
        options = self._options
        port = options.port if options.web else 0
        sync = None if self._cloud is None else self._cloud.sync
        own = books() if options.story else None
        text = scenes.site_file(self._scene, options.speed, port, ports, self._cameras, sync, own)
        path = folder / "site.toml"
        path.write_text(text, "utf-8")
        return path

    def _import_pools(self, config: Path) -> None:
        files = Files(site_config.load(config), config)
        database = Database.open(files.database, files.key)
        try:
            writer = Writer(database.conn)
            for plan in self._scene.pools:
                read = pool_files.read_file(self._pools[plan.declared.name], plan.declared)
                writer.run_inline(partial(_keep, read))
        finally:
            database.close()

    # ------------------------------------------------------------------------------------ playing

    def _play(self, config: Path, agent: Mortal, plant: Child) -> None:
        options = self._options
        order = {
            "number": "WO-1",
            "line": self._scene.line,
            "product": self._scene.product,
            "lot": "B41120",
            "scheme": self._scene.scheme,
            "target": self._most,
            "pools": dict(self._scene.orders),
            "campaign": scenes.CAMPAIGN,
        }
        line = f"/api/lines/{self._scene.line}"
        with self._client(config, agent) as client:
            _good(client.post("/api/orders", json=order))
            self._wait_devices(client, line)
            _good(client.post(f"{line}/start", json={"order": "WO-1", "by": "demo"}))
        self._say("Work order WO-1 runs.")
        with Operator(lambda: self._client(config, agent), line, self._say):
            if options.kills:
                self._kill(agent, plant)
            else:
                self._feed(config, agent, plant, line)
            while "finished" not in plant.said:
                self._check(plant)
                time.sleep(0.1)
        with self._client(config, agent) as client:
            self._settle(client, line)
            self._account = self._get(client, f"/api/local/lines/{self._scene.line}/account")
            _good(client.post(f"{line}/finish", json={"by": "demo"}))
            # What fell behind the last bottle nobody overtakes: a person signs for it.
            before = self._doubted(config)
            signed = {"order": "WO-1", "by": "demo", "reason": "end of the demonstration"}
            _good(client.post("/api/local/rework/clearance", json=signed))
            self._signed = self._doubted(config) - before

    def _doubted(self, config: Path) -> frozenset[str]:
        """The codes of the bottles that are in doubt now."""
        with _reading(config) as conn:
            return doubted(conn, self._scene.lowest)

    @staticmethod
    def _check(plant: Child) -> None:
        if plant.process.poll() is not None:
            raise TransientError(f"The plant ended by itself; see {plant.log}.")

    def _feed(self, config: Path, agent: Mortal, plant: Child, line: str) -> None:
        """Until every bottle is fed, or for the time that was asked for."""
        told = time.monotonic()
        limit = float("inf") if self._options.bottles is not None else told + self._seconds
        with self._client(config, agent) as client:
            while "finished" not in plant.said:
                self._check(plant)
                now = time.monotonic()
                if now >= limit:
                    plant.tell("stop")
                    return
                if now - told >= 10:
                    told = now
                    self._progress(client, line)
                time.sleep(0.1)

    def _kill(self, agent: Mortal, plant: Child) -> None:
        """Kill the agent again and again while bottles are fed, in its first moments too. If it was
        said how many there are, the rest of them comes after that."""
        dice = random.Random(f"{self._options.seed}/kills")
        for number in range(1, self._options.kills + 1):
            self._check(plant)
            if dice.random() < EARLY_KILLS:
                time.sleep(dice.uniform(*STARTING))
            else:
                agent.panel(START_SECONDS)
                time.sleep(dice.uniform(*RUNNING) * (1.0 if self._cloud is None else LONGER))
            agent.kill()
            if self._cloud is not None:
                for name, share in OTHERS.items():
                    if dice.random() < share:
                        self._cloud.kill(name)
            if number % 10 == 0:
                self._say(f"The agent was killed {number} times.")
        agent.panel(START_SECONDS)
        time.sleep(AFTER_KILLS)
        if self._options.bottles is None:
            plant.tell("stop")

    def _client(self, config: Path, agent: Mortal) -> httpx.Client:
        return local_client(config, agent)

    @staticmethod
    def _get(client: httpx.Client, path: str) -> dict[str, Any]:
        return dict(_good(client.get(path)).json())

    def _wait_devices(self, client: httpx.Client, line: str) -> None:
        until = time.monotonic() + START_SECONDS
        while time.monotonic() < until:
            answer = client.get(f"{line}/snapshot")
            if answer.is_success:
                devices = answer.json()["devices"]
                if devices["ok"] == devices["all"]:
                    return
            time.sleep(0.1)
        raise TransientError("Not every device of the line answered in time.")

    def _progress(self, client: httpx.Client, line: str) -> None:
        now = self._get(client, f"{line}/snapshot")
        speed = now["speed"]["per_min"]
        self._say(
            f"{now['good']:,} good, {now['rejected']['count']:,} rejected, {speed} a minute, "
            f"line {now['state']['packml']}."
        )

    def _settle(self, client: httpx.Client, line: str) -> None:
        """Wait until the record no longer changes: the plant's last events have been read."""
        until = time.monotonic() + END_SECONDS
        before: Any = None
        while time.monotonic() < until:
            now = self._get(client, f"/api/local/lines/{self._scene.line}/account")
            state = (now["counts"], now["tally"])
            if state == before:
                return
            before = state
            time.sleep(0.7)

    # ------------------------------------------------------------------------------------- audit

    def _audit(self, config: Path, folder: Path) -> Result:
        site = site_config.load(config)
        plant = json.loads((folder / "plant.json").read_text("utf-8"))
        with (folder / "truth.jsonl").open(encoding="utf-8") as lines:
            truth = [json.loads(line) for line in lines]
        self._bottle = next((code for each in truth for code in each["children"] if code), "")
        with _reading(config) as conn:
            late = self._uploaded(conn)
            result = audit(
                truth,
                plant,
                reports.containers(conn),
                self._account,
                _balances(conn),
                balance.recorded_units(conn, truth_level(plant)),
                strict=self._options.troubles == "none"
                and not self._options.rates
                and not self._gaps,
                killed=self._gaps,
                signed=self._signed,
                hands_told=hands_told(conn),
                let_through=let_through(conn),
                stations={each.id: each.index for line in site.lines for each in line.stations},
            )
            if self._cloud is not None and site.sync is not None:
                result.notes += late
                me = identity(site, site.sync)
                record = cloudaudit.Record(conn, me)
                with self._cloud.asking() as ask:
                    cloud = cloudaudit.Cloud(ask.trace, self._cloud.containers())
                    fates = plant["containers"]
                    rows = ask.relations()
                    cloudaudit.compare(result, record, cloud, rows, truth, fates, me.code)
            return result

    def _uploaded(self, conn: Connection) -> Sequence[str]:
        """Wait until the cloud has acknowledged the whole journal; what a person must know."""
        if self._cloud is None:
            return ()
        until = time.monotonic() + UPLOAD_SECONDS
        waits = outbox.backlog(conn)
        while waits.rows:
            if time.monotonic() > until:
                return (f"the cloud has not acknowledged the last {waits.rows} rows",)
            time.sleep(0.2)
            waits = outbox.backlog(conn)
        self._say(f"The cloud has acknowledged all {waits.last:,} rows of the journal.")
        return ()


@contextmanager
def _reading(config: Path) -> Iterator[Connection]:
    """A connection to what the agent of a site file keeps."""
    files = Files(site_config.load(config), config)
    conn = open_reader(files.database, files.key)
    try:
        yield conn
    finally:
        conn.close()


def _keep(read: PoolFile, conn: Connection) -> None:
    pool_files.keep(conn, read, clock())


def _balances(conn: Connection) -> dict[str, int]:
    return {name: found.difference for name, found in balance.balances(conn)}


def _good(answer: httpx.Response) -> httpx.Response:
    if answer.is_success:
        return answer
    try:
        message = answer.json()["message"]
    except (ValueError, KeyError):
        message = answer.text
    raise TransientError(f"{answer.request.url}: {message}")


def str_of(result: Result | Told) -> str:
    """The audit's table as text."""
    from rich.console import Console

    console = Console(width=100, highlight=False)
    with console.capture() as captured:
        console.print(result.table())
    return captured.get()


def _example(cloud: CloudEnd, code: str) -> str:
    """A question that a person can ask it."""
    return (
        f"curl -H 'Authorization: Bearer {cloud.token}' {cloud.http}/trace/{quote(code, safe='')}"
    )


def _wait_for_interrupt(agent: Child) -> None:
    try:
        while agent.process.poll() is None:
            time.sleep(0.5)
    except KeyboardInterrupt:
        return
