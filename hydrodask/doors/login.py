"""How we come in at a Dask cluster of others: by which address, with which files, and what is wrong when we can't.

Address and files are looked at by ourselves, before anything is asked: what Dask says of them are errors of five kinds,
some without a text.
"""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hydrodask.doors.daskclusters import named
from hydrodask.doors.trust import trust
from hydrodask.errors import ConfigError, HydrodaskError, UnreachableError, sentence
from hydrodask.hosts import is_loopback
from hydrodask.settings.model import Cluster

Files = dict[str, Path]
"""Key of a setting → file."""

_ENCRYPTED = ("tls", "wss")
_CAUSES_MAX = 10
"""Errors that are looked at: each is the reason of the one before."""

_NO_TLS = "it does not speak TLS; on this machine cluster.address may be tcp://…"
_REFUSED = "it refuses the certificate in {cert_file}, which must be of the cluster's authority"
_TLS = {
    "CERTIFICATE_VERIFY_FAILED": "its certificate is not of the authority in {ca_file}",
    "CERTIFICATE DOES NOT MATCH": "its certificate is not of the authority in {ca_file}",
    "WRONG_VERSION_NUMBER": _NO_TLS,
    "RECORD_LAYER_FAILURE": _NO_TLS,
    "CANNOT CONVERT TO SSL": _NO_TLS,  # it has spoken first
    "CERTIFICATE_EXPIRED": "it says that the certificate in {cert_file} has ended; have a new one made",
    "ALERT": _REFUSED,
    "EOF OCCURRED": _REFUSED,  # the alert was overtaken by the end of the connection
}
"""What OpenSSL, Tornado and Dask call it → what it means."""


def check(cluster: Cluster) -> str:
    """Say how the scheduler of others is reached. Raises ConfigError for an address or files that can't be right."""
    address = str(cluster.address)
    if named(address) is not None:
        return _by_name(cluster)
    scheme, host = _parts(address)
    if scheme not in _ENCRYPTED:
        if cluster.ca_file is not None:
            raise ConfigError(
                f"cluster.address has value {address!r}, and cluster.ca_file is set; want tls://HOST:PORT"
            )
        if not is_loopback(host) and not cluster.insecure:
            raise ConfigError(
                f"cluster.address has value {address!r}: without TLS whoever is on the way runs code as this user; "
                "want tls://HOST:PORT with cluster.ca_file, cert_file and key_file, or cluster.insecure: true"
            )
        return f"{address}, not encrypted"
    return f"{address}, with the certificate in {_checked(_files(cluster))['cert_file']}"


def _by_name(cluster: Cluster) -> str:
    """Say how the scheduler of a DaskCluster will be reached. Raises ConfigError as `check` does."""
    if encrypted(cluster):
        return f"{cluster.address}, with the certificate in {_checked(_files(cluster))['cert_file']}"
    if not cluster.insecure:
        raise ConfigError(
            f"cluster.address has value {cluster.address!r}: without TLS whoever is on the way runs code as this user; "
            "want cluster.ca_file, cert_file and key_file, or cluster.insecure: true"
        )
    return f"{cluster.address}, not encrypted"


def encrypted(cluster: Cluster) -> bool:
    """Say whether there is a login by certificate: ours, or that of Dask's own settings."""
    try:
        return bool(_files(cluster))
    except ConfigError:
        return False


def dask_settings(cluster: Cluster) -> dict[str, object]:
    """Return what Dask's `Security` needs for a cluster of others; raises ConfigError as `check` does."""
    check(cluster)
    if _parts(str(cluster.address))[0] not in _ENCRYPTED:
        return {}
    files = _files(cluster)
    return {
        "require_encryption": True,
        "tls_ca_file": str(files["ca_file"]),
        "tls_client_cert": str(files["cert_file"]),
        "tls_client_key": str(files["key_file"]),
    }


@contextmanager
def connecting(cluster: Cluster) -> Iterator[None]:
    """Turn whatever Dask raises for want of a connection into a sentence: ConfigError or UnreachableError."""
    try:
        yield
    except HydrodaskError:
        raise
    except (OSError, ValueError, TypeError, RuntimeError) as error:
        what = f"could not reach the Dask scheduler at {cluster.address}"
        if meaning := _meaning(error, cluster):
            raise ConfigError(f"{what}: {meaning}") from error
        raise UnreachableError(f"{what}: {sentence(error)}") from error


