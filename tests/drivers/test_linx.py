"""The experimental Linx-like frames: both checksum rules, doubled ESC, the buffer of records."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.core.errors import DomainError, TransientError
from agent.ports.printing import Evidence
from drivers.printers import linx_codec as codec
from drivers.printers.linx import Linx, LinxConfig
from drivers.sim.linx import LinxCoder, LinxServer
from tests.drivers.stage import CoderStage, job

NAME = "bottle coder"
play = CoderStage(
    NAME, LinxCoder, LinxServer, Linx, LinxConfig, {"reply_timeout": 0.3, "poll": 0.01}
).play


def test_the_published_status_query_by_both_rules() -> None:
    # 1B 02 14 1B 03 and E7 where ESC does not count, B1 where it does.
    assert codec.command(0x14, machine=None, rule="no_esc").hex() == "1b02141b03e7"
    assert codec.command(0x14, machine=None, rule="all").hex() == "1b02141b03b1"
    assert codec.command(0x14, machine=119, rule="all").hex() == "1b0277141b033a"


def test_a_record_as_sent() -> None:
    data = codec.field_data(NAME, ["AB"], "ascii")
    assert data == b"\x02\x00AB"
    frame = codec.command(codec.FIELD, data, machine=None, rule="no_esc")
    assert frame[:-1] == b"\x1b\x02\x1d\x02\x00AB\x1b\x03"
    long = codec.field_data(NAME, ["A" * 27], "ascii")  # a length of 27 is an ESC
    assert codec.command(codec.FIELD, long, machine=None, rule="all")[3:6] == b"\x1b\x1b\x00"


@pytest.mark.parametrize("rule", ["no_esc", "all"])
@settings(max_examples=100, deadline=None)
@given(data=st.binary(max_size=40), cut=st.integers(1, 9), status=st.integers(0, 255))
def test_answers_survive_their_escapes_and_any_split(
    rule: codec.Rule, data: bytes, cut: int, status: int
) -> None:
    device = LinxCoder(escapes=rule == "all")
    wire = b"junk" + device.reply(0x33, status, data) + device.reply(0x14, good=False)
    parser = codec.LinxCodec(rule)
    said = [a for at in range(0, len(wire), cut) for a in parser.feed(wire[at : at + cut])]
    assert said == [
        codec.Answer("33", True, 0, status, data),
        codec.Answer("14", False, 0, 0),
    ]
    assert parser.noise == 4


def test_an_answer_with_a_wrong_checksum_is_none() -> None:
    wire = bytearray(LinxCoder().reply(0x14, data=b"\x00"))
    wire[-1] ^= 1
    assert codec.LinxCodec("no_esc").feed(bytes(wire)) == []


def test_just_full_was_taken_and_still_full_was_not() -> None:
    async def scene(made: LinxCoder, server: LinxServer, driver: Linx) -> None:
        await driver.open()
        assert await driver.clear()
        assert driver.capability.evidence is Evidence.ACCEPTED
        assert [await driver.send(job(n)) for n in range(4)] == [True, True, False, False]
        assert list(made.queue) == ["C0", "C1"]
        assert made.trigger() == "C0"
        event = await driver.next_event(2.0)
        assert event is not None
        assert event.ref == 0
        assert await driver.inhibit()
        assert made.trigger() is None
        await driver.release()
        assert made.trigger() == "C1"

    play(scene, LinxCoder(depth=2), queue=9)


def test_with_a_machine_number_and_the_other_rule() -> None:
    async def scene(made: LinxCoder, server: LinxServer, driver: Linx) -> None:
        await driver.open()
        assert await driver.send(job(1))
        assert made.trigger() == "C1"

    play(scene, LinxCoder(machine=27, escapes=True), machine=27, checksum="all")


@pytest.mark.parametrize("wrong", [{"checksum": "all"}, {"machine": 7}])
def test_silence_names_what_to_try(wrong: dict[str, Any]) -> None:
    async def scene(made: LinxCoder, server: LinxServer, driver: Linx) -> None:
        with pytest.raises(TransientError, match=r"command 14 .*other 'checksum'.*'machine'"):
            await driver.open()

    play(scene, LinxCoder(machine=9), **({"machine": 9} | wrong))


def test_a_refusal_says_what_its_status_means() -> None:
    async def scene(made: LinxCoder, server: LinxServer, driver: Linx) -> None:
        await driver.open()
        answer = made.answer
        made.answer = lambda body: (  # type: ignore[method-assign]
            made.reply(0x1D, 14, good=False) if body[0] == 0x1D else answer(body)
        )
        with pytest.raises(DomainError, match=r"record 3 \(1D: status 14, too few fields\)"):
            await driver.send(job(3))

    play(scene)
