"""The TSPL driver: its language, what printers answer, and printing on the simulated printer."""

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from agent.core.errors import TransientError
from agent.ports.printing import Evidence, PrintEventKind, PrintJob
from drivers.context import DeviceContext
from drivers.printers.label_draw import draw
from drivers.printers.label_files import load_label
from drivers.printers.label_template import LabelTemplate, lay_out
from drivers.printers.tspl import TsplConfig, TsplPrinter
from drivers.printers.tspl_label import label
from drivers.printers.tspl_status import TsplCodec, TsplStatus
from drivers.sim.serve import TcpAdapter
from drivers.sim.tspl_printer import TsplPrinter as SimPrinter
from drivers.sim.tspl_printer import TsplPty, TsplServer, TsplTalk
from drivers.wireread import tail
from tests.drivers import label_help
from tests.drivers.stage import LabelStage, printed, run

CASE = LabelTemplate.model_validate(
    {
        "unit": "mm",
        "width": 60,
        "height": 40,
        "elements": [
            {"kind": "qr", "x": 3, "y": 3, "field": "code"},
            {"kind": "text", "x": 3, "y": 32, "field": "product", "size": 4},
        ],
    }
)
JOB = PrintJob(1, {"code": "https://q.example.cn/1", "product": "酒"}, "case")


def sent(picture: Any) -> SimPrinter:
    """The simulated printer after a label was sent."""
    sim = SimPrinter(print_time=0.0)
    assert TsplTalk(sim, lambda: 0.0).feed(label(picture, 8, 2)) == b""
    return sim


STAGE = LabelStage(
    "labeller",
    TsplServer,
    TsplPty,
    TsplPrinter,
    TsplConfig,
    {
        "labels": {"case": CASE},
        "reply_timeout": 0.3,
        "print_timeout": 2.0,
        "poll_interval": 0.01,
        "settle": 0.15,
    },
)
with_printer = STAGE.play


# ------------------------------------------------------------------------------------- language


def test_label_dialogue() -> None:
    picture = np.full((16, 32), 255, np.uint8)
    picture[4:6, 8:12] = 0
    assert label(picture, 8, 2) == (
        b"SIZE 4.00 mm,2.00 mm\r\nGAP 2 mm,0 mm\r\nDIRECTION 1\r\nREFERENCE 0,0\r\nCLS\r\n"
        b"BITMAP 8,4,1,2,0,\x0f\x0f\r\nPRINT 1,1\r\n"
    )


@pytest.mark.parametrize("name", label_help.LABELS)
def test_every_label_is_printed_dot_by_dot_and_can_be_read(name: str) -> None:
    picture = draw(lay_out(load_label(name, "x"), 8), label_help.fields(name))
    (out,) = sent(picture).printed
    assert (out.picture == picture).all()
    assert sorted(out.texts) == sorted(label_help.symbols(name))


@settings(max_examples=60, deadline=None)
@given(st.text(st.characters(exclude_categories=("Cs",)), max_size=60))
@example('"\r\nPRINT 99,9\r\n')
@example("\x1b!R\x1b!.~!@")
def test_no_user_text_becomes_a_command(text: str) -> None:
    picture = draw(lay_out(CASE, 8), {"code": "A" + text, "product": text})
    sim = sent(picture)
    names = [name for name in sim.commands if name != "BITMAP"]
    assert names == ["SIZE", "GAP", "DIRECTION", "REFERENCE", "CLS", "PRINT"]
    assert sim.immediate == []
    assert len(sim.printed) == 1


@settings(max_examples=80, deadline=None)
@given(data=st.data(), wide=st.integers(1, 9), high=st.integers(1, 9))
def test_no_picture_becomes_a_command(data: st.DataObject, wide: int, high: int) -> None:
    evil = st.sampled_from([0x1B ^ 0xFF, 0x21 ^ 0xFF, 0x7E ^ 0xFF, ord("R") ^ 0xFF])
    rows = data.draw(st.lists(evil, min_size=wide * high, max_size=wide * high))
    dots = np.unpackbits(np.array(rows, np.uint8).reshape(high, wide), axis=1)
    picture = np.where(dots, 0, 255).astype(np.uint8)
    sim = sent(picture)
    assert sim.immediate == []
    assert (sim.printed[0].picture == picture).all()


def test_the_simulated_printer_obeys_an_immediate_command_amid_a_picture() -> None:
    sim = SimPrinter(print_time=0.0)
    TsplTalk(sim, lambda: 0.0).feed(b"SIZE 4 mm,2 mm\r\nCLS\r\nBITMAP 0,0,4,1,0,\x00\x1b!R\r\n")
    assert sim.immediate == [b"\x1b!R"]


