"""Every fact that can happen: the vocabulary of the journal.

A fact is a dataclass that nobody changes (`values`), of plain values (int, str, bool, None, tuples
and NamedTuples of them, and the frozen dataclasses of `scheme`), so that any codec can write it.
Its class name is its `kind` in the journal: a released name and a released field never change
meaning; a field that is added later has a default.

A fact with `durable = False` changes the state of a line but is not written: it is what a restart
honestly forgets (an item that is on its way, a print that was reported). Everything a restart must
know is in a durable fact.

Units and containers are named by their unit id (int). Codes are named by CodeKey, never by text:
a secret code must not leave its pool in clear.
"""

from agent.core.facts.alarms import *  # noqa: F403
from agent.core.facts.bypass import *  # noqa: F403
from agent.core.facts.cloud import *  # noqa: F403
from agent.core.facts.containers import *  # noqa: F403
from agent.core.facts.doubt import *  # noqa: F403
from agent.core.facts.items import *  # noqa: F403
from agent.core.facts.orders import *  # noqa: F403
from agent.core.facts.pools import *  # noqa: F403
from agent.core.facts.rework import *  # noqa: F403
from agent.core.facts.testmode import *  # noqa: F403
from agent.core.facts.warehouse import *  # noqa: F403
from agent.core.facts.words import *  # noqa: F403
from agent.core.facts.words import Fact

KINDS: dict[str, type[Fact]] = {kind.__name__: kind for kind in Fact.__subclasses__()}
"""Every kind of fact by its name in the journal."""
