"""Batches: what is encoded comes back, and bytes that are no batch are refused by name."""

import json
import tracemalloc

import msgspec
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from sync import envelope
from sync.envelope import Batch, Doc, Limits, Refused

_NAMES = st.sampled_from(["a", "Z9", "plant-1", "x._-", "0" * 64])
_HASHES = st.binary(min_size=16, max_size=16).map(bytes.hex)
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@st.composite
def batches(draw: st.DrawFn) -> Batch:
    first = draw(st.integers(1, 2**62))
    last = first + draw(st.integers(0, 50))
    docs = []
    for seq in sorted(draw(st.sets(st.integers(first, last), max_size=5))):
        of = draw(st.integers(1, 4))
        docs += [
            Doc(seq, n, of, msgspec.Raw(msgspec.json.encode(draw(_JSON))))
            for n in sorted(draw(st.sets(st.integers(0, of - 1))))
        ]
    return Batch(
        agent="/".join(draw(st.tuples(_NAMES, _NAMES, _NAMES))),
        epoch=draw(_NAMES),
        first=first,
        last=last,
        prev=draw(_HASHES),
        hash=draw(_HASHES),
        docs=docs,
    )


def a_batch(**change: object) -> dict[str, object]:
    plain: dict[str, object] = {
        "v": 1,
        "agent": "t/s/a",
        "epoch": "e1",
        "first": 5,
        "last": 9,
        "prev": "0" * 32,
        "hash": "ab" * 16,
        "docs": [
            {"seq": 6, "n": 0, "of": 2, "doc": {"a": 1}},
            {"seq": 6, "n": 1, "of": 2, "doc": {}},
            {"seq": 9, "n": 0, "of": 1, "doc": {"b": "码"}},
        ],
    }
    return plain | change


def packed(what: object) -> bytes:
    return zstandard.compress(json.dumps(what).encode())


def refusal(payload: bytes, limits: Limits = envelope.LIMITS) -> str:
    answer = envelope.decode(payload, limits)
    assert isinstance(answer, Refused), answer
    assert answer.text.endswith(".")
    return answer.reason


@given(batches())
def test_a_batch_comes_back_as_it_went(batch: Batch) -> None:
    assert envelope.decode(envelope.encode(batch)) == batch


@given(batches())
def test_the_same_batch_gives_the_same_bytes(batch: Batch) -> None:
    assert envelope.encode(batch) == envelope.encode(batch)


def test_a_document_keeps_its_own_bytes() -> None:
    body = b'{"a" : 1.0,\n "b":"\\u7801"}'
    batch = Batch(
        agent="t/s/a",
        epoch="e",
        first=1,
        last=1,
        prev=envelope.ZERO,
        hash="ab" * 16,
        docs=[Doc(1, 0, 1, msgspec.Raw(body))],
    )
    back = envelope.decode(envelope.encode(batch))
    assert isinstance(back, Batch)
    assert bytes(back.docs[0].doc) == body


def test_what_another_program_compressed_is_read() -> None:
    assert isinstance(envelope.decode(packed(a_batch(unknown={"x": 1}))), Batch)


@pytest.mark.parametrize(
    "change",
    [
        {"agent": "t/s"},
        {"agent": "t/s/a/b"},
        {"agent": "t/s/#"},
        {"agent": "t/s/" + "a" * 65},
        {"epoch": ""},
        {"epoch": "a/b"},
        {"first": 0},
        {"first": 1 << 63, "last": 1 << 63},
        {"first": 10},
        {"prev": "0" * 31},
        {"hash": "AB" * 16},
        {"hash": "ab" * 16 + "\n"},
        {"epoch": "e\n"},
        {"docs": None},
        {"docs": [{"seq": 4, "n": 0, "of": 1, "doc": {}}]},
        {"docs": [{"seq": 10, "n": 0, "of": 1, "doc": {}}]},
        {"docs": [{"seq": 6, "n": 1, "of": 1, "doc": {}}]},
        {"docs": [{"seq": 6, "n": -1, "of": 1, "doc": {}}]},
        {"docs": [{"seq": 6, "n": 0, "of": 1}]},
        {"docs": [{"seq": 6, "n": 0, "of": 1, "doc": {}}] * 2},
        {"docs": [{"seq": 6, "n": n, "of": 1 + 2 * n, "doc": {}} for n in (0, 1)]},
        {"docs": [{"seq": seq, "n": 0, "of": 1, "doc": {}} for seq in (7, 6)]},
        {"v": 0},
        {"v": "1"},
    ],
)
def test_a_malformed_batch_is_refused(change: dict[str, object]) -> None:
    assert refusal(packed(a_batch(**change))) == "malformed"


