"""Numbered migrations of the cloud's tables, each one transaction; the version is in `schema`."""

from sync.cloud.database import Connection
from sync.cloud.migrations import m0001_initial, m0002_commands, m0003_goods

MIGRATIONS: tuple[tuple[str, ...], ...] = (
    m0001_initial.STATEMENTS,
    m0002_commands.STATEMENTS,
    m0003_goods.STATEMENTS,
)
"""The statements that lead from version n to n + 1. A released migration never changes."""

VERSION = len(MIGRATIONS)


def migrate(conn: Connection, types: dict[str, str], where: str, upto: int = VERSION) -> None:
    """Bring the tables to version `upto`. ConfigError if they are newer than this program."""
    from agent.core.errors import ConfigError

    with conn.writing():
        conn.change("CREATE TABLE IF NOT EXISTS schema_version (version INTEGER NOT NULL)")
    for number in range(upto + 1):
        with conn.writing():
            row = conn.one("SELECT max(version) FROM schema_version")
            version = int(row[0] or 0) if row else 0
            if version > VERSION:
                raise ConfigError(
                    f"{where} was written by a newer caselink (version {version}, this program "
                    f"knows {VERSION}): install that version again, or restore a backup."
                )
            if version != number or number >= upto:
                continue
            for statement in MIGRATIONS[number]:
                conn.change(statement.format(**types))
            conn.change("INSERT INTO schema_version VALUES (?)", (number + 1,))
