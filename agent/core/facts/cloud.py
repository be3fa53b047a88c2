"""Facts of what the cloud sent: commands, and the reference data that some of them bring."""

from agent.core.facts.words import Fact
from agent.core.values import value


@value(frozen=True, slots=True)
class CommandDone(Fact):
    """A command of the cloud was carried out, or refused (not `ok`: nothing of it was applied).

    `reason` is a key of the message catalogue, `text` says what happened and what to do, `body` is
    the answer's data as JSON ("" = none). `sum` is the SHA-256 (hex) of what the command held, so
    that another one under the same `id` is noticed.
    """

    id: str
    kind: str
    ok: bool
    reason: str = ""
    text: str = ""
    body: str = ""
    sum: str = ""


@value(frozen=True, slots=True)
class ReferenceChanged(Fact):
    """What the cloud says of a thing that is not ours: `kind` is product, party, dispatch, asn or
    revoked (a device), `key` its number, `body` all that is said of it now, as JSON."""

    kind: str
    key: str
    body: str
