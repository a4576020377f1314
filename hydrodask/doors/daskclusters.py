"""The scheduler of a DaskCluster, which is what dask-kubernetes makes: `cluster.address: kubernetes[:NAME]`.

The only importer of kubernetes, an extra. Two things are read from the API: the DaskClusters of a namespace, or the one
of that name, and the Service of its scheduler. In a pod we are its service account, elsewhere who a kubeconfig says.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

from hydrodask.errors import ConfigError, UnreachableError, sentence

WANTED = "kubernetes, kubernetes:NAME or kubernetes:NAMESPACE/NAME"
ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""Where a pod finds who it is."""

ANSWER_S = 10.0
PORT, PORT_NAME = 8786, "tcp-comm"
"""Of a scheduler, as dask-kubernetes calls it."""

NAMED_MAX = 5
"""DaskClusters that a message names."""

_GROUP, _VERSION, _PLURAL = "kubernetes.dask.org", "v1", "daskclusters"
_PART = "[a-z0-9]([-a-z0-9.]*[a-z0-9])?"
_ADDRESS = re.compile(rf"kubernetes(:(?:(?P<namespace>{_PART})/)?(?P<name>{_PART}))?")


@dataclass(frozen=True, slots=True)
class ClusterName:
    """A DaskCluster as an address names it: None is the namespace that we are in, and the only one in it."""

    namespace: str | None
    name: str | None


def named(address: str) -> ClusterName | None:
    """Return which DaskCluster an address means, None for one of another kind. Raises ConfigError.

    >>> named("kubernetes"), named("kubernetes:dask/plant"), named("tls://10.0.0.1:8786")
    (ClusterName(namespace=None, name=None), ClusterName(namespace='dask', name='plant'), None)
    """
    if address.partition(":")[0] != "kubernetes":
        return None
    match = _ADDRESS.fullmatch(address)
    if match is None:
        raise ConfigError(f"cluster.address has value {address!r}; want {WANTED}")
    return ClusterName(match["namespace"], match["name"])


def located(address: str, scheme: str) -> str:
    """Return the address of the scheduler that `address` means, for Dask's `scheme`.

    Raises ConfigError when there is none, or several, or we may not look; UnreachableError when that may change. Blocks
    for a few ANSWER_S.
    """
    wanted = named(address)
    assert wanted is not None  # noqa: S101  # who asks has looked
    api = _Api(address)
    namespace = wanted.namespace or api.namespace
    name = wanted.name or _only(address, namespace, api.clusters(namespace))
    if wanted.name is not None and not api.there(namespace, name):
        known = _some(api.clusters(namespace))
        raise ConfigError(
            f"cluster.address has value {address!r}: there is no DaskCluster {name!r} in namespace {namespace!r}; "
            f"there: {known or 'none'}"
        )
    service = api.service(namespace, f"{name}-scheduler")
    return f"{scheme}://{_host(service, inside=api.inside)}:{_port(service)}"


def _only(address: str, namespace: str, names: list[str]) -> str:
    if not names:
        raise ConfigError(
            f"cluster.address has value {address!r}: there is no DaskCluster in namespace {namespace!r}; make one "
            "(`hydrodask cluster up`), or name another: kubernetes:NAMESPACE/NAME"
        )
    if len(names) > 1:
        raise ConfigError(
            f"cluster.address has value {address!r}: there are {len(names)} DaskClusters in namespace {namespace!r} "
            f"({_some(names)}); name one: kubernetes:NAME"
        )
    return names[0]


def _some(names: list[str]) -> str:
    more = f" and {len(names) - NAMED_MAX} more" if len(names) > NAMED_MAX else ""
    return ", ".join(names[:NAMED_MAX]) + more


def _host(service: Any, *, inside: bool) -> str:
    """Return how a Service is reached: by its name from a pod; from elsewhere by what is before it, if anything is."""
    if inside:
        return f"{service.metadata.name}.{service.metadata.namespace}.svc"
    ingress = (service.status and service.status.load_balancer and service.status.load_balancer.ingress) or []
    before = next((one.ip or one.hostname for one in ingress if one.ip or one.hostname), None)
    return str(before or service.spec.cluster_ip)


