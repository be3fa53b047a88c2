"""What goods hold, level by level, at a moment: folded from the links as they are known now."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from sync.cloud.fold import Container, Statement, World
from sync.cloud.gather import Alias, Gathered, Gatherer
from sync.kinds import MOST_GOODS
from sync.uris import BASE


@dataclass(slots=True)
class Good:
    """A unit, and what is known of it. `pieces` are the units of the lowest level in it; `level` ""
    = nobody has told of it yet."""

    key: bytes
    name: str
    parent: bytes | None
    children: tuple[bytes, ...] = ()
    level: str = ""
    product: str = ""
    lot: str = ""
    expires: str = ""
    made_ms: int = 0
    integrity: str = ""
    unknown: int = 0
    pieces: int = 1
    codes: tuple[str, ...] = ()


@dataclass
class Tree:
    """Goods by key, parents before what they hold; `roots` are those that were asked for. `open`
    are the names of those whose content or making nobody has told yet."""

    goods: dict[bytes, Good] = field(default_factory=dict)
    roots: list[bytes] = field(default_factory=list)
    open: list[str] = field(default_factory=list)
    too_many: bool = False

    @property
    def pieces(self) -> int:
        return sum(self.goods[root].pieces for root in self.roots)

    def leaves(self, root: bytes) -> set[bytes]:
        """The units of the lowest level in a unit."""
        found: set[bytes] = set()
        left = [root]
        while left:
            good = self.goods[left.pop()]
            left += good.children
            if not good.children:
                found.add(good.key)
        return found


def tree(
    gatherer: Gatherer, names: Iterable[bytes], event: int | None = None, base: str = BASE
) -> Tree:
    """What these things held when `event` happened (None: hold now)."""
    asked = list(names)
    found = gatherer.about(gatherer.below(asked))
    # Of no thing in particular: what happened to each of 100,000 bottles is not asked.
    world = found.world((), event)
    shown = _Texts(gatherer, found, world, base)
    made = Tree()
    made.roots = list(dict.fromkeys(world.now(name) for name in asked))
    left: list[tuple[bytes, bytes | None]] = [(root, None) for root in reversed(made.roots)]
    while left:
        key, parent = left.pop()
        if key in made.goods:
            continue
        if len(made.goods) >= MOST_GOODS:
            made.too_many = True
            break
        box = world.containers.get(key)
        good = made.goods[key] = shown.good(key, parent, box)
        if not good.level or (box is not None and not box.integrity):
            made.open.append(good.name)
        left += ((child, key) for child in reversed(good.children))
    # A unit that was asked for and is in another one that was is told there.
    made.roots = [root for root in made.roots if made.goods[root].parent is None]
    _count(made)
    return made


def _count(made: Tree) -> None:
    """Pieces, products and lots, from the lowest level up."""
    for good in reversed(made.goods.values()):
        inside = [made.goods[child] for child in good.children if child in made.goods]
        if inside:
            good.pieces = sum(each.pieces for each in inside)
            for name in ("product", "lot", "expires"):
                words = {getattr(each, name) for each in inside}
                setattr(good, name, words.pop() if len(words) == 1 else "")
        elif good.children or good.unknown or good.integrity:
            good.pieces = 0  # a container of which no child is known


class _Texts:
    """What is told of single things."""

    def __init__(self, gatherer: Gatherer, found: Gathered, world: World, base: str) -> None:
        self._found = found
        self._world = world
        self._base = base
        every = {world.now(key) for key in world.name} | world.containers.keys()
        every |= {child for box in world.containers.values() for child in box.children}
        every |= set(found.born)
        self._names = gatherer.texts(every)
        self._codes: dict[bytes, list[Alias]] = {}
        for alias in found.aliases:
            self._codes.setdefault(world.now(alias.code), []).append(alias)

    def good(self, key: bytes, parent: bytes | None, box: Container | None) -> Good:
        good = Good(key, text_of(self._names.get(key, ""), self._base), parent)
        born = self._born(key)
        if born is not None:
            detail = born.detail
            ilmd = detail.get("ilmd")
            ilmd = ilmd if isinstance(ilmd, dict) else {}
            good.level = _text(detail.get("x:level"))
            good.product = _text(ilmd.get("x:product"))
            good.lot = _text(ilmd.get("cbvmda:lotNumber"))
            good.expires = _text(ilmd.get("cbvmda:itemExpirationDate"))
            good.made_ms = born.ms
        if box is not None:
            good.level = good.level or box.level
            good.children = tuple(box.children)
            good.integrity, good.unknown = box.integrity, box.unknown
        secret = f"{self._base}/pool/"
        texts = {
            text_of(each.text, self._base)
            for each in self._codes.get(key, ())
            if not each.text.startswith(secret)
        }
        good.codes = tuple(sorted(texts - {good.name, ""}))
        return good

    def _born(self, key: bytes) -> Statement | None:
        births = [
            self._found.statements[each.event]
            for name in self._found.names_of(key)
            for each in self._found.born.get(name, ())
            if each.event in self._found.statements
        ]
        births.sort(key=lambda each: (not each.lost, each.stream.agent, each.place))
        return births[-1] if births else None


def text_of(uri: str, base: str = BASE) -> str:
    """The canonical text of a code, from the URI that names it; other names stay as they are."""
    head = f"{base}/code/"
    return unquote(uri.removeprefix(head)) if uri.startswith(head) else uri


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
