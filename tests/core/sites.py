"""Three small lines with their pools and orders, and a database of each to start an example from.

`coded` prints bottles, labels cases and pallets and reads every content; `sequence` packs pre-coded
bottles by lane and count; `roles` reads a linked set (a secret cap code, a body code) and an
optional neck code at three stations and finds the case's own code in the picture of its content.
"""

import atexit
import shutil
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from agent.core import facts as f
from agent.core.known import Clock
from agent.core.plan import LinePlan, PathKind, ReaderPlan, Station
from agent.core.plan import Path as Way
from agent.core.poolfile import Declared, PoolFile, rule_pool, seal
from agent.core.poolrule import Rule
from agent.core.scheme import LevelSpec, PackingScheme, WorkOrder
from agent.store.database import Database
from agent.store.pool_import import import_pool
from agent.store.record import record
from agent.store.writer import Writer

LINE = "L1"
VOIDED = 2
"""The first codes of every listed pool are void from the start."""


@dataclass(frozen=True)
class Pool:
    """A pool of an example. `texts[column]` by position; none for a pool by rule."""

    number: int
    level: str
    roles: tuple[str, ...]
    texts: tuple[tuple[str, ...], ...]
    product: str
    preprinted: bool
    secret: tuple[str, ...] = ()
    rule: str = ""


@dataclass(frozen=True)
class Site:
    name: str
    plan: LinePlan
    orders: tuple[WorkOrder, ...]
    pools: tuple[Pool, ...]

    @property
    def scheme(self) -> PackingScheme:
        return self.orders[0].scheme

    def where(self, text: str) -> tuple[Pool, int, int] | None:
        """Pool, position and column of a listed text."""
        return _places(self.name).get(text)


@cache
def _places(name: str) -> dict[str, tuple[Pool, int, int]]:
    return {
        text: (pool, position, column)
        for pool in SITES[name].pools
        for column, texts in enumerate(pool.texts)
        for position, text in enumerate(texts)
    }


def _pool(
    number: int,
    level: str,
    roles: tuple[str, ...],
    count: int,
    *,
    product: str = "P",
    preprinted: bool = False,
    secret: tuple[str, ...] = (),
) -> Pool:
    texts = tuple(tuple(f"{number}-{role}-{n:04d}" for n in range(count)) for role in roles)
    return Pool(number, level, roles, texts, product, preprinted, secret)


def _reader(name: str, *roles: str, loose: bool = False) -> ReaderPlan:
    return ReaderPlan(name, roles, loose)


def _plan(stations: tuple[Station, ...], kinds: str) -> LinePlan:
    words = {"c": PathKind.CAPTIVE, "s": PathKind.SINGLE_FILE, "m": PathKind.MIXED}
    ways = tuple(
        Way(one.id, two.id, words[kind])
        for one, two, kind in zip(stations, stations[1:], kinds, strict=False)
    )
    plan = LinePlan(LINE, stations, ways)
    assert not plan.problems(), plan.problems()
    return plan


def _orders(scheme: PackingScheme, *pools: dict[str, int]) -> tuple[WorkOrder, ...]:
    return tuple(
        WorkOrder(f"WO-{n}", LINE, "P", f"lot-{n}", scheme, 1000, served)
        for n, served in enumerate(pools, start=1)
    )


def _coded() -> Site:
    scheme = PackingScheme(
        "coded",
        (
            LevelSpec("bottle", "body", ("body",)),
            LevelSpec("case", "outer", ("outer",), children=4, unknown=1),
            LevelSpec("pallet", "pallet", ("pallet",), children=2),
        ),
    )
    plan = _plan(
        (
            Station("coder", 0, "print", "bottle", device="ink", role="body", window=4),
            Station("verify", 1, "verify", "bottle", (_reader("eye", "body"),)),
            Station("packer", 2, "pack", "case", (_reader("top", "body"),), lanes=2),
            Station("label", 3, "label", "case", (_reader("side", "outer"),), True, "zpl", "outer"),
            Station("stacker", 4, "pack", "pallet", (_reader("layer", "outer"),), False),
            Station(
                "last", 5, "label", "pallet", (_reader("end", "pallet"),), True, "zpl2", "pallet"
            ),
        ),
        "sscsc",
    )
    pools = (
        _pool(1, "bottle", ("body",), 90),
        _pool(2, "bottle", ("body",), 60),
        _pool(3, "case", ("outer",), 30),
        _pool(4, "pallet", ("pallet",), 12),
        _pool(5, "bottle", ("body",), 8, product="Q", preprinted=True),
    )
    served = {"case/outer": 3, "pallet/pallet": 4}
    orders = _orders(scheme, {"bottle/body": 1, **served}, {"bottle/body": 2, **served})
    return Site("coded", plan, orders, pools)


