"""A pool as it was declared and read, ready to be stored; and why one was refused.

`poolread` reads the file, the store writes `PoolFile`, PoolImported says that it happened.
"""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from agent.core.errors import DomainError
from agent.core.facts import PoolImported
from agent.core.poolrule import Rule

Scope = Literal["agent", "plant", "brand"]

REASONS = frozenset(
    {
        "pool_refused",
        "pool_bad_declaration",
        "pool_secret_by_rule",
        "pool_bad_rule",
        "pool_encoding",
        "pool_header",
        "pool_unknown_column",
        "pool_manifest",
        "pool_truncated",
        "pool_too_large",
        "pool_not_csv",
        "pool_cells",
        "pool_empty_cell",
        "pool_duplicate",
        "pool_own_parent",
        "pool_roll_split",
        "pool_not_gs1",
        "pool_no_item",
    }
)
"""Every reason of pool files and rules, beside codes.REASONS: keys of the message catalogue."""


@dataclass(frozen=True, slots=True)
class Declared:
    """What the person who imports a pool says of it.

    `roles` are the roles that the file may have columns for (for a rule: the one role). `gs1`:
    True: every code must be GS1 data; False: none need be; None: as most rows are.
    """

    name: str
    level: str
    roles: tuple[str, ...]
    secret: tuple[str, ...] = ()
    product: str = ""
    campaign: str = ""
    lot: str = ""
    scope: Scope = "agent"
    preprinted: bool = False
    count: int | None = None
    sha256: str = ""
    gs1: bool | None = None

    def __post_init__(self) -> None:
        if not self.name or not self.level or not self.roles:
            raise _bad("a pool needs a name, a level and at least one role")
        if strays := sorted(set(self.secret) - set(self.roles)):
            raise _bad(f"secret roles {strays} are not among its roles {list(self.roles)}")
        if set(self.roles) & {"parent", "roll"} or len(set(self.roles)) != len(self.roles):
            raise _bad("roles must differ from each other and from `parent` and `roll`")


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong. `line` counts from 1 (0: the file as a whole), `reason` is a key of
    the message catalogue, `message` never repeats a code: it may be secret."""

    line: int
    column: str
    reason: str
    message: str

    def __str__(self) -> str:
        place = f"line {self.line}" + (f", {self.column}" if self.column else "")
        return f"{place if self.line else 'file'}: {self.message}"


class PoolRefused(DomainError):
    """Nothing was imported. `problems` are the first ones, `more` how many follow."""

    def __init__(self, name: str, problems: tuple[Problem, ...], more: int) -> None:
        listed = "".join(f"\n  {problem}" for problem in problems)
        rest = f"\n  ... and {more} more" if more else ""
        super().__init__(
            "pool_refused",
            f"Pool {name} was refused whole, nothing of it was imported:{listed}{rest}\n"
            "Mend the file, or ask its maker for a new one, and import it again.",
        )
        self.problems = problems
        self.more = more


@dataclass(frozen=True, slots=True)
class PoolFile:
    """A pool as it is to be stored. `columns[c][p]` is the canonical text of role `roles[c]` at
    position p; `parents[p]` that of its parent (empty without such a column); `spelled[c]` the
    texts of column c as the file has them, None where all are canonical; `rolls` are (name, first
    position, count). `sha256` is `seal` of columns and parents."""

    declared: Declared
    roles: tuple[str, ...]
    columns: tuple[tuple[str, ...], ...]
    parents: tuple[str, ...]
    spelled: tuple[tuple[str, ...] | None, ...]
    rolls: tuple[tuple[str, int, int], ...]
    sha256: str
    rule: str = ""

    @property
    def count(self) -> int:
        return len(self.columns[0]) if self.columns else 0

    def rows(self) -> Iterator[tuple[str, ...]]:
        """Canonical texts by position, one per role."""
        return zip(*self.columns, strict=True)

    def printed(self, position: int, column: int) -> str:
        """The text that a symbol of this code must carry: as the file spells it."""
        spelled = self.spelled[column]
        return self.columns[column][position] if spelled is None else spelled[position]

    def fact(self, pool: int) -> PoolImported:
        """The fact to write, once the store has given the pool its number. The parent's column
        comes after those of the roles."""
        said = self.declared
        return PoolImported(
            pool=pool,
            name=said.name,
            level=said.level,
            roles=self.roles,
            secret=tuple(role for role in self.roles if role in said.secret),
            product=said.product,
            scope=said.scope,
            membership="rule" if self.rule else "list",
            rule=self.rule,
            count=self.count,
            sha256=self.sha256,
            campaign=said.campaign,
            lot=said.lot,
            preprinted=said.preprinted,
            parent_column=len(self.roles) if self.parents else -1,
            rolls=self.rolls,
        )


def seal(rows: Iterable[tuple[str, ...]]) -> str:
    """SHA-256 (hex) over canonical texts in order of position: each row's texts (roles, then the
    parent) joined by 0x1F and ended by a newline. No canonical text has either character."""
    digest = hashlib.sha256()
    for row in rows:
        digest.update(("\x1f".join(row) + "\n").encode())
    return digest.hexdigest()


def rule_pool(declared: Declared, rule: Rule) -> PoolFile:
    """A pool whose membership is a rule: it lists no codes. DomainError for a secret role: whoever
    knows the rule could make codes that are worth money."""
    if len(declared.roles) != 1:
        raise _bad("a rule admits codes of one role; declare a pool for each role")
    if declared.secret:
        raise DomainError(
            "pool_secret_by_rule",
            f"Pool {declared.name}: role {declared.secret[0]} is secret, so its codes must be "
            "listed. Import the file that lists them.",
        )
    return PoolFile(declared, declared.roles, ((),), (), (None,), (), seal(()), rule.text)


def _bad(what: str) -> DomainError:
    return DomainError("pool_bad_declaration", f"The pool cannot be declared so: {what}.")
