"""A certificate authority for one test: ca.pem, server.pem/.key for 127.0.0.1, client.pem/.key."""

import datetime
import ipaddress
from collections.abc import Sequence
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

_DAY = datetime.timedelta(days=1)


def make(folder: Path, client: str = "acme.plant.box", others: Sequence[str] = ()) -> None:
    """Write the files into `folder`; for each of `others` NAME.pem and NAME.key."""
    folder.mkdir(parents=True, exist_ok=True)
    ca_key = ec.generate_private_key(ec.SECP256R1())
    ca_name = _name(f"test authority {folder.name}")
    _write(folder, "ca", _sign(ca_name, ca_key, ca_name, ca_key, ca=True), ca_key)
    named = [(name, name) for name in others]
    for file, name in (("server", "127.0.0.1"), ("client", client), *named):
        key = ec.generate_private_key(ec.SECP256R1())
        _write(folder, file, _sign(_name(name), key, ca_name, ca_key, ca=False), key)


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _sign(
    subject: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    issuer: x509.Name,
    issuer_key: ec.EllipticCurvePrivateKey,
    *,
    ca: bool,
) -> x509.Certificate:
    now = datetime.datetime.now(datetime.UTC)
    local = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _DAY)
        .not_valid_after(now + _DAY)
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([local]), critical=False)
        .sign(issuer_key, hashes.SHA256())
    )


def _write(
    folder: Path, file: str, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey
) -> None:
    pem = serialization.Encoding.PEM
    (folder / f"{file}.pem").write_bytes(certificate.public_bytes(pem))
    plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    (folder / f"{file}.key").write_bytes(key.private_bytes(pem, *plain))
