"""NGPCL: the published dialogue, one print per update, and what is read back."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from agent.core.errors import ConfigError, DomainError, TransientError
from agent.ports.printing import Evidence, PrintEventKind
from drivers.printers import ngpcl_codec as codec
from drivers.printers.ngpcl import Ngpcl, NgpclConfig
from drivers.sim.ngpcl import NgpclPrinter, NgpclServer
from tests.drivers.stage import CoderStage, job

NAME = "film printer"
play = CoderStage(
    NAME,
    NgpclPrinter,
    NgpclServer,
    Ngpcl,
    NgpclConfig,
    {"fields": {"code": "CODE"}, "reply_timeout": 0.3},
).play


def test_commands_as_published() -> None:
    assert codec.command("JR") == b"{~JR|}\r"
    assert codec.command("DR") == b"{~DR|}\r"
    assert codec.command("FR", "Batch1") == b"{~FR|Batch1|}\r"
    assert codec.job_update(NAME, {"QR": "ABC"}) == b"{~JU0||1|QR|ABC|}\r"
    assert codec.job_update(NAME, {"QR": "A"}, "B.job") == b"{~JS0|B.job|1|QR|A|}\r"


def test_published_answers() -> None:
    parser = codec.NgpclCodec()
    said = parser.feed(
        b"{~JN0|Bundy 15 Month.job|}\r\n{~JS0|}{~JU1|}{~FC0|Batch1|T0067|}\r{~FC1|}{~NK1|}\r\n"
        b"{~DS0|0|1|0|0|0|2|0|000000000|06|1|}\r\n{~DS0|0|0|1|1|0|2|0|000000000|09|1|}\r\n"
    )
    assert [(m.kind, m.result) for m in said] == [
        ("JN", "0"), ("JS", "0"), ("JU", "1"), ("FC", "0"), ("FC", "1"), ("NK", "1"), ("DS", "0"),
        ("DS", "0"),
    ]  # fmt: skip
    assert said[0].fields == ("Bundy 15 Month.job", "")[:1]
    assert said[3].fields == ("Batch1", "T0067")
    assert [codec.state_of(m) for m in said[-2:]] == ["06", "09"]
    assert codec.state_of(said[0]) == ""
    assert parser.noise == 0


def test_a_frame_that_is_cut_off_hides_no_other() -> None:
    parser = codec.NgpclCodec()
    assert [m.kind for m in parser.feed(b"{~DS0|0|1{~JN0|a|}{x|}{~9|}{~JU0|}")] == ["JN", "JU"]
    assert parser.feed(b"{~" + b"x" * 1_000_000) == []
    assert [m.kind for m in parser.feed(b"|}{~NK1|}")] == ["NK"]


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=60))
def test_no_value_becomes_a_field_or_a_command(value: str) -> None:
    try:
        data = codec.job_update(NAME, {"QR": value})
    except DomainError:
        return
    assert data == b"{~JU0||1|QR|" + value.encode("ascii") + b"|}\r"
    assert data.count(b"|") == 5


def test_one_print_for_each_update() -> None:
    async def scene(made: NgpclPrinter, server: NgpclServer, driver: Ngpcl) -> None:
        await driver.open()
        capability = driver.capability
        assert (capability.evidence, capability.clears) == (Evidence.ACCEPTED, False)
        assert not await driver.clear()
        for ref in (1, 2):
            assert await driver.send(job(ref))
            assert not await driver.send(job(9)), "the one before is not printed"
            assert made.trigger() == f"C{ref}"
            assert made.trigger() is None, "one print is allowed"
            event = await driver.next_event(2.0)
            assert event is not None
            assert (event.kind, event.ref) == (PrintEventKind.PRINTED, ref)

    play(scene)


def test_what_the_session_before_allowed_is_waited_for() -> None:
    async def scene(made: NgpclPrinter, server: NgpclServer, driver: Ngpcl) -> None:
        await driver.open()
        assert await driver.send(job(1))
        await driver.close()
        await driver.open()
        assert not await driver.send(job(2))
        assert made.trigger() == "C1"
        assert await driver.send(job(2))

    play(scene)


def test_what_is_read_back_must_be_what_was_sent() -> None:
    async def scene(made: NgpclPrinter, server: NgpclServer, driver: Ngpcl) -> None:
        await driver.open()
        answer = made.answer
        made.answer = lambda frame: (  # type: ignore[method-assign]
            "{~JU0|}" if frame.startswith("~JU") else answer(frame)
        )
        with pytest.raises(TransientError, match="something else in its field 'CODE'"):
            await driver.send(job(1))

    play(scene)


def test_an_update_that_starts_no_print_is_in_doubt() -> None:
    async def scene(made: NgpclPrinter, server: NgpclServer, driver: Ngpcl) -> None:
        await driver.open()
        answer = made.answer

        def lazy(frame: str) -> str:
            said = answer(frame)
            made.allowed = 0
            return said

        made.answer = lazy  # type: ignore[method-assign]
        with pytest.raises(TransientError, match="does not wait to print it"):
            await driver.send(job(1))

    play(scene)


@pytest.mark.parametrize(
    ("reply", "error", "word"),
    [
        ("{~JU1|}", DomainError, r"refused record 4 \(JU: JU1\)"),
        ("{~NK1|}", DomainError, r"refused record 4 \(JU: NK1\)"),
    ],
)
def test_refusals(reply: str, error: type[Exception], word: str) -> None:
    async def scene(made: NgpclPrinter, server: NgpclServer, driver: Ngpcl) -> None:
        await driver.open()
        answer = made.answer
        made.answer = lambda frame: (  # type: ignore[method-assign]
            reply if frame.startswith("~JU") else answer(frame)
        )
        with pytest.raises(error, match=word):
            await driver.send(job(4))

    play(scene)


@pytest.mark.parametrize(
    ("more", "word"),
    [
        ({"job": "OTHER.job"}, r"runs the job 'BOTTLE\.job', not 'OTHER\.job'"),
        ({"fields": {"code": "NIX"}}, "no field 'NIX'"),
    ],
)
def test_a_job_that_cannot_print_the_code(more: dict[str, Any], word: str) -> None:
    async def scene(made: NgpclPrinter, server: NgpclServer, driver: Ngpcl) -> None:
        with pytest.raises(ConfigError, match=word):
            await driver.open()

    play(scene, **more)


def test_a_job_is_selected_by_the_first_record_and_prints_it_once() -> None:
    async def scene(made: NgpclPrinter, server: NgpclServer, driver: Ngpcl) -> None:
        await driver.open()
        assert made.job == "BOTTLE.job", "nothing is selected without a record to print"
        for ref in (1, 2):
            assert await driver.send(job(ref))
            assert (made.job, made.trigger(), made.trigger()) == ("CASE.job", f"C{ref}", None)
            event = await driver.next_event(2.0)
            assert event is not None
            assert event.ref == ref

    play(scene, job="CASE.job", select=True, fields={"code": "SERIAL"})


def test_a_job_that_cannot_be_selected_is_refused_with_its_record() -> None:
    async def scene(made: NgpclPrinter, server: NgpclServer, driver: Ngpcl) -> None:
        await driver.open()
        with pytest.raises(DomainError, match=r"refused record 1 \(JS: JS1\)"):
            await driver.send(job(1))
        assert (made.job, made.allowed) == ("BOTTLE.job", 0)

    play(scene, job="NIX.job", select=True)
    with pytest.raises(ValidationError, match="select needs the job"):
        play(scene, select=True)


@pytest.mark.parametrize(("command", "cleared"), [("PQ", True), ("ZZ", False)])
def test_the_queue_is_cleared_by_the_command_of_the_configuration(
    command: str, cleared: bool
) -> None:
    async def scene(made: NgpclPrinter, server: NgpclServer, driver: Ngpcl) -> None:
        await driver.open()
        assert driver.capability.clears
        assert await driver.send(job(1))
        assert await driver.clear() is cleared
        assert made.allowed == (0 if cleared else 1)

    play(scene, clear=command)


@pytest.mark.parametrize(
    ("state", "fault"), [("05", "attention"), ("02", "off"), ("77", "state_77")]
)
def test_states(state: str, fault: str) -> None:
    async def scene(made: NgpclPrinter, server: NgpclServer, driver: Ngpcl) -> None:
        await driver.open()
        assert (await driver.status()).ready
        made.trouble = state
        status = await driver.status()
        assert (status.ready, status.faults) == (False, (fault,))

    play(scene)
