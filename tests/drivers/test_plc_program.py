"""The PLC program of docs/plc.md, run against the driver: a belt with an eye, a gate, sensors.

It is executed by tests.drivers.st_run; no PLC tool has compiled it.
"""

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.ports.plc import PlcEvent, PlcEventKind, PlcOutputs, Slot, SlotVerdict
from drivers.sim.modbus_server import SimPlcServer
from tests.drivers.plc_line import driver
from tests.drivers.st_run import Clock, program

SCAN_MS, PULSES = 5, 20
GAP = 400
"""Pulses from one item to the next."""
GATE, CONFIRM, BLAST = 1800, 600, 40
TRIGGER = PlcEventKind.TRIGGER


def documented() -> list[str]:
    """The programs of docs/plc.md: the printer's gate alone, and the line."""
    text = Path("docs/plc.md").read_text("utf-8")
    return re.findall(r"```iecst\n(.*?)```", text, re.DOTALL)


class Machine:
    """The belt, the program that runs it, and its Modbus server."""

    def __init__(self) -> None:
        _, source = documented()
        self.clock = Clock()
        self.plc = program(source, self.clock)
        self.plc |= dict.fromkeys(
            ("Eye", "Chute", "Belt", "JamSensor", "ChuteFull", "LowAir"), False
        )
        self.plc |= {"EstopOk": True, "GuardsClosed": True, "Encoder": 0, "BeltSpeed": 300}
        self.server = SimPlcServer()
        self.items: list[dict[str, Any]] = []
        self.encoder = 0xFFFF_F000  # it wraps while the test runs

    def feed(self, *, taken: bool = False, drop: bool = False) -> None:
        """An item that will be at the eye soon; `taken`: a hand takes it before the gate; `drop`:
        a drop on it makes a second edge."""
        at = self.items[-1]["at"] + GAP if self.items else self.encoder + 100
        self.items.append({"at": at, "taken": taken, "drop": drop, "blown": False})

    @staticmethod
    def _seen(sensor: str, since: int, item: dict[str, Any]) -> bool:
        if sensor == "Eye":
            return 0 <= since < PULSES or (item["drop"] and 2 * PULSES <= since < 3 * PULSES)
        blown = item["blown"] == (sensor == "Chute")
        return 0 <= since < 2 * PULSES and blown and not item["taken"]

    def scan(self) -> None:
        self.clock.ms += SCAN_MS
        self.encoder += PULSES
        self.plc["Encoder"] = type(self.plc["GATE"])(self.encoder & 0xFFFFFFFF)
        for sensor, near in (("Eye", 0), ("Chute", GATE + CONFIRM), ("Belt", GATE + CONFIRM)):
            self.plc[sensor] = any(
                self._seen(sensor, self.encoder - item["at"] - near, item) for item in self.items
            )
        memory = self.server.memory
        with memory._lock:
            self.plc["AgentOut"][:] = [type(self.plc["MAGIC"])(w) for w in memory._holding[:272]]
            self.plc["Line"]()
            memory._holding[:272] = map(int, self.plc["AgentOut"])
            memory._input[:528] = map(int, self.plc["PlcOut"])
        for item in self.items:
            if self.plc["Blast"] and 0 <= self.encoder - item["at"] - GATE <= BLAST:
                item["blown"] = True


@pytest.fixture
def machine() -> Iterator[Machine]:
    made = Machine()
    made.address = f"tcp://127.0.0.1:{made.server.start()}"  # type: ignore[attr-defined]
    for name in ("Blast", "Infeed", "LampRed", "LampAmber", "LampGreen", "Horn"):
        made.plc[name] = False
    yield made
    made.server.stop()


def outcome(events: list[PlcEvent]) -> dict[int, tuple[str, int]]:
    return {e.number: (e.kind.name, e.lane) for e in events if e.kind is not TRIGGER}


