"""What people do with units that have left the line: the model follows them."""

from agent.core import facts as f
from agent.core import inputs as i
from tests.core.book import Unit
from tests.core.play import Play

WHO = {"reason": "rework", "by": "li"}


class Hands(Play):
    """Rework on containers that are through, and on what was in them."""

    def through(self) -> list[Unit]:
        """Closed containers that left the line and are in no other."""
        found = [self.book.of[thing] for thing in self.belt.done if thing in self.book.of]
        return [u for u in found if u.closed and u.kids and u.inside is None and not u.gone]

    def loose(self, like: Unit) -> list[Unit]:
        """Units that were taken out, of the level and order of another."""
        return [
            u
            for u in self.book.units.values()
            if u.unpacked and u.inside is None and not (u.gone or u.held or u.rejected)
            if (u.level, u.order) == (like.level, like.order) and not self._open(u)
        ]

    def _open(self, unit: Unit) -> bool:
        """A container that is not closed (any more), emptied ones too, is put into nothing."""
        return bool(self.site.scheme.level(unit.level).children) and not unit.closed

    def _do(self, what: i.Rework) -> list[f.Fact]:
        """At the desk: durable, and nothing else."""
        self.revive()
        done = self.rig.desk(what)
        rows = self.rig.grown()
        assert rows == list(done.facts), "what a person does is written whole"
        assert not done.effects
        self.book.apply(rows)
        return rows

    def _text(self, unit: Unit) -> str:
        level = self.site.scheme.level(unit.level)
        return unit.texts[level.primary]

    def _out(self, box: Unit, kids: list[Unit]) -> None:
        for kid in kids:
            assert kid.inside is box
            box.kids.remove(kid)
            kid.inside = None
            kid.unpacked = True

    def content(self, unit: Unit) -> list[Unit]:
        return [unit, *(each for kid in unit.kids for each in self.content(kid))]

    def unpack(self, box: Unit, child: Unit | None = None) -> None:
        """A container is opened, or one child is taken out of it."""
        if child is not None:
            self._do(i.Unpack(text=self._text(box), children=(self._text(child),), **WHO))
            self._out(box, [child])
        else:
            self._do(i.Unpack(text=self._text(box), **WHO))
            self._out(box, list(box.kids))
            box.unknown = 0
        if not box.count:
            box.closed = ""

    def replace(self, box: Unit, old: Unit, new: Unit) -> None:
        """One child in the place of another."""
        facts = self._do(i.Replace(new=self._text(new), old=self._text(old), **WHO))
        assert [type(fact) for fact in facts] == [f.Unpacked, f.Packed]
        self._out(box, [old])
        self.book.bind(box, [new.unit])

    def take(self, box: Unit, unit: Unit, how: str) -> None:
        """A container with its content, or one child of it, leaves the stock."""
        kind = i.Sample if how == "sampled" else i.Destroy
        *_, fact = self._do(kind(texts=(self._text(unit),), **WHO))
        assert isinstance(fact, f.UnitsSampled | f.UnitsDestroyed)
        if unit is not box:
            self._out(box, [unit])
            if not box.count:
                box.closed = ""
        gone = self.content(unit)
        assert set(fact.units) == {each.unit for each in gone}
        for each in gone:
            each.gone = how

    def hold(self, box: Unit) -> None:
        """Quality stops a container with its content, or lets it go."""
        text = (self._text(box),)
        self._do(i.Release(texts=text, **WHO) if box.held else i.Hold(texts=text, **WHO))
        held = not box.held
        for each in self.content(box):
            each.held = held
