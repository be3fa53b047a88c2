"""Contents cut into parts and put together: in any order, and nothing else passes for them."""

from hypothesis import given
from hypothesis import strategies as st

from agent.ports.cloud import Announced
from sync import messages, parts
from sync.envelope import Refused
from sync.messages import Command
from sync.parts import PART, Piece


def announced(kind: str, content: bytes) -> Announced:
    return Announced(kind, len(parts.cut(content)), len(content), parts.digest(content))


def travelled(command: Command) -> Command:
    back = messages.read(Command, messages.write(command))
    assert isinstance(back, Command)
    return back


@given(st.integers(1, 4 * PART + 1))
def test_what_is_cut_comes_together(size: int) -> None:
    content = (b"0123456789abcdef" * (size // 16 + 1))[:size]
    what = announced("pool", content)
    pieces = [
        parts.piece(travelled(parts.command("c-1", what, n, data)))
        for n, data in enumerate(parts.cut(content))
    ]
    assert all(isinstance(each, Piece) and each.what == what for each in pieces)
    joined = b"".join(each.data for each in pieces if isinstance(each, Piece))
    assert parts.wrong(what, joined) is None
    changed = bytes([joined[0] ^ 1]) + joined[1:]
    refused = parts.wrong(what, changed)
    assert refused is not None
    assert refused.reason == "checksum_wrong"
    assert parts.wrong(what, joined[:-1]) is not None


def test_a_small_command_is_readable_as_it_travels() -> None:
    content = b'{"from":4001}'
    command = parts.command("c-1", announced("resend", content), 0, content)
    assert b'"body":{"from":4001}' in messages.write(command)
    piece = parts.piece(travelled(command))
    assert piece == Piece(announced("resend", content), 0, content)


@given(st.integers(1, 3_000), st.sets(st.integers(0, 2_999)))
def test_what_is_missing_is_said_in_ranges(count: int, have: set[int]) -> None:
    ranges = parts.missing(count, have)
    said = {n for first, last in ranges for n in range(first, last + 1)}
    missing = set(range(count)) - have
    assert said <= missing
    assert (not said) == (not missing)
    assert len(ranges) <= parts.MOST_RANGES
    if len(ranges) < parts.MOST_RANGES:
        assert said == missing


def test_parts_that_cannot_be_are_refused() -> None:
    def reason(command: Command) -> str:
        found = parts.piece(command)
        assert isinstance(found, Refused)
        return found.reason

    what = announced("pool", b"x" * (PART + 1))
    good = parts.command("c-1", what, 0, b"x" * PART)
    assert isinstance(parts.piece(good), Piece)
    assert reason(Command(id="c-1", kind="pool", of=2, n=0)) == "malformed"
    too_many = parts.command("c-1", what._replace(parts=parts.MOST_PARTS + 1), 0, b"x")
    assert reason(too_many) == "oversized"
    assert reason(parts.command("c-1", what._replace(size=3 * PART), 0, b"x")) == "malformed"
    assert reason(parts.command("c-1", what, 0, b"x" * (PART + 1))) == "malformed"
    assert reason(parts.command("c-1", what._replace(sum="0" * 63), 0, b"x")) == "malformed"
    large = b'{"a":"' + b"x" * PART + b'"}'
    assert reason(parts.command("c-1", announced("order", b"{}"), 0, large)) == "oversized"
