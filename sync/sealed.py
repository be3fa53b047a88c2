"""Secrets that travel to one agent: sealed to its key, so that neither the broker nor another agent
can read a code pool.

An agent has an X25519 key of its own. Who sends makes a key for this one message, agrees with the
agent's on a secret (RFC 7748), derives from it a key for AES-256-GCM by HKDF-SHA256 (RFC 5869), and
binds what the message is about (agent, command) into both, so that a sealed message moved to
another command or agent does not open. Layout: version (1 byte), sender's public key (32),
ciphertext with its tag. Whoever knows the agent's public key can seal: that a message comes from
the cloud is the broker's access list's word, not this module's.
"""

import os
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from agent.core.errors import ConfigError, DomainError
from agent.secret_file import create_secret

VERSION = b"\x01"
_HEAD = len(VERSION) + 32
_TAG = 16
_NONCE = bytes(12)
"""A key serves one message only, so its nonce may always be the same."""


class BoxKey:
    """The agent's own key pair."""

    def __init__(self, private: X25519PrivateKey) -> None:
        self._private = private

    @staticmethod
    def new() -> "BoxKey":
        """A fresh key pair."""
        return BoxKey(X25519PrivateKey.generate())

    @staticmethod
    def parse(text: str, where: Path) -> "BoxKey":
        """The key that `text` of the file `where` holds: 64 hex digits. ConfigError otherwise."""
        try:
            return BoxKey(X25519PrivateKey.from_private_bytes(bytes.fromhex(text.strip())))
        except ValueError:
            raise ConfigError(
                f"{where} holds no key of 64 hex digits: put the file from the backup back, or "
                "remove it and have the cloud send its pools again."
            ) from None

    @property
    def text(self) -> str:
        """The private key as its file has it."""
        raw = self._private.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())
        return raw.hex()

    @property
    def public(self) -> str:
        """What others seal with: 64 hex digits."""
        return self._private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw).hex()

    def open(self, sealed: bytes, about: str) -> bytes:
        """What was sealed to us about this. DomainError if it was not, or was changed."""
        if len(sealed) < _HEAD + _TAG or sealed[:1] != VERSION:
            raise DomainError(
                "not_sealed", "This is nothing that was sealed to an agent: send it again."
            )
        theirs = sealed[1:_HEAD]
        try:
            secret = self._private.exchange(X25519PublicKey.from_public_bytes(theirs))
            key = _derive(secret, theirs, bytes.fromhex(self.public), about)
            return AESGCM(key).decrypt(_NONCE, sealed[_HEAD:], about.encode())
        except (InvalidTag, ValueError):
            raise DomainError(
                "not_for_us",
                "This was sealed to another agent, for another command, or was changed on its way: "
                "look up the agent's present key and send it again.",
            ) from None


def seal(public: str, content: bytes, about: str) -> bytes:
    """`content` for the agent with this public key. DomainError if that is no key."""
    try:
        theirs = X25519PublicKey.from_public_bytes(bytes.fromhex(public))
    except ValueError:
        raise DomainError(
            "no_key", f"{public[:80]!r} is no agent's key: it has 64 hex digits."
        ) from None
    once = X25519PrivateKey.generate()
    ours = once.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    try:
        secret = once.exchange(theirs)
    except ValueError:
        raise DomainError("no_key", f"{public[:80]!r} is no agent's key.") from None
    key = _derive(secret, ours, bytes.fromhex(public), about)
    return VERSION + ours + AESGCM(key).encrypt(_NONCE, content, about.encode())


def load_key(path: Path) -> BoxKey:
    """The agent's key, made at the first call. ConfigError if the file is open to others."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        key = BoxKey.new()
        create_secret(path, key.text)
        return key
    with os.fdopen(handle, "r", encoding="ascii", errors="replace") as file:
        if os.fstat(file.fileno()).st_mode & 0o077:
            raise ConfigError(f"{path} can be read by others: chmod 600 {path}.")
        return BoxKey.parse(file.read(200), path)


def _derive(secret: bytes, ours: bytes, theirs: bytes, about: str) -> bytes:
    info = b"caselink sealed 1" + ours + theirs + about.encode()
    return HKDF(hashes.SHA256(), 32, None, info).derive(secret)
