"""The audit's part of the containers: what is physically inside of each against the record of it.

The integrity of a container's record (proven, anchored, inferred, incomplete) is a word about what
is in it. Where the container itself is, is said by the record of the one that holds it: a proven
box in a case that was packed by order is known for sure in its content, and in its whereabouts no
better than that case. So a wrong content is judged by the integrity of the container itself, and a
wrong whereabouts by that of its parent, as a part of the parent's content; without a parent the
record of a unit that is off the line must say so, or that it is in doubt. What was never closed has
no integrity: its links claim what their evidence does, and by order that is inferred.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from itertools import pairwise
from typing import Any

from agent.demo.result import Result

NO_WINDOW = -1
"""The number of a thing that lies in no window of the PLC."""
BY_ORDER = frozenset({"order", "preset"})
"""Evidence of links that nobody has read."""


def refused_above(
    physical: Sequence[Mapping[str, Any]], fates: Sequence[Mapping[str, Any]], child: str = ""
) -> set[int]:
    """Serials of the rejected containers that children of this level ("" = bottles) go into; what
    is in them never became stock."""
    levels = ["", *dict.fromkeys(each["level"] for each in physical)]
    above = dict(pairwise(levels)).get(child)
    pairs = zip(physical, fates, strict=True)
    return {
        fate.get("serial", 0) for each, fate in pairs if each["level"] == above and fate["rejected"]
    }


def contents(
    result: Result,
    physical: list[Mapping[str, Any]],
    fates: list[Mapping[str, Any]],
    recorded: Sequence[Mapping[str, Any]],
    let_through: Collection[str] = (),
) -> None:
    """What is physically inside of each container against the record of it. Of one that was
    `let_through` the record tells its code, where it was, and that it has no content for it."""
    codes = Counter(each["code"] for each in recorded if each["code"] is not None)
    for code, count in codes.items():
        if count > 1:
            result.unexplained += count - 1
            result.notes.append(f"{count} containers are recorded with the code {code}")
    parents = Counter(child for each in recorded for child in each["children"] if child is not None)
    result.child_in_two = sum(count > 1 for count in parents.values())
    left = list(recorded)
    order = [*dict.fromkeys(each["level"] for each in physical)]
    refused = {level: refused_above(physical, fates, level) for level in order}
    pairs = zip(physical, fates, strict=True)
    at = {(each["level"], fate.get("serial", 0)): fate for each, fate in pairs}
    for container, fate in zip(physical, fates, strict=True):
        inside = fate.get("container") in refused[container["level"]]
        if "put_in" in fate.get("befell", ()):
            inside = inside or _endsrefused_above(container["level"], fate, at, order)
        beside = _beside(container, fate, physical, fates, recorded)
        known = container["code"] in let_through
        _one(
            result, container, fate, left, inside=inside, packed=parents, beside=beside, known=known
        )
    gone = [each for each, fate in zip(physical, fates, strict=True) if fate["rejected"]]
    for each in left:
        # Its code was read on its neighbour, whose record took its place above: what it says of
        # itself is right all the same, it holds this and was rejected.
        rejected = each["code"] is None and each["state"] == "rejected"
        if rejected and any(each["level"] == x["level"] and _part_of(each, x) for x in gone):
            continue
        if each["code"] is not None or any(child is not None for child in each["children"]):
            _wrong(result, each, "no such container exists")
            result.unexplained += each["code"] is not None
    for each in recorded:
        if each["integrity"]:
            worth = each["integrity"]
            result.containers[worth] = result.containers.get(worth, 0) + 1


def _endsrefused_above(
    level: str,
    fate: Mapping[str, Any],
    at: Mapping[tuple[str, int], Mapping[str, Any]],
    order: Sequence[str],
) -> bool:
    """Whether the outermost container that this one is in was rejected: what a gate had taken, and
    a hand put back into it, never became stock. `at`: all by level and serial; `order`: the levels
    from the inside out."""
    for above in order[order.index(level) + 1 :]:
        found = at.get((above, fate.get("container") or 0))
        if found is None:
            return False
        fate = found
    return bool(fate["rejected"])


def _beside(
    container: Mapping[str, Any],
    fate: Mapping[str, Any],
    physical: Sequence[Mapping[str, Any]],
    fates: Sequence[Mapping[str, Any]],
    recorded: Sequence[Mapping[str, Any]],
) -> list[Mapping[str, Any]]:
    """The doubtful records of the containers before and behind one whose picture may show these
    instead of it."""
    if "neighbour" not in fate.get("befell", ()):
        return []
    codes = {
        each["code"]
        for each, other in zip(physical, fates, strict=True)
        if each["level"] == container["level"] and abs(other["serial"] - fate["serial"]) == 1
    }
    return [each for each in recorded if each["code"] in codes - {None} and each.get("doubtful")]


def _one(
    result: Result,
    container: Mapping[str, Any],
    fate: Mapping[str, Any],
    left: list[Mapping[str, Any]],
    *,
    inside: bool,
    packed: Collection[str],
    beside: Sequence[Mapping[str, Any]],
    known: bool,
) -> None:
    """One physical container; its record is taken out of `left`. `inside`: it is in another one
    that was rejected; `packed` are the codes of what stands in some record's content; `beside`:
    `_beside`; `known`: the record says that a gate let it through."""
    rejected = bool(fate["rejected"])
    name = f"{container['level']} {container['code']}"
    if container["level"] == "case":
        result.cases += not rejected and not container["open"]
    elif container["level"] == "pallet":
        result.pallets += not rejected and not container["open"]
    if rejected and not fate["bad"]:
        result.good_containers_rejected += 1
        result.notes.append(f"good {name} rejected: {fate['why']}")
    said = _record_of(container, left, rejected=rejected)
    if said is not None:
        left.remove(said)
    if container["open"]:
        if said is not None and (said["integrity"] or not _part_of(said, container)):
            _wrong(result, said, "differs from a container that is still being filled")
        return
    if rejected:
        if said is not None:
            _compare(result, container, said)
            _whereabouts(result, name, said, packed)
        return
    former = fate.get("former", ())
    for each in [each for each in left if each["code"] in former] if former else ():
        left.remove(each)  # another label is stuck over it
        _compare(result, container, each)
    if _unnamed(fate, said, inside=inside):
        if said is not None:
            _compare(result, container, said)
        return
    named = said is not None and said["code"] is not None and said["code"] == container["code"]
    if said is not None and not named and said["code"] is not None:
        _wrong(result, said, f"names another than {name}")
        return
    if said is None or not named or not said["integrity"] or said["state"] == "rejected":
        for each in beside[:1]:
            _wrong(result, each, f"was read on {name}")
        told = known and (said is None or bool(said.get("doubtful")))
        if not beside and not told:
            result.missing += 1
            result.notes.append(f"{name} has no closed record that names it")
    if said is not None:
        _compare(result, container, said)


def _whereabouts(
    result: Result, name: str, said: Mapping[str, Any], packed: Collection[str]
) -> None:
    """What the record says of where a rejected container is. One that stands in another's content
    is judged with that one."""
    if said["state"] == "rejected" or said.get("doubtful") or said["code"] in packed:
        return
    result.unexplained += 1
    result.notes.append(f"{name}: was rejected, the record says {said['state']}")


def _unnamed(fate: Mapping[str, Any], said: Mapping[str, Any] | None, *, inside: bool) -> bool:
    """Whether no closed record need name this container, and this is what there is of it."""
    befell = fate.get("befell", ())
    off = fate["place"] == "taken" or inside
    if off and said is not None and said["state"] == "rejected":
        return True  # off the line, by a hand or in another, and the gate took what came for it
    if said is not None and said["integrity"]:
        return False
    # It lagged behind its window: the gate was told to take it, and took what was not there.
    stayed = (fate["bad"] and "gate_failed" in befell) or fate.get("number") == NO_WINDOW
    # A hand put it behind the camera that would have named it; what is known of it says doubt.
    unmet = not fate.get("shown", True) or "swapped_in" in befell
    unmet = unmet and (said is None or said.get("doubtful") or said["state"] == "rejected")
    return bool(off or stayed or unmet)


def _record_of(
    container: Mapping[str, Any], left: list[Mapping[str, Any]], *, rejected: bool
) -> Mapping[str, Any] | None:
    """The record with the container's code; else a doubtful one of just its children, if both are
    `rejected` or neither; else the one without a code of most of them."""
    for each in left:
        if each["code"] is not None and each["code"] == container["code"]:
            return each
    inside = {child for child in container["children"] if child is not None}
    for each in left:
        # Its neighbour's code was read on it: the record names that one, and is in doubt for it.
        same = each["level"] == container["level"] and each.get("doubtful")
        same = same and (each["code"] is None or rejected == (each["state"] == "rejected"))
        if same and inside and Counter(each["children"]) == Counter(container["children"]):
            return each
    best, most = None, 0
    for each in left:
        if each["code"] is None and each["level"] == container["level"]:
            common = len(inside.intersection(each["children"]))
            if common > most:
                best, most = each, common
    return best


def _part_of(said: Mapping[str, Any], container: Mapping[str, Any]) -> bool:
    """Whether all known children of the record are inside."""
    claimed = Counter(child for child in said["children"] if child is not None)
    return claimed <= Counter(container["children"])


def _compare(result: Result, container: Mapping[str, Any], said: Mapping[str, Any]) -> None:
    inside = Counter(container["children"])
    claimed = Counter(said["children"])
    if said["integrity"] is None:
        # It was never closed: it claims its links and nothing of the rest.
        right = _part_of(said, container)
    elif said["integrity"] == "incomplete":
        # Known children must be inside; the unknown ones must make up the rest.
        right = _part_of(said, container) and claimed.total() == inside.total()
    else:
        # Whatever claims to be whole knows every child.
        right = claimed == inside and None not in claimed
    if not right:
        _wrong(result, said, "content differs")


def _wrong(result: Result, said: Mapping[str, Any], why: str) -> None:
    worth = said["integrity"] or "incomplete"
    if worth == "incomplete" and not BY_ORDER.isdisjoint(said.get("evidence", ())):
        worth = "inferred"
    unsure = said.get("doubtful") and worth in ("inferred", "incomplete")
    name = "wrong_doubtful" if unsure else f"wrong_{worth}"
    setattr(result, name, getattr(result, name) + 1)
    result.notes.append(f"{said['level']} {said['code']}: {why}")
