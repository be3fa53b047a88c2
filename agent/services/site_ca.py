"""The site's own certificate authority, so that PDAs in the LAN get https (docs/pda-api.md).

Phones must trust the authority, so it can sign for the site's names and addresses only: its name
constraints are critical (RFC 5280, 4.2.1.10). Its key belongs off the box. The agent's certificate
and key stand in one file, so that both change at once.
"""

import datetime
import ipaddress
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from agent.core.errors import ConfigError, DomainError
from agent.now import wall_ms
from agent.secret_file import sync_directory

CA_DAYS = 3650
LEAF_DAYS = 397
"""Browsers take no longer ones (Apple 2020, CA/B ballot SC-31)."""
RENEW_AFTER = 2 / 3
"""Of its life, then a certificate is to be renewed."""
_EARLY = datetime.timedelta(hours=1)
_MAX_FILE = 100_000

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Leaf(NamedTuple):
    """The agent's certificate: its SHA-256 (hex), from when and until when it is good, and for
    which names and addresses."""

    fingerprint: str
    begins: datetime.datetime
    ends: datetime.datetime
    names: tuple[str, ...]

    def due(self) -> bool:
        """Whether it is time to renew it."""
        return _now() >= self.begins + (self.ends - self.begins) * RENEW_AFTER


class CaFiles(NamedTuple):
    """Where they stand: `cert` stays with the agent and is given to the PDAs, `key` is taken off
    the box, `leaf` is the agent's own certificate and key in one file."""

    cert: Path
    key: Path
    leaf: Path


def ca_files(folder: Path) -> CaFiles:
    """Their names in a folder."""
    return CaFiles(folder / "site-ca.pem", folder / "site-ca.key", folder / "agent.pem")


def create_ca(
    files: CaFiles, site: str, suffixes: Sequence[str], networks: Sequence[Network]
) -> None:
    """Make an authority for these DNS suffixes and networks.

    DomainError: `ca_exists`, `ca_unbound` (nothing to bind it to). ConfigError: not written.
    """
    if files.cert.exists():
        raise DomainError(
            "ca_exists",
            f"{files.cert} is there already, and PDAs trust it: use `caselink tls renew`, or move "
            "it away and set up every PDA anew.",
        )
    if not suffixes or not networks:
        raise DomainError(
            "ca_unbound",
            "An authority must be bound to the site: give at least one DNS suffix and one network.",
        )
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"caselink {site} site CA"[:64])])
    now = _now()
    permitted: list[x509.GeneralName] = [x509.DNSName(suffix) for suffix in suffixes]
    permitted += [x509.IPAddress(network) for network in networks]
    cert = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _EARLY)
        .not_valid_after(now + datetime.timedelta(days=CA_DAYS))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(sign_certificates=True), critical=True)
        .add_extension(x509.NameConstraints(permitted, None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    # The key first: an authority without its key could sign nothing and would be in the way.
    _write(files.key, _private(key), 0o600)
    _write(files.cert, cert.public_bytes(serialization.Encoding.PEM), 0o644)


def sign_leaf(files: CaFiles, names: Sequence[str]) -> Leaf:
    """Make the agent a certificate for these host names and addresses, in place of the one it has.

    DomainError `name_outside` (the authority may not sign for it), `ca_other_key`. ConfigError: a
    file cannot be read or written.
    """
    ca = _certificate(_read(files.cert), files.cert)
    ca_key = _load_key(files.key)
    if ca_key.public_key() != ca.public_key():
        raise DomainError(
            "ca_other_key",
            f"{files.key} is not the key of {files.cert}: give the key that belongs to it.",
        )
    alternatives = [_general(name) for name in names]
    permitted = ca.extensions.get_extension_for_class(x509.NameConstraints).value
    for name, general in zip(names, alternatives, strict=True):
        if not any(_within(general, each) for each in permitted.permitted_subtrees or ()):
            raise DomainError(
                "name_outside",
                f"The site's authority may not sign for {name}: choose a name or address inside "
                f"{', '.join(str(each.value) for each in permitted.permitted_subtrees or ())}.",
            )
    key = ec.generate_private_key(ec.SECP256R1())
    now = _now()
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0][:64])])
    cert = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(ca.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _EARLY)
        .not_valid_after(
            min(now - _EARLY + datetime.timedelta(days=LEAF_DAYS), ca.not_valid_after_utc)
        )
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(sign_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False
        )
        .sign(ca_key, hashes.SHA256())
    )
    pem = cert.public_bytes(serialization.Encoding.PEM)
    _write(files.leaf, pem + _private(key), 0o600)
    return _leaf(cert)


def read_leaf(path: Path) -> Leaf | None:
    """What is known of the certificate in a file, None if there is no file. ConfigError: it cannot
    be read."""
    return _leaf(_certificate(_read(path), path)) if path.exists() else None


def read_ca(path: Path) -> tuple[bytes, str] | None:
    """The authority's certificate as DER and its SHA-256 (hex); None if there is no file."""
    if not path.exists():
        return None
    der = _certificate(_read(path), path).public_bytes(serialization.Encoding.DER)
    digest = hashes.Hash(hashes.SHA256())
    digest.update(der)
    return der, digest.finalize().hex()


def network(text: str) -> Network:
    """A network as it is written (192.168.10.0/24). DomainError `network_wrong`."""
    try:
        return ipaddress.ip_network(text)
    except ValueError as error:
        raise DomainError(
            "network_wrong", f"{text!r:.60} is no network ({error}): write it as 192.168.10.0/24."
        ) from None


def _leaf(cert: x509.Certificate) -> Leaf:
    try:
        found = cert.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        names = (
            *found.get_values_for_type(x509.DNSName),
            *(str(each) for each in found.get_values_for_type(x509.IPAddress)),
        )
    except x509.ExtensionNotFound:
        names = ()
    digest = cert.fingerprint(hashes.SHA256()).hex()
    return Leaf(digest, cert.not_valid_before_utc, cert.not_valid_after_utc, names)


def _general(name: str) -> x509.DNSName | x509.IPAddress:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name.lower())


def _within(name: x509.DNSName | x509.IPAddress, permitted: x509.GeneralName) -> bool:
    match name, permitted:
        case x509.IPAddress(value=address), x509.IPAddress(value=net):
            return address in ipaddress.ip_network(str(net))
        case x509.DNSName(), x509.DNSName():
            suffix = permitted.value.lower().lstrip(".")
            return name.value == suffix or name.value.endswith(f".{suffix}")
        case _:
            return False


def _usage(*, sign_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not sign_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=sign_certificates,
        crl_sign=sign_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _private(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def _certificate(pem: bytes, path: Path) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(pem)
    except ValueError as error:
        raise ConfigError(f"{path}: not a certificate in PEM ({error}).") from None


def _load_key(path: Path) -> ec.EllipticCurvePrivateKey:
    try:
        key = serialization.load_pem_private_key(_read(path), None)
    except (ValueError, TypeError) as error:
        raise ConfigError(f"{path}: not a private key in PEM ({error}).") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ConfigError(f"{path}: not the key of a site CA.")
    return key


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_MAX_FILE)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}).") from None


def _write(path: Path, data: bytes, mode: int) -> None:
    """Replace a file whole or not at all, whenever the power goes."""
    new = path.with_name(path.name + ".new")
    try:
        new.unlink(missing_ok=True)
        handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
        sync_directory(path.parent)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written ({error.strerror}).") from None


def _now() -> datetime.datetime:
    return datetime.datetime.fromtimestamp(wall_ms() // 1000, datetime.UTC)
