"""The site's own authority: what it may sign for, judged by OpenSSL, and when it is renewed."""

import datetime
import ipaddress
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from agent import now
from agent.core.errors import ConfigError, DomainError
from agent.services import site_ca
from agent.services.site_ca import CaFiles, ca_files

NETWORKS = [ipaddress.ip_network("192.168.10.0/24"), ipaddress.ip_network("127.0.0.0/8")]
NAMES = ["box1.plant.lan", "192.168.10.5"]


class Calendar:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.ns = 1_800_000_000 * 10**9

    def monotonic(self) -> float:
        return 0.0

    def wall_ns(self) -> int:
        return self.ns

    def synced(self) -> bool:
        return True


@pytest.fixture
def calendar() -> Iterator[Calendar]:
    clock = Calendar()
    now.follow(clock)
    yield clock
    now.follow(now.RealTime())


@pytest.fixture
def files(tmp_path: Path) -> CaFiles:
    made = ca_files(tmp_path)
    site_ca.create_ca(made, "box", ["plant.lan"], NETWORKS)
    return made


def judged(files: CaFiles, leaf: Path, *name: str) -> bool:
    """What OpenSSL says of a certificate."""
    said = subprocess.run(
        [
            *("openssl", "verify", "-x509_strict", "-purpose", "sslserver", *name),
            *("-CAfile", str(files.cert), str(leaf)),
        ],
        capture_output=True,
        timeout=20,
    )
    return said.returncode == 0


def test_what_it_signs_is_good_for_its_names_and_no_others(files: CaFiles) -> None:
    leaf = site_ca.sign_leaf(files, NAMES)
    assert leaf.names == tuple(NAMES)
    assert judged(files, files.leaf, "-verify_hostname", "box1.plant.lan")
    assert judged(files, files.leaf, "-verify_ip", "192.168.10.5")
    assert not judged(files, files.leaf, "-verify_hostname", "box2.plant.lan")
    assert not judged(files, files.leaf, "-verify_ip", "192.168.10.6")
    again = site_ca.read_leaf(files.leaf)
    assert again == leaf
    openssl = subprocess.run(
        ["openssl", "x509", "-noout", "-fingerprint", "-sha256", "-in", str(files.leaf)],
        capture_output=True,
        text=True,
        timeout=20,
    ).stdout
    assert openssl.strip().split("=")[1].replace(":", "").lower() == leaf.fingerprint


@pytest.mark.parametrize("name", ["bank.example", "10.0.0.1", "evilplant.lan"])
def test_a_thief_of_its_key_cannot_be_another_machine(
    files: CaFiles, tmp_path: Path, name: str
) -> None:
    """The constraint stands in the authority's certificate: OpenSSL refuses what it is bound from,
    whoever signed it."""
    with pytest.raises(DomainError) as error:
        site_ca.sign_leaf(files, [name])
    assert error.value.reason == "name_outside"
    assert not files.leaf.exists()
    assert not judged(files, forged(files, tmp_path / "forged.pem", name))


def test_the_forged_one_would_be_good_inside(files: CaFiles, tmp_path: Path) -> None:
    """Otherwise the test above could not fail for another reason."""
    assert judged(files, forged(files, tmp_path / "forged.pem", "box9.plant.lan"))


def forged(files: CaFiles, path: Path, name: str) -> Path:
    """A certificate by somebody who has the authority's key and no scruples."""
    ca = x509.load_pem_x509_certificate(files.cert.read_bytes())
    ca_key = serialization.load_pem_private_key(files.key.read_bytes(), None)
    assert isinstance(ca_key, ec.EllipticCurvePrivateKey)
    key = ec.generate_private_key(ec.SECP256R1())
    try:
        alternative: x509.GeneralName = x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        alternative = x509.DNSName(name)
    at = datetime.datetime.now(datetime.UTC)
    cert = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(ca.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(at - datetime.timedelta(hours=1))
        .not_valid_after(at + datetime.timedelta(days=10))
        .add_extension(x509.SubjectAlternativeName([alternative]), critical=True)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    path.write_bytes(cert.public_bytes(serialization.Encoding.PEM))
    return path


def test_the_authority_is_bound_critically_and_signs_no_other(files: CaFiles) -> None:
    ca = x509.load_pem_x509_certificate(files.cert.read_bytes())
    bound = ca.extensions.get_extension_for_class(x509.NameConstraints)
    assert bound.critical
    permitted = bound.value.permitted_subtrees or []
    assert [str(each.value) for each in permitted] == [
        "plant.lan",
        "192.168.10.0/24",
        "127.0.0.0/8",
    ]
    assert ca.extensions.get_extension_for_class(x509.BasicConstraints).value.path_length == 0
    for path in (files.key,):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    site_ca.sign_leaf(files, NAMES)
    assert stat.S_IMODE(files.leaf.stat().st_mode) == 0o600


def test_a_certificate_lasts_397_days_and_is_due_after_two_thirds(
    tmp_path: Path, calendar: Calendar
) -> None:
    files = ca_files(tmp_path)
    site_ca.create_ca(files, "box", ["plant.lan"], NETWORKS)
    leaf = site_ca.sign_leaf(files, NAMES)
    assert leaf.ends - leaf.begins == datetime.timedelta(days=397)
    day = 86_400 * 10**9
    calendar.ns += 264 * day
    assert not leaf.due()
    calendar.ns += day
    assert leaf.due()
    renewed = site_ca.sign_leaf(files, NAMES)
    assert renewed.fingerprint != leaf.fingerprint
    assert not renewed.due()
    assert not files.leaf.with_name("agent.pem.new").exists()


def test_what_stands_in_the_way_is_said(files: CaFiles, tmp_path: Path) -> None:
    with pytest.raises(DomainError, match="is there already"):
        site_ca.create_ca(files, "box", ["plant.lan"], NETWORKS)
    other = ca_files(tmp_path / "other")
    (tmp_path / "other").mkdir()
    for suffixes, networks in (([], NETWORKS), (["plant.lan"], [])):
        with pytest.raises(DomainError) as error:
            site_ca.create_ca(other, "box", suffixes, networks)
        assert error.value.reason == "ca_unbound"
    site_ca.create_ca(other, "box", ["plant.lan"], NETWORKS)
    with pytest.raises(DomainError) as error:
        site_ca.sign_leaf(files._replace(key=other.key), NAMES)
    assert error.value.reason == "ca_other_key"
    with pytest.raises(DomainError) as error:
        site_ca.network("192.168.10.5/24")
    assert error.value.reason == "network_wrong"
    files.key.write_text("nothing", "utf-8")
    with pytest.raises(ConfigError, match="not a private key"):
        site_ca.sign_leaf(files, NAMES)
    files.key.unlink()
    with pytest.raises(ConfigError, match="cannot be read"):
        site_ca.sign_leaf(files, NAMES)
