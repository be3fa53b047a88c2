"""Sealed messages: only the agent they are for opens them, for what they are about, unchanged."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core.errors import ConfigError, DomainError
from sync.sealed import BoxKey, load_key, seal

MINE, OTHER = BoxKey.new(), BoxKey.new()


@given(st.binary(max_size=4096), st.text(max_size=64))
def test_what_was_sealed_opens(content: bytes, about: str) -> None:
    sealed = seal(MINE.public, content, about)
    assert content == MINE.open(sealed, about)
    assert len(content) < 16 or content not in sealed


@given(st.binary(max_size=64), st.integers(0, 10_000), st.integers(1, 255))
def test_a_changed_byte_is_noticed(content: bytes, at: int, change: int) -> None:
    sealed = bytearray(seal(MINE.public, content, "pool 7"))
    sealed[at % len(sealed)] ^= change
    with pytest.raises(DomainError):
        MINE.open(bytes(sealed), "pool 7")


@given(st.binary(max_size=200))
def test_what_is_no_sealed_message_is_refused(noise: bytes) -> None:
    with pytest.raises(DomainError):
        MINE.open(noise, "pool 7")


def test_another_agent_and_another_command_cannot_open_it() -> None:
    sealed = seal(MINE.public, b"codes", "brand/plant/edge-1 pool-7")
    for key, about in (
        (OTHER, "brand/plant/edge-1 pool-7"),
        (MINE, "brand/plant/edge-1 pool-8"),
        (MINE, "brand/plant/edge-2 pool-7"),
    ):
        with pytest.raises(DomainError) as refused:
            key.open(sealed, about)
        assert refused.value.reason == "not_for_us"


def test_the_same_content_never_looks_the_same() -> None:
    assert seal(MINE.public, b"codes", "x") != seal(MINE.public, b"codes", "x")


@pytest.mark.parametrize("public", ["", "00", "zz" * 32, "00" * 32])
def test_what_is_no_key_is_refused(public: str) -> None:
    with pytest.raises(DomainError) as refused:
        seal(public, b"codes", "x")
    assert refused.value.reason == "no_key"


def test_the_key_is_made_once_and_kept_to_ourselves(tmp_path: Path) -> None:
    path = tmp_path / "caselink.box"
    made = load_key(path)
    assert load_key(path).public == made.public
    path.chmod(0o640)
    with pytest.raises(ConfigError, match="chmod 600"):
        load_key(path)
    path.chmod(0o600)
    path.write_text("nothing of use\n")
    with pytest.raises(ConfigError, match="no key of 64 hex digits"):
        load_key(path)
