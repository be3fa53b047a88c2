"""What a later reading says of a container that was packed by order."""

from collections.abc import Collection

from agent.core import anchors
from agent.core import facts as f
from agent.core.evolve import kept_of
from agent.core.outcome import Outcome
from agent.core.pack import integrity


def content_seen(
    out: Outcome,
    container: int,
    seen: Collection[int],
    *,
    whole: bool,
    evidence: f.LinkEvidence,
    own: f.OwnCode | None,
    why: str,
    by: str = "",
) -> None:
    """Children were read in a container: all that it holds (`whole`), or some. `own` says where its
    own code was read with them, None if it was not."""
    found = kept_of(out.state, container)
    if found is None or not seen:
        return
    station, kept = found
    if not set(seen) <= set(kept.children):
        return
    if not (whole and len(seen) == len(kept.children)):
        out.facts.append(f.ChildrenSeen(container, tuple(seen)))
        return
    worth = integrity({evidence}, 0, own or kept.own or f.OwnCode.UNREAD, doubtful=False)
    children = tuple(kept.children)
    out.facts.append(f.LinksCorrected(container, children, (), (evidence,), worth, why, by))
    anchors.confirm(out, station, kept)
