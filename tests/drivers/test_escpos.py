"""The ESC/POS driver: its language, what printers answer, and printing on the simulated printer."""

import time
from typing import Any

import numpy as np
import pytest
from escpos.printer import Dummy
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from agent.core.errors import ConfigError, TransientError
from agent.ports.printing import Evidence, PrintEventKind, PrintJob
from drivers.printers.escpos import EscposConfig, EscposPrinter
from drivers.printers.escpos_label import ask_process, harmless, label, raster
from drivers.printers.escpos_status import Cleared, EscposCodec, EscposStatus, Processed
from drivers.printers.label_draw import Bitmap, draw
from drivers.printers.label_files import load_label
from drivers.printers.label_template import LabelTemplate, lay_out
from drivers.sim.escpos_printer import EscposPrinter as SimPrinter
from drivers.sim.escpos_printer import EscposPty, EscposServer, EscposTalk
from drivers.sim.serve import TcpAdapter
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
GOOD = b"\x12\x12\x12\x12"


def sent(data: bytes, dots: int = 576) -> SimPrinter:
    """The simulated printer after these bytes."""
    sim = SimPrinter(print_time=0.0, dots=dots)
    assert EscposTalk(sim, lambda: 0.0).feed(data) == b""
    sim.finish(0.0)
    return sim


STAGE = LabelStage(
    "slips",
    EscposServer,
    EscposPty,
    EscposPrinter,
    EscposConfig,
    {
        "labels": {"case": CASE},
        "reply_timeout": 0.3,
        "print_timeout": 2.0,
        "poll_interval": 0.01,
    },
)
with_printer = STAGE.play


# ------------------------------------------------------------------------------------- language


def test_label_dialogue() -> None:
    picture = np.full((3, 16), 255, np.uint8)
    picture[1, 8:12] = 0
    assert label(picture, True) == (
        b"\x1b@" b"\x1dv0\x00\x01\x00\x01\x00\x00" b"\x1dv0\x00\x02\x00\x01\x00\x00\xf0"
        b"\x1dv0\x00\x01\x00\x01\x00\x00" b"\x1dVB\x00"
    )  # fmt: skip
    assert ask_process("0042") == b"\x1d(H\x06\x00000042"


def grey(picture: Bitmap) -> Any:
    return Image.fromarray(picture)


@settings(max_examples=25, deadline=None)
@given(st.binary(min_size=16, max_size=16 * 12))
def test_python_escpos_sends_the_same_dots(data: bytes) -> None:
    rows = len(data) // 16
    packed = np.frombuffer(harmless(data[: rows * 16]), np.uint8).reshape(rows, 16)
    picture = np.where(np.unpackbits(packed, axis=1), 0, 255).astype(np.uint8)
    theirs = Dummy()
    theirs.image(grey(picture), impl="bitImageRaster", center=False)
    assert theirs.output == raster(packed)


def test_the_simulated_printer_prints_what_python_escpos_sends() -> None:
    picture = draw(lay_out(CASE, 8), JOB.fields)
    theirs = Dummy()
    theirs.image(grey(picture), impl="bitImageRaster", center=False)
    theirs.cut(feed=False)
    (out,) = sent(theirs.output, dots=480).printed
    assert out.texts == (JOB.fields["code"],)
    assert (out.picture == picture).all()


@pytest.mark.parametrize("name", label_help.LABELS)
def test_every_label_is_printed_dot_by_dot_and_can_be_read(name: str) -> None:
    picture = draw(lay_out(load_label(name, "x"), 8), label_help.fields(name))
    sim = sent(label(picture, True), dots=800)
    (out,) = sim.printed
    differ = (out.picture[:, : picture.shape[1]] != picture).sum()
    assert differ < 20, "only strokes of a dot that would begin a command"
    assert sorted(out.texts) == sorted(label_help.symbols(name))
    assert (sim.typed, sim.real_time) == (b"", [])


@settings(max_examples=60, deadline=None)
@given(st.text(st.characters(exclude_categories=("Cs",)), max_size=60))
@example("\x10\x14\x08\x01\x03\x14\x01\x06\x02\x08")
@example("\x1b@\x1dV\x00")
def test_no_user_text_becomes_a_command(text: str) -> None:
    picture = draw(lay_out(CASE, 8), {"code": "A" + text, "product": text})
    sim = sent(label(picture, True))
    assert (sim.typed, sim.real_time) == (b"", [])
    assert len(sim.printed) == 1


