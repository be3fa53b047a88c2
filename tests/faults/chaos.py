"""kill -9 of agents, consumers and broker at random moments, while the network between them is cut,
stalls, and loses, doubles and swaps batches and acknowledgements.

    python -m tests.faults.chaos --kills 300

Two real agents, each with the first part of a simulated shift recorded over thirty days without a
network, record the rest of it meanwhile; the consumer of `caselink cloud run` (on PostgreSQL two)
takes it from mosquitto. When the kills are over, the last rows are recorded while the database is
held back, and consumers and broker are killed with them in hand. Then the cloud is held against a
fresh translation of the agents' journals and against a consumer that nobody disturbed
(tests/faults/chaos_check.py). A run that fails is played again by its --seed, though processes are
not deterministic.
"""

import argparse
import asyncio
import json
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from sync.cloud.database import open_database
from tests.faults import chaos_check
from tests.faults.chaos_world import DAY_MS, DAYS, LAST, ROOT, Box, Part, choose, standing
from tests.faults.meddler import Meddler
from tests.sync import brokers
from tests.sync.cloud import postgres
from tests.sync.cloud.conftest import fresh_postgres

SHARE = 25
"""Kills of one run."""
GAP = 0.2, 1.0
"""Seconds between two faults."""
PATIENCE = 180.0
"""Seconds for everything to arrive once nothing is in its way."""
FLOW = 4.0
"""Seconds that an acknowledgement is waited for at most, before a fault."""
GRACE = 1.5
"""Seconds in which a receipt that must not be given would come."""


@dataclass(frozen=True)
class Options:
    """One run. `db` is a database's URL; `source` the tree whose programs run."""

    db: str
    kills: int
    persistence: bool = False
    consumers: int = 1
    seed: int = 1
    source: Path = ROOT
    long: bool = False
    """Half-open links stay so until the other end has noticed, and most faults wait until something
    has come through since the last one."""
    patience: float = PATIENCE


@dataclass
class Outcome:
    """What was done (`faults`), what came of it (`counts`), and what is wrong."""

    faults: Counter[str] = field(default_factory=Counter)
    counts: dict[str, int] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def __str__(self) -> str:
        faults = ", ".join(f"{name} {n}" for name, n in sorted(self.faults.items()))
        counts = ", ".join(f"{name} {n}" for name, n in self.counts.items())
        wrong = "; ".join(self.problems[:5]) or "good"
        return f"{wrong}. {counts}. {faults} ({self.seconds:.0f} s)"


class NotDone(Exception):
    """Something did not come to pass."""


