"""The key of a thing at the cloud: a hash of its URI, so that nothing is looked up at ingest."""

from collections.abc import Iterable
from hashlib import blake2b

from agent.core.codes import canonical
from agent.core.errors import DomainError
from sync.uris import BASE, Identity

SIZE = 16
"""Bytes of a key: BLAKE2b-128."""


def key(uri: str) -> bytes:
    """The key of the thing with this URI. Two of 10^12 things share one with a chance of 10^-15."""
    return blake2b(uri.encode(), digest_size=SIZE).digest()


def keys(uris: Iterable[str]) -> list[bytes]:
    """The keys of many things."""
    return [blake2b(uri.encode(), digest_size=SIZE).digest() for uri in uris]


def uri_of(text: str, base: str = BASE) -> str:
    """The URI under which agents name what a person scanned or typed. DomainError if no code can
    read so. `base` as the agents have it; a URI of ours (a secret code by its place) stays."""
    if text.startswith(base + "/"):
        return text
    return Identity("", "", "", base=base).code(canonical(text).text)


def start_of(after: str) -> bytes:
    """The key after which a page begins. DomainError: that is no `next` of a page."""
    try:
        start = bytes.fromhex(after) or bytes(SIZE)
    except ValueError:
        start = b""
    if len(start) != SIZE:
        raise DomainError("bad_cursor", "after is no `next` of a page: begin without it.")
    return start
