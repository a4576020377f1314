"""A Dask cluster that is started here, with its doors locked.

Driver, scheduler, nannies and workers speak TLS and show each other a certificate of this run; nobody else has one. The
scheduler's web server is guarded, and is not there without a dashboard; workers have none.
"""

import logging
import multiprocessing
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import dask
import distributed
from distributed import Nanny, SpecCluster, nanny
from distributed.process import AsyncProcess
from distributed.security import Security

from hydrodask.doors.guard import Guard
from hydrodask.doors.knocks import say_little
from hydrodask.errors import ConfigError, UsageError, sentence
from hydrodask.extras import lacking
from hydrodask.hosts import Hosts
from hydrodask.settings.model import Cluster

HOST = "127.0.0.1"
ORIGINS = "distributed.scheduler.dashboard.bokeh-application.allow_websocket_origin"
"""Where Dask's pages, once there is a port, find from which others a browser may open their socket."""


class Scheduler(distributed.Scheduler):  # type: ignore[misc]  # Dask has no types
    """A scheduler whose web server is guarded; without an address for it there is none."""

    def __init__(self, *, names: Sequence[str] = (), **options: Any) -> None:
        self._names = names
        say_little()  # of the nannies' ports, too: they are in this process
        logging.getLogger("distributed.nanny").addFilter(explained)
        super().__init__(**options)

    def start_http_server(
        self, routes: Any, dashboard_address: str | None, default_port: int = 0, ssl_options: Any = None
    ) -> None:
        """Begin to serve, if anything is to be served; called by Dask before it adds its pages."""
        if dashboard_address is None:
            return
        super().start_http_server(routes, dashboard_address, default_port, ssl_options)
        hosts = Hosts(dashboard_address.rpartition(":")[0], self._names)
        guard(self, hosts)
        dask.config.set({ORIGINS: hosts.origins(self.http_server.port)})


def explained(record: logging.LogRecord) -> bool:
    """Let a record through, one that sounds like damage with what it means: a slow machine has slow ends."""
    text = record.getMessage()
    if text.startswith("Worker process still alive after"):
        record.msg, record.args = f"{text} it; nothing is lost: what it has not committed is read again", ()
    return True


class Worker(distributed.Worker):  # type: ignore[misc]
    """A worker without a web server."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        say_little()
        super().__init__(*arguments, **options)

    def start_http_server(self, *_arguments: Any, **_options: Any) -> None:
        """Do not listen: what there is to see of workers, the scheduler's pages have."""


class Unheard(AsyncProcess):  # type: ignore[misc]
    """A process that never hears Ctrl-C, which a terminal sends to all: not even while its Python starts."""

    def _start_threads(self) -> None:
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            super()._start_threads()  # the thread that starts the process, which inherits what it blocks
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


nanny.AsyncProcess = Unheard  # Dask asks nobody which it is to take


def guard(scheduler: distributed.Scheduler, hosts: Hosts | None) -> None:
    """Let nobody in at a scheduler's web server who is not to be there; see Guard."""
    from distributed.dashboard.scheduler import applications  # noqa: PLC0415  # slow, and only needed with a dashboard

    scheduler.http_server.request_callback = Guard(scheduler.http_application, applications, hosts)


def local_cluster(
    settings: Cluster,
    *,
    workers: int,
    dashboard: str | None = None,
    names: Sequence[str] = (),
    asynchronous: bool = False,
    silence_logs: int,
) -> SpecCluster:
    """Return a cluster on loopback: started, or with `asynchronous` to be awaited. Raises what Dask raises.

    There is no dashboard where its extra is not installed.
    """
    dashboard = None if lacking("bokeh") else dashboard
    login = Security() if settings.insecure else run_login()
    shared: dict[str, Any] = {
        "host": HOST,
        "security": login,
        "protocol": "tls://" if login.require_encryption else "tcp://",
    }
    scheduler = {"dashboard": dashboard is not None, "dashboard_address": dashboard, "names": names, "port": 0}
    worker = {
        "cls": Nanny,
        "options": {
            **shared,
            "nthreads": 1,
            "memory_limit": settings.memory_limit,
            "silence_logs": silence_logs,
            "worker_class": Worker,
        },
    }
    return SpecCluster(
        workers=dict.fromkeys(range(workers), worker),
        worker=worker,
        scheduler={"cls": Scheduler, "options": {**shared, **scheduler}},
        asynchronous=asynchronous,
        silence_logs=silence_logs,
        security=login,
    )


def no_import_of_a_worker(what: str) -> None:
    """Raise UsageError in a process that is just being started as a worker: what it imports would start others."""
    if getattr(multiprocessing.current_process(), "_inheriting", False):  # as multiprocessing itself tells it
        raise UsageError(
            f"a worker process imports the script that has started it, and came to {what} there: put what the script "
            'does below `if __name__ == "__main__":`'
        )


def why_no_start(error: Exception) -> str:
    """Return why a cluster did not start, and to a script that never looks at `__name__` where it has to start one."""
    script = Path(getattr(sys.modules["__main__"], "__file__", None) or "")
    unguarded = script.is_file() and "__name__" not in script.read_text(errors="replace")
    hint = f'; {script.name} has to start it below `if __name__ == "__main__":`' if unguarded else ""
    return sentence(error).rstrip(".") + hint


def run_login() -> Security:
    """Return a login that only processes of this run have: keys in memory, made now. Raises ConfigError."""
    if missing := lacking("cryptography"):  # workers and scheduler do without it, and so does their image
        raise ConfigError(f"{missing}; the image hydrodask-stream starts no cluster: take hydrodask")
    from hydrodask.doors.certificates import keys_of_a_run  # noqa: PLC0415

    keys = keys_of_a_run()
    mine: dict[str, str] = {}
    for role in ("client", "scheduler", "worker"):
        mine |= {f"tls_{role}_cert": keys.certificate, f"tls_{role}_key": keys.key}
    return Security(require_encryption=True, tls_ca_file=keys.authority, **mine)
