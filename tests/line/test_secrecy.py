"""Codes that are worth money stay out of wire logs and pictures."""

from agent.line.secrecy import KEPT, SecretValues, hide_all


def test_values_are_hidden_from_when_they_are_told() -> None:
    mask = SecretValues()
    assert mask(b"\x02R;1;PRIZE-77\x03") == b"\x02R;1;PRIZE-77\x03"
    mask.hide("PRIZE-77")
    assert mask(b"\x02R;1;PRIZE-77\x03") == b"\x02R;1;********\x03"
    assert mask(b"A;1;7") == b"A;1;7"


def test_a_value_is_hidden_in_the_coders_own_encoding() -> None:
    mask = SecretValues()
    mask.hide("奖1")
    assert mask("奖1".encode("gbk")) == b"***"
    assert mask("奖1".encode()) == b"****"


def test_only_so_many_values_are_remembered() -> None:
    mask = SecretValues()
    for number in range(KEPT + 1):
        mask.hide(f"S{number:06d}")
    assert mask(b"S000000") == b"S000000"
    assert mask(b"S004096") == b"*******"


def test_a_reader_of_secret_codes_leaves_only_the_length() -> None:
    assert hide_all(b"]d2PRIZE\r\n") == b"**********"
