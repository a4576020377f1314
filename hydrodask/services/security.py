"""Keys, certificates and passwords of local services: generated once, readable by their owner only."""

import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING

from hydrodask import durable
from hydrodask.services import ports
from hydrodask.settings.hidden import USER

if TYPE_CHECKING:
    from hydrodask.doors import certificates

CA_DAYS = 3650
SERVER_DAYS = 365
RENEW_DAYS = 30
"""A server's certificate that has less left is made anew at a start."""

PASSWORD_BYTES = 24
SECRET_BYTES = 32


def password(folder: Path, name: str) -> Path:
    """Return the file with the password `name`, mode 0600; makes both when there is none."""
    path = password_file(folder, name)
    if not path.exists():
        write_secret(path, secrets.token_urlsafe(PASSWORD_BYTES).encode())
    return path


def password_file(folder: Path, name: str) -> Path:
    """Return where the password `name` is, or will be."""
    return folder / f"{name}.password"


def secret(path: Path) -> str:
    """Return the secret in a file of letters and digits, mode 0600; makes it when there is none."""
    if not path.exists():
        write_secret(path, secrets.token_hex(SECRET_BYTES).encode("ascii"))
    return path.read_text(encoding="ascii").strip()


def ask(address: str, path: str, password_file: Path, *, timeout_s: float) -> bytes | None:
    """Return the body at `path` of a server of ours that wants our password; None when nothing or no yes comes."""
    if not password_file.exists():
        return None
    return ports.http_get(address, path, timeout_s=timeout_s, login=(USER, secret(password_file)))


def server_pem(folder: Path, name: str) -> Path:
    """Return the file with a server's key (PKCS#8) and certificates, mode 0600; makes or renews it.

    The certificate is for `localhost` and 127.0.0.1, and signed by our own CA: `ca_pem`.
    """
    from hydrodask.doors import certificates  # noqa: PLC0415  # workers' image makes none, and has no library for it

    path = folder / f"{name}.pem"
    there = path.exists() and ca_pem(folder).exists()  # without the latter nobody could trust it
    if not there or certificates.days_left(path.read_bytes()) < RENEW_DAYS:
        ca = _authority(folder)
        hosts = ("localhost", ports.LOOPBACK)
        made = certificates.signed(ca, f"hydrodask {name}", SERVER_DAYS, usages=(certificates.SERVER,), hosts=hosts)
        write_secret(path, made.key_pem + made.certificate_pem + ca.certificate_pem)
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


def _authority(folder: Path) -> "certificates.Pair":
    """Return key and certificate of our CA; makes both when one is missing."""
    from hydrodask.doors import certificates  # noqa: PLC0415

    key_path = folder / "ca.key"
    if not key_path.exists() or not ca_pem(folder).exists():
        made = certificates.new_authority("hydrodask local CA", CA_DAYS)
        write_secret(key_path, made.key_pem)
        durable.replace(ca_pem(folder), made.certificate_pem)
    return certificates.loaded(key_path.read_bytes(), ca_pem(folder).read_bytes())
