"""Keys, certificates and passwords of local services: generated once, readable by their owner only."""

import datetime as dt
import ipaddress
import os
import secrets
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from hydrodask import clock, durable
from hydrodask.services import ports

CA_DAYS = 3650
SERVER_DAYS = 365
RENEW_DAYS = 30
"""A server's certificate that has less left is made anew at a start."""

PASSWORD_BYTES = 24
_US_PER_S = 1_000_000


def password(folder: Path, name: str) -> Path:
    """Return the file with the password `name`, mode 0600; makes both when there is none."""
    path = folder / f"{name}.password"
    if not path.exists():
        write_secret(path, secrets.token_urlsafe(PASSWORD_BYTES).encode())
    return path


def server_pem(folder: Path, name: str) -> Path:
    """Return the file with a server's key (PKCS#8) and certificates, mode 0600; makes or renews it.

    The certificate is for `localhost` and 127.0.0.1, and signed by our own CA: `ca_pem`.
    """
    path = folder / f"{name}.pem"
    if not path.exists() or _days_left(path) < RENEW_DAYS:
        ca_key, ca = _authority(folder)
        key = ec.generate_private_key(ec.SECP256R1())
        names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address(ports.LOOPBACK))]
        builder = _builder(f"hydrodask {name}", key, SERVER_DAYS).issuer_name(ca.subject)
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        certificate = builder.sign(ca_key, hashes.SHA256())
        write_secret(path, _key_bytes(key) + _pem(certificate) + _pem(ca))
    return path


def ca_pem(folder: Path) -> Path:
    """Return the file with the certificate of our CA: what clients need, and no secret."""
    return folder / "ca.pem"


def write_secret(path: Path, data: bytes) -> None:
    """Write `path` whole or not at all, never readable by others: mode 0600 from its first byte on."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    hidden = path.with_name(f".{path.name}.new")
    hidden.unlink(missing_ok=True)
    with os.fdopen(os.open(hidden, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    durable.rename(hidden, path)


def _authority(folder: Path) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    """Return key and certificate of our CA; makes both when one is missing."""
    key_path = folder / "ca.key"
    if not key_path.exists() or not ca_pem(folder).exists():
        key = ec.generate_private_key(ec.SECP256R1())
        builder = _builder("hydrodask local CA", key, CA_DAYS)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        builder = builder.issuer_name(x509.Name([_common("hydrodask local CA")]))
        write_secret(key_path, _key_bytes(key))
        durable.replace(ca_pem(folder), _pem(builder.sign(key, hashes.SHA256())))
    loaded = serialization.load_pem_private_key(key_path.read_bytes(), password=None)
    assert isinstance(loaded, ec.EllipticCurvePrivateKey)  # noqa: S101  # we wrote it
    return loaded, x509.load_pem_x509_certificate(ca_pem(folder).read_bytes())


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


def _days_left(path: Path) -> int:
    """Return the days until the first certificate of a file ends."""
    return (x509.load_pem_x509_certificates(path.read_bytes())[0].not_valid_after_utc - _now()).days


def _now() -> dt.datetime:
    return dt.datetime.fromtimestamp(clock.now_us() / _US_PER_S, dt.UTC)


def _key_bytes(key: ec.EllipticCurvePrivateKey) -> bytes:
    plain = serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)