def test_what_is_no_json_is_malformed() -> None:
    text = json.dumps(a_batch()).encode()
    for wrong in (
        text[:-1],
        text + b"}",
        b"",
        b"[]",
        b"\xff",
        text.replace(b'{"a": 1}', b'"\xff\xfe"'),
        text.replace(b'{"a": 1}', b"[" * 100_000 + b"]" * 100_000),
    ):
        assert refusal(zstandard.compress(wrong)) == "malformed"


def test_a_later_version_is_told_from_a_malformed_one() -> None:
    assert refusal(packed({"v": 2, "something": "else"})) == "future_version"
    assert refusal(packed(a_batch(v=7))) == "future_version"


def test_an_oversized_payload_is_refused_unread() -> None:
    good = packed(a_batch())
    assert refusal(good, Limits(packed=len(good) - 1)) == "oversized"


def test_too_many_documents_are_refused() -> None:
    assert refusal(packed(a_batch()), Limits(docs=2)) == "malformed"


def test_a_bomb_is_not_unpacked() -> None:
    bomb = zstandard.compress(bytes(1 << 28))
    assert len(bomb) < 50_000
    tracemalloc.start()
    try:
        assert refusal(bomb) == "bomb"
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


def test_a_bomb_that_lies_about_its_size_is_refused() -> None:
    """The declared size is a field of the header: make it small and keep the blocks."""
    honest = zstandard.compress(b"x" * 300)  # single segment: magic, descriptor, size, blocks
    assert zstandard.frame_content_size(honest) == 300
    lying = honest[:5] + (10).to_bytes(2, "little") + honest[7:]
    assert 0 <= zstandard.frame_content_size(lying) < 300
    assert refusal(lying) == "badly_compressed"


def test_wrong_compression_is_refused() -> None:
    good = packed(a_batch())
    unsized = zstandard.ZstdCompressor(write_content_size=False).compress(b"{}")
    for wrong in (b"", b"{}", good[:-1], good + b"x", good + good, unsized, b"\x1f\x8b" + good):
        assert refusal(wrong) == "badly_compressed"


def test_damage_on_the_way_is_seen() -> None:
    batch = Batch(
        agent="t/s/a",
        epoch="e",
        first=1,
        last=1,
        prev=envelope.ZERO,
        hash="ab" * 16,
        docs=[Doc(1, 0, 1, msgspec.Raw(b'"' + bytes(range(35, 91)) * 3 + b'"'))],
    )
    good = envelope.encode(batch)
    seen = 0
    for at in range(len(good)):
        wrong = bytearray(good)
        wrong[at] ^= 1
        answer = envelope.decode(bytes(wrong))
        if answer != batch:  # a bit of the frame may mean nothing
            assert isinstance(answer, Refused), at
            seen += 1
    assert seen > 0.9 * len(good)


@settings(max_examples=300)
@given(st.binary(max_size=200) | st.binary(max_size=200).map(zstandard.compress))
def test_no_bytes_raise(payload: bytes) -> None:
    assert isinstance(envelope.decode(payload), Refused)


def test_a_batch_larger_than_allowed_does_not_leave() -> None:
    doc = Doc(1, 0, 1, msgspec.Raw(b'"' + b"a" * envelope.LIMITS.unpacked + b'"'))
    batch = Batch(
        agent="t/s/a", epoch="e", first=1, last=1, prev=envelope.ZERO, hash="0" * 32, docs=[doc]
    )
    with pytest.raises(ValueError, match="may leave"):
        envelope.encode(batch)
