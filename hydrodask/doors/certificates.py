"""Keys and certificates, made and signed here: elliptic curves, PEM. The only importer of cryptography."""

import datetime as dt
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from hydrodask import clock

SERVER = ExtendedKeyUsageOID.SERVER_AUTH
CLIENT = ExtendedKeyUsageOID.CLIENT_AUTH
RUN_DAYS = 3650
"""How long a run may last: its keys are never renewed."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A private key and its certificate."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @property
    def key_pem(self) -> bytes:
        """The key as PKCS#8, without a password."""
        plain = serialization.NoEncryption()
        return self.key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)

    @property
    def certificate_pem(self) -> bytes:
        """The certificate."""
        return self.certificate.public_bytes(serialization.Encoding.PEM)


@dataclass(frozen=True, slots=True, repr=False)
class RunKeys:
    """What all processes of a run show each other, as PEM: the authority's certificate, one of theirs, and its key."""

    authority: str
    certificate: str
    key: str


def keys_of_a_run() -> RunKeys:
    """Make keys that nobody else has: their authority signs one certificate, and its own key is forgotten."""
    authority = new_authority("authority of a hydrodask run", RUN_DAYS)  # another name, or the leaf looks self-signed
    leaf = signed(authority, "hydrodask run", RUN_DAYS, usages=(SERVER, CLIENT))
    return RunKeys(authority.certificate_pem.decode(), leaf.certificate_pem.decode(), leaf.key_pem.decode())


def new_authority(name: str, days: int) -> Pair:
    """Make an authority that signs servers and clients, and no further authorities."""
    key = ec.generate_private_key(ec.SECP256R1())
    builder = _builder(name, key, days).issuer_name(x509.Name([_common(name)]))
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    return Pair(key, builder.sign(key, hashes.SHA256()))


def signed(
    authority: Pair,
    name: str,
    days: int,
    *,
    usages: Sequence[x509.ObjectIdentifier],
    hosts: Sequence[str] = (),
) -> Pair:
    """Make a key with a certificate for `hosts`, names and addresses, that `authority` signs."""
    key = ec.generate_private_key(ec.SECP256R1())
    builder = _builder(name, key, days).issuer_name(authority.certificate.subject)
    if hosts:
        builder = builder.add_extension(x509.SubjectAlternativeName([_host(host) for host in hosts]), critical=False)
    builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    return Pair(key, builder.sign(authority.key, hashes.SHA256()))


def loaded(key_pem: bytes, certificate_pem: bytes) -> Pair:
    """Return a pair that was made here."""
    key = serialization.load_pem_private_key(key_pem, password=None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)  # noqa: S101  # we wrote it
    return Pair(key, x509.load_pem_x509_certificate(certificate_pem))


def days_left(pem: bytes) -> int:
    """Return the days until the first certificate in `pem` ends."""
    return (x509.load_pem_x509_certificates(pem)[0].not_valid_after_utc - _now()).days


def _builder(name: str, key: ec.EllipticCurvePrivateKey, days: int) -> x509.CertificateBuilder:
    now = _now()
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([_common(name)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))  # clocks differ
        .not_valid_after(now + dt.timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _common(name: str) -> x509.NameAttribute[str]:
    return x509.NameAttribute(NameOID.COMMON_NAME, name)


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _now() -> dt.datetime:
    return dt.datetime.fromtimestamp(clock.now_us() / clock.US_PER_S, dt.UTC)