def _sequence() -> Site:
    scheme = PackingScheme(
        "sequence",
        (
            LevelSpec("bottle", "body", ("body",)),
            LevelSpec("case", "outer", ("outer",), children=4, unknown=1),
        ),
    )
    plan = _plan(
        (
            Station("verify", 1, "verify", "bottle", (_reader("eye", "body"),)),
            Station("packer", 2, "pack", "case", gate=False, mode="sequence", lanes=2),
            Station("label", 3, "label", "case", (_reader("side", "outer"),), True, "zpl", "outer"),
        ),
        "sc",
    )
    pools = (
        _pool(1, "bottle", ("body",), 90, preprinted=True),
        _pool(2, "case", ("outer",), 30),
        _pool(3, "bottle", ("body",), 8, product="Q", preprinted=True),
    )
    orders = _orders(scheme, {"case/outer": 2}, {"case/outer": 2})
    return Site("sequence", plan, orders, pools)


def _roles() -> Site:
    scheme = PackingScheme(
        "roles",
        (
            LevelSpec(
                "bottle", "body", ("body", "cap", "neck"), optional=("neck",), secret=("cap",)
            ),
            LevelSpec("case", "outer", ("outer",), children=3),
        ),
    )
    plan = _plan(
        (
            Station("caps", 0, "verify", "bottle", (_reader("cap", "cap", loose=True),), False),
            Station(
                "front", 1, "verify", "bottle", (_reader("one", "body"), _reader("two", "neck"))
            ),
            Station("back", 2, "verify", "bottle", (_reader("three", "body", "neck"),)),
            Station("packer", 3, "pack", "case", (_reader("top", "body"),), lanes=1),
            Station("label", 4, "label", "case", (_reader("side", "outer"),)),
        ),
        "scms",
    )
    pools = (
        _pool(1, "bottle", ("body", "cap"), 90, preprinted=True, secret=("cap",)),
        _pool(2, "case", ("outer",), 30, preprinted=True),
        _pool(3, "bottle", ("body",), 8, product="Q", preprinted=True),
        Pool(4, "bottle", ("neck",), (), "P", True, rule="NECK-"),
    )
    return Site("roles", plan, _orders(scheme, {}, {}), pools)


SITES = {site.name: site for site in (_coded(), _sequence(), _roles())}


# ---------------------------------------------------------------------------------- a database


def scratch() -> Path:
    """A directory of this example alone, in memory where the machine has room for files there."""
    memory = Path("/dev/shm")
    return Path(tempfile.mkdtemp(prefix="caselink-", dir=memory if memory.is_dir() else None))


def _file(pool: Pool) -> PoolFile:
    said = Declared(
        f"pool {pool.number}",
        pool.level,
        pool.roles,
        secret=pool.secret,
        product=pool.product,
        preprinted=pool.preprinted,
    )
    if pool.rule:
        return rule_pool(said, Rule.parse(pool.rule))
    rows = seal(zip(*pool.texts, strict=True))
    return PoolFile(said, pool.roles, pool.texts, (), tuple(None for _ in pool.roles), (), rows)


def _bring(writer: Writer, pool: Pool, now: Clock) -> None:
    """Import a pool; its first codes are void."""
    fact = writer.run_inline(lambda conn: import_pool(conn, _file(pool), "", now))
    assert fact.pool == pool.number
    columns = range(len(pool.texts))
    voided = [f.CodesMoved(pool.number, c, 0, VOIDED, "void", why="torn") for c in columns]
    writer.run_inline(lambda conn: record(conn, "", voided, now))


@cache
def template(name: str) -> Path:
    """The directory of a closed database with the site's pools and orders; the first one runs."""
    site, where, now = SITES[name], scratch(), Clock(1_700_000_000_000, 0)
    atexit.register(shutil.rmtree, where, True)
    db = Database.open(where / "caselink.db", where / "caselink.key")
    writer = Writer(db.conn)
    for pool in site.pools:
        _bring(writer, pool, now)
    begun = [f.OrderCreated(order, "li") for order in site.orders]
    writer.run_inline(lambda conn: record(conn, LINE, [*begun, f.OrderStarted("WO-1", "li")], now))
    db.close()
    return where
