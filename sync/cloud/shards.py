"""Which agents a consumer serves where several share the work by the hash of the agent's name."""

from hashlib import blake2b
from typing import NamedTuple

from agent.core.errors import ConfigError

MOST = 256


class Shard(NamedTuple):
    """Shard `number` (from 1 on) of `of`."""

    number: int
    of: int

    @classmethod
    def parse(cls, text: str) -> "Shard":
        """`2/4`. ConfigError: it is no such thing."""
        number, slash, of = text.partition("/")
        if slash and number.isdecimal() and of.isdecimal() and len(text) < 8:
            found = cls(int(number), int(of))
            if 1 <= found.number <= found.of <= MOST:
                return found
        raise ConfigError(
            f"--shard {text} is no shard: write which one of how many, from 1/1 to {MOST}/{MOST}, "
            "for example 2/4."
        )

    def serves(self, agent: str) -> bool:
        """Whether the agent is one of this shard's: each is of exactly one."""
        digest = blake2b(agent.encode(), digest_size=8).digest()
        return int.from_bytes(digest, "big") % self.of == self.number - 1

    def group(self, name: str) -> str:
        """The group at the broker of the consumers of this shard."""
        return name if self.of == 1 else f"{name}.{self.number}of{self.of}"


ALL = Shard(1, 1)
