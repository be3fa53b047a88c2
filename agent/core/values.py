"""Values that nobody changes once they are made, at the price of any other object.

`@value(frozen=True, slots=True)` is `dataclass` with these arguments to whoever checks types, and
that is where an assignment to a field is refused. Python itself does not refuse it: its way to make
a frozen object takes eight times as long, and a bottle is some fifty of them.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dataclasses import dataclass as value
else:
    from dataclasses import dataclass

    def value(*, frozen: bool, slots: bool):
        """A class decorator: see the module's docstring."""
        return dataclass(slots=slots, unsafe_hash=frozen)


__all__ = ["value"]