@settings(max_examples=80, deadline=None)
@given(data=st.data(), wide=st.integers(1, 9), high=st.integers(1, 9))
def test_no_picture_becomes_a_command(data: st.DataObject, wide: int, high: int) -> None:
    evil = st.sampled_from([0x10, 0x04, 0x05, 0x14, 0x08, 0x01])
    rows = data.draw(st.lists(evil, min_size=wide * high, max_size=wide * high))
    dots = np.unpackbits(np.array(rows, np.uint8).reshape(high, wide), axis=1)
    picture = np.where(dots, 0, 255).astype(np.uint8)
    sim = sent(label(picture, True))
    assert (sim.typed, sim.real_time) == (b"", [])
    # Every dot is there; a stroke of one dot may have become two wide.
    seen = sim.printed[0].picture[:, : wide * 8]
    assert (seen[picture == 0] == 0).all()
    more = ((seen == 0) & (picture == 255)).sum()
    assert more <= rows.count(0x10)


def test_the_simulated_printer_obeys_a_real_time_command_amid_a_picture() -> None:
    sim = sent(b"\x1dv0\x00\x04\x00\x01\x00\x00\x10\x05\x02\x00")
    assert sim.real_time == [b"\x10\x05\x02"]


# -------------------------------------------------------------------------------------- answers


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (GOOD, EscposStatus((), ())),
        (b"\x12\x12\x12\x1e", EscposStatus((), ("paper_low",))),
        (b"\x1a\x32\x12\x7e", EscposStatus(("paper_out",), ())),
        (b"\x1a\x12\x12\x72", EscposStatus(("paper_out",), ())),
        (b"\x1a\x16\x12\x12", EscposStatus(("cover_open",), ())),
        (b"\x1a\x52\x1a\x12", EscposStatus(("cutter_fault",), ())),
        (b"\x1a\x52\x36\x12", EscposStatus(("mechanical", "unrecoverable"), ())),
        (b"\x1a\x52\x52\x12", EscposStatus(("head_hot",), ())),
        (b"\x1a\x1a\x12\x12", EscposStatus(("feed_key",), ())),
        (b"\x1a\x52\x12\x12", EscposStatus(("error",), ())),
        (b"\x1a\x12\x12\x12", EscposStatus(("offline",), ())),
    ],
)
def test_status_dialogue(answer: bytes, status: EscposStatus) -> None:
    assert EscposCodec().feed(answer) == [status]
    codec = EscposCodec()
    assert [found for byte in answer for found in codec.feed(bytes([byte]))] == [status]


def test_other_answers() -> None:
    codec = EscposCodec()
    stream = b"\x37\x220042\x00" + GOOD + b"\x00" + b"\x37\x25\x00" + b"\x0c"
    wanted = [Processed("0042"), EscposStatus((), ()), Processed(""), Cleared(), Processed("")]
    assert codec.feed(stream) == wanted
    assert [found for byte in stream for found in codec.feed(bytes([byte]))] == wanted
    assert codec.noise == 0
    assert codec.feed(b"\x37\x2200\x01login\xff") == []
    assert codec.noise > 5
    codec.feed(GOOD[:3])
    codec.restart()
    assert codec.feed(GOOD) == [EscposStatus((), ())]


# ------------------------------------------------------------------- against the simulated printer


@pytest.mark.parametrize("epson", [True, False], ids=["epson", "plain"])
@pytest.mark.parametrize("serial", [False, True], ids=["tcp", "pty"])
def test_labels_are_printed_one_by_one(serial: bool, epson: bool) -> None:
    async def act(device: EscposPrinter, sim: SimPrinter) -> None:
        evidence = device.capability.evidence
        assert evidence is (Evidence.INDEXED if epson else Evidence.ACCEPTED)
        for ref in range(3):
            code = f"https://q.example.cn/Slip_{ref}"
            assert await device.send(PrintJob(ref, {"code": code, "product": "\x1b@\n"}))
            assert sim.printed[ref:] == []
            assert printed(await device.next_event(3)) == ref
            assert sim.printed[-1].texts == (code,)
        assert len(sim.printed) == 3
        assert (await device.status()).ready

    run(with_printer(SimPrinter(print_time=0.05, process_id=epson), act, serial=serial))


