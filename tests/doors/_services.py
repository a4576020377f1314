"""The other local services, with a password each."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from hydrodask.services import AlertmanagerService, MlflowService, PrometheusService, PushgatewayService, ServerService
from hydrodask.services.ports import free_port


@contextmanager
def services(folder: Path) -> Iterator[dict[str, str]]:
    """Run those that are web servers; give the address of each."""
    given = [
        PushgatewayService(folder / "pushgateway", port=free_port(), with_parent=True),
        AlertmanagerService(folder / "alertmanager", port=free_port(), with_parent=True),
        PrometheusService(folder / "prometheus", port=free_port(), with_parent=True),
        MlflowService(folder / "mlflow", port=free_port(), with_parent=True),
    ]
    with ExitStack() as stack:
        for service in given:
            _start(service)
            stack.callback(service.stop)
        yield {service.name: service.address for service in given}


def _start(service: ServerService) -> None:
    service.install(lambda _said: None)
    service.start(lambda _said: None)
