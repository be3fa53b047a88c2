"""Levels, roles, products, packing schemes and work orders: all of it data.

A packing scheme lists its levels from the smallest unit upwards. Some products have two levels,
liquor has four; nothing in the core counts on their names.
"""

from dataclasses import dataclass
from typing import Literal

MixedLots = Literal["allow", "close_partial"]


@dataclass(frozen=True, slots=True)
class LevelSpec:
    """One level of a packing scheme.

    `children` is how many units of the level below a full container holds (0 at the lowest level);
    `unknown` is how many of them may be recorded as unknown before the container is rejected.
    `optional` roles may be missing on a unit; a missing role outside it is a reject. `layer` is how
    many children make one layer of a container whose layers are bound one by one (0: they are not).
    """

    name: str
    primary: str
    roles: tuple[str, ...]
    optional: tuple[str, ...] = ()
    secret: tuple[str, ...] = ()
    children: int = 0
    unknown: int = 0
    layer: int = 0

    def __post_init__(self) -> None:
        if self.primary not in self.roles:
            raise ValueError(
                f"level {self.name}: primary role {self.primary} is not one of its roles"
            )
        strays = (set(self.optional) | set(self.secret)) - set(self.roles)
        if strays:
            raise ValueError(f"level {self.name}: {sorted(strays)} are not roles of this level")
        if self.primary in self.optional:
            raise ValueError(f"level {self.name}: the primary role cannot be optional")
        if not 0 <= self.unknown <= self.children:
            raise ValueError(f"level {self.name}: unknown must lie between 0 and {self.children}")
        if not 0 <= self.layer <= self.children:
            raise ValueError(f"level {self.name}: layer must lie between 0 and {self.children}")

    @property
    def layers(self) -> int:
        """Layers of a full container that is bound layer by layer, the last one perhaps short."""
        return -(-self.children // self.layer) if self.layer else 0


@dataclass(frozen=True, slots=True)
class PackingScheme:
    """The levels of a product, smallest first, e.g. bottle, case (24), pallet (60)."""

    name: str
    levels: tuple[LevelSpec, ...]
    mixed_lots: MixedLots = "close_partial"

    def __post_init__(self) -> None:
        names = [level.name for level in self.levels]
        if len(set(names)) != len(names) or not names:
            raise ValueError(f"scheme {self.name}: level names must differ and there must be one")
        for below, level in zip((None, *self.levels), self.levels, strict=False):
            if (below is None) != (level.children == 0):
                raise ValueError(
                    f"scheme {self.name}: level {level.name} must hold "
                    + ("no children (it is the lowest)" if below is None else "one child or more")
                )

    def level(self, name: str) -> LevelSpec:
        """The level of that name; KeyError if the scheme has none."""
        for level in self.levels:
            if level.name == name:
                return level
        raise KeyError(name)

    def below(self, name: str) -> LevelSpec | None:
        """The level whose units a container of level `name` holds; None at the lowest level."""
        at = [level.name for level in self.levels].index(name)
        return self.levels[at - 1] if at else None


@dataclass(frozen=True, slots=True)
class Product:
    """A stock-keeping unit. `names` maps a language tag (zh, en) to what a person reads."""

    sku: str
    names: dict[str, str]
    gtin: str = ""


@dataclass(frozen=True, slots=True)
class WorkOrder:
    """What a line is to make: product, lot, scheme and where the codes come from.

    `pools` maps "level/role" to a pool id, for roles that this line prints or that must come from
    one pool; a role without an entry accepts any pool of its product. Dates are ISO (YYYY-MM-DD).
    """

    number: str
    line: str
    product: str
    lot: str
    scheme: PackingScheme
    target: int
    pools: dict[str, int]
    campaign: str = ""
    produced: str = ""
    expires: str = ""
    shift: str = ""

    def pool(self, level: str, role: str) -> int | None:
        """The pool that serves this role, or None when any pool of the product may."""
        return self.pools.get(f"{level}/{role}")