def _port(service: Any) -> int:
    ports = {port.name: int(port.port) for port in service.spec.ports}
    return ports.get(PORT_NAME, PORT)


class _Api:
    """Who we are to the API of Kubernetes, and what we ask. Raises ConfigError and UnreachableError."""

    def __init__(self, address: str) -> None:
        try:
            import kubernetes  # noqa: PLC0415  # an extra, and slow
        except ImportError as error:
            raise ConfigError(
                f"cluster.address has value {address!r}, which needs the extra kubernetes: pip install "
                "'hydrodask[kubernetes]'"
            ) from error
        self._kubernetes = kubernetes
        self.inside = (ACCOUNT / "token").exists()
        configuration = kubernetes.client.Configuration()
        try:
            self.namespace = self._as_account(configuration) if self.inside else self._as_person(configuration)
        except (kubernetes.config.ConfigException, OSError) as error:
            raise ConfigError(
                f"cluster.address has value {address!r}, and nothing says where Kubernetes is: neither a service "
                f"account, as a pod has, nor a kubeconfig (KUBECONFIG, or ~/.kube/config): {sentence(error)}"
            ) from error
        configuration.retries = 1
        self._where = configuration.host
        self._client = kubernetes.client.ApiClient(configuration)

    def _as_account(self, configuration: Any) -> str:
        loader = self._kubernetes.config.incluster_config.InClusterConfigLoader(
            token_filename=str(ACCOUNT / "token"), cert_filename=str(ACCOUNT / "ca.crt"), try_refresh_token=True
        )
        loader.load_and_set(configuration)
        return (ACCOUNT / "namespace").read_text(encoding="utf-8").strip()

    def _as_person(self, configuration: Any) -> str:
        self._kubernetes.config.load_kube_config(client_configuration=configuration)
        _all, active = self._kubernetes.config.list_kube_config_contexts()
        context: Mapping[str, str] = active["context"]
        return context.get("namespace") or "default"

    def clusters(self, namespace: str) -> list[str]:
        """Return the names of the DaskClusters in a namespace."""
        call = self._kubernetes.client.CustomObjectsApi(self._client).list_namespaced_custom_object
        what = f"list daskclusters.kubernetes.dask.org in namespace {namespace!r}"
        found = self._ask(what, call, _GROUP, _VERSION, namespace, _PLURAL)
        if found is None:
            raise ConfigError(
                f"Kubernetes at {self._where} knows no DaskClusters: install the operator of dask-kubernetes first"
            )
        return sorted(one["metadata"]["name"] for one in found["items"])

    def there(self, namespace: str, name: str) -> bool:
        """Say whether there is a DaskCluster of that name."""
        call = self._kubernetes.client.CustomObjectsApi(self._client).get_namespaced_custom_object
        what = f"get daskclusters.kubernetes.dask.org in namespace {namespace!r}"
        return self._ask(what, call, _GROUP, _VERSION, namespace, _PLURAL, name) is not None

    def service(self, namespace: str, name: str) -> Any:
        """Return a Service."""
        call = self._kubernetes.client.CoreV1Api(self._client).read_namespaced_service
        found = self._ask(f"get services in namespace {namespace!r}", call, name, namespace)
        if found is None:
            raise UnreachableError(
                f"there is no Service {name!r} in namespace {namespace!r} yet: does dask-kubernetes' operator run?"
            )
        return found

    def _ask(self, what: str, call: Callable[..., Any], *given: str) -> Any:
        """Return what there is, None if there is nothing of that kind or name."""
        from urllib3.exceptions import HTTPError  # noqa: PLC0415  # comes with it

        try:
            return call(*given, _request_timeout=ANSWER_S)
        except self._kubernetes.client.ApiException as error:
            if error.status == HTTPStatus.NOT_FOUND:
                return None
            if error.status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
                raise ConfigError(
                    f"Kubernetes at {self._where} does not let us {what} ({error.status} {error.reason}): the account "
                    "needs a Role with it"
                ) from error
            raise UnreachableError(f"could not {what} at {self._where}: {error.status} {error.reason}") from error
        except (OSError, HTTPError) as error:
            raise UnreachableError(f"could not reach Kubernetes at {self._where}: {sentence(error)}") from error
