"""WSI: the published frames and sums, printing held between values, and prints too many."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.core.errors import ConfigError, DomainError, TransientError
from agent.ports.printing import Evidence, PrintEventKind
from drivers.printers import wsi_codec as codec
from drivers.printers.wsi import Wsi, WsiConfig
from drivers.sim.wsi import WsiCoder, WsiServer
from tests.drivers.stage import CoderStage, job

NAME = "date coder"
Message = codec.Message
play = CoderStage(
    NAME, WsiCoder, WsiServer, Wsi, WsiConfig, {"fields": {"code": "CODE"}, "reply_timeout": 0.3}
).play


@pytest.mark.parametrize(
    ("body", "wire", "total"),
    [
        ("RA", "02 52 41 03", "93"),
        ("RB", "02 52 42 03", "94"),
        ("Q", "02 51 03", "51"),
        ("GA", "02 47 41 03", "88"),
        ("MBOTTLE", "02 4D 42 4F 54 54 4C 45 03", "17"),
        ("UCODE\nA1", "02 55 43 4F 44 45 0A 41 31 03", "EC"),
    ],
)
def test_commands_and_sums_as_published(body: str, wire: str, total: str) -> None:
    assert codec.command(body) == bytes.fromhex(wire)
    assert codec.checksum(body) == total


def test_published_answers() -> None:
    parser = codec.WsiCodec()
    parser.expected = (codec.FAULTS, codec.COUNT)
    assert parser.feed(b"$93!94\x02400000 4\x03\x0200000123\x03") == [
        Message("ok", "93"),
        Message("bad", "94"),
        Message("faults", "400000 4"),
        Message("count", "00000123"),
    ]
    parser.expected = (codec.NAME,)
    assert parser.feed(b"\x02BOTTLE\x03") == [Message("name", "BOTTLE")]
    parser.expected = (codec.COUNT,)
    assert parser.feed(b"\x02BOTTLE\x03") == [Message("frame", "BOTTLE")], "of another question"


@pytest.mark.parametrize(
    ("text", "keys", "light"),
    [
        ("0000001", (), codec.GREEN),
        ("400000 4", ("gutter",), codec.RED),
        ("000080 3", ("ink_low",), codec.GREEN | codec.AMBER),
        ("F00000 4", ("charge_error", "eht_trip", "gutter", "ink_core_empty"), codec.RED),
    ],
)
def test_fault_bits(text: str, keys: tuple[str, ...], light: int) -> None:
    assert codec.faults_of(text) == (keys, light)


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=60))
def test_no_value_ends_its_frame(value: str) -> None:
    try:
        frame = codec.command(codec.update(NAME, "CODE", value))
    except DomainError:
        return
    assert frame == b"\x02UCODE\n" + value.encode("ascii") + b"\x03"
    assert len(value) <= 50


def test_printing_is_off_until_a_fresh_value_is_there_and_off_again_after_its_print() -> None:
    async def scene(made: WsiCoder, server: WsiServer, driver: Wsi) -> None:
        made.messages["BOTTLE"]["CODE"] = "OLD"
        await driver.open()
        assert made.trigger() is None, "the value of yesterday is not printed"
        capability = driver.capability
        assert (capability.evidence, capability.repeat_risk) == (Evidence.COUNTER, True)
        assert await driver.send(job(1))
        assert not await driver.send(job(2)), "the one before is not printed"
        assert made.trigger() == "C1"
        event = await driver.next_event(2.0)
        assert event is not None
        assert (event.kind, event.ref, event.counter) == (PrintEventKind.PRINTED, 1, 1)
        assert made.trigger() is None, "no second print of the same value"
        assert await driver.send(job(2))
        assert made.trigger() == "C2"

    play(scene)


def test_a_product_too_early_is_told_and_ends_the_session() -> None:
    async def scene(made: WsiCoder, server: WsiServer, driver: Wsi) -> None:
        await driver.open()
        assert await driver.send(job(7))
        made.trigger()
        made.trigger()
        event = await driver.next_event(2.0)
        assert event is not None
        assert event.ref == 7
        with pytest.raises(TransientError, match="record 7 2 times"):
            await driver.next_event(2.0)

    play(scene)


def test_who_asks_at_once_is_told_of_a_print_once() -> None:
    async def scene(made: WsiCoder, server: WsiServer, driver: Wsi) -> None:
        await driver.open()
        for ref in range(1, 6):
            assert await driver.send(job(ref))
            made.trigger()
            asked = [asyncio.create_task(driver.status()) for _ in range(3)]
            events = [asyncio.create_task(driver.next_event(0.05)) for _ in range(2)]
            counted = {(await task).counter for task in asked}
            told = [event.ref for task in events if (event := await task) is not None]
            assert told == [ref]
            assert counted <= {ref - 1, ref}, "never more than was told"

    play(scene, poll=0.01)


def test_a_value_that_is_cleared_is_not_printed() -> None:
    async def scene(made: WsiCoder, server: WsiServer, driver: Wsi) -> None:
        await driver.open()
        assert await driver.send(job(1))
        assert await driver.clear()
        assert made.trigger() is None
        assert await driver.inhibit()
        assert await driver.send(job(2)), "it is set, and printing stays off"
        assert made.trigger() is None
        await driver.release()
        assert made.trigger() == "C2"
        assert (await driver.status()).counter == 0, "a print that nobody fetched is not counted"
        event = await driver.next_event(1.0)
        assert event is not None
        assert (event.ref, (await driver.status()).counter) == (2, 1)

    play(scene)


def test_the_sum_of_another_command_ends_the_session() -> None:
    async def scene(made: WsiCoder, server: WsiServer, driver: Wsi) -> None:
        await driver.open()
        made.answer = lambda body: "\x0200000000\x03" if body == "GA" else "$93"  # type: ignore[method-assign]
        with pytest.raises(TransientError, match="another command"):
            await driver.send(job(1))

    play(scene)


def test_a_counter_that_goes_back_says_so() -> None:
    async def scene(made: WsiCoder, server: WsiServer, driver: Wsi) -> None:
        made.counter = 50
        await driver.open()
        assert await driver.send(job(1))
        made.counter = 0
        with pytest.raises(TransientError, match="went back from 50 to 0"):
            await driver.next_event(2.0)

    play(scene)


def test_red_is_a_fault_and_amber_a_warning() -> None:
    async def scene(made: WsiCoder, server: WsiServer, driver: Wsi) -> None:
        await driver.open()
        made.bits, made.light = "000080", 3
        status = await driver.status()
        assert (status.ready, status.faults, status.warnings) == (True, (), ("ink_low",))
        made.light = 4
        status = await driver.status()
        assert (status.ready, status.faults, status.warnings) == (False, ("ink_low",), ())

    play(scene)


def test_the_message_is_selected_and_read_back() -> None:
    async def scene(made: WsiCoder, server: WsiServer, driver: Wsi) -> None:
        await driver.open()
        assert made.message == "DATE"

    play(scene, message="DATE", fields={"lot": "LOT"})


def test_a_message_that_it_does_not_have() -> None:
    async def scene(made: WsiCoder, server: WsiServer, driver: Wsi) -> None:
        with pytest.raises(TransientError, match="refused MNONESUCH"):
            await driver.open()
        made.answer = lambda body: (  # type: ignore[method-assign]
            "\x02OTHER\x03" if body == "Q" else f"${codec.checksum(body)}"
        )
        await driver.close()
        with pytest.raises(ConfigError, match="'OTHER' selected, not 'NONESUCH'"):
            await driver.open()

    play(scene, message="NONESUCH")


def test_a_field_that_the_message_does_not_have() -> None:
    async def scene(made: WsiCoder, server: WsiServer, driver: Wsi) -> None:
        await driver.open()
        with pytest.raises(DomainError, match=r"refused record 3 \(UNIX"):
            await driver.send(job(3))

    play(scene, fields={"code": "NIX"})
