"""The ZPL driver: its language, what printers answer, and printing on the simulated printer."""

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from agent.core.errors import ConfigError, DomainError, TransientError
from agent.ports.printing import Evidence, Inhibit, PrintEventKind, PrintJob
from drivers.context import DeviceContext
from drivers.printers.label_files import load_label
from drivers.printers.zpl import ZplConfig, ZplPrinter
from drivers.printers.zpl_label import LabelTemplate, escape, recall, store
from drivers.printers.zpl_status import ErrorReport, HostStatus, Setting, StatusCodec
from drivers.sim.serve import TcpAdapter
from drivers.sim.zpl_parse import Format, Immediate, Splitter
from drivers.sim.zpl_printer import ZplPrinter as SimPrinter
from drivers.sim.zpl_printer import ZplPty, ZplServer, ZplTalk
from tests.drivers import label_help
from tests.drivers.stage import LabelStage, run

SSCC = "069012345600000121"
HS = (
    b"\x02030,0,0,1245,000,0,0,0,000,0,0,0\x03\r\n"
    b"\x02000,0,0,0,1,2,6,0,00000000,1,000\x03\r\n"
    b"\x021234,0\x03\r\n"
)
HQES = (
    b"\x02\r\n  PRINTER STATUS\r\n   ERRORS:         1 00000000 00000005\r\n"
    b"   WARNINGS:       1 00000000 00000002\r\n\x03"
)


def label(*elements: dict[str, Any]) -> LabelTemplate:
    placed = [{"x": 10, "y": 10 + 100 * n} | element for n, element in enumerate(elements)]
    return LabelTemplate.model_validate({"width": 800, "height": 600, "elements": placed})


CASE = label(
    {"kind": "qr", "field": "code"},
    {"kind": "text", "field": "product", "size": 30},
    {"kind": "datamatrix", "field": "code"},
)


def printed(template: LabelTemplate, fields: dict[str, str]) -> tuple[str, ...]:
    """What the simulated printer puts on the label."""
    sim = SimPrinter(print_time=0.0)
    talk = ZplTalk(sim, lambda: 0.0)
    assert talk.feed(store("CL0", template) + recall("CL0", template, fields)) == b""
    (out,) = sim.printed
    return out.texts