def _meaning(error: BaseException, cluster: Cluster) -> str:
    """Return what of the settings is wrong, or nothing if that is not known."""
    said = " ".join(f"{type(one).__name__} {one}" for one in _causes(error)).upper()
    if "ENCRYPTION REQUIRED" in said:
        return f"Dask's own settings here allow TLS only (distributed.comm.require-encryption); {_wanted()}"
    if _parts(str(cluster.address))[0] in _ENCRYPTED:
        known = next((meaning for name, meaning in _TLS.items() if name in said), "")
        return known.format(**{key: str(file) for key, file in _files(cluster).items()})
    if "CONNECTIONRESET" in said:
        return f"it ends the connection, as one does that speaks TLS; {_wanted()}"
    return ""


def _wanted() -> str:
    return "want cluster.address tls://HOST:PORT with cluster.ca_file, cert_file and key_file"


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    for _ in range(_CAUSES_MAX):
        if error is None:
            return
        yield error
        error = error.__cause__ or error.__context__


def _parts(address: str) -> tuple[str, str]:
    """Return scheme and host of an address. Raises ConfigError when there is no port.

    >>> _parts("tls://[::1]:8786"), _parts("10.0.0.1:8786")
    (('tls', '::1'), ('tcp', '10.0.0.1'))
    """
    scheme, _, place = address.rpartition("://")
    host, _, port = place.rpartition(":")
    if not host or not port.isdigit() or int(port) > 65_535:
        raise ConfigError(f"cluster.address has value {address!r}; want tls://HOST:PORT, or tcp://127.0.0.1:PORT")
    return scheme or "tcp", host.strip("[]")


def _files(cluster: Cluster) -> Files:
    """Return the files of our login: ours, or those of Dask's own settings. Raises ConfigError when there are none."""
    if cluster.ca_file and cluster.cert_file and cluster.key_file:
        return {"ca_file": cluster.ca_file, "cert_file": cluster.cert_file, "key_file": cluster.key_file}
    import dask  # noqa: PLC0415  # only needed for who has set it up for Dask before

    comm = "distributed.comm.tls"
    names = {"ca_file": f"{comm}.ca-file", "cert_file": f"{comm}.client.cert", "key_file": f"{comm}.client.key"}
    found = {key: dask.config.get(name, None) for key, name in names.items()}
    found["key_file"] = found["key_file"] or found["cert_file"]
    if not found["ca_file"] or not found["cert_file"]:
        raise ConfigError(
            f"cluster.address has value {cluster.address!r}; want cluster.ca_file, cert_file and key_file, too: Dask's "
            "TLS is with a certificate on both sides"
        )
    return {key: Path(str(file)) for key, file in found.items()}


def _checked(files: Files) -> Files:
    """Return files of a login that OpenSSL takes. Raises ConfigError for the first that it does not."""
    for key, file in files.items():
        try:
            file.open("rb").close()
        except OSError as error:
            raise ConfigError(
                f"cluster.{key} has value {str(file)!r}, which can't be read: {error.strerror}"
            ) from error
    context = trust(files["ca_file"], "cluster.ca_file")
    try:
        # Dask would ask on the terminal for the password of a key.
        context.load_cert_chain(files["cert_file"], files["key_file"], password=_no_password)
    except (ssl.SSLError, ValueError) as error:
        pair = f"cluster.cert_file and key_file have values {str(files['cert_file'])!r} and {str(files['key_file'])!r}"
        raise ConfigError(f"{pair}; {_wrong_with_the_pair(error)}") from error
    return files


def _no_password() -> str:
    raise ValueError("the key has a password")


def _wrong_with_the_pair(error: ValueError | ssl.SSLError) -> str:
    if not isinstance(error, ssl.SSLError):
        return f"{error}; want one without"
    if error.reason == "KEY_VALUES_MISMATCH":
        return "the key is not that of the certificate"
    return "want a certificate and its key, both PEM"