def test_the_documented_program_does_what_the_contract_says(machine: Machine) -> None:
    """Odd numbers pass, every fourth has an answer for another one, one is taken by hand, one has a
    second edge; then the agent falls silent, and old answers let nobody pass."""

    async def go() -> None:
        plc = driver(machine.address)  # type: ignore[attr-defined]
        machine.scan()
        await plc.open()
        events: list[PlcEvent] = []
        beat = 0

        async def run(scans: int, *, alive: bool = True) -> None:
            nonlocal beat
            for n in range(scans):
                machine.scan()
                report = await plc.poll()
                assert report.lost == 0
                events.extend(report.events)
                if not alive:
                    continue
                for number in (e.number for e in report.events if e.kind is TRIGGER):
                    if number % 4:
                        verdict = SlotVerdict.PASS if number % 2 else SlotVerdict.REJECT
                        await plc.write_slots([Slot(1, number, verdict)])
                    else:  # its slot names another one: no answer
                        await plc.write_slots([Slot(1, number + 16, SlotVerdict.PASS)])
                if n % 20 == 0:
                    beat += 1
                    lamps = frozenset({"green"})
                    await plc.write_outputs(PlcOutputs(beat, run_permission=True, lamps=lamps))

        for n in range(24):
            machine.feed(taken=n == 9, drop=n == 5)
        await run(24 * GAP // PULSES + 180)
        assert [e.number for e in events if e.kind is TRIGGER] == list(range(24))
        wanted = {n: ("PASSED", 0) if n % 2 else ("REJECTED", 0) for n in range(24)}
        assert outcome(events) == {**wanted, 9: ("REJECT_FAILED", 1)}
        report = await plc.poll()
        assert report.flags == {"running"}
        assert report.encoder == machine.encoder & 0xFFFFFFFF
        assert (machine.plc["Infeed"], machine.plc["LampGreen"], machine.plc["Horn"]) == (
            True,
            True,
            False,
        )
        assert all(word == 0 for word in machine.server.memory._holding[32:48]), "used once"
        # An answer for item 25 stands ready, then the agent falls silent for 1.5 s.
        await plc.write_slots([Slot(1, 25, SlotVerdict.PASS)])
        await run(310, alive=False)
        assert machine.server.memory._holding[16 + 16 + 25 % 16] == 0
        assert (await plc.poll()).flags == {"running", "agent_lost"}
        assert not machine.plc["Infeed"]
        events.clear()
        machine.items.clear()
        for _ in range(3):
            machine.feed()
        await run(3 * GAP // PULSES + 180, alive=False)
        assert outcome(events) == dict.fromkeys((24, 25, 26), ("REJECTED", 0))
        # A stop request stops the infeed though the heartbeat is back.
        await plc.write_outputs(PlcOutputs(900, run_permission=True, stop_request=True))
        await run(2, alive=False)
        assert (await plc.poll()).flags == {"running"}
        assert not machine.plc["Infeed"]
        await plc.close()

    asyncio.run(go())


def test_a_restart_is_a_new_run_with_an_empty_ring(machine: Machine) -> None:
    async def go() -> None:
        plc = driver(machine.address)  # type: ignore[attr-defined]
        machine.scan()
        await plc.open()
        machine.feed()
        for _ in range(30):
            machine.scan()
        first = await plc.poll()
        assert len(first.events) == 1
        machine.plc["Line_state"]["started"] = False
        machine.scan()
        again = await plc.poll()
        assert (again.run, again.events, again.lost) == (first.run + 1, (), 0)
        await plc.close()

    asyncio.run(go())


class Gate:
    """The documented print gate with its register and the coder's eye."""

    def __init__(self) -> None:
        source, _ = documented()
        ours = "VAR_GLOBAL AgentOut : ARRAY[0..287] OF WORD; END_VAR\n"
        self.plc = program(ours + source, Clock())

    def scan(self, *, eye: bool = False) -> bool:
        self.plc["CoderEye"] = eye
        self.plc["PrintGate"]()
        return bool(self.plc["PrintGo"])

    def product(self) -> int:
        """A product is before the eye for three scans: how many of them let it print."""
        return sum([self.scan(eye=True), self.scan(eye=True), self.scan(eye=True), self.scan()])

    def told(self, number: int, *, alive: bool = True) -> None:
        """The agent writes the register, or falls silent."""
        self.plc["AgentOut"][self.plc["PRINT_GATE"]] = type(self.plc["PRINT_GATE"])(number)
        self.plc["AgentAlive"] = alive
        self.scan()


def test_the_documented_print_gate_lets_one_signal_through_for_each_number() -> None:
    gate = Gate()
    gate.told(7)
    assert gate.product() == 0, "a number from before its start"
    gate.told(0)
    for number in (1, 2, 65_535, 1):
        gate.told(number)
        assert gate.product() == 1
        gate.told(number)
        assert gate.product() == 0, "the same number again"
    gate.told(2)
    gate.told(0)
    assert gate.product() == 0, "closed by 0"
    gate.told(3)
    gate.told(3, alive=False)
    assert gate.product() == 0, "the agent is silent"
    gate.told(4)
    assert gate.product() == 0, "it was not seen at 0 since"
    gate.told(0)
    gate.told(5)
    assert gate.product() == 1
    # What stands before the eye when the gate opens is no edge.
    gate.scan(eye=True)
    gate.plc["AgentOut"][gate.plc["PRINT_GATE"]] = type(gate.plc["PRINT_GATE"])(6)
    assert not gate.scan(eye=True)
