"""No code is printed twice and every one is accounted for, whatever becomes of printer and agent.

The short form of `caselink device prove all`: a fault at every second product, for every printer.
"""

import json

import pytest
from typer.testing import CliRunner

from agent.cli.entry import app as caselink
from agent.demo.prove import names, prove
from drivers.sim.proving import BENCHES

PRINTS, EVERY, SEED = 16, 2, 3


@pytest.mark.parametrize("name", BENCHES)
def test_a_printer_in_trouble_prints_nothing_twice_and_accounts_for_all(name: str) -> None:
    proof = prove(name, PRINTS, SEED, every=EVERY)
    assert proof.good, proof
    assert proof.prints >= PRINTS
    assert proof.faults_injected >= 2
    assert sum(proof.states.values()) > proof.prints


def test_every_printer_type_of_the_registry_can_be_proven() -> None:
    assert [name for name in names("all") if name not in BENCHES] == []


def test_the_command_tells_what_came_out() -> None:
    run = CliRunner().invoke(caselink, ["device", "prove", "zpl", "--prints", "20", "--json"])
    assert run.exit_code == 0, run.output
    told = json.loads(run.output)["zpl"]
    keys = ("printed_twice", "unresolved", "balance_open", "untrue")
    assert [told[key] for key in keys] == [0, 0, 0, 0]
    assert told["good"]
    assert told["prints"] >= 20
    assert "faults_injected" in told
    assert CliRunner().invoke(caselink, ["device", "prove", "teapot"]).exit_code != 0
