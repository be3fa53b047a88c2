"""Readers: what their makers' documents print, what a payload means, and what goes wrong between a
command and its answer."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from agent.app import checking
from agent.core.errors import ConfigError, DomainError, TransientError
from agent.ports.reading import CodeReader, Read
from drivers import registry
from drivers.context import DeviceContext
from drivers.readers.dmcc import DmccCodec, DmccConfig, command, quoted
from drivers.readers.keyence import KeyenceCodec, KeyenceConfig
from drivers.readers.line_reader import LineCodec, LineReaderConfig
from drivers.readers.payload import PROFILES, Answer, Heard, PayloadConfig, heard
from drivers.sim.dmcc_reader import DataMan, DataManServer
from drivers.sim.keyence_reader import SrReader, SrServer
from drivers.sim.line_reader import ReaderServer
from tests.drivers.contract_reader import until
from tests.drivers.saying import told

AT = "tcp://127.0.0.1:1"


def run(scenario: Coroutine[Any, Any, None]) -> None:
    async def guarded() -> None:
        async with asyncio.timeout(10):
            await scenario

    asyncio.run(guarded())


def reads(*texts: str) -> Heard:
    return Heard(tuple(Read(text) for text in texts))


# ---------------------------------------------------------------------------------------- payload


def test_what_a_payload_means() -> None:
    config = PayloadConfig(separator=";", no_read=("NOREAD", "NG"))
    assert heard(b"A;B", config) == reads("A", "B")
    assert heard(b"A;NOREAD;B;", config) == reads("A", "B")
    assert heard(b"A;A;B", config) == reads("A", "B"), "the same code seen twice is one"
    assert heard(b"NG", config) == Heard(())
    assert heard(b"NGX", config) == reads("NGX")
    assert heard(b"]Q3A\x1dB", config) == Heard((Read("A\x1dB", "]Q3"),))
    assert heard(b"]C1A;]d2A", config) == Heard((Read("A", "]C1"), Read("A", "]d2")))
    assert heard(b"]Q1", config) == reads("]Q1"), "an identifier alone is a text"
    twice = PayloadConfig(separator=";", fold=False)
    assert heard(b"A;A", twice) == reads("A", "A")


@pytest.mark.parametrize("literal", ["NOREAD", "\x18", "未读", "]E0NG"])
def test_a_no_read_text_never_is_a_code_not_even_behind_an_identifier(literal: str) -> None:
    config = PayloadConfig(no_read=(literal,))
    assert heard(literal.encode(), config) == Heard(())
    assert heard(f"]Q1{literal}".encode(), config) == Heard(())


def test_the_triggers_number_stands_first() -> None:
    config = PayloadConfig(numbered=":", separator=",")
    assert heard(b"17:A,B", config) == Heard((Read("A"), Read("B")), 17)
    assert heard(b"17:NOREAD", config) == Heard((), 17)
    for wrong in (b"A,B", b":A", b"x17:A", b"-1:A", b"1234567890:A", b"\xb9:A"):
        assert heard(wrong, config) is None


@settings(max_examples=50)
@given(st.text(st.characters(codec="utf-8", exclude_characters="]"), min_size=1))
def test_any_text_that_is_no_literal_is_read_as_it_is(text: str) -> None:
    config = PayloadConfig(no_read=("NOREAD",))
    if text != "NOREAD":
        assert heard(text.encode(), config) == reads(text)


@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        ({"no_read": ["A;B"], "separator": ";"}, "separator"),
        ({"no_read": [""]}, "no_read"),
        ({"numbered": "\x1d"}, "0x1D"),
        ({"no_read": ["HB"], "heartbeat": "HB"}, "heartbeat"),
        ({"trigger_off": "x"}, "trigger_on"),
        ({"profile": "nonesuch"}, "hikrobot"),
        ({"profile": "datalogic", "terminator": ""}, "terminator"),
    ],
)
def test_a_section_that_cannot_work_is_refused(wrong: dict[str, Any], word: str) -> None:
    with pytest.raises(ValidationError, match=word):
        LineReaderConfig.model_validate({"address": AT} | wrong)


@pytest.mark.parametrize("profile", sorted(path.stem for path in PROFILES.glob("*.toml")))
def test_every_profile_loads_and_a_key_of_the_section_wins(profile: str) -> None:
    section = {"type": "line_reader", "address": AT, "profile": profile}
    assert isinstance(registry.build("r", section, DeviceContext()), CodeReader)
    config = registry.check("r", section | {"terminator": "\x03"})
    assert isinstance(config, LineReaderConfig)
    assert config.terminator == "\x03"


def test_datalogic_as_it_comes() -> None:
    config = LineReaderConfig.model_validate({"address": AT, "profile": "datalogic"})
    assert LineCodec(config).feed(b"\x02123,456\r\n\x02\x18\r\n") == [
        reads("123", "456"),
        Heard(()),
    ]


# ------------------------------------------------------------------------------------ transcripts


def test_dmcc_as_cognex_prints_it() -> None:
    codec = DmccCodec(DmccConfig(address=AT))
    assert command(123, "TRIGGER ON") == b"||0:123>TRIGGER ON\r\n"
    stream = (
        b"||0:123[0]\r\n"
        b"||[0]ON\r\n"  # to a command without a number
        b"||0:9[101]\r\n"
        b"||0:0[1]aGVsbG8=\r\n"
        b"||0:0[1]Tk8gUkVBRA==\r\n"
        b"||:::2[0]\r\n"  # newer firmware
        b"]d2plain\r\n"
    )
    assert codec.feed(stream) == [
        Answer("123"),
        Answer("", 0, "ON"),
        Answer("9", 101),
        reads("hello"),
        Heard(()),
        Answer(""),
        Heard((Read("plain", "]d2"),)),
    ]
    assert codec.dropped == 0


def test_dmcc_escapes_and_sums() -> None:
    assert quoted('a"b\\c|d\te\r\n') == '"a\\"b\\\\c\\|d\\te\\r\\n"'
    summed = command(7, "GET DEVICE.TYPE", checksum=True)
    assert summed.startswith(b"||1:7>GET DEVICE.TYPE")
    total = 0
    for byte in summed[:-2]:
        total ^= byte
    assert total == 0
    codec = DmccCodec(DmccConfig(address=AT, checksum=True))
    good = b"||1:7[0]DM370"
    total = 0
    for byte in good:
        total ^= byte
    assert codec.feed(good + bytes([total, 13, 10])) == [Answer("7", 0, "DM370")]
    assert codec.feed(good + bytes([total ^ 1, 13, 10])) == []
    assert codec.dropped == 1


@pytest.mark.parametrize(
    "wrong", [b"||0:1[0", b"||0:1]0[x", b"||x:1[0]a", b"||0:1[1]not base64!", b"||", b"||0:1[9999]"]
)
def test_what_only_looks_like_dmcc_is_no_code(wrong: bytes) -> None:
    codec = DmccCodec(DmccConfig(address=AT))
    assert all(not one.reads for one in codec.feed(wrong + b"\r\n") if isinstance(one, Heard))
    assert codec.dropped == 1


def test_keyence_as_it_is_restated() -> None:
    codec = KeyenceCodec(KeyenceConfig(address=AT, separator=","))
    stream = (
        b"OK,LON\rER,LON,23\rOK,KEYENCE,SR-X300,1.73,7.244\rERROR\r"
        b"2680002971\r\n]Q1A,B\rER,KEYENCE,what\rOK,LONDON\r"
    )
    assert codec.feed(stream) == [
        Answer("LON"),
        Answer("LON", 23, "23"),
        Answer("KEYENCE", 0, "SR-X300,1.73,7.244"),
        Heard(()),
        reads("2680002971"),
        Heard((Read("A", "]Q1"), Read("B"))),
        Answer("KEYENCE", -1, "what"),
        reads("OK", "LONDON"),
    ]


# --------------------------------------------------------------------------- commands and answers


async def with_sim(
    sim: Any, section: dict[str, Any], act: Callable[[Any, Any], Awaitable[None]]
) -> None:
    section = {"address": f"tcp://127.0.0.1:{await sim.start()}"} | section
    driver: Any = registry.build("case reader", section, DeviceContext())
    try:
        await act(driver, sim)
    finally:
        await driver.close()
        await sim.stop()


def test_dmcc_is_fired_by_command_and_a_refusal_says_why() -> None:
    async def act(driver: Any, sim: DataManServer) -> None:
        await driver.open()
        await driver.trigger()
        assert sim.reader.reading
        sim.read("A")
        reading = await driver.next_reading(2)
        assert reading is not None
        assert reading.reads == (Read("A"),)
        await driver.trigger(False)
        assert not sim.reader.reading
        sim.reader.offline = True
        with pytest.raises(TransientError, match=r"case reader.*TRIGGER ON.*offline \(105\)"):
            await driver.trigger()
        # The session goes on: the reader did answer.
        sim.read("B")
        assert (await driver.next_reading(2)) is not None

    run(with_sim(DataManServer(), {"type": "dmcc"}, act))


@pytest.mark.parametrize(
    ("sim", "section", "words"),
    [
        (lambda: DataManServer(DataMan("DM8700")), {"type": "dmcc", "model": "DM370"}, "DM8700"),
        (
            lambda: SrServer(SrReader("SR-700")),
            {"type": "keyence_sr", "model": "SR-2000"},
            "SR-700",
        ),
    ],
)
def test_another_model_is_named(
    sim: Callable[[], Any], section: dict[str, Any], words: str
) -> None:
    async def act(driver: Any, _: Any) -> None:
        with pytest.raises(ConfigError, match=rf"case reader.*{words}.*address or `model`"):
            await driver.open()

    run(with_sim(sim(), section, act))


@pytest.mark.parametrize(
    ("section", "command_name"),
    [({"type": "dmcc"}, "GET DEVICE.TYPE"), ({"type": "keyence_sr"}, "KEYENCE")],
)
def test_the_reader_of_another_maker_is_no_reader_of_ours(
    section: dict[str, Any], command_name: str
) -> None:
    """It answers every command of the one protocol in the other."""
    other = SrServer() if section["type"] == "dmcc" else DataManServer()

    async def act(driver: Any, _: Any) -> None:
        with pytest.raises(TransientError, match=rf"case reader.*{command_name}.*[Cc]heck"):
            await driver.open()

    run(with_sim(other, section | {"reply_timeout": 0.2}, act))


def test_autoid_navigator_is_named_with_its_remedy() -> None:
    async def act(driver: Any, sim: SrServer) -> None:
        await driver.open()
        await driver.trigger()
        await until(lambda: sim.reader.reading)
        sim.reader.navigator = True
        with pytest.raises(TransientError, match=r"KEYENCE.*AutoID Navigator.*disconnect"):
            await driver.check()

    run(with_sim(SrServer(), {"type": "keyence_sr"}, act))


class Scripted:
    """Something on a socket that answers each piece that comes with the next of its lines."""

    def __init__(self, *answers: bytes, greeting: bytes = b"", end: bytes = b"\n") -> None:
        self._answers = list(answers)
        self._greeting = greeting
        self._end = end

    async def start(self) -> int:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        self._server.close()
        await asyncio.wait([self._task])

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._task = task
        writer.write(self._greeting)
        while self._answers and await reader.readuntil(self._end):
            writer.write(self._answers.pop(0))
        await reader.read()
        writer.close()


@pytest.mark.parametrize(
    ("sim", "section"),
    [(DataManServer, {"type": "dmcc"}), (SrServer, {"type": "keyence_sr"})],
)
def test_a_test_of_the_device_fires_it(sim: Callable[[], Any], section: dict[str, Any]) -> None:
    async def act(_: Any, one: Any) -> None:
        one.reader.lens = ("]Q1CODE-1",)
        address = f"tcp://127.0.0.1:{one._port}"
        said = await checking.test("case reader", section | {"address": address}, 2)
        assert told(said) == "It read: ]Q1CODE-1"

    run(with_sim(sim(), section, act))


def test_a_greeting_is_no_code_and_plain_lines_are() -> None:
    greeting = b"\xff\xfb\x01\xff\xfb\x03Welcome to DataMan\r\n"
    script = Scripted(b"", b"||0:2[0]DM370\r\n", b"||:::2[0]\r\nA\r\n", greeting=greeting)

    async def act(driver: Any, _: Any) -> None:
        await driver.open()
        await driver.trigger()
        reading = await driver.next_reading(2)
        assert reading is not None
        assert reading.reads == (Read("A"),)

    run(with_sim(script, {"type": "dmcc"}, act))


def test_the_answer_to_the_command_before_is_not_taken_for_this_ones() -> None:
    script = Scripted(b"", b"||0:1[0]old\r\n||0:77[101]\r\n||0:2[0]DM370\r\n")

    async def act(driver: Any, _: Any) -> None:
        await driver.open()
        assert driver._link.stale == 2

    run(with_sim(script, {"type": "dmcc"}, act))


def test_a_late_answer_of_keyence_is_no_code() -> None:
    late = b"OK,LON\rER,LOFF,20\r"
    script = Scripted(late + b"OK,KEYENCE,SR-2000\r", late + b"CODE\r", end=b"\r")

    async def act(driver: Any, _: Any) -> None:
        await driver.open()
        await driver.trigger()
        reading = await driver.next_reading(2)
        assert reading is not None
        assert reading.reads == (Read("CODE"),)
        assert await driver.next_reading(0.05) is None
        assert driver._link.stale == 4

    run(with_sim(script, {"type": "keyence_sr"}, act))


def test_a_truncated_answer_is_none() -> None:
    script = Scripted(b"", b"||0:2[0]DM3")

    async def act(driver: Any, _: Any) -> None:
        with pytest.raises(TransientError, match=r"did not answer GET DEVICE.TYPE within 0.2 s"):
            await driver.open()

    run(with_sim(script, {"type": "dmcc", "reply_timeout": 0.2}, act))


def test_a_command_without_an_answer_ends_the_session() -> None:
    async def act(driver: Any, sim: SrServer) -> None:
        await driver.open()
        sim.wire.answers_lost = 1
        with pytest.raises(TransientError, match=r"did not answer KEYENCE within 0.2 s"):
            await driver.check()
        # A late answer could be taken for the next command's.
        sim.read("A")
        with pytest.raises(TransientError, match="did not answer KEYENCE"):
            await driver.next_reading(2)
        with pytest.raises(TransientError, match="did not answer KEYENCE"):
            await driver.trigger()

    run(with_sim(SrServer(), {"type": "keyence_sr", "reply_timeout": 0.2, "alive_s": 0}, act))


# -------------------------------------------------------------------------------- line reader


def test_the_readings_of_one_trigger_are_folded_by_its_number() -> None:
    async def act(driver: Any, sim: ReaderServer) -> None:
        await driver.open()
        await until(lambda: sim.connected)
        sim.push(b"1:A\r\n1:A\r\n2:A\r\n1:A\r\n2:B\r\nA\r\n")
        found = []
        for _ in range(3):
            reading = await driver.next_reading(2)
            assert reading is not None
            found.append((reading.trigger, [read.text for read in reading.reads]))
        # Trigger 2 read A, and then B: both are handed on, for the line to believe neither.
        assert found == [(1, ["A"]), (2, ["A"]), (2, ["B"])]
        assert await driver.next_reading(0.05) is None
        assert driver._link.folded == 2

    run(with_sim(ReaderServer(), {"type": "line_reader", "numbered": ":"}, act))


def test_without_a_number_nothing_is_folded_however_quickly_it_comes() -> None:
    async def act(driver: Any, sim: ReaderServer) -> None:
        await driver.open()
        await until(lambda: sim.connected)
        sim.push(b"A\r\nA\r\n")
        assert await driver.next_reading(2) is not None
        assert await driver.next_reading(2) is not None

    run(with_sim(ReaderServer(), {"type": "line_reader"}, act))


def test_a_line_reader_is_fired_by_its_own_bytes() -> None:
    heard_by_it: list[bytes] = []

    async def act(driver: Any, sim: Any) -> None:
        await driver.open()
        await driver.trigger()
        await driver.trigger(False)
        await until(lambda: b"".join(heard_by_it) == b"startstop")

    class Deaf:
        def feed(self, data: bytes) -> bytes:
            heard_by_it.append(data)
            return b""

    sim = ReaderServer()
    sim._talk = Deaf
    run(with_sim(sim, {"type": "line_reader", "profile": "hikrobot"}, act))

    async def none(driver: Any, _: Any) -> None:
        await driver.open()
        with pytest.raises(DomainError, match="trigger_on"):
            await driver.trigger()

    run(with_sim(ReaderServer(), {"type": "line_reader"}, none))