# -------------------------------------------------------------------------------------- answers


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (b"\x02@@@@\x03\r\n", TsplStatus(False, ())),
        (b"\x02`@@@\x03\r\n", TsplStatus(False, ("paused",))),
        (b"\x02P@@@\x03\r\n", TsplStatus(True, ())),
        (b"\x02W@@@\x03\r\n", TsplStatus(True, ())),
        (b"\x02L@@@\x03\r\n", TsplStatus(False, ())),
        (b"\x02K@@@\x03\r\n", TsplStatus(False, ("wait_key",))),
        (b"\x02E@@@\x03\r\n", TsplStatus(False, ("error",))),
        (b"\x02E@@A\x03\r\n", TsplStatus(False, ("paper_out",))),
        (b"\x02EHC\x66\x03\r\n", TsplStatus(False, (
            "buffer_full", "head_hot", "motor_hot", "paper_jam", "ribbon_out", "head_open"))),
        (b"\x02E@XH\x03\r\n", TsplStatus(False, ("cutter_fault", "memory_full", "ribbon_jam"))),
    ],
)  # fmt: skip
def test_full_status_dialogue(answer: bytes, status: TsplStatus) -> None:
    assert TsplCodec().feed(answer) == [status]
    codec = TsplCodec()
    assert [found for byte in answer for found in codec.feed(bytes([byte]))] == [status]
    assert codec.noise == 0


@pytest.mark.parametrize(
    ("byte", "status"),
    [
        (0x00, TsplStatus(False, ())),
        (0x20, TsplStatus(True, ())),
        (0x05, TsplStatus(False, ("head_open", "paper_out"))),
        (0xD8, TsplStatus(False, ("ribbon_out", "paused", "other_40", "other_80"))),
        (0x22, TsplStatus(True, ("paper_jam",))),
    ],
)
def test_short_status_dialogue(byte: int, status: TsplStatus) -> None:
    codec = TsplCodec()
    codec.short, codec.owed = True, 1
    assert codec.feed(bytes([byte])) == [status]
    assert codec.feed(b"\x00") == []
    assert codec.noise == 1


@settings(max_examples=80, deadline=None)
@given(st.lists(st.binary(max_size=300), max_size=8), st.booleans())
def test_the_codec_survives_anything(chunks: list[bytes], short: bool) -> None:
    codec = TsplCodec()
    codec.short = short
    for chunk in chunks:
        codec.owed = 1
        codec.feed(chunk)
    assert len(codec._buffer) <= 256
    codec.short = False
    assert codec.feed(b"\x02" * 7 + b"\x02@@@@\x03\r\n")[-1:] == [TsplStatus(False, ())]


# ------------------------------------------------------------------- against the simulated printer


@pytest.mark.parametrize("full", [True, False], ids=["full", "clone"])
@pytest.mark.parametrize("serial", [False, True], ids=["tcp", "pty"])
def test_labels_are_printed_one_by_one(serial: bool, full: bool) -> None:
    async def act(device: TsplPrinter, sim: SimPrinter) -> None:
        assert device.capability.evidence is Evidence.ACCEPTED
        for ref in range(3):
            code = f"https://q.example.cn/Case_{ref}"
            assert await device.send(PrintJob(ref, {"code": code, "product": '酒"\r\nPRINT 9'}))
            assert printed(await device.next_event(3)) == ref
            assert sim.printed[-1].texts == (code,)
        assert len(sim.printed) == 3
        assert (await device.status()).ready

    run(with_printer(SimPrinter(print_time=0.05, full=full), act, serial=serial))


def test_a_quick_printer_that_is_never_seen_at_work_must_stay_idle() -> None:
    async def act(device: TsplPrinter, sim: SimPrinter) -> None:
        began = time.monotonic()
        assert await device.send(JOB)
        assert printed(await device.next_event(3)) == 1
        assert time.monotonic() - began >= 0.15

    run(with_printer(SimPrinter(print_time=0.0), act))


@pytest.mark.parametrize("full", [True, False], ids=["full", "clone"])
def test_paper_out_is_a_fault_and_the_label_comes_after_it_is_mended(full: bool) -> None:
    async def act(device: TsplPrinter, sim: SimPrinter) -> None:
        assert await device.send(JOB)
        sim.faults.add("paper_out")
        assert (await device.status()).faults == ("paper_out",)
        assert await device.next_event(0.5) is None, "longer than the settling: it is not out"
        assert not await device.send(PrintJob(2, JOB.fields))
        assert sim.printed == []
        sim.faults.clear()
        assert printed(await device.next_event(3)) == 1
        request = await device.next_event(3)
        assert request is not None
        assert request.kind is PrintEventKind.REQUEST
        assert len(sim.printed) == 1

    run(with_printer(SimPrinter(print_time=0.2, full=full), act, print_timeout=0.4))


def test_clear_cancels_where_the_printer_can_and_waits_for_quiet() -> None:
    async def act(device: TsplPrinter, sim: SimPrinter) -> None:
        assert device.capability.clears
        assert await device.send(JOB)
        assert await device.clear()
        assert sim.immediate == [b"\x1b!."]
        assert sim.printed == []
        assert await device.next_event(0.05) is None

    run(with_printer(SimPrinter(print_time=1.0), act, cancel=True))


