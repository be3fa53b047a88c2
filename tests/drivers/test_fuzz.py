"""The short form of the fuzzing of codecs, and that it notices what it looks for."""

import time

import pytest

from tests.drivers import fuzz


@pytest.mark.parametrize("name", fuzz.TARGETS)
def test_a_codec_survives_anything(name: str) -> None:
    assert fuzz.fuzz(fuzz.TARGETS[name], 4_000, seed=11) == ""


class Bad:
    """A codec with one fault of those that fuzzing must notice."""

    def __init__(self, fault: str) -> None:
        self.fault = fault
        self.kept = bytearray()
        self.fed = 0

    def feed(self, data: bytes) -> list[bytes]:
        self.fed += 1
        if self.fault == "crash":
            data.decode("ascii")
        if self.fault == "grows":
            self.kept += data
        if self.fault == "slow" and self.fed == 20:
            end = time.thread_time() + 0.1
            while time.thread_time() < end:
                self.kept[:] = b"x"
        return [data] if self.fault == "splits" else []


@pytest.mark.parametrize(
    ("fault", "word"),
    [("crash", "Error"), ("grows", "keeps"), ("slow", "took"), ("splits", "other messages")],
)
def test_a_bad_codec_is_noticed(fault: str, word: str) -> None:
    target = fuzz.Target(lambda: Bad(fault), [b"A;1\r", b"B\r" * 30])
    slow = 0.09 if fault == "slow" else fuzz.SLOW
    assert word in fuzz.fuzz(target, 20_000, seed=3, slow=slow)