STAGE = LabelStage(
    "labeller",
    ZplServer,
    ZplPty,
    ZplPrinter,
    ZplConfig,
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
    template = label({"kind": "qr", "field": "code"}, {"kind": "text", "text": "Case_", "size": 30})
    assert store("CL0", template) == (
        b"^XA^CI28^DFR:CL0.ZPL^FS^LH0,0^PW800^LL600"
        b"^FO10,10^BQN,2,6^FN1^FS^FO10,110^A0N,30,30^FH_^FDCase_5F^FS^XZ\r\n"
    )
    assert recall("CL0", template, {"code": "https://q.example.cn/a_b"}) == (
        b"^XA^CI28^XFR:CL0.ZPL^FS^FN1^FH_^FDMA,https://q.example.cn/a_5Fb^FS^PQ1,0,1,N^XZ\r\n"
    )


@given(st.text(max_size=80))
@example("x^XZ~JA")
@example("_5EXZ_7EJA")
@example("\\&\r\n^XA")
@settings(max_examples=300, deadline=None)
def test_no_user_text_becomes_a_command(text: str) -> None:
    template = label({"kind": "text", "field": "t"}, {"kind": "qr", "text": "end"})
    if any(0xD800 <= ord(char) < 0xE000 for char in text):
        with pytest.raises(DomainError):
            recall("CL0", template, {"t": text})
        return
    assert not set(escape(text)) & {*b"^~\\", *range(0x20), 0x7F}
    found = Splitter().feed(recall("CL0", template, {"t": text}))
    assert [type(item) for item in found] == [Format]


@given(st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=60))
@example("a^b~c_d\\e_1_5E")
@settings(max_examples=200, deadline=None)
def test_symbols_carry_exactly_the_text(text: str) -> None:
    assert printed(label({"kind": "qr", "field": "t"}), {"t": text}) == (text,)
    matrix = label({"kind": "datamatrix", "field": "t"})
    if "|" in text or not text.isascii():
        with pytest.raises(DomainError):
            recall("CL0", matrix, {"t": text})
    else:
        assert printed(matrix, {"t": text}) == (text,)


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        ("sscc", SSCC, "00" + SSCC),
        ("sscc", "00" + SSCC, "00" + SSCC),
        ("sscc", "(00)" + SSCC, "00" + SSCC),
        ("sscc", "https://id.gs1.org/00/" + SSCC, "00" + SSCC),
        ("gs1-128", "(01)06901234567892(10)L_1(21)A7", "010690123456789210L_1\x1d21A7"),
        ("gs1-datamatrix", "(01)06901234567892(10)L_1(21)A7", "010690123456789210L_1\x1d21A7"),
        (
            "gs1-datamatrix",
            "https://id.gs1.org/01/06901234567892/21/A7",
            "010690123456789221A7",
        ),
        ("code128", "AB-12 _x", "AB-12 _x"),
    ],
)
def test_gs1_and_linear_symbols(kind: str, value: str, expected: str) -> None:
    assert printed(label({"kind": kind, "field": "c", "size": 3}), {"c": value}) == (expected,)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("sscc", SSCC[:-1] + "2"),
        ("sscc", "12"),
        ("gs1-128", "(01)06901234567893"),
        ("gs1-128", "no item"),
        ("code128", "a\x1db"),
        ("code128", "码"),
        ("code128", "x" * 40),
        ("qr", ""),
        ("qr", "x" * 2000),
        ("qr", "\ud800"),
    ],
)
def test_what_a_symbol_cannot_carry_is_refused(kind: str, value: str) -> None:
    with pytest.raises(DomainError):
        recall("CL0", label({"kind": kind, "field": "c", "size": 3}), {"c": value})


def test_a_missing_field_is_named() -> None:
    with pytest.raises(DomainError, match="product"):
        recall("CL0", CASE, {"code": "A"})


@pytest.mark.parametrize("name", label_help.LABELS)
def test_every_label_file_loads_and_prints(name: str) -> None:
    template = load_label(name, "labeller")
    assert list(printed(template, label_help.fields(name))) == label_help.symbols(name)


@pytest.mark.parametrize(
    ("text", "word"),
    [("width = 1", "height"), ("width = ", "cannot be read"), ("colour = 1", "colour|width")],
)
def test_a_wrong_label_file_is_refused_by_name(text: str, word: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=word) as error:
        load_label(str(path), "labeller")
    assert "mine.toml" in str(error.value)


# ------------------------------------------------------------------------------------- answers


def test_host_status_dialogue() -> None:
    (status,) = StatusCodec().feed(HS)
    assert isinstance(status, HostStatus)
    assert status.idle
    assert status.faults == ()
    busy = HS.replace(b"0,0,1245,000", b"1,1,1245,002").replace(b"00000000", b"00000007")
    busy = busy.replace(b"000,0,0,0,1,2,6,0", b"000,0,1,1,1,4,6,1")
    (status,) = StatusCodec().feed(busy)
    assert isinstance(status, HostStatus)
    assert status.faults == ("paper_out", "ribbon_out", "head_open", "paused")
    assert (status.formats, status.remaining, status.print_mode) == (2, 7, "applicator")
    assert status.label_waiting
    assert not status.idle


def test_host_status_has_every_field() -> None:
    (status,) = StatusCodec().feed(
        b"\x02155,1,1,1245,012,1,1,1,000,1,1,1\x03\r\n"
        b"\x02208,0,1,1,1,K,6,1,00000034,1,007\x03\r\n\x021234,1\x03\r\n"
    )
    assert status == HostStatus(
        paper_out=True, paused=True, formats=12, buffer_full=True, diagnostic=True, partial=True,
        ram_corrupt=True, cold=True, hot=True, head_open=True, ribbon_out=True,
        print_mode="kiosk", label_waiting=True, remaining=34, link=155, label_length=1245,
        functions=208, thermal_transfer=True, width_mode=6, graphics=7, password="1234",
        static_ram=True,
    )  # fmt: skip
    assert len(status.faults) == 9


