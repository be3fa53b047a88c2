"""A PDA's key and signatures, made here and not by the agent's code; a store to enrol it in."""

import base64
import hashlib
import json
from collections.abc import Mapping
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature


def plain64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


class Key:
    """A P-256 key as WebCrypto has one."""

    def __init__(self) -> None:
        self.private = ec.generate_private_key(ec.SECP256R1())

    @property
    def jwk(self) -> dict[str, str]:
        at = self.private.public_key().public_numbers()
        x, y = (plain64(value.to_bytes(32)) for value in (at.x, at.y))
        return {"kty": "EC", "crv": "P-256", "x": x, "y": y}

    def sign(self, text: str) -> str:
        r, s = decode_dss_signature(self.private.sign(text.encode(), ec.ECDSA(hashes.SHA256())))
        return plain64(r.to_bytes(32) + s.to_bytes(32))

    def item(self, device: str, item: Mapping[str, Any]) -> dict[str, Any]:
        """The item with its signature, by docs/pda-api.md."""
        body = json.dumps(item["body"], sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        fields = ["seq", "id", "do", "document", "text", "remove", "answer", "reason", "condition"]
        said = [device, *(item[name] for name in fields), item["at"], item["by"]]
        said[6] = 1 if item["remove"] else 0
        said.append(hashlib.sha256(body.encode()).hexdigest())
        return {**item, "sig": self.sign("\n".join(str(each) for each in said))}

    def request(self, method: str, target: str, time: str, nonce: str, body: bytes) -> str:
        digest = hashlib.sha256(body).hexdigest()
        return self.sign(f"{method}\n{target}\n{time}\n{nonce}\n{digest}")
