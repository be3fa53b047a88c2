"""The text coder driver against its published shapes, its simulated device, and broken peers."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.core.errors import ConfigError, DomainError, TransientError
from agent.ports.printing import Evidence, PrintEvent, PrintEventKind, PrintJob
from drivers.context import DeviceContext
from drivers.printers import coder_codec as codec
from drivers.printers.profile import PROFILES, Profile, load_profile
from drivers.printers.text_coder import TextCoder, TextCoderConfig
from drivers.sim.leibinger import Leibinger, LeibingerServer
from drivers.sim.serve import TcpAdapter
from drivers.sim.string_coder import LASER, StringCoder, StringServer
from drivers.sim.text_coder import HEARTBEAT, CoderPty, CoderServer, CoderTalk
from drivers.sim.text_coder import TextCoder as SimCoder

QUEUE = load_profile("generic-queue", "test")
TIJ = load_profile("tij-string", "test")
LEIBINGER = load_profile("leibinger-like", "test")


def run(scenario: Coroutine[Any, Any, None]) -> None:
    """Run a scenario with a hard end, and no task may outlive it."""

    async def guarded() -> None:
        await asyncio.wait_for(scenario, 10)
        me = asyncio.current_task()
        left = [task for task in asyncio.all_tasks() if task is not me]
        if left:
            await asyncio.wait(left, timeout=1)
        assert not [task for task in left if not task.done()]

    asyncio.run(guarded())


async def until(condition: Callable[[], bool], timeout: float = 3.0) -> None:
    end = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < end, "the condition did not come true"
        await asyncio.sleep(0.002)


def config(address: str, **more: Any) -> TextCoderConfig:
    section = {"address": address, "profile": "generic-queue", "reply_timeout": 0.5} | more
    return TextCoderConfig.model_validate(section)


def coder(address: str, context: DeviceContext | None = None, **more: Any) -> TextCoder:
    return TextCoder("bottle coder", config(address, **more), context or DeviceContext())


class Script:
    """A device that answers each chunk by a function of the test."""

    def __init__(self, answer: Callable[[bytes], bytes]) -> None:
        self.answer = answer
        self.got = bytearray()

    def feed(self, data: bytes) -> bytes:
        self.got += data
        return self.answer(data)


async def with_script(
    answer: Callable[[bytes], bytes],
    act: Callable[[TextCoder, TcpAdapter, Script], Awaitable[None]],
    **more: Any,
) -> None:
    script = Script(answer)
    server = TcpAdapter(lambda: script)
    port = await server.start()
    device = coder(f"tcp://127.0.0.1:{port}", **more)
    await device.open()
    try:
        await act(device, server, script)
    finally:
        await device.close()
        await server.stop()


# ------------------------------------------------------------------------------------- codec


@pytest.mark.parametrize("path", sorted(PROFILES.glob("*.toml")), ids=lambda p: p.stem)
def test_every_profile_loads_and_encodes_a_record(path: Path) -> None:
    profile = load_profile(path.stem, "test")
    record = codec.encode_record(profile, "test", 7, ["ABC123"])
    assert b"ABC123" in record
    assert record.endswith(profile.suffix.encode("latin-1"))


def test_generic_queue_dialogue() -> None:
    assert codec.encode_record(QUEUE, "c", 12, ["A1", "批"]) == b"\x02R;12;A1;\xe6\x89\xb9\x03"
    parser = codec.CoderCodec(QUEUE)
    parser.expected = (codec.ACK, codec.FULL, codec.NAK)
    assert parser.feed(b"\x02A;12;1\x03\x02D;12;501\x03\x02H\x03") == [
        codec.Message(codec.ACK, {"ref": "12", "waiting": "1"}),
        codec.Message(codec.DONE, {"ref": "12", "counter": "501"}),
        codec.Message(codec.HEARTBEAT),
    ]
    parser.expected = (codec.status_kind(0),)
    (status,) = parser.feed(b"\x02S;0;3;501;ink_out,head_dirty\x03")
    assert status.groups["faults"] == "ink_out,head_dirty"
    assert status.number("waiting") == 3


def test_leibinger_dialogue() -> None:
    assert codec.encode_record(LEIBINGER, "c", 1, ["X9"]) == b"^0=ETX9\r^0?ET\r"
    parser = codec.CoderCodec(LEIBINGER)
    parser.expected = (codec.ACK,)
    assert parser.feed(b"^0=ETX9\r") == [codec.Message(codec.ACK, {"text": "X9"})]
    parser.expected = (codec.status_kind(0),)
    (status,) = parser.feed(b"^0=RS2\t6\t0\t1\t250\r")
    assert (status.groups["ready"], status.groups["faults"]) == ("6", "0")
    parser.expected = (codec.status_kind(1),)
    assert parser.feed(b"^0=CC000123\r")[0].number("counter") == 123


def test_tij_dialogue_in_gbk() -> None:
    assert codec.encode_record(TIJ, "c", 1, ["批号"]) == "批号\r\n".encode("gbk")
    parser = codec.CoderCodec(TIJ)
    parser.expected = (codec.ACK, codec.FULL, codec.NAK)
    kinds = [message.kind for message in parser.feed(b"OK\r\nPRINTED\r\nNEXT\r\n")]
    assert kinds == [codec.ACK, codec.DONE, codec.REQUEST]


def test_an_answer_that_nobody_asked_for_is_noise() -> None:
    parser = codec.CoderCodec(QUEUE)
    assert parser.feed(b"\x02A;12;1\x03") == []
    assert parser.noise > 0


STREAM = Profile.model_validate(
    {
        "title": "acks without an end", "verified": "test", "suffix": "\r", "separator": ",",
        "queue": 1, "repeat_risk": True, "fifo": True, "ack": "\\x06", "nak": "\\x15[0-9]{3}",
        "done": "<P(?P<ref>[0-9]{1,9})>",
    }
)  # fmt: skip


@pytest.mark.parametrize(
    ("profile", "stream", "expected"),
    [
        (QUEUE, b"\x02D;1;1\x03\x02A;2;1\x03\x02D;2;2\x03\x02H\x03", ["done", "ack", "done"]),
        (TIJ, b"OK\r\nPRINTED\r\nPRINTED\r\nNEXT\r\n", ["ack", "done", "done", "request"]),
        (STREAM, b"<P1>\x06<P2>\x15024<P3>", ["done", "ack", "done", "nak", "done"]),
    ],
)
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_any_split_and_noise_gives_the_same_messages(
    profile: Profile, stream: bytes, expected: list[str], data: st.DataObject
) -> None:
    # Noise cannot hide a message that starts anew: an end alone closes what was garbage.
    end = profile.end.encode("latin-1")
    noise = data.draw(st.binary(max_size=40).map(lambda b: b.translate(None, b"\x02\x03<\x06\x15")))
    garbled = noise + end + stream
    cuts = sorted(data.draw(st.sets(st.integers(0, len(garbled)), max_size=12)))
    parser = codec.CoderCodec(profile)
    parser.expected = (codec.ACK, codec.NAK)
    kinds = [
        message.kind
        for begin, stop in zip([0, *cuts], [*cuts, len(garbled)], strict=True)
        for message in parser.feed(garbled[begin:stop])
        if message.kind != codec.HEARTBEAT
    ]
    assert kinds == expected


@pytest.mark.parametrize("profile", [QUEUE, TIJ, LEIBINGER, STREAM])
def test_one_byte_at_a_time_is_the_same_as_all_at_once(profile: Profile) -> None:
    rng = random.Random(4)
    alphabet = b"\x02\x03\r\nOKA;D0123<P>H\x06\x15^=ET"
    stream = bytes(rng.choice(alphabet) for _ in range(3000))
    whole, single = codec.CoderCodec(profile), codec.CoderCodec(profile)
    whole.expected = single.expected = (codec.ACK, codec.NAK, codec.FULL)
    assert whole.feed(stream) == [m for byte in stream for m in single.feed(bytes([byte]))]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.binary(max_size=200), max_size=8))
def test_the_codec_survives_anything(chunks: list[bytes]) -> None:
    for profile in (QUEUE, TIJ, LEIBINGER, STREAM):
        parser = codec.CoderCodec(profile)
        parser.expected = (codec.ACK, codec.status_kind(0))
        for chunk in chunks:
            parser.feed(chunk)


def test_a_megabyte_without_an_end_is_dropped_and_the_next_message_understood() -> None:
    parser = codec.CoderCodec(QUEUE)
    assert parser.feed(b"x" * 1_000_000) == []
    assert parser.noise > 990_000, "it is dropped as it comes"
    assert parser.feed(b"\x02D;5;5\x03")[0].number("ref") == 5
    assert parser.noise >= 1_000_000


@settings(max_examples=200, deadline=None)
@given(value=st.text(max_size=60), profile=st.sampled_from([QUEUE, TIJ, LEIBINGER]))
def test_no_value_can_end_or_split_a_record(value: str, profile: Profile) -> None:
    try:
        record = codec.encode_record(profile, "c", 3, [value])
    except DomainError:
        return
    suffix, prefix = profile.suffix.encode("latin-1"), profile.prefix.encode("latin-1")
    assert record.startswith(prefix)
    inner = record.removeprefix(prefix).removesuffix(suffix)
    if profile.ref_first:
        inner = inner.removeprefix(b"3;")
    assert inner == value.encode(profile.encoding)
    assert profile.separator.encode() not in inner
    assert not any(byte < 0x20 for byte in inner)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("A;B", "printer_value_forbidden"),
        ("A\x03", "printer_value_forbidden"),
        ("A\x1dB", "printer_value_forbidden"),
        ("A" * 2000, "printer_value_too_long"),
    ],
)
def test_values_are_refused_before_anything_is_sent(value: str, reason: str) -> None:
    async def act(device: TextCoder, server: TcpAdapter, script: Script) -> None:
        with pytest.raises(DomainError) as refused:
            await device.send(PrintJob(1, {"code": value}))
        assert refused.value.reason == reason
        with pytest.raises(TransientError):
            await device.status()  # the silent script: what it got so far is the status query
        assert bytes(script.got) == b"\x02S\x03"

    run(with_script(lambda data: b"", act, reply_timeout=0.1))


def test_a_gbk_character_whose_second_byte_is_the_separator_is_refused() -> None:
    profile = TIJ.model_copy(update={"separator": "|"})
    char = next(bytes([first, 0x7C]).decode("gbk") for first in range(0x81, 0xFE))
    with pytest.raises(DomainError):
        codec.encode_record(profile, "c", 1, [char])


def test_a_character_that_the_device_lacks_is_refused() -> None:
    with pytest.raises(DomainError) as refused:
        codec.encode_record(TIJ, "c", 1, ["\U0001f37e"])
    assert refused.value.reason == "printer_value_encoding"


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"ack": "("}, "regular expression"),
        ({"done": "x*"}, "nothing"),
        ({"start": "\u0002", "end": ""}, "end"),
        ({"silence": 3.0, "heartbeat": None}, "heartbeat"),
        ({"on_request": True, "request": None}, "on_request"),
        ({"colour": "red"}, "colour"),
        ({"prefix": "码"}, "U\\+0000"),
    ],
)
def test_a_wrong_profile_is_refused_by_name(
    change: dict[str, Any], word: str, tmp_path: Path
) -> None:
    path = tmp_path / "mine.toml"
    data = QUEUE.model_dump(
        exclude={"clear", "status", "faults", "ready", "warnings"}, exclude_none=True
    )
    lines = []
    for key, value in (data | change).items():
        if value is None:
            lines = [line for line in lines if not line.startswith(key)]
        elif isinstance(value, bool):
            lines.append(f"{key} = {str(value).lower()}")
        elif isinstance(value, int | float):
            lines.append(f"{key} = {value}")
        else:
            escaped = "".join(f"\\u{ord(c):04x}" for c in value)
            lines.append(f'{key} = "{escaped}"')
    path.write_text("\n".join(lines), "utf-8")
    with pytest.raises(ConfigError, match=word) as error:
        load_profile(str(path), "coder")
    assert "mine.toml" in str(error.value)


def test_an_unknown_profile_names_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="generic-queue"):
        load_profile("nonesuch", "coder 1")


# --------------------------------------------------------------------- against the simulated coder


async def print_and_fire(device: TextCoder, sim: SimCoder, count: int) -> list[PrintEvent]:
    """Keep a window of 8 records, fire as fast as they are there, collect every event."""
    events: list[PrintEvent] = []
    sent = 0
    while len(events) < count:
        while sent < count and sent - len(events) < 8:
            assert await device.send(PrintJob(1000 + sent, {"code": f"C{sent}"}))
            sent += 1
        assert sim.fire(0.0) == (f"C{len(events)}",)
        event = await device.next_event(2.0)
        assert event is not None
        events.append(event)
    return events


def test_records_are_printed_in_order_and_named() -> None:
    async def scenario() -> None:
        sim = SimCoder(capacity=16)
        server = CoderServer(sim)
        device = coder(f"tcp://127.0.0.1:{await server.start()}")
        assert device.capability.evidence is Evidence.INDEXED
        assert device.capability.clears
        await device.open()
        begin = time.monotonic()
        events = await print_and_fire(device, sim, 200)
        per_second = 200 / (time.monotonic() - begin)
        assert [event.ref for event in events] == list(range(1000, 1200))
        assert {event.kind for event in events} == {PrintEventKind.PRINTED}
        assert per_second > 33, "120,000 bottles an hour must be sustained"
        status = await device.status()
        assert (status.ready, status.waiting, status.counter) == (True, 0, 200)
        await device.close()
        await server.stop()

    run(scenario())


def test_over_a_serial_line() -> None:
    async def scenario() -> None:
        sim = SimCoder()
        line = CoderPty(sim)
        device = coder(f"serial://{await line.start()}?baud=115200")
        await device.open()
        events = await print_and_fire(device, sim, 20)
        assert events[-1].ref == 1019
        assert await device.clear()
        await device.close()
        await line.stop()

    run(scenario())


def test_the_device_connects_to_us_and_the_newest_connection_wins() -> None:
    async def scenario() -> None:
        probe = await asyncio.start_server(lambda r, w: w.close(), "127.0.0.1", 0)
        port = probe.sockets[0].getsockname()[1]
        probe.close()
        sim = SimCoder()
        device = coder(f"tcp://127.0.0.1:{port}", role="server")
        opening = asyncio.create_task(device.open())
        first = CoderServer(sim, connect_to=("127.0.0.1", port))
        while not first.connected:
            await asyncio.sleep(0.01)
            try:
                await first.start()
            except ConnectionRefusedError:
                continue
        await opening
        assert await device.send(PrintJob(1, {"code": "A"}))
        second = CoderServer(sim, connect_to=("127.0.0.1", port))
        await second.start()
        with pytest.raises(TransientError):
            await device.next_event(3.0)
        await device.close()
        await first.stop()
        await second.stop()

    run(scenario())


def test_full_then_cleared_with_acknowledgement() -> None:
    async def scenario() -> None:
        sim = SimCoder(capacity=2)
        server = CoderServer(sim)
        device = coder(f"tcp://127.0.0.1:{await server.start()}")
        await device.open()
        taken = [await device.send(PrintJob(n, {"code": f"C{n}"})) for n in range(4)]
        assert taken == [True, True, False, False]
        assert await device.clear()
        assert not sim.buffer
        assert sim.fire(0.0) is None
        assert await device.next_event(0.05) is None
        assert await device.send(PrintJob(9, {"code": "C9"}))
        assert sim.fire(0.0) == ("C9",)
        event = await device.next_event(1.0)
        assert event is not None
        assert event.ref == 9
        await device.close()
        await server.stop()

    run(scenario())


def test_faults_have_names() -> None:
    async def scenario() -> None:
        sim = SimCoder()
        sim.faults = {"ink_out", "ink_low"}
        server = CoderServer(sim)
        device = coder(f"tcp://127.0.0.1:{await server.start()}")
        await device.open()
        status = await device.status()
        assert not status.ready
        assert (status.faults, status.warnings) == (("ink_out",), ("ink_low",))
        assert await device.send(PrintJob(1, {"code": "A"}))
        assert sim.fire(0.0) is None
        await device.close()
        await server.stop()

    run(scenario())


def test_the_coder_can_repeat_the_old_code_and_still_report_the_new_one() -> None:
    done: list[str] = []
    sim = SimCoder(repeat_old={2}, on_done=lambda d: done.append(d.ref))
    talk = CoderTalk(sim)
    assert talk.feed(b"\x02R;1;A\x03\x02R;2;B\x03") == b"\x02A;1;1\x03\x02A;2;2\x03"
    assert [sim.fire(0.0), sim.fire(0.1), sim.fire(0.2)] == [("A",), ("A",), None]
    assert done == ["1", "2"]
    lazy = SimCoder(repeat_risk=True)
    CoderTalk(lazy).feed(b"\x02R;1;A\x03")
    assert [lazy.fire(0.0), lazy.fire(0.1)] == [("A",), ("A",)]


# ------------------------------------------------------------------------------- other dialogues


def test_strictly_first_in_first_out_without_ids() -> None:
    async def act(device: TextCoder, server: TcpAdapter, script: Script) -> None:
        assert device.capability.evidence is Evidence.EVENT
        assert await device.send(PrintJob(41, {"code": "A"}))
        assert await device.send(PrintJob(42, {"code": "B"}))
        server.push(b"PRINTED\r\nPRINTED\r\nNEXT\r\nPRINTED\r\n")
        events = [await device.next_event(1.0) for _ in range(4)]
        assert [(e.kind, e.ref) for e in events if e] == [
            (PrintEventKind.PRINTED, 41),
            (PrintEventKind.PRINTED, 42),
            (PrintEventKind.REQUEST, None),
            (PrintEventKind.PRINTED, None),
        ]

    run(with_script(lambda data: b"OK\r\n", act, profile="tij-string"))


def test_records_that_were_cleared_are_not_the_next_ones_printed() -> None:
    clear = {"send": "CLR\r\n", "reply": "CLEARED"}
    profile = Profile.model_validate(TIJ.model_dump(exclude_none=True) | {"clear": clear})

    def answer(data: bytes) -> bytes:
        return b"CLEARED\r\n" if data == b"CLR\r\n" else b"OK\r\n"

    async def act(device: TextCoder, server: TcpAdapter, script: Script) -> None:
        for ref in (1, 2):
            assert await device.send(PrintJob(ref, {"code": "A"}))
        assert await device.clear()
        assert await device.send(PrintJob(3, {"code": "B"}))
        server.push(b"PRINTED\r\n")
        event = await device.next_event(1.0)
        assert event is not None
        assert event.ref == 3

    run(with_script(answer, act, profile=profile))


def test_a_print_reported_in_the_packet_of_its_acknowledgement() -> None:
    async def act(device: TextCoder, server: TcpAdapter, script: Script) -> None:
        assert await device.send(PrintJob(7, {"code": "A"}))
        event = await device.next_event(1.0)
        assert event is not None
        assert event.ref == 7

    run(with_script(lambda data: b"OK\r\nPRINTED\r\n", act, profile="tij-string"))


def test_a_refusal_is_told_from_full() -> None:
    async def act(device: TextCoder, server: TcpAdapter, script: Script) -> None:
        assert not await device.send(PrintJob(1, {"code": "A"}))
        script.answer = lambda data: b"ERR 12\r\n"
        with pytest.raises(DomainError, match="12") as refused:
            await device.send(PrintJob(2, {"code": "B"}))
        assert refused.value.reason == "printer_refused"

    run(with_script(lambda data: b"FULL\r\n", act, profile="tij-string"))


def test_read_back_must_be_what_was_sent() -> None:
    has = [b"AB"]

    def answer(data: bytes) -> bytes:
        return b"^0=CC00000004\r" if data == b"^0?CC\r" else b"^0=ET" + has[0] + b"\r"

    async def act(device: TextCoder, server: TcpAdapter, script: Script) -> None:
        assert device.capability.evidence is Evidence.COUNTER
        assert not device.capability.clears
        assert await device.send(PrintJob(1, {"code": "AB"}))
        assert not await device.send(PrintJob(2, {"code": "CD"})), "the counter has not moved"
        await device.close()
        await device.open()
        has[0] = b"old"
        with pytest.raises(TransientError, match="another record"):
            await device.send(PrintJob(2, {"code": "CD"}))

    run(with_script(answer, act, profile="leibinger-like"))


def test_an_acknowledgement_of_another_record_ends_the_session() -> None:
    async def act(device: TextCoder, server: TcpAdapter, script: Script) -> None:
        with pytest.raises(TransientError):
            await device.send(PrintJob(1, {"code": "A"}))
        with pytest.raises(TransientError):
            await device.status()

    run(with_script(lambda data: b"\x02A;77;1\x03", act))


def test_fields_go_in_the_order_of_the_section() -> None:
    async def act(device: TextCoder, server: TcpAdapter, script: Script) -> None:
        assert await device.send(PrintJob(1, {"a": "1", "b": "2", "c": "3"}))
        assert bytes(script.got) == b"\x02R;1;2;1\x03"
        with pytest.raises(DomainError) as refused:
            await device.send(PrintJob(2, {"a": "1"}))
        assert refused.value.reason == "printer_field_missing"

    run(with_script(lambda data: b"\x02A;1;1\x03", act, fields=["b", "a"]))


def test_uv_dialogue() -> None:
    profile = load_profile("uv-string", "test")
    assert codec.encode_record(profile, "c", 1, ["A1", "L7"]) == b"\x02DATA;A1;L7;\x03"
    parser = codec.CoderCodec(profile)
    parser.expected = (codec.ACK, codec.FULL, codec.NAK)
    said = parser.feed(b"\x02RSFP;12;A1;L7\x03\x02DATA;OK\x03")
    assert [message.kind for message in said] == [codec.DONE, codec.ACK]
    assert said[0].number("counter") == 12


def test_a_laser_that_connects_to_us_gets_a_text_when_it_asks() -> None:
    async def scenario() -> None:
        probe = await asyncio.start_server(lambda r, w: w.close(), "127.0.0.1", 0)
        port = probe.sockets[0].getsockname()[1]
        probe.close()
        laser = StringCoder(replace(LASER, depth=9))  # it would take what it did not ask for
        device = coder(f"tcp://127.0.0.1:{port}", role="server", profile="laser-string")
        opening = asyncio.create_task(device.open())
        server = StringServer(laser, connect_to=("127.0.0.1", port))
        while not server.connected:
            await asyncio.sleep(0.01)
            try:
                await server.start()
            except ConnectionRefusedError:
                continue
        await opening
        for ref in (1, 2):
            event = await device.next_event(2.0)
            assert event is not None
            assert event.kind is PrintEventKind.REQUEST
            assert await device.send(PrintJob(ref, {"code": f"C{ref}"}))
            assert not await device.send(PrintJob(9, {"code": "C9"})), "it has not asked"
            assert laser.trigger() == f"C{ref}"
            assert laser.trigger() is None
            event = await device.next_event(2.0)
            assert event is not None
            assert (event.kind, event.ref) == (PrintEventKind.PRINTED, ref)
        await device.close()
        await server.stop()

    run(scenario())


def test_a_value_that_a_leibinger_printed_twice_is_told() -> None:
    async def scenario() -> None:
        jet = Leibinger(checks=False)
        server = LeibingerServer(jet)
        device = coder(f"tcp://127.0.0.1:{await server.start()}", profile="leibinger-like")
        await device.open()
        assert await device.send(PrintJob(3, {"code": "AB"}))
        jet.trigger()
        jet.trigger()
        event = await device.next_event(2.0)
        assert event is not None
        assert (event.ref, event.counter) == (3, 2)
        with pytest.raises(TransientError, match="record 3 2 times"):
            await device.next_event(2.0)
        await device.close()
        await server.stop()

    run(scenario())


# -------------------------------------------------------------------------------------- troubles


def test_a_peer_that_never_answers_is_transient_and_the_late_answer_is_not_believed() -> None:
    async def act(device: TextCoder, server: TcpAdapter, script: Script) -> None:
        begin = time.monotonic()
        with pytest.raises(TransientError, match="did not answer"):
            await device.send(PrintJob(1, {"code": "A"}))
        assert time.monotonic() - begin < 1.0
        server.push(b"\x02A;2;1\x03")
        with pytest.raises(TransientError):
            await device.send(PrintJob(2, {"code": "B"}))
        with pytest.raises(TransientError):
            await device.next_event(1.0)
        assert bytes(script.got) == b"\x02R;1;A\x03"

    run(with_script(lambda data: b"", act, reply_timeout=0.1))


def test_a_command_that_was_given_up_ends_the_session() -> None:
    async def act(device: TextCoder, server: TcpAdapter, script: Script) -> None:
        sending = asyncio.create_task(device.send(PrintJob(1, {"code": "A"})))
        await until(lambda: bool(script.got))
        sending.cancel()
        await asyncio.wait([sending])
        with pytest.raises(TransientError):
            await device.send(PrintJob(2, {"code": "B"}))

    run(with_script(lambda data: b"", act))


def test_garbage_and_a_megabyte_do_not_hide_the_answer() -> None:
    async def act(device: TextCoder, server: TcpAdapter, script: Script) -> None:
        assert await device.send(PrintJob(1, {"code": "A"}))

    junk = bytes(b for b in random.Random(1).randbytes(1_000_000) if b not in (2, 3))
    run(with_script(lambda data: junk + b"\x02A;1;1\x03", act, reply_timeout=3.0))


def test_the_cable_is_pulled_and_a_new_session_works() -> None:
    async def scenario() -> None:
        sim = SimCoder()
        server = CoderServer(sim)
        device = coder(f"tcp://127.0.0.1:{await server.start()}")
        for attempt in range(3):
            await device.open()
            assert await device.send(PrintJob(attempt, {"code": f"C{attempt}"}))
            await server.drop()
            with pytest.raises(TransientError):
                await device.next_event(2.0)
            with pytest.raises(TransientError):
                await device.send(PrintJob(99, {"code": "X"}))
            await device.close()
        await server.stop()
        with pytest.raises(TransientError, match=r"127\.0\.0\.1"):
            await device.open()
        await device.close()
        assert len(sim.buffer) == 3

    run(scenario())


def test_a_print_that_was_reported_before_the_cable_was_pulled_is_not_lost() -> None:
    async def scenario() -> None:
        sim = SimCoder()
        server = CoderServer(sim)
        device = coder(f"tcp://127.0.0.1:{await server.start()}")
        await device.open()
        assert await device.send(PrintJob(5, {"code": "A"}))
        sim.fire(0.0)
        await until(lambda: bool(device._link.events))
        await server.drop()
        await until(lambda: device._link.broken is not None)
        event = await device.next_event(1.0)
        assert event is not None
        assert event.ref == 5
        with pytest.raises(TransientError):
            await device.next_event(1.0)
        await device.close()
        await server.stop()

    run(scenario())


def test_a_missing_heartbeat_ends_the_session() -> None:
    profile = QUEUE.model_copy(update={"silence": 0.2})

    async def act(device: TextCoder, server: TcpAdapter, script: Script) -> None:
        server.push(HEARTBEAT)
        assert await device.next_event(0.1) is None
        with pytest.raises(TransientError, match="said nothing"):
            await device.next_event(2.0)

    run(with_script(lambda data: b"", act, profile=profile))


def test_events_that_nobody_fetches_end_the_session_instead_of_growing() -> None:
    async def act(device: TextCoder, server: TcpAdapter, script: Script) -> None:
        server.push(b"".join(b"\x02D;%d;%d\x03" % (n, n) for n in range(5000)))
        await until(lambda: device._link.broken is not None)
        assert len(device._link.events) == 4096

    run(with_script(lambda data: b"", act))


def test_secret_values_do_not_reach_the_wire_log(tmp_path: Path) -> None:
    async def scenario() -> None:
        sim = SimCoder()
        server = CoderServer(sim)
        context = DeviceContext(tmp_path, lambda data: data.replace(b"PRIZE", b"*****"))
        device = coder(f"tcp://127.0.0.1:{await server.start()}", context)
        await device.open()
        assert await device.send(PrintJob(1, {"code": "PRIZE"}))
        assert sim.fire(0.0) == ("PRIZE",)
        await device.close()
        await server.stop()

    run(scenario())
    text = (tmp_path / "bottle_coder.log").read_text()
    assert b"PRIZE".hex() not in text
    assert b"\x02R;1;*****\x03".hex() in text