def report(errors: int, warnings: int) -> bytes:
    return (
        f"\x02\r\n  PRINTER STATUS\r\n   ERRORS:         1 {errors >> 32:08X} "
        f"{errors & 0xFFFFFFFF:08X}\r\n   WARNINGS:       1 00000000 {warnings:08X}\r\n\x03"
    ).encode()


def test_error_report_names_every_bit() -> None:
    assert StatusCodec().feed(HQES) == [ErrorReport(("paper_out", "head_open"), ("clean_head",))]
    names = set()
    for bit in range(64):
        (one,) = StatusCodec().feed(report(1 << bit, 1 << (bit % 32)))
        assert isinstance(one, ErrorReport)
        assert len(one.errors) == len(one.warnings) == 1
        names |= {one.errors[0], f"warning {one.warnings[0]}"}
    assert len(names) == 64 + 32
    assert len([name for name in names if "other_" in name]) == 64 - 18 + 32 - 12
    (many,) = StatusCodec().feed(report(0x8000_0000_000F_F3FF, 0xFFF))
    assert isinstance(many, ErrorReport)
    assert len(many.errors) == 18 + 1
    assert many.errors[-1] == "other_8000000000000000"
    assert len(many.warnings) == 12


def test_settings() -> None:
    codec = StatusCodec()
    assert codec.feed(b'"8560 LABELS""?"') == [Setting("8560 LABELS"), Setting(None)]


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_any_split_and_noise_gives_the_same_answers(data: st.DataObject) -> None:
    noise = data.draw(st.binary(max_size=40).map(lambda raw: raw.translate(None, b'"\x02')))
    stream = noise + HS + b'"17"' + HQES + HS + noise + HS
    cuts = sorted(data.draw(st.sets(st.integers(0, len(stream)), max_size=12)))
    codec = StatusCodec()
    kinds = [
        type(answer)
        for begin, stop in zip([0, *cuts], [*cuts, len(stream)], strict=True)
        for answer in codec.feed(stream[begin:stop])
    ]
    assert kinds == [HostStatus, Setting, ErrorReport, HostStatus, HostStatus]


def test_one_byte_at_a_time() -> None:
    codec = StatusCodec()
    answers = [answer for byte in HS + HQES for answer in codec.feed(bytes([byte]))]
    assert [type(answer) for answer in answers] == [HostStatus, ErrorReport]


def test_half_an_answer_is_not_completed_by_the_next() -> None:
    first, _second, _third = HS.splitlines(keepends=True)
    codec = StatusCodec()
    assert len(codec.feed(first + HS)) == 1
    busy = first.replace(b",000,0,0,0,000", b",003,0,0,0,000")
    (status,) = codec.feed(busy + HS)
    assert isinstance(status, HostStatus)
    assert status.formats == 0


@settings(max_examples=100, deadline=None)
@given(st.lists(st.binary(max_size=300), max_size=8))
def test_the_codec_survives_anything(chunks: list[bytes]) -> None:
    codec = StatusCodec()
    for chunk in chunks:
        codec.feed(chunk)