class Chaos:
    """One run."""

    def __init__(self, folder: Path, options: Options, boxes: list[Box]) -> None:
        self._folder = folder
        self._options = options
        self._boxes = boxes
        self._dice = random.Random(options.seed)
        self.outcome = Outcome()
        self._agents: list[Part] = []
        self._consumers: list[Part] = []
        self._kills = 0
        self._coming: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Play it. NotDone: it got stuck."""
        lines = ["allow_anonymous true", "persistence false"]
        if self._options.persistence:
            kept = self._folder / "broker"
            kept.mkdir()
            lines = ["allow_anonymous true", "persistence true", f"persistence_location {kept}/"]
            lines += ["autosave_on_changes true", "autosave_interval 1"]
        self._broker = brokers.mosquitto(self._folder, lines=lines)
        async with AsyncExitStack() as stack:
            stack.enter_context(brokers.running(self._broker))
            for box in self._boxes:
                proxy = await stack.enter_async_context(self._proxy())
                box.configure(proxy.url)
                words = ["-m", "tests.faults.chaos_agent", str(box.folder)]
                self._agents.append(self._part(stack, f"agent-{box.number}", words, proxy))
            for n in range(self._options.consumers):
                proxy = await stack.enter_async_context(self._proxy())
                words = ["-m", "agent.cli", "cloud", "run", "--db", self._options.db, "--http", ""]
                words += ["--broker", proxy.url, "--client", f"cloud-{n}"]
                self._consumers.append(self._part(stack, f"cloud-{n}", words, proxy))
            await asyncio.gather(*(asyncio.to_thread(self._offline, box) for box in self._boxes))
            stores = [chaos_check.store(box.folder) for box in self._boxes]
            for store in stores:
                stack.callback(store.close)
            self._stores = stores
            await self._play()
            for part in self._agents:
                status = await asyncio.to_thread(part.end)
                if status:
                    self.outcome.problems.append(f"{part.name} ended with {status}")

    def _proxy(self) -> Meddler:
        return Meddler(self._broker.port, random.Random(self._dice.random()))

    def _part(self, stack: AsyncExitStack, name: str, words: list[str], proxy: Meddler) -> Part:
        part = Part(name, words, proxy, self._options.source, self._folder / f"{name}.log")
        stack.callback(part.kill)
        return part

    @property
    def _parts(self) -> list[Part]:
        return self._agents + self._consumers

    def _offline(self, box: Box) -> None:
        """What a person is told of an agent that was offline for so long."""
        words = [sys.executable, "-m", "agent.cli", "sync", "status", "--json"]
        words += ["--config", str(box.folder / "site.toml")]
        done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=60)
        told = json.loads(done.stdout)
        if told["rows"] <= box.offline or told["age_ms"] < DAYS * DAY_MS:
            self.outcome.problems.append(f"the backlog of thirty days is told as {told}")

    # ------------------------------------------------------------------------------ the play

    async def _play(self) -> None:
        for part in self._parts:
            part.start()
        await self._until(lambda: all(p.working for p in self._agents), "the agents send nothing")
        self._began = time.monotonic()
        feeding = asyncio.create_task(self._feed())
        for part in self._parts:
            part.proxy.meddling = True
        try:
            while self._kills < self._options.kills:
                await asyncio.sleep(self._dice.uniform(*GAP))
                if self._options.long and self._dice.random() < 0.7:
                    await self._flowing()
                await self._fault()
        finally:
            feeding.cancel()
        await self._calm()
        await self._everything("the end of the faults")
        await self._last_rows()
        await self._everything("the last rows")
        for part in self._parts:
            self.outcome.faults.update(part.proxy.met)

    async def _flowing(self) -> None:
        """Wait a while for an acknowledgement to reach an agent."""
        before = [agent.proxy.came["down ack"] for agent in self._agents]
        for _ in range(int(FLOW / 0.05)):
            if before != [agent.proxy.came["down ack"] for agent in self._agents]:
                return
            await asyncio.sleep(0.05)

    async def _feed(self) -> None:
        """Let the lines record at a pace at which the kills hit them in the middle of it."""
        seconds = self._options.kills * 1.2
        while True:
            share = min(1.0, (time.monotonic() - self._began) / seconds)
            for box in self._boxes:
                box.allow(box.offline + round(share * (box.rows - LAST - box.offline)))
            await asyncio.sleep(0.2)

    async def _fault(self) -> None:
        dice = self._dice
        for part in self._parts:
            if part.fallen():
                raise NotDone(f"{part.name} ended by itself: {_tail(part.log)}")
        what = dice.choices(
            ("agent", "consumer", "broker", "cut", "stall", "refuse"), (5, 5, 3, 3, 2, 1)
        )[0]
        if what == "broker":
            self._kill(what)
            await asyncio.to_thread(self._broker.stop)
            await asyncio.sleep(dice.choice((0.0, 0.0, 0.5, 2.0)))
            await asyncio.to_thread(self._broker.start)
        elif what in ("agent", "consumer"):
            part = choose(dice, self._agents if what == "agent" else self._consumers)
            if part is not None:
                self._kill(what)
                await asyncio.to_thread(part.kill)
                self._later(dice.choice((0.0, 0.0, 0.5, 2.0)), part.start)
        else:
            proxy = dice.choice(self._parts).proxy
            self.outcome.faults[what] += 1
            if what == "cut":
                await proxy.cut()
            elif what == "stall":
                proxy.stall()
                away = 45.0 if self._options.long and dice.random() < 0.1 else dice.uniform(0.5, 3)
                self._later(away, proxy.flow)
                if dice.random() < 0.5:  # and what was on the way is gone
                    await asyncio.sleep(0.3)
                    await proxy.cut()
            else:
                proxy.refusing = True
                await proxy.cut()
                self._later(dice.uniform(0.5, 4), lambda: setattr(proxy, "refusing", False))

    def _kill(self, what: str) -> None:
        self._kills += 1
        self.outcome.faults[f"kills of {what}"] += 1

    def _later(self, seconds: float, what: Callable[[], None]) -> None:
        async def wait() -> None:
            await asyncio.sleep(seconds)
            what()

        task = asyncio.create_task(wait())
        self._coming.add(task)
        task.add_done_callback(self._coming.discard)

    async def _calm(self) -> None:
        """No more faults; every link anew."""
        await asyncio.gather(*self._coming)
        for part in self._parts:
            part.proxy.meddling = False
        passed = [part.proxy.passed for part in self._consumers]
        for part in self._consumers:
            await part.proxy.cut()
        if not self._options.long:  # else the agents speak to nobody and find out
            await self._back(passed)
        for part in self._agents:
            await part.proxy.cut()
        for box in self._boxes:
            box.allow(box.rows - LAST)

    async def _last_rows(self) -> None:
        """The database is held back, the last rows come as far as the consumers, and these and the
        broker die: who has believed anything else than a commit has lost them."""
        database = open_database(self._options.db)
        conn = database.connect()
        before = [dict(part.proxy.came) for part in self._parts]

        def more(n: int, what: str) -> bool:
            return self._parts[n].proxy.came[what] > before[n].get(what, 0)

        def there() -> bool:
            agents = range(len(self._agents))
            consumers = range(len(self._agents), len(self._parts))
            return (
                all(
                    standing(s)[0] == b.rows for s, b in zip(self._stores, self._boxes, strict=True)
                )
                and all(more(n, "up evt") and more(n, "down puback") for n in agents)
                and any(more(n, "down evt") for n in consumers)
            )

        try:
            with conn.writing():
                conn.rows("SELECT id FROM agent" + database.lock)
                for box in self._boxes:
                    box.allow(box.rows)
                await self._until(there, "the last rows do not come")
                await asyncio.sleep(GRACE)
                for part in self._consumers:
                    self._kill("consumer")
                    await asyncio.to_thread(part.kill)
                self._kill("broker")
                await asyncio.to_thread(self._broker.stop)
        finally:
            conn.close()
            database.close()
        for part in self._agents:
            part.proxy.refusing = True
        await asyncio.to_thread(self._broker.start)
        passed = [part.proxy.passed for part in self._consumers]
        for part in self._consumers:
            part.start()
        if not self._options.long:
            await self._back(passed)
        for part in self._agents:
            part.proxy.refusing = False

    async def _back(self, passed: list[int]) -> None:
        """Wait until the consumers, who had so many links each, have another."""
        await self._until(
            lambda: all(
                part.proxy.passed > was for part, was in zip(self._consumers, passed, strict=True)
            ),
            "the consumers do not come back",
        )
        await asyncio.sleep(GRACE / 3)

    async def _everything(self, when: str) -> None:
        """Wait until the agents believe that everything they have is acknowledged."""

        def done() -> bool:
            found = [standing(store) for store in self._stores]
            least = [int((box.folder / "allowed").read_text()) for box in self._boxes]
            # A transaction is not written in part: a few rows less may be all that is allowed.
            return all(
                last == acked and rows > most - LAST
                for (rows, last, acked), most in zip(found, least, strict=True)
            )

        await self._until(done, f"not everything is acknowledged after {when}")

    async def _until(self, done: Callable[[], bool], why: str) -> None:
        end = time.monotonic() + self._options.patience
        while not done():
            for part in self._parts:
                if part.fallen():
                    raise NotDone(f"{part.name} ended by itself: {_tail(part.log)}")
            if time.monotonic() > end:
                found = [standing(store) for store in self._stores]
                raise NotDone(f"{why} (rows of the shift, last, acknowledged: {found})")
            await asyncio.sleep(0.1)


def _tail(log: Path) -> str:
    return log.read_text("utf-8", "replace")[-600:]


def prepare(folder: Path, seed: int, bottles: int) -> list[Box]:
    """Two agents, each with a shift of so many bottles."""
    return [Box.make(folder / f"agent-{n}", n, 10 * seed + n, bottles) for n in range(2)]


def campaign(folder: Path, options: Options, prepared: list[Box]) -> Outcome:
    """Play one run, with copies of these agents."""
    began = time.monotonic()
    boxes = [box.copy(folder / f"agent-{box.number}") for box in prepared]
    chaos = Chaos(folder, options, boxes)
    outcome = chaos.outcome
    try:
        asyncio.run(chaos.run())
        outcome.counts, problems = chaos_check.compare(
            folder, [box.folder for box in boxes], options.db
        )
        outcome.problems += problems
    except NotDone as error:
        outcome.problems.append(str(error))
    for log in folder.glob("*.log"):
        text = log.read_text("utf-8", "replace")
        if "Traceback" in text or "this is a bug" in text:
            outcome.problems.append(f"{log.name} tells of a bug: {text[-1500:]}")
    outcome.seconds = time.monotonic() - began
    return outcome


@contextmanager
def database(kind: str, folder: Path, server: str | None = None) -> Iterator[str]:
    """The URL of an empty database of this kind."""
    with ExitStack() as stack:
        if kind == "sqlite":
            yield f"sqlite:///{folder / 'cloud.db'}"
        else:
            yield fresh_postgres(server or stack.enter_context(postgres.server()))


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=300)
    parser.add_argument("--db", choices=["sqlite", "postgresql"], help="only on this one")
    parser.add_argument("--persistence", choices=["on", "off"], help="of the broker; else in turn")
    parser.add_argument("--consumers", type=int, default=2, help="on PostgreSQL")
    parser.add_argument("--bottles", type=int, default=500, help="of each shift")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="leave the runs in this folder")
    given = parser.parse_args()
    kinds = [given.db] if given.db else ["sqlite", "postgresql"]
    turns = [
        (kind, kept)
        for kept in (True, False)
        for kind in kinds
        if given.persistence in (None, "on" if kept else "off")
    ]
    total: Counter[str] = Counter()
    faults: Counter[str] = Counter()
    bad = done = number = 0
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="caselink-")))
        server = stack.enter_context(postgres.server()) if "postgresql" in kinds else None
        while done < given.kills:
            kind, kept = turns[number % len(turns)]
            seed = given.seed + number
            kills = min(SHARE, given.kills - done)
            folder = (given.keep or scratch) / f"{kind}-{'on' if kept else 'off'}-{seed}"
            folder.mkdir(parents=True)
            boxes = prepare(folder / "before", seed, given.bottles)
            with database(kind, folder, server) as url:
                many = given.consumers if kind == "postgresql" else 1
                options = Options(url, kills, kept, many, seed, long=True)
                outcome = campaign(folder, options, boxes)
            done += sum(n for name, n in outcome.faults.items() if name.startswith("kills"))
            number += 1
            bad += bool(outcome.problems)
            total.update(outcome.counts)
            faults.update(outcome.faults)
            print(f"{folder.name}: {outcome}", flush=True)
    print(f"{done} kills in {number} runs, {bad} runs not good:", dict(total), dict(faults))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
