"""Planted mutants: each takes one defence out of the product, and the state machine must notice.

Data only. `old` must stand exactly once in `file`, so that the list cannot rot. `site` is the line
of `sites` and `troubles` are the rules of the machine that find it quickly.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Mutant:
    """`name` says what defence is gone."""

    name: str
    file: str
    old: str
    new: str
    site: str
    troubles: str = "feed"


MUTANTS = (
    # ---- verdicts
    Mutant(
        "duplicate check removed",
        "agent/core/verdict.py",
        "    if code.unit is not None and code.unit.unit != own_unit:\n",
        "    if code.unit is not None and code.unit.unit != own_unit and code.unit.held:\n",
        "sequence",
        "feed",
    ),
    Mutant(
        "only the new item of a duplicate is in doubt",
        "agent/core/verdict.py",
        "            others.append(code.unit.unit)\n",
        "            pass\n",
        "sequence",
        "feed",
    ),
    Mutant(
        "void code accepted",
        "agent/core/verdict.py",
        "    if code.state is CodeState.VOID:\n",
        "    if code.state is CodeState.VOID and code.unit is not None:\n",
        "sequence",
        "feed",
    ),
    Mutant(
        "foreign product accepted",
        "agent/core/verdict.py",
        "    if pool.product and pool.product != order.product:\n",
        "    if pool.product and not order.product:\n",
        "roles",
        "feed",
    ),
    Mutant(
        "code that was never sent to a printer accepted",
        "agent/core/verdict.py",
        "    if not pool.preprinted and code.state not in MAY_ARRIVE and code.unit is None:\n",
        "    if not pool.preprinted and code.state is CodeState.VOID and code.unit is None:\n",
        "sequence",
        "wrong_label",
    ),
    Mutant(
        "two texts for one role accepted",
        "agent/core/verdict.py",
        "        if before.key != code.key or earlier.get(code.role, code.key) != code.key:\n",
        "        if earlier.get(code.role, code.key) != code.key:\n",
        "sequence",
        "feed",
    ),
    Mutant(
        "printed and read need not be the same",
        "agent/core/verdict.py",
        "expected is not None and _same_column(code.key, expected) and code.key != expected:",
        "expected is None and code.key == expected:",
        "coded",
        "read",
    ),
    Mutant(
        "codes of two sets on one unit accepted",
        "agent/core/verdict.py",
        "rows.setdefault(key.pool, key.position) != key.position",
        "rows.setdefault(key.pool, key.position) < 0",
        "roles",
        "feed",
    ),
    Mutant(
        "missing role accepted",
        "agent/core/verdict.py",
        "    if all(role in read or role in spec.optional or role not in spec.roles "
        "for role in wanted):\n",
        "    if not wanted or read or spec.roles:\n",
        "roles",
        "read,feed",
    ),
    # ---- items
    Mutant(
        "passed before every reader has answered",
        "agent/core/decide.py",
        "    if len(item.waiting) > 1 or not has_gate(station):\n",
        "    if not has_gate(station):\n",
        "roles",
        "work",
    ),
    Mutant(
        "an answer counts for an item that has gone on",
        "agent/core/decide.py",
        "    if item is None or item.at != station.id or item.verdict or "
        "what.reader not in item.waiting:\n",
        "    if item is None or item.verdict:\n",
        "roles",
        "read",
    ),
    Mutant(
        "a rejected unit stays good",
        "agent/core/decide.py",
        "        unit = item.unit if item is not None and here else None\n",
        "        unit = None if here else item and item.unit\n",
        "sequence",
        "slow,gate",
    ),
    Mutant(
        "a missing item alarms as the last that can be concerned",
        "agent/core/decide.py",
        'out.alarm("count_difference", 2, station.id, gone[0], count',
        'out.alarm("count_difference", 2, station.id, number, count',
        "sequence",
        "take_off",
    ),
    Mutant(
        "a loose cap is proven",
        "agent/core/decide.py",
        "    if way is PathKind.CAPTIVE and not loose:\n",
        "    if way is not None:\n",
        "roles",
        "work",
    ),
    # ---- containers
    Mutant(
        "parent check removed",
        "agent/core/verdict.py",
        "    if not free or unit.state not in (UnitState.VERIFIED, UnitState.UNPACKED):\n",
        "    if not free and unit.state in (UnitState.SAMPLED, UnitState.DESTROYED):\n",
        "coded",
        "repack",
    ),
    Mutant(
        "child of another lot accepted by order",
        "agent/core/containers.py",
        '    if known.lot != order.lot and order.scheme.mixed_lots != "allow":\n',
        '    if not known.lot and order.scheme.mixed_lots != "allow":\n',
        "sequence",
        "order",
    ),
    Mutant(
        "more children than the scheme holds",
        "agent/core/pack.py",
        "    if unread < 0 or short or container.count + wanted > spec.children:\n",
        "    if unread < 0 or short:\n",
        "coded",
        "overfill",
    ),
    Mutant(
        "unknown children are not capped",
        "agent/core/pack.py",
        "    elif container.unknown + unread > spec.unknown:\n",
        "    elif container.unknown + unread > spec.children:\n",
        "coded",
        "tear",
    ),
    Mutant(
        "proven without own code read with the content",
        "agent/core/pack.py",
        "    if evidence and set(evidence) <= _SEEN and own in _TOGETHER and not doubtful:\n",
        "    if evidence and set(evidence) <= _SEEN and not doubtful:\n",
        "roles",
        "work",
    ),
    Mutant(
        "proven by order and count",
        "agent/core/pack.py",
        "    if evidence and set(evidence) <= _SEEN and own in _TOGETHER and not doubtful:\n",
        "    if evidence and own in _TOGETHER and not doubtful:\n",
        "sequence",
        "work",
    ),
    Mutant(
        "proven though events were lost",
        "agent/core/evolve/orders.py",
        "            container.doubtful = container.doubtful or container.unit is not None\n",
        "            container.doubtful = container.doubtful or not container.unit\n",
        "coded",
        "overrun",
    ),
    # ---- doubt
    Mutant(
        "the order is certain after hands were in the lanes",
        "agent/core/evolve/doubt.py",
        '        if packing.doubt in ("", MISSED, STRANGER):\n'
        "            packing.doubt = fact.why\n",
        "        packing.deep = packing.deep or not fact.why\n",
        "sequence",
        "disturb,work",
    ),
    Mutant(
        "a copy of a bottle on the line counts as the bottle come back",
        "agent/core/duplicates.py",
        "    return (away or missed) and unit.unit not in units_on_line(state)\n",
        "    return unit.state is not UnitState.SAMPLED\n",
        "sequence",
        "feed",
    ),
    # ---- counts, lanes, restarts
    Mutant(
        "count off by one",
        "agent/core/evolve/items.py",
        "    state.count(fact.station).passed += 1\n",
        "    state.count(fact.station).passed += 1 + (fact.item % 5 == 4)\n",
        "sequence",
        "work",
    ),
    Mutant(
        "a stroke leaves a child in its lane",
        "agent/core/evolve/containers.py",
        "        del lanes.get(lane, [])[:count]\n",
        "        del lanes.get(lane, [])[: max(1, count - 1)]\n",
        "sequence",
        "work",
    ),
    Mutant(
        "containers of before a PLC restart are still there",
        "agent/core/evolve/orders.py",
        "    if state.run != fact.run:\n        state.containers.clear()",
        "    if state.run == -2:\n        state.containers.clear()",
        "sequence",
        "restart_plc",
    ),
    # ---- printing
    Mutant(
        "codes that a lost session had in hand are not suspect",
        "agent/core/recovery.py",
        '    move(out, station, window, doubtful, CodeState.SUSPECT, why="printer_session")\n',
        '    move(out, station, window, [], CodeState.SUSPECT, why="printer_session")\n',
        "coded",
        "lose_printer",
    ),
    # ---- store, gate and writer
    Mutant(
        "the next code of a pool is given twice",
        "agent/core/pools.py",
        "        first,\n        min(wanted, left),\n",
        "        first - (first > 4),\n        min(wanted, left),\n",
        "coded",
        "work",
    ),
    Mutant(
        "the code of a rejected item stays in process",
        "agent/store/units.py",
        "        if unit is not None or state in (CodeState.ATTACHED, CodeState.VOID):\n",
        "        if unit is not None or state is not CodeState.ISSUED:\n",
        "coded",
        "gate",
    ),
    Mutant(
        "effect before commit",
        "agent/store/writer.py",
        "        for job in jobs:\n"
        "            # Nothing is kept of what came before the first: it needs no savepoint.\n"
        "            alone = not self._conn.in_transaction\n"
        "            if alone:\n"
        '                self._conn.change("BEGIN IMMEDIATE")\n'
        "            outcomes.append(self._outcome(job, alone=alone))\n"
        "        if self._conn.in_transaction:\n"
        '            self._conn.change("COMMIT")\n',
        "        if self._conn.in_transaction:\n"
        '            self._conn.change("COMMIT")\n'
        '        self._conn.change("BEGIN IMMEDIATE")\n'
        "        for job in jobs:\n"
        "            outcomes.append(self._outcome(job, alone=False))\n",
        "sequence",
        "work",
    ),
    Mutant(
        "state kept though its rows were lost",
        "agent/store/gate.py",
        "            line.stale = True\n",
        "            line.stale = False\n",
        "sequence",
        "fail",
    ),
    Mutant(
        "state kept though a later input of the group was refused",
        "agent/store/gate.py",
        "            each.stale = True\n",
        "            each.stale = False\n",
        "sequence",
        "fail",
    ),
    Mutant(
        "a restart forgets the journal's last row",
        "agent/store/snapshots.py",
        '"SELECT seq FROM journal WHERE seq > ? AND line IN (?, ?) ORDER BY seq"',
        '"SELECT seq FROM journal WHERE seq > 1 + ? AND line IN (?, ?) ORDER BY seq"',
        "sequence",
        "restart",
    ),
    Mutant(
        "a secret code leaves in clear",
        "agent/store/gate.py",
        "                if key in found or owner is None or attachment.role in owner.secret:\n",
        "                if key in found or owner is None:\n",
        "roles",
        "work",
    ),
    # ---- the handshake
    Mutant(
        "stale slot accepted: the gate does not look at the number",
        "drivers/sim/plcmodel.py",
        " or (register ^ number) & 0xFFF\n",
        "\n",
        "sequence",
        "old_slot",
    ),
    Mutant(
        "the slot does not carry the number",
        "drivers/plc/ring.py",
        "    return slot.verdict << 12 | slot.number & 0x0FFF\n",
        "    return slot.verdict << 12 | slot.number & 0x000F\n",
        "sequence",
        "work",
    ),
)
