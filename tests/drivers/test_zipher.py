"""Zipher: the published lines byte by byte, and what its driver does when the device misbehaves."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.core.errors import ConfigError, DomainError, TransientError
from agent.ports.printing import Evidence, Inhibit, PrintEventKind
from drivers.printers import zipher_codec as codec
from drivers.printers.zipher import Zipher, ZipherConfig
from drivers.sim.zipher import OFFLINE, STARTING, ZipherServer
from drivers.sim.zipher import Zipher as Device
from tests.drivers.stage import CoderStage, job

NAME = "bottle coder"
play = CoderStage(
    NAME,
    Device,
    ZipherServer,
    Zipher,
    ZipherConfig,
    {"fields": {"code": "CODE"}, "reply_timeout": 0.3},
).play


async def refs(driver: Zipher, count: int) -> list[int | None]:
    """The numbers of the next `count` prints that are reported."""
    found: list[int | None] = []
    while len(found) < count:
        event = await driver.next_event(2.0)
        assert event is not None, f"only {found} were reported"
        if event.kind is PrintEventKind.PRINTED:
            found.append(event.ref)
    return found


# ------------------------------------------------------------------------------------- codec


@pytest.mark.parametrize(
    ("sent", "wire"),
    [
        (codec.command("GST"), b"GST\r"),
        (codec.command("SLA", "bottle"), b"SLA|bottle|\r"),
        (codec.command("SNO", "PRC", 1), b"SNO|PRC|1|\r"),
        (codec.command("SMR", 1000), b"SMR|1000|\r"),
        (codec.command("SHO", "CODE", "LOT"), b"SHO|CODE|LOT|\r"),
        (codec.command("SST", codec.OFFLINE), b"SST|4|\r"),
        (codec.record(NAME, 42, ["A1", "L7"]), b"SID|42|A1|L7|\r"),
        (
            codec.record(NAME, 1, ["01046\x1d21A"], gs="~d029"),
            b"SID|1|01046~d02921A|\r",
        ),
    ],
)
def test_commands_as_published(sent: bytes, wire: bytes) -> None:
    assert sent == wire


def test_the_published_answers_and_notifications() -> None:
    parser = codec.ZipherCodec()
    parser.expected = ("JOB",)
    lines = parser.feed(
        b"ACK\rERR\r\nSTS|3|0|bottle|12|3456|\rSTS|4|\rPRC\rPRS\rQEM\rERS|2|\rOUT|1|\r"
        b"SRC|12|\rSFS|4000|\rSNI|8|\rSLR|7|\rSGM|1000|\rJOB|bottle|1|\r"
        b"FLT|2|12|1|Ribbon Broken|31|0|Printhead|\rJFL|2|CODE|LOT|\rJDL|2|CODE=A=1|LOT=|\r"
    )
    assert [(line.kind, line.name) for line in lines] == [
        ("ACK", "ACK"), ("ERR", "ERR"), ("STS", "STS"), ("event", "STS"), ("event", "PRC"),
        ("event", "PRS"), ("event", "QEM"), ("event", "ERS"), ("event", "OUT"), ("SRC", "SRC"),
        ("SFS", "SFS"), ("SNI", "SNI"), ("SLR", "SLR"), ("SGM", "SGM"), ("JOB", "JOB"),
        ("FLT", "FLT"), ("JFL", "JFL"), ("JDL", "JDL"),
    ]  # fmt: skip
    assert lines[2].fields == ("3", "0", "bottle", "12", "3456")
    assert lines[12].number() == 7
    assert codec.faults_of(lines[15]) == [(12, "Ribbon Broken"), (31, "Printhead")]
    assert codec.names_of(lines[16]) == codec.names_of(lines[17]) == ("CODE", "LOT")
    assert parser.noise == 0


def test_a_state_that_changed_is_told_from_the_answer_to_gst_by_its_fields() -> None:
    parser = codec.ZipherCodec()
    assert [line.kind for line in parser.feed(b"STS|3|\rSTS|3|0|a|1|2|\rSTS|3|0|\rSTS|9|\r")] == [
        "event",
        "STS",
    ]
    assert parser.noise > 0, "what is neither is no message"


def test_a_line_without_an_end_is_dropped_as_it_comes() -> None:
    parser = codec.ZipherCodec()
    for _ in range(20):
        assert parser.feed(b"x" * 100_000) == []
    assert parser.feed(b"\rACK\r") == [codec.Line("ACK", "ACK")]


@settings(max_examples=200, deadline=None)
@given(values=st.lists(st.text(st.sampled_from("A1|=~\r\n码"), max_size=6), min_size=1, max_size=3))
def test_no_value_becomes_a_command_or_another_field(values: list[str]) -> None:
    try:
        line = codec.record(NAME, 5, values, encoding="utf-8")
    except DomainError:
        return
    assert line.count(b"\r") == 1
    assert line.decode().split("|") == ["SID", "5", *values, "\r"]


def test_a_field_of_fixed_length_takes_no_other() -> None:
    assert codec.record(NAME, 1, ["ABCD"], lengths=[4])
    with pytest.raises(DomainError, match="exactly"):
        codec.record(NAME, 1, ["ABC"], lengths=[4])


# ---------------------------------------------------------------------- with the simulated coder


def test_the_session_begins_with_a_reset_of_the_parser_and_prepares_the_buffer() -> None:
    async def scene(made: Device, server: ZipherServer, driver: Zipher) -> None:
        asked: list[str] = []
        answer = made.answer
        made.answer = lambda line: asked.append(line) or answer(line)  # type: ignore[method-assign,func-returns-value]
        await driver.open()
        assert await driver.clear()
        assert asked[:9] == [
            "", "GST", "DAN", "GJN", "SLA|bottle|", "GJD", "SNO|PRC|1|", "SNO|STS|1|", "SNO|ERS|1|",
        ]  # fmt: skip
        assert asked[-3:] == ["SRC", "SGM", "SHO|CODE|"]
        assert driver.capability.evidence is Evidence.INDEXED
        assert isinstance(driver, Inhibit)

    play(scene, Device(job="other"), job="bottle")


def test_lost_doubled_and_late_notifications_lose_and_double_nothing() -> None:
    async def scene(made: Device, server: ZipherServer, driver: Zipher) -> None:
        await driver.open()
        await driver.clear()
        for ref in range(10, 16):
            assert await driver.send(job(ref))
        server.wire.events_lost = 2
        made.trigger()
        made.trigger()
        assert await refs(driver, 2) == [10, 11]
        server.wire.events_doubled = 2
        made.trigger()
        assert await refs(driver, 1) == [12]
        server.wire.events_late = 1
        made.trigger()
        made.trigger()
        assert await refs(driver, 2) == [13, 14]
        assert await driver.next_event(0.2) is None
        status = await driver.status()
        assert (status.waiting, status.counter, status.last) == (1, 5, 14)

    play(scene, poll=0.05)


def test_full_is_an_answer_and_an_empty_buffer_asks() -> None:
    async def scene(made: Device, server: ZipherServer, driver: Zipher) -> None:
        await driver.open()
        await driver.clear()
        assert [await driver.send(job(n)) for n in range(3)] == [True, True, True]
        made.capacity = 3
        assert not await driver.send(job(3))
        for _ in range(3):
            made.trigger()
        kinds = set()
        while len(kinds) < 2:
            event = await driver.next_event(2.0)
            assert event is not None
            kinds.add(event.kind)
        assert kinds == {PrintEventKind.PRINTED, PrintEventKind.REQUEST}

    play(scene)


def test_a_record_that_it_refuses_although_there_is_room() -> None:
    async def scene(made: Device, server: ZipherServer, driver: Zipher) -> None:
        await driver.open()
        await driver.clear()
        made.header = ["CODE", "LOT"]
        with pytest.raises(DomainError, match=r"refused record 4 \(SID"):
            await driver.send(job(4))

    play(scene)


@pytest.mark.parametrize(
    ("device", "more", "word"),
    [
        (Device(), {"job": "nonesuch"}, "nonesuch"),
        (Device(jobs={"bottle": ["SERIAL"]}), {}, "no field 'CODE'.*SERIAL"),
        (Device(job=""), {}, "no job selected"),
    ],
)
def test_a_job_that_cannot_print_the_code_is_refused_at_once(
    device: Device, more: dict[str, Any], word: str
) -> None:
    async def scene(made: Device, server: ZipherServer, driver: Zipher) -> None:
        with pytest.raises(ConfigError, match=word):
            await driver.open()

    play(scene, device, **more)


def test_somebody_selects_another_job_at_the_display() -> None:
    async def scene(made: Device, server: ZipherServer, driver: Zipher) -> None:
        await driver.open()
        await driver.clear()
        assert await driver.send(job(1))
        made.answer("SLA|other|")
        with pytest.raises(TransientError, match="other"):
            await driver.next_event(2.0)

    play(scene)


def test_states_and_faults_and_inhibition() -> None:
    async def scene(made: Device, server: ZipherServer, driver: Zipher) -> None:
        await driver.open()
        await driver.clear()
        assert await driver.send(job(1))
        assert await driver.inhibit()
        assert made.state == OFFLINE
        assert made.trigger() is None
        status = await driver.status()
        assert (status.ready, status.faults) == (False, ("offline",))
        await driver.release()
        assert made.trigger() == "C1"
        made.faults.append((12, True, "Ribbon broken!"))
        made.warnings.append((40, True, "Ink Low"))
        status = await driver.status()
        assert (status.ready, status.faults) == (False, ("ribbon_broken",))
        assert status.warnings == ("ink_low",)
        made.state = STARTING
        assert "starting" in (await driver.status()).faults
        assert not await driver.inhibit(), "it does not obey while it starts"
        with pytest.raises(TransientError, match="SST"):
            await driver.release()

    play(scene)


def test_an_answer_that_nobody_waits_for_ends_the_session() -> None:
    async def scene(made: Device, server: ZipherServer, driver: Zipher) -> None:
        await driver.open()
        server.push(b"ACK\r")
        with pytest.raises(TransientError, match="out of step"):
            await driver.next_event(2.0)
        with pytest.raises(TransientError, match="out of step"):
            await driver.send(job(1))
        assert not made.buffer

    play(scene)


def test_a_truncated_answer_ends_the_session_and_names_the_command() -> None:
    async def scene(made: Device, server: ZipherServer, driver: Zipher) -> None:
        await driver.open()
        made.say = lambda line: None
        made._src = lambda: "SRC|"  # type: ignore[method-assign]
        with pytest.raises(TransientError, match=r"bottle coder answered SRC with 'SRC'"):
            await driver.status()

    play(scene)


def test_a_record_that_is_in_its_buffer_when_we_come_back_is_not_taken_for_ours() -> None:
    async def scene(made: Device, server: ZipherServer, driver: Zipher) -> None:
        await driver.open()
        await driver.clear()
        assert await driver.send(job(1))
        assert await driver.send(job(2))
        await server.drop()
        made.trigger()
        await driver.close()
        await driver.open()
        status = await driver.status()
        assert (status.waiting, status.last) == (1, 1), "told before anything is cleared"
        assert await driver.clear()
        assert not made.buffer
        assert await driver.next_event(0.05) is None
        assert made.printed == ["C1"]

    play(scene)


@pytest.mark.parametrize(
    "section",
    [
        {"fields": {}},
        {"fields": {"code": "A|B"}},
        {"notify": ["NIX"]},
        {"queue": 0},
        {"job": "a=b"},
    ],
)
def test_a_section_that_cannot_be(section: dict[str, Any]) -> None:
    good = {"address": "tcp://192.0.2.1:3003", "fields": {"code": "CODE"}}
    assert ZipherConfig.model_validate(good)
    with pytest.raises(ValueError, match=next(iter(section))):
        ZipherConfig.model_validate(good | section)