@pytest.mark.parametrize("epson", [True, False], ids=["epson", "plain"])
def test_paper_out_is_a_fault_and_the_label_comes_after_it_is_mended(epson: bool) -> None:
    async def act(device: EscposPrinter, sim: SimPrinter) -> None:
        assert await device.send(JOB)
        sim.faults.add("paper_out")
        assert (await device.status()).faults == ("paper_out",)
        assert await device.next_event(0.5) is None
        assert not await device.send(PrintJob(2, JOB.fields))
        assert sim.printed == []
        sim.faults.clear()
        assert printed(await device.next_event(3)) == 1
        request = await device.next_event(3)
        assert request is not None
        assert request.kind is PrintEventKind.REQUEST

    run(with_printer(SimPrinter(print_time=0.2, process_id=epson), act, print_timeout=0.4))


def test_the_answer_for_another_label_is_none_for_this() -> None:
    async def act(device: EscposPrinter, sim: SimPrinter) -> None:
        assert await device.send(JOB)
        sim.say(b"\x37\x229999\x00\x00")
        assert await device.next_event(0.15) is None
        assert printed(await device.next_event(3)) == 1

    run(with_printer(SimPrinter(print_time=0.4), act))


@pytest.mark.parametrize("epson", [True, False], ids=["epson", "plain"])
def test_an_answer_that_was_lost_is_asked_for_again(epson: bool) -> None:
    async def scenario() -> None:
        sim = SimPrinter(print_time=0.02, process_id=epson)
        server = EscposServer(sim, time.monotonic)
        device = STAGE.made(f"tcp://127.0.0.1:{await server.start()}")
        await device.open()
        server.wire.events_lost = 1
        assert await device.send(JOB)
        assert printed(await device.next_event(1.5)) == 1
        assert len(sim.printed) == 1
        await device.close()
        await server.stop()

    run(scenario())


def test_clear_empties_the_buffers_where_the_printer_can() -> None:
    async def act(device: EscposPrinter, sim: SimPrinter) -> None:
        assert device.capability.clears
        assert await device.send(JOB)
        assert await device.clear()
        assert sim.printed == []
        assert not sim.queue

    run(with_printer(SimPrinter(print_time=1.0), act, cancel=True))


def test_without_it_clear_waits_for_what_is_in_hand() -> None:
    async def act(device: EscposPrinter, sim: SimPrinter) -> None:
        assert not device.capability.clears
        assert await device.send(JOB)
        assert await device.clear()
        assert len(sim.printed) == 1

    run(with_printer(SimPrinter(print_time=0.1), act))


def test_a_label_wider_than_the_paper_is_refused_at_the_start() -> None:
    with pytest.raises(ConfigError, match=r"slips.*case"):
        STAGE.made("tcp://127.0.0.1:1", paper=48)


class Answers:
    """Answers every question that has these bytes in it with the same."""

    def __init__(self, answer: bytes, question: bytes = b"") -> None:
        self._answer = answer
        self._question = question

    def feed(self, data: bytes) -> bytes:
        return self._answer if self._question in data else b""


@pytest.mark.parametrize(
    "answer", [b"login: ", b"\xff\xa3" * 500_000, b"\x02@@@@\x03\r\n"], ids=["login", "mb", "tspl"]
)
def test_another_language_is_named(answer: bytes) -> None:
    async def scenario() -> None:
        server = TcpAdapter(lambda: Answers(answer))
        port = await server.start()
        device = STAGE.made(f"tcp://127.0.0.1:{port}")
        with pytest.raises(TransientError, match=r"slips.*no ESC/POS"):
            await device.open()
        await device.close()
        await server.stop()

    run(scenario())


@pytest.mark.parametrize("answer", [b"", GOOD[:2]], ids=["mute", "truncated"])
def test_silence_ends_the_session_and_names_the_question(answer: bytes) -> None:
    async def scenario() -> None:
        server = TcpAdapter(lambda: Answers(answer, b"\x10\x04"))
        port = await server.start()
        device = STAGE.made(f"tcp://127.0.0.1:{port}")
        await device.open()
        with pytest.raises(TransientError, match=r"slips.*did not answer"):
            await device.send(JOB)
        await device.close()
        await server.stop()

    run(scenario())


def test_a_status_among_other_bytes_is_none() -> None:
    async def scenario() -> None:
        server = TcpAdapter(lambda: Answers(b"ok" + GOOD + b"ready"))
        port = await server.start()
        address = f"tcp://127.0.0.1:{port}"
        device = STAGE.made(address, confirm="in-order")
        await device.open()
        with pytest.raises(TransientError, match=r"slips.*no ESC/POS"):
            await device.status()
        await device.close()
        await server.stop()

    run(scenario())
