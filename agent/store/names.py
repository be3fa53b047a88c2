"""Texts that come again and again (levels, orders, stations, kinds) as small numbers."""

from agent.store.database import Connection

_REMEMBERED = 10_000


def number(conn: Connection, text: str) -> int:
    """The number of a text, given now if it is new (write connection only)."""
    found = conn.number_of.get(text)
    if found is None:
        row = conn.one("SELECT id FROM name WHERE text = ?", (text,))
        if row is None:
            row = conn.execute(
                "INSERT INTO name (text) VALUES (?) RETURNING id", (text,)
            ).fetchone()
        if len(conn.number_of) >= _REMEMBERED:
            conn.number_of.clear()
        found = conn.number_of[text] = int(row[0])
    return found


def known_number(conn: Connection, text: str) -> int | None:
    """The number of a text, None if it never had one."""
    row = conn.execute("SELECT id FROM name WHERE text = ?", (text,)).fetchone()
    return None if row is None else int(row[0])


def text(conn: Connection, number: int) -> str:
    """The text of a number; KeyError if there is none (a damaged table)."""
    found = conn.text_of.get(number)
    if found is None:
        row = conn.execute("SELECT text FROM name WHERE id = ?", (number,)).fetchone()
        if row is None:
            raise KeyError(f"no name has number {number}")
        if len(conn.text_of) >= _REMEMBERED:
            conn.text_of.clear()
        found = conn.text_of[number] = str(row[0])
    return found