@pytest.mark.parametrize("junk", [b"x", b"\x02", b'"', b"\x02\x03", b'""'])
def test_much_garbage_is_dropped(junk: bytes) -> None:
    codec = StatusCodec()
    codec.feed(junk * (60_000 // len(junk)))
    assert [a for a in codec.feed(b'"\r\n' + HS) if isinstance(a, HostStatus)]


# ------------------------------------------------------------------- against the simulated printer


async def print_one(device: ZplPrinter, sim: SimPrinter, ref: int, code: str) -> None:
    assert await device.send(PrintJob(ref, {"code": code, "product": "酒 ^XZ~JA"}, "case"))
    event = await device.next_event(3.0)
    assert event is not None
    assert (event.kind, event.ref) == (PrintEventKind.PRINTED, ref)
    assert sim.fire(time.monotonic()) == (code, code)


@pytest.mark.parametrize("serial", [False, True], ids=["tcp", "pty"])
def test_labels_are_printed_one_by_one(serial: bool) -> None:
    async def act(device: ZplPrinter, sim: SimPrinter) -> None:
        assert device.capability.evidence is Evidence.COUNTER
        for number in range(5):
            await print_one(device, sim, number, f"https://q.example.cn/Case_{number}~^")
        assert sim.fire(time.monotonic()) is None
        assert len(sim.templates) == 1
        status = await device.status()
        assert (status.ready, status.counter, status.waiting) == (True, 5, 0)

    run(with_printer(SimPrinter(print_time=0.03), act, serial=serial))


def test_without_an_odometer_it_must_be_idle_twice() -> None:
    async def act(device: ZplPrinter, sim: SimPrinter) -> None:
        assert device.capability.evidence is Evidence.ACCEPTED
        await print_one(device, sim, 1, "A")
        assert (await device.status()).counter is None

    run(with_printer(SimPrinter(print_time=0.05, odometer=False), act))


def test_idle_once_is_not_believed_without_an_odometer() -> None:
    class Slow(SimPrinter):
        """Looks at a format only after it has answered two more questions."""

        late: tuple[int, bytes] = (0, b"")

        def accept(self, body: bytes, now: float) -> None:
            if b"^DF" in body:
                super().accept(body, now)
            else:
                self.late = (2, body)

        def command(self, name: str, now: float, partial: bool) -> bytes:
            questions, body = self.late
            if body and questions == 0:
                self.late = (0, b"")
                super().accept(body, now)
            elif body:
                self.late = (questions - 1, body)
            return super().command(name, now, partial)

    async def act(device: ZplPrinter, sim: SimPrinter) -> None:
        assert await device.send(PrintJob(1, {"code": "A", "product": "p"}))
        assert await device.next_event(0.15) is None, "idle was said once, then busy"
        event = await device.next_event(2.0)
        assert event is not None
        assert len(sim.printed) == 1

    run(with_printer(Slow(print_time=0.3, odometer=False), act))


def test_a_second_label_is_refused_while_one_is_out_and_asked_for_afterwards() -> None:
    async def act(device: ZplPrinter, sim: SimPrinter) -> None:
        job = PrintJob(1, {"code": "A", "product": "p"})
        assert await device.send(job)
        assert not await device.send(PrintJob(2, {"code": "B", "product": "p"}))
        kinds = [await device.next_event(3.0) for _ in range(2)]
        assert [(e.kind, e.ref) for e in kinds if e] == [
            (PrintEventKind.PRINTED, 1),
            (PrintEventKind.REQUEST, None),
        ]
        assert [out.texts for out in sim.printed] == [("A", "A")]

    run(with_printer(SimPrinter(print_time=0.1), act))


def test_send_and_events_from_two_tasks() -> None:
    async def act(device: ZplPrinter, sim: SimPrinter) -> None:
        refs: list[int | None] = []

        async def listen() -> None:
            while len(refs) < 3:
                event = await device.next_event(0.5)
                if event is not None and event.kind is PrintEventKind.PRINTED:
                    refs.append(event.ref)

        listener = asyncio.create_task(listen())
        for ref in range(3):
            end = time.monotonic() + 3
            while not await device.send(PrintJob(ref, {"code": f"C{ref}", "product": "p"})):
                assert time.monotonic() < end
        await listener
        assert refs == [0, 1, 2]

    run(with_printer(SimPrinter(print_time=0.02), act))


def test_paper_out_is_a_fault_and_the_label_comes_after_it_is_mended() -> None:
    async def act(device: ZplPrinter, sim: SimPrinter) -> None:
        assert await device.send(PrintJob(1, {"code": "A", "product": "p"}))
        sim.faults.add("paper_out")
        status = await device.status()
        assert not status.ready
        assert status.faults == ("paper_out",), "~HS is silent, ~HQES is not"
        assert await device.next_event(0.5) is None
        assert not await device.send(PrintJob(2, {"code": "B", "product": "p"}))
        sim.faults.clear()
        event = await device.next_event(3.0)
        assert event is not None
        assert event.ref == 1
        request = await device.next_event(3.0)
        assert request is not None
        assert request.kind is PrintEventKind.REQUEST
        assert [out.texts for out in sim.printed] == [("A", "A")]

    run(with_printer(SimPrinter(print_time=0.2), act, print_timeout=0.4))


def test_a_printer_with_a_fault_gets_nothing() -> None:
    async def act(device: ZplPrinter, sim: SimPrinter) -> None:
        sim.paused = True
        assert not await device.send(PrintJob(1, {"code": "A", "product": "p"}))
        assert not sim.queue
        assert not sim.templates
        assert (await device.status()).faults == ("paused",)

    run(with_printer(SimPrinter(), act))


def test_pause_holds_labels_and_release_lets_them_out() -> None:
    async def act(device: ZplPrinter, sim: SimPrinter) -> None:
        assert isinstance(device, Inhibit)
        assert await device.inhibit()
        assert sim.paused
        assert not await device.send(PrintJob(1, {"code": "A", "product": "p"}))
        await device.release()
        request = await device.next_event(3.0)
        assert request is not None
        await print_one(device, sim, 1, "A")
        sim.faults.add("paper_out")
        assert not await device.inhibit(), "silent: nothing acknowledges the pause"
        with pytest.raises(TransientError, match="labeller"):
            await device.release()

    run(with_printer(SimPrinter(print_time=0.02), act))


def test_a_persons_pause_is_not_ended_and_our_own_is() -> None:
    async def act(device: ZplPrinter, sim: SimPrinter) -> None:
        sim.paused = True
        assert await device.inhibit(), "it prints nothing, whoever paused it"
        await device.release()
        assert sim.paused, "somebody wanted that"
        sim.paused = False
        assert await device.inhibit()
        await device.close()
        await device.open()
        assert await device.inhibit()
        await device.release()
        assert not sim.paused, "the pause of a session of ours that broke"

    run(with_printer(SimPrinter(), act))


def test_silence_on_a_live_session_is_a_fault() -> None:
    async def act(device: ZplPrinter, sim: SimPrinter) -> None:
        sim.faults.add("head_open")
        status = await device.status()
        assert (status.ready, status.faults) == (False, ("silent",))
        assert not await device.send(PrintJob(1, {"code": "A", "product": "p"}))
        sim.faults.clear()
        assert (await device.status()).ready

    run(with_printer(SimPrinter(answers_hqes=False), act))


def test_clear_removes_the_label_that_is_not_out_yet() -> None:
    async def act(device: ZplPrinter, sim: SimPrinter) -> None:
        assert await device.send(PrintJob(1, {"code": "A", "product": "p"}))
        assert await device.clear()
        assert not sim.queue
        assert await device.next_event(0.1) is None
        await print_one(device, sim, 2, "B")
        sim.faults.add("paper_out")
        assert not await device.clear()

    run(with_printer(SimPrinter(print_time=0.3), act))


def test_a_label_that_never_comes_is_reported() -> None:
    class Stuck(SimPrinter):
        """Says that it is idle and prints nothing."""

        def accept(self, body: bytes, now: float) -> None:
            pass

    async def act(device: ZplPrinter, sim: SimPrinter) -> None:
        assert await device.send(PrintJob(7, {"code": "A", "product": "p"}))
        with pytest.raises(TransientError, match="label 7"):
            await device.next_event(3.0)
        with pytest.raises(TransientError):
            await device.send(PrintJob(8, {"code": "B", "product": "p"}))

    run(with_printer(Stuck(), act, print_timeout=0.3))


def test_a_counter_that_goes_back_is_a_restart() -> None:
    async def act(device: ZplPrinter, sim: SimPrinter) -> None:
        await print_one(device, sim, 1, "A")
        assert await device.send(PrintJob(2, {"code": "B", "product": "p"}))
        sim.queue.clear()
        sim.counter = 0
        with pytest.raises(TransientError, match="went back"):
            await device.next_event(3.0)

    run(with_printer(SimPrinter(print_time=0.2), act))


def test_peel_waits_until_the_label_is_taken() -> None:
    async def act(device: ZplPrinter, sim: SimPrinter) -> None:
        job = {"product": "p"}
        assert await device.send(PrintJob(1, job | {"code": "A"}))
        assert (await device.next_event(2.0)) is not None
        assert await device.send(PrintJob(2, job | {"code": "B"}))
        assert await device.next_event(0.2) is None
        assert sim.fire(time.monotonic()) == ("A", "A")
        event = await device.next_event(2.0)
        assert event is not None
        assert event.ref == 2

    run(with_printer(SimPrinter(print_time=0.02, peel=True), act))


def test_an_unknown_template_is_refused() -> None:
    async def act(device: ZplPrinter, sim: SimPrinter) -> None:
        with pytest.raises(DomainError, match="pallet") as refused:
            await device.send(PrintJob(1, {"code": "A"}, "pallet"))
        assert refused.value.reason == "printer_template_unknown"

    run(with_printer(SimPrinter(), act))


# -------------------------------------------------------------------------------------- troubles


class Mute:
    def feed(self, data: bytes) -> bytes:
        return b""


class Babble:
    """A megabyte of nonsense before each right answer."""

    def __init__(self) -> None:
        self._printer = ZplTalk(SimPrinter(print_time=0.0), time.monotonic)

    def feed(self, data: bytes) -> bytes:
        answer = self._printer.feed(data)
        return b"\xff\x00,1" * 250_000 + answer if answer else b""


def test_a_peer_that_never_answers_is_a_silent_printer_and_closes_in_time() -> None:
    async def scenario() -> None:
        server = TcpAdapter(Mute)
        port = await server.start()
        device = STAGE.made(f"tcp://127.0.0.1:{port}")
        await device.open()
        assert device.capability.evidence is Evidence.ACCEPTED
        assert not await device.send(PrintJob(1, {"code": "A", "product": "p"}))
        assert (await device.status()).faults == ("silent",)
        assert await device.next_event(0.05) is None
        begin = time.monotonic()
        await device.close()
        assert time.monotonic() - begin < 2.5
        await server.stop()

    run(scenario())


def test_a_megabyte_before_each_answer() -> None:
    async def scenario() -> None:
        server = TcpAdapter(Babble)
        port = await server.start()
        device = STAGE.made(f"tcp://127.0.0.1:{port}", reply_timeout=3.0)
        await device.open()
        assert (await device.status()).ready
        await device.close()
        await server.stop()

    run(scenario())


def test_the_cable_is_pulled_and_a_new_session_stores_the_label_again() -> None:
    async def scenario() -> None:
        sim = SimPrinter(print_time=0.0)
        server = ZplServer(sim, time.monotonic)
        port = await server.start()
        device = STAGE.made(f"tcp://127.0.0.1:{port}")
        for number in range(2):
            await device.open()
            await print_one(device, sim, number, f"C{number}")
            sim.templates.clear()
            await server.drop()
            with pytest.raises(TransientError):
                await device.next_event(3.0)
            with pytest.raises(TransientError):
                await device.send(PrintJob(9, {"code": "A", "product": "p"}))
            await device.close()
        await server.stop()
        with pytest.raises(TransientError):
            await device.open()

    run(scenario())


def test_a_late_answer_is_not_taken_for_the_next() -> None:
    async def scenario() -> None:
        sim = SimPrinter(print_time=0.0)
        server = ZplServer(sim, time.monotonic)
        port = await server.start()
        device = STAGE.made(f"tcp://127.0.0.1:{port}")
        await device.open()
        assert (await device.status()).ready
        server.wire.answers_late, server.wire.seconds = 1, 0.7
        assert (await device.status()).faults == ("silent",)
        sim.paused = True
        assert (await device.status()).faults == ("paused",), "the late answer said that it is not"
        await device.close()
        await server.stop()

    run(scenario())


@pytest.mark.parametrize(
    "said", [b"login: ", b"E0000\r\n", HS[:30]], ids=["login", "other", "half"]
)
def test_another_language_is_named_with_what_it_said(said: bytes) -> None:
    class Other:
        def feed(self, data: bytes) -> bytes:
            return said

    async def scenario() -> None:
        server = TcpAdapter(Other)
        port = await server.start()
        device = STAGE.made(f"tcp://127.0.0.1:{port}")
        await device.open()
        job = PrintJob(1, {"code": "A", "product": "p"})
        with pytest.raises(TransientError, match=r"labeller.*~HS.*no ZPL.*Check the port"):
            await device.send(job)
        await device.close()
        await server.stop()

    run(scenario())


def test_a_pty_that_hangs_up() -> None:
    async def scenario() -> None:
        line = ZplPty(SimPrinter(), time.monotonic)
        path = await line.start()
        device = STAGE.made(f"serial://{path}")
        await device.open()
        await line.stop()
        with pytest.raises(TransientError):
            await device.status()
        await device.close()

    run(scenario())


def test_secret_values_do_not_reach_the_wire_log(tmp_path: Path) -> None:
    async def scenario() -> None:
        sim = SimPrinter(print_time=0.0)
        server = ZplServer(sim, time.monotonic)
        port = await server.start()
        context = DeviceContext(tmp_path, lambda data: data.replace(b"PRI_ZE", b"******"))
        device = STAGE.made(f"tcp://127.0.0.1:{port}", context)
        await device.open()
        await print_one(device, sim, 1, "PRI_ZE")
        await print_one(device, sim, 2, "PUBLIC")
        await device.close()
        await server.stop()

    run(scenario())
    logged = bytes.fromhex(
        "".join(line.split()[3] for line in (tmp_path / "labeller.log").read_text().splitlines()
                if line.split()[2] in "<>")
    )  # fmt: skip
    assert b"PUBLIC" in logged
    assert b"PRI_" not in logged


# -------------------------------------------------------------------------- the simulated printer


def test_the_simulated_printer_eats_the_head_of_a_qr_without_its_prefix() -> None:
    sim = SimPrinter(print_time=0.0)
    ZplTalk(sim, lambda: 0.0).feed(b"^XA^FO1,1^BQN,2,4^FDhttps://q.cn/1^FS^XZ")
    assert sim.printed[0].texts == ("ps://q.cn/1",)


def test_the_simulated_printer_obeys_a_tilde_in_the_middle_of_a_format() -> None:
    assert Immediate("JA") in Splitter().feed(b"^XA^FDname ~JA more^FS^XZ")


def test_the_simulated_printer_takes_its_time() -> None:
    now = 0.0
    sim = SimPrinter(print_time=1.0)
    talk = ZplTalk(sim, lambda: now)
    talk.feed(b"^XA^FO1,1^BXN,4,200^FDA^FS^XZ^XA^FO1,1^BXN,4,200^FDB^FS^XZ")
    assert sim.fire(0.9) is None
    assert sim.fire(1.0) == ("A",)
    assert sim.fire(1.9) is None
    sim.faults.add("ribbon_out")
    assert sim.fire(2.5) is None
    sim.faults.clear()
    assert sim.fire(2.6) is None
    assert sim.fire(3.6) == ("B",)
