"""Numbered migrations: each one transaction, all or nothing; the version is in user_version."""

from typing import Any

from agent.core.errors import ConfigError
from agent.store.migrations import (
    m0001_initial,
    m0002_staging,
    m0003_rework,
    m0004_clearance,
    m0005_sync,
    m0006_commands,
    m0007_vault,
    m0008_settled,
    m0009_devices,
    m0010_warehouse,
)

MIGRATIONS: tuple[tuple[str, ...], ...] = (
    m0001_initial.STATEMENTS,
    m0002_staging.STATEMENTS,
    m0003_rework.STATEMENTS,
    m0004_clearance.STATEMENTS,
    m0005_sync.STATEMENTS,
    m0006_commands.STATEMENTS,
    m0007_vault.STATEMENTS,
    m0008_settled.STATEMENTS,
    m0009_devices.STATEMENTS,
    m0010_warehouse.STATEMENTS,
)
"""The statements that lead from version n to n + 1. A released migration never changes."""

VERSION = len(MIGRATIONS)

REPLAYED = (
    *m0001_initial.REPLAYED,
    *m0003_rework.REPLAYED,
    *m0004_clearance.REPLAYED,
    *m0006_commands.REPLAYED,
    *m0007_vault.REPLAYED,
    *m0009_devices.REPLAYED,
    *m0010_warehouse.REPLAYED,
)
"""The tables that a replay of the journal builds."""


def migrate(conn: Any, where: str, upto: int = VERSION) -> None:
    """Bring the database to version `upto`; ConfigError if it is newer than this program."""
    version = int(conn.execute("PRAGMA user_version").fetchone()[0])
    if version > VERSION:
        raise ConfigError(
            f"{where} was written by a newer caselink (database version {version}, this program "
            f"knows {VERSION}): install that version again, or restore a backup made before it"
        )
    for number in range(version, upto):
        conn.execute("BEGIN IMMEDIATE")
        try:
            for statement in MIGRATIONS[number]:
                conn.execute(statement)
            conn.execute(f"PRAGMA user_version = {number + 1}")
            conn.execute("COMMIT")
        except BaseException:
            if conn.in_transaction:
                conn.execute("ROLLBACK")
            raise
