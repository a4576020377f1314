"""Check this machine: disk, clocks, ports."""

import os
import shlex
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

from hydrodask import clock
from hydrodask.doctor.outcome import Outcome, failed, passed, warned
from hydrodask.errors import ConfigError
from hydrodask.hosts import is_loopback
from hydrodask.services.ports import can_bind
from hydrodask.settings import Settings

GIB = 1024**3
DISK_FAIL_GIB = 1
DISK_WARN_GIB = 5
SKEW_S_MAX = 5.0
"""How far a file system's time may be from ours: the ages of files come from it."""

PAGE = "console.address"
_CHECKS = {"observe.metrics": "metrics port", "cluster.dashboard": "dashboard port", PAGE: "page port"}
"""What the check of a port is called, by its setting."""
_GOING_ON = "is a run going on? otherwise set {}"

EARLIEST_US = clock.parse_iso("2026-01-01T00:00:00Z")
"""This code was written later: an earlier time is a clock that was never set."""


def disk(settings: Settings) -> Outcome:
    """Say how much space there is where `data_dir` is, or will be."""
    folder = existing(settings.data_dir)
    free_gib = shutil.disk_usage(folder).free / GIB
    text = f"{free_gib:.1f} GiB free at {folder}"
    advice = "make room, or set data_dir to a larger disk"
    if free_gib < DISK_FAIL_GIB:
        return failed("disk", f"{text}, want {DISK_FAIL_GIB} GiB", advice)
    if free_gib < DISK_WARN_GIB:
        return warned("disk", f"{text}, want {DISK_WARN_GIB} GiB", advice)
    return passed("disk", text)


def rights(settings: Settings) -> list[Outcome]:
    """Say whether others on this machine may read what is ours. What we make is our user's only; what was there is not.

    Only the folder itself is looked at: nobody gets past one that is closed.
    """
    files = {
        "kafka.password_file": settings.kafka.password_file,
        "documents.password_file": settings.documents.password_file,
        "lake.key_file": settings.lake.key_file,
        "learn.password_file": settings.learn.password_file,
        "observe.password_file": settings.observe.password_file,
    }
    open_files = [(key, path) for key, path in files.items() if path is not None and open_to_others(path)]
    found = [
        warned("rights", f"{key} {path} is open to others", f"chmod 600 {shlex.quote(str(path))}")
        for key, path in open_files
    ]
    if open_to_others(settings.data_dir):
        advice = f"close it: chmod -R go-rwx {shlex.quote(str(settings.data_dir))}"
        found.append(warned("rights", f"data_dir {settings.data_dir} is open to others on this machine", advice))
    return found or [passed("rights", "data_dir and password files are closed to others")]


def open_to_others(path: Path) -> bool:
    """Say whether group or others have rights on a file or folder, as far as we may look.

    A mounted Secret of Kubernetes is root's, and its pod's group may read it: there is nobody else in that group.
    """
    try:
        found = path.stat()
    except OSError:
        return False
    mode = stat.S_IMODE(found.st_mode)
    if found.st_uid == 0 and os.getuid() != 0 and found.st_gid == os.getgid():
        mode &= ~stat.S_IRGRP
    return bool(mode & (stat.S_IRWXG | stat.S_IRWXO))


def clocks(settings: Settings) -> Outcome:
    """Say whether the system's clock was set, goes on, and agrees with the file system's."""
    before_s, now_us = clock.monotonic_s(), clock.now_us()
    clock.sleep_s(0.01)
    moved_s = clock.monotonic_s() - before_s
    advice = "set the clock, for example with an NTP service"
    if now_us < EARLIEST_US:
        return failed("clock", f"it is {clock.iso(now_us)}, before this program was written", advice)
    if not 0 < moved_s < SKEW_S_MAX or clock.now_us() <= now_us:
        return failed("clock", f"in 10 ms the monotonic clock moved by {moved_s:.3f} s", advice)
    folder = existing(settings.data_dir)
    try:
        with tempfile.NamedTemporaryFile(dir=folder) as file:
            file.write(b"x")
            file.flush()
            skew_s = Path(file.name).stat().st_mtime - clock.now_us() / clock.US_PER_S
    except OSError as error:
        return failed(
            "clock",
            f"could not write a file to {folder}: {error}",
            "set data_dir to a writable folder",
        )
    if abs(skew_s) > SKEW_S_MAX:
        return warned("clock", f"the file system at {folder} is {skew_s:+.1f} s from ours", advice)
    return passed("clock", f"{clock.iso(now_us)}, file system {skew_s:+.1f} s")


def ports(settings: Settings) -> Iterator[Outcome]:
    """Give the findings of the ports that a run serves at; one that is taken may be a run's that goes on."""
    for key, address in _served(settings).items():
        yield from port(_CHECKS[key], key, address)


def free_ports(settings: Settings) -> Iterator[Outcome]:
    """Give the findings of the ports that a run needs now: those that are taken as one, so that others are chosen once.

    Without a port for its page a run goes on, and says so then: it is named here only beside others.
    """
    taken: dict[str, str | None] = {}
    for key, address in _served(settings).items():
        for found in port(_CHECKS[key], key, address):
            if found.advice == _GOING_ON.format(key):
                taken[key] = address
            else:
                yield found
    if taken.keys() - {PAGE}:
        places = "; ".join(
            f"{_CHECKS[key]}: {address} is taken or not of this machine" for key, address in taken.items()
        )
        check, _, text = places.partition(": ")
        others = " ".join(f"--set {key}=HOST:PORT" for key in taken)
        advice = f"choose {'others' if len(taken) > 1 else 'another'} with {others} (port 0: any free one)"
        yield failed(check, text, advice, ConfigError.exit_code)


def _served(settings: Settings) -> dict[str, str | None]:
    """Return the addresses that a run serves at, by setting, in the order in which it needs them."""
    dask = {"cluster.dashboard": settings.cluster.dashboard} if settings.cluster.address is None else {}
    return {"observe.metrics": settings.observe.metrics, **dask, PAGE: settings.console.address}


def port(check: str, key: str, address: str | None) -> Iterator[Outcome]:
    """Say whether a server of ours could listen on `address`, host:port (port 0 is always free), and who reaches it.

    One that is taken is no more than a warning: it may be a run that has it.
    """
    if address is None:
        yield passed(check, "none is wanted")
        return
    host, _, number = address.rpartition(":")
    if not number.isdigit() or int(number) > 65_535:
        yield failed(check, f"{key} has value {address!r}; want host:port", f"set {key}", 3)
        return
    if can_bind(int(number), host.strip("[]")):
        yield passed(check, f"{address} is free")
    else:
        yield warned(check, f"{address} is taken or not of this machine", _GOING_ON.format(key))
    if not is_loopback(host.strip("[]")):
        advice = f"set {key} to 127.0.0.1:{number}, and let an ssh tunnel or a proxy with passwords lead there"
        yield warned(check, f"{address} is open to other machines, without a password", advice)


def existing(path: Path) -> Path:
    """Return `path`, or the nearest folder above it that exists."""
    path = path.absolute()
    return next(p for p in (path, *path.parents) if p.exists())
