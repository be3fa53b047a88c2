"""A PDA as a native client would be: a key of its own, a queue that survives without a network, and
the API under /api/pda/v1 (docs/pda-api.md) as the only way to the agent.

It decides nothing: what a scan means, the agent says when the queue is uploaded.
"""

import base64
import hashlib
import json
import secrets
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import httpx
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from agent.clockwatch import clock
from agent.core.errors import DomainError, TransientError

API = "/api/pda/v1"
MOST_AT_ONCE = 200
"""Items in one upload."""
TIMEOUT = 20.0


def encode(data: bytes) -> str:
    """Base64url without padding."""
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def jwk(key: ec.EllipticCurvePublicKey) -> dict[str, str]:
    """A P-256 public key as a browser exports it (RFC 7517)."""
    at = key.public_numbers()
    return {
        "kty": "EC",
        "crv": "P-256",
        "x": encode(at.x.to_bytes(32)),
        "y": encode(at.y.to_bytes(32)),
    }


def sign(key: ec.EllipticCurvePrivateKey, text: str) -> str:
    """ECDSA over SHA-256 as WebCrypto writes it: r and s, 32 bytes each, base64url."""
    r, s = decode_dss_signature(key.sign(text.encode(), ec.ECDSA(hashes.SHA256())))
    return encode(r.to_bytes(32) + s.to_bytes(32))


def item_text(device: str, item: Mapping[str, Any]) -> str:
    """What the signature of an item covers, one field per line."""
    body = json.dumps(item["body"], sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    said = [
        *(device, str(item["seq"]), item["id"], item["do"], item["document"], item["text"]),
        *("1" if item["remove"] else "0", item["answer"], item["reason"], item["condition"]),
        *(str(item["at"]), item["by"], hashlib.sha256(body.encode()).hexdigest()),
    ]
    return "\n".join(said)


@dataclass
class Pda:
    """One device. `queue` are items that the agent has not answered, `answers` what it answered by
    their seq; `upload` sends the one and gathers the other."""

    client: httpx.Client
    device: str
    token: str
    key: ec.EllipticCurvePrivateKey
    by: str = ""
    session: str = ""
    seq: int = 0
    now: Callable[[], int] = lambda: clock().wall_ms
    queue: list[dict[str, Any]] = field(default_factory=list)
    answers: dict[int, dict[str, Any]] = field(default_factory=dict)

    @classmethod
    def enrol(cls, client: httpx.Client, code: str, name: str) -> Self:
        """Make a key and become a device of the agent. DomainError: the code is not good."""
        key = ec.generate_private_key(ec.SECP256R1())
        asked = {"code": code, "key": jwk(key.public_key()), "name": name, "model": "simulated"}
        told = _good(client.post(f"{API}/enrol", json=asked, timeout=TIMEOUT))
        return cls(client, told["device"], told["token"], key)

    def log_in(self, badge: str, pin: str) -> None:
        """From now on this person scans."""
        told = self.post("/login", {"badge": badge, "pin": pin})
        self.by, self.session = told["badge"], told["session"]

    def item(self, do: str, document: str = "", text: str = "", **more: Any) -> dict[str, Any]:
        """Put something that was done into the queue, signed; it is not sent yet."""
        self.seq += 1
        item: dict[str, Any] = {
            "seq": self.seq,
            "id": str(uuid.uuid4()),
            "do": do,
            "document": document or f"{self.device}-{self.seq}",
            "text": text,
            "remove": False,
            "answer": "",
            "reason": "",
            "condition": "",
            "body": {},
            "at": self.now(),
            "by": self.by,
            **more,
        }
        item["sig"] = sign(self.key, item_text(self.device, item))
        self.queue.append(item)
        return item

    def scan(self, document: str, text: str, **more: Any) -> dict[str, Any]:
        """Scan a code for a document."""
        return self.item("scan", document, text, **more)

    def upload(self) -> list[dict[str, Any]]:
        """Send what is queued, in order; the answers to it. DomainError: the agent refused it."""
        found: list[dict[str, Any]] = []
        while self.queue:
            some = self.queue[:MOST_AT_ONCE]
            told = self.post("/items", {"items": some, "now": self.now()})
            results: Sequence[dict[str, Any]] = told["results"]
            found += results
            self.answers |= {result["seq"]: result for result in results}
            left = [item for item in self.queue if item["seq"] > told["upto"]]
            if len(left) == len(self.queue):
                raise TransientError(f"The agent took nothing of the queue of {self.device}.")
            self.queue = left
        return found

    def get(self, path: str) -> Any:
        """Ask the agent."""
        return _good(self._send("GET", path, b""))

    def post(self, path: str, body: Any) -> Any:
        """Tell the agent."""
        return _good(self._send("POST", path, json.dumps(body, ensure_ascii=False).encode()))

    def _send(self, method: str, path: str, body: bytes) -> httpx.Response:
        at, nonce = str(self.now()), secrets.token_urlsafe(16)
        covered = (method, f"{API}{path}", at, nonce, hashlib.sha256(body).hexdigest())
        headers = {
            "Authorization": f"Bearer {self.token}",
            "X-Device": self.device,
            "X-Time": at,
            "X-Nonce": nonce,
            "X-Signature": sign(self.key, "\n".join(covered)),
            "Content-Type": "application/json",
        }
        if self.session:
            headers["X-Session"] = self.session
        sent = body if method != "GET" else None
        return self.client.request(
            method, f"{API}{path}", content=sent, headers=headers, timeout=TIMEOUT
        )


def _good(answer: httpx.Response) -> Any:
    if answer.is_success:
        return answer.json()
    try:
        said = answer.json()
        reason, message = str(said["reason"]), str(said["message"])
    except (ValueError, KeyError, TypeError):
        raise TransientError(f"The agent answered {answer.status_code}.") from None
    raise DomainError(reason, message)
