"""Codenet: the published frames byte by byte, NAK digits against print characters, the queue."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.core.errors import ConfigError, DomainError, TransientError
from agent.ports.printing import Evidence, PrintEventKind
from drivers.printers import codenet_codec as codec
from drivers.printers.codenet import Codenet, CodenetConfig
from drivers.sim.codenet import Codenet as Device
from drivers.sim.codenet import CodenetServer
from tests.drivers.stage import CoderStage, job

NAME = "bottle coder"
Message = codec.Message
play = CoderStage(NAME, Device, CodenetServer, Codenet, CodenetConfig, {"reply_timeout": 0.3}).play


# ------------------------------------------------------------------------------------- codec


@pytest.mark.parametrize(
    ("sent", "wire"),
    [
        (codec.command("A?"), "1B 41 3F 04"),
        (codec.command("O1?"), "1B 4F 31 3F 04"),
        (codec.command("1C?"), "1B 31 43 3F 04"),
        (codec.command("I12"), "1B 49 31 32 04"),
        (codec.command("T1?"), "1B 54 31 3F 04"),
        (codec.command("y?"), "1B 79 3F 04"),
        (codec.command("OE00000"), "1B 4F 45 30 30 30 30 30 04"),
        (codec.external_data(NAME, "ABC"), "1B 4F 45 30 30 30 33 41 42 43 04"),
    ],
)
def test_commands_as_published(sent: bytes, wire: str) -> None:
    assert sent == bytes.fromhex(wire)


def test_published_answers() -> None:
    parser = codec.CodenetCodec("P")
    assert parser.feed(bytes.fromhex("1B 31 43 30 30 31 30 31 32 30 30 04")) == [
        Message("1C", "001" + "0" + "1200")
    ]
    assert parser.feed(b"\x1bT10000012345\x04\x1bO100100\x04\x06P\x15024P") == [
        Message("T1", "0000012345"),
        Message("O1", "00100"),
        Message("ack"),
        Message("printed"),
        Message("nak", "024"),
        Message("printed"),
    ]
    assert parser.noise == 0


def test_the_digits_of_a_nak_are_no_prints() -> None:
    # 15 30 32 34 read byte by byte would be a NAK and, where the character is 2, a print.
    parser = codec.CodenetCodec("2")
    said = [m for byte in bytes.fromhex("15 30 32 34 32 06 32") for m in parser.feed(bytes([byte]))]
    assert [m.kind for m in said] == ["nak", "printed", "ack", "printed"]
    assert said[0].text == "024"


def test_the_digits_of_a_fixed_acknowledgement_are_no_prints_either() -> None:
    parser = codec.CodenetCodec("2", "fixed")
    assert [m.kind for m in parser.feed(b"\x060002\x060002")] == ["ack", "printed"] * 2
    letter = codec.CodenetCodec("P", "fixed")
    assert [m.kind for m in letter.feed(b"\x0600P0P")] == ["printed", "ack", "printed"]


def test_a_bare_nak() -> None:
    parser = codec.CodenetCodec("P", nak="bare")
    assert parser.feed(b"\x15") == [Message("nak")]
    # Expected with digits, a bare one ends where something else begins.
    assert codec.CodenetCodec("P").feed(b"\x15\x06") == [Message("nak"), Message("ack")]


def test_a_frame_without_an_end_is_dropped_and_the_next_one_understood() -> None:
    parser = codec.CodenetCodec("P")
    assert parser.feed(b"\x1bT1" + b"P" * 1_000_000) == [], "nothing in it is a print"
    assert parser.feed(b"PP\x04P") == [Message("printed")]
    assert parser.feed(b"\x1bT10000000001\x04") == [Message("T1", "0000000001")]
    assert parser.feed(b"\x1bT1000\x1bQ1Y\x04") == [Message("Q1", "Y")]


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=60))
def test_no_value_ends_its_frame(value: str) -> None:
    try:
        frame = codec.external_data(NAME, value)
    except DomainError:
        return
    assert frame[0] == 0x1B
    assert frame.count(0x1B) == frame.count(0x04) == 1
    assert frame[7:-1].decode("ascii") == value
    assert int(frame[3:7]) == len(value)


@pytest.mark.parametrize(
    ("text", "warnings"),
    [
        ("080070", ()),
        ("005070", ("ink_low",)),
        ("021009", ("ink_sensor", "makeup_low")),
        ("", ()),
    ],
)
def test_ink_levels(text: str, warnings: tuple[str, ...]) -> None:
    assert codec.ink_of(text) == warnings


# ---------------------------------------------------------------------- with the simulated coder


async def prints(driver: Codenet, count: int) -> list[int | None]:
    found: list[int | None] = []
    while len(found) < count:
        event = await driver.next_event(2.0)
        assert event is not None
        assert event.kind is PrintEventKind.PRINTED
        found.append(event.ref)
    return found


def test_full_means_wait_and_prints_are_in_order() -> None:
    async def scene(made: Device, server: CodenetServer, driver: Codenet) -> None:
        await driver.open()
        assert await driver.clear()
        assert driver.capability.evidence is Evidence.EVENT
        assert [await driver.send(job(n)) for n in range(5)] == [True, True, True, False, False]
        made.trigger()
        assert await prints(driver, 1) == [0]
        assert await driver.send(job(3))
        for _ in range(3):
            made.trigger()
        assert await prints(driver, 3) == [1, 2, 3]
        assert made.printed == ["C0", "C1", "C2", "C3"]

    play(scene)


def test_prints_are_told_again_after_a_reconnect() -> None:
    async def scene(made: Device, server: CodenetServer, driver: Codenet) -> None:
        for ref in (1, 2):
            await driver.open()
            assert made.char == b"P"
            assert await driver.send(job(ref))
            made.trigger()
            assert await prints(driver, 1) == [ref]
            await driver.close()
            await server.drop()

    play(scene)


def test_cleared_records_are_not_the_next_ones_printed() -> None:
    async def scene(made: Device, server: CodenetServer, driver: Codenet) -> None:
        await driver.open()
        assert await driver.send(job(1))
        assert await driver.clear()
        assert await driver.send(job(2))
        made.trigger()
        assert await prints(driver, 1) == [2]

    play(scene)


@pytest.mark.parametrize(
    ("code", "error", "word"),
    [
        (b"\x15013", DomainError, "refused record 9 .OE: NAK 013, character not allowed"),
        (b"\x15003", TransientError, "does not know external data .OE, NAK 003"),
        (b"\x15777", DomainError, "NAK 777, not documented"),
    ],
)
def test_refusals_say_what_the_digits_mean(code: bytes, error: type[Exception], word: str) -> None:
    async def scene(made: Device, server: CodenetServer, driver: Codenet) -> None:
        await driver.open()
        made._data = lambda length, data: code  # type: ignore[method-assign]
        with pytest.raises(error, match=word):
            await driver.send(job(9))

    play(scene)


@pytest.mark.parametrize("code", [b"\x15000", b"\x15050", b"\x15027"])
def test_not_now_is_an_answer(code: bytes) -> None:
    async def scene(made: Device, server: CodenetServer, driver: Codenet) -> None:
        await driver.open()
        made._data = lambda length, data: code  # type: ignore[method-assign]
        assert not await driver.send(job(9))
        assert (await driver.status()).ready

    play(scene)


def test_a_print_character_that_the_model_does_not_have() -> None:
    async def scene(made: Device, server: CodenetServer, driver: Codenet) -> None:
        with pytest.raises(TransientError, match=r"print_char.*such as 2"):
            await driver.open()

    play(scene, Device(chars="123"))


def test_another_model_answers() -> None:
    async def scene(made: Device, server: CodenetServer, driver: Codenet) -> None:
        with pytest.raises(ConfigError, match=r"A520i.*not 'Ax350'"):
            await driver.open()

    play(scene, model="Ax350")


def test_status_asks_what_the_model_knows_and_only_once_what_it_does_not() -> None:
    async def scene(made: Device, server: CodenetServer, driver: Codenet) -> None:
        asked: list[str] = []
        answer = made.answer
        made.answer = lambda body: asked.append(body.decode()) or answer(body)  # type: ignore[method-assign,func-returns-value]
        await driver.open()
        made.makeup = 21
        made.trigger()
        status = await driver.status()
        assert (status.ready, status.counter, status.warnings) == (True, 1, ())
        assert await driver.inhibit()
        status = await driver.status()
        assert (status.ready, status.faults) == (False, ("print_disabled",))
        await driver.release()
        assert (await driver.status()).ready
        assert [asked.count(query) for query in ("O1?", "1C?", "T1?", "y?")] == [1, 3, 3, 1]

    play(scene, Device(unknown=("O1", "y")))


@pytest.mark.parametrize(
    "section",
    [
        {"print_char": "0"},
        {"print_char": "\x04"},
        {"print_char": "PP"},
        {"ack": "loud"},
        {"nak": "bare", "print_char": "2"},
    ],
)
def test_a_section_that_cannot_be(section: dict[str, Any]) -> None:
    good = {"address": "tcp://192.0.2.1:7000"}
    assert CodenetConfig.model_validate(good)
    with pytest.raises(ValueError, match=r"print_char|ack"):
        CodenetConfig.model_validate(good | section)
