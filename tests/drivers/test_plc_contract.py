"""Runs the contract of every wire to a PLC (tests.drivers.contract_plc)."""

from tests.drivers.contract_plc import *  # noqa: F403