def test_without_cancel_a_busy_printer_is_not_cleared() -> None:
    async def act(device: TsplPrinter, sim: SimPrinter) -> None:
        assert not device.capability.clears
        assert await device.send(JOB)
        assert not await device.clear()
        assert printed(await device.next_event(3)) == 1
        assert await device.clear(), "idle for the settling time: nothing is in it"

    run(with_printer(SimPrinter(print_time=0.3), act))


# -------------------------------------------------------------------------------------- troubles


class Answers:
    """Answers every question with the same."""

    def __init__(self, answer: bytes) -> None:
        self._answer = answer

    def feed(self, data: bytes) -> bytes:
        return self._answer if b"\x1b!" in data else b""


@pytest.mark.parametrize("status", ["auto", "full", "short"])
@pytest.mark.parametrize(
    "answer", [b"login: ", b"\xff\x00" * 500_000, b"E00001\r\n"], ids=["login", "megabyte", "other"]
)
def test_another_language_is_named(answer: bytes, status: str) -> None:
    async def scenario() -> None:
        server = TcpAdapter(lambda: Answers(answer))
        port = await server.start()
        device = STAGE.made(f"tcp://127.0.0.1:{port}", status=status)
        await device.open()
        with pytest.raises(TransientError, match=r"labeller.*x1b!.*no TSPL"):
            await device.status()
        await device.close()
        await server.stop()

    run(scenario())


@pytest.mark.parametrize("status", ["auto", "short"])
@pytest.mark.parametrize("answer", [b"", b"\x02@@"], ids=["mute", "truncated"])
def test_silence_ends_the_session_and_names_the_question(answer: bytes, status: str) -> None:
    async def scenario() -> None:
        server = TcpAdapter(lambda: Answers(answer))
        port = await server.start()
        device = STAGE.made(f"tcp://127.0.0.1:{port}", status=status)
        await device.open()
        with pytest.raises(TransientError, match=r"labeller.*x1b!"):
            await device.send(JOB)
        await device.close()
        await server.stop()

    run(scenario())


def test_a_late_answer_is_waited_for() -> None:
    async def scenario() -> None:
        sim = SimPrinter(print_time=0.0)
        server = TsplServer(sim, time.monotonic)
        port = await server.start()
        device = STAGE.made(f"tcp://127.0.0.1:{port}")
        await device.open()
        assert (await device.status()).ready
        server.wire.answers_late, server.wire.seconds = 1, 0.15
        assert await device.next_event(0.01) is None
        sim.faults.add("head_open")
        assert not await device.send(JOB)
        assert (await device.status()).faults == ("head_open",)
        assert sim.printed == []
        await device.close()
        await server.stop()

    run(scenario())


def test_an_answer_that_nobody_asked_for_is_none() -> None:
    async def scenario() -> None:
        server = TsplServer(SimPrinter(print_time=0.0), time.monotonic)
        port = await server.start()
        device = STAGE.made(f"tcp://127.0.0.1:{port}")
        await device.open()
        assert (await device.status()).ready
        server.push(b"\x02E@@A\x03\r\n")
        assert await device.next_event(0.05) is None
        assert (await device.status()).ready, "that was before the question"
        await device.close()
        await server.stop()

    run(scenario())


def test_a_printer_that_does_nothing_is_reported() -> None:
    async def act(device: TsplPrinter, sim: SimPrinter) -> None:
        assert await device.send(JOB)
        with pytest.raises(TransientError, match="label 1"):
            await device.next_event(3)

    run(with_printer(SimPrinter(print_time=60.0), act, print_timeout=0.3))


def test_the_cable_is_pulled() -> None:
    async def scenario() -> None:
        server = TsplServer(SimPrinter(), time.monotonic)
        port = await server.start()
        device = STAGE.made(f"tcp://127.0.0.1:{port}")
        await device.open()
        assert await device.send(JOB)
        await server.drop()
        with pytest.raises(TransientError):
            await device.next_event(3)
        with pytest.raises(TransientError):
            await device.send(JOB)
        await device.close()
        await server.stop()

    run(scenario())


def test_the_wire_log_says_what_stands_on_a_label_and_no_secret(tmp_path: Path) -> None:
    async def scenario() -> None:
        server = TsplServer(SimPrinter(print_time=0.0), time.monotonic)
        address = f"tcp://127.0.0.1:{await server.start()}"
        context = DeviceContext(tmp_path, lambda data: data.replace(b"PRIZE", b"******"))
        device = STAGE.made(address, context)
        await device.open()
        for ref, code in enumerate(("PUBLIC", "PRIZE")):
            assert await device.send(PrintJob(ref, {"code": code, "product": "酒"}))
            assert printed(await device.next_event(3)) == ref
        await device.close()
        await server.stop()

    run(scenario())
    said = [entry.data for entry in tail(tmp_path, "labeller", 100) if entry.direction == ">"]
    assert any(
        '(label 0: {"code": "PUBLIC", "product": "酒"}) SIZE'.encode() in one for one in said
    )
    assert b"(label 1 with a secret value)" in said
    assert not any(b"PRIZE" in one for one in said)
