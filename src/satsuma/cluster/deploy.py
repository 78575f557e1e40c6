"""Deploying to a cluster: what `satsuma deploy` does."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from importlib import import_module
from typing import Any

from ray import serve
from ray.exceptions import RayError
from ray.serve.exceptions import RayServeException

from satsuma.cluster.app import app
from satsuma.cluster.connection import connected
from satsuma.cluster.front import CALLBACK
from satsuma.errors import ClusterError
from satsuma.settings import Settings

_LOGGER = logging.getLogger(__name__)

APPLICATION = "satsuma"
_LOOPBACK = "127.0.0.1"
_CALLBACK_VARIABLE = "RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH"
# Above the minute after which common clients drop an idle connection: theirs is the side to close.
_KEEP_ALIVE_S = 75


def deploy(address: str, settings: Settings, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Deploy the application, or change what is deployed; requests go on meanwhile.

    Args:
        address: of the cluster, as `connected` takes it.
        settings: where the proxies listen, on every node that has a replica or a gateway.
        arguments: of `satsuma.cluster.app`.

    Returns:
        What `status` returns.

    Raises:
        ClusterError: if there is no cluster, the application cannot be run on it, or Serve listens
            elsewhere already.
        ConfigurationError: if the arguments do not go together, or fit no node.
    """
    with connected(address, {_CALLBACK_VARIABLE: CALLBACK}):
        application = app(arguments)
        try:
            serve.start(proxy_location="EveryNode", http_options=_http_options(settings))
            _check_place(settings)
            serve.run(application, name=APPLICATION, route_prefix="/")
        except (RuntimeError, TimeoutError, RayError, RayServeException) as error:
            raise ClusterError(f"It could not be deployed: {_reason(str(error))}") from error
        return _status()


def status(address: str) -> dict[str, Any]:
    """Tell how an application does.

    Returns:
        `status` in Serve's words, `message`, and the number of replicas and gateways by state.

    Raises:
        ClusterError: if there is no cluster.
    """
    with connected(address):
        return _status()


def remove(address: str) -> None:
    """Take the application down; running requests are finished first.

    Raises:
        ClusterError: if there is no cluster, or nothing was ever deployed on it.
    """
    with connected(address):
        try:
            serve.delete(APPLICATION)
        except RayServeException as error:
            raise ClusterError("Nothing is deployed on this cluster.") from error


def _http_options(settings: Settings) -> dict[str, Any]:
    return {
        "host": settings.host,
        "port": settings.port,
        "keep_alive_timeout_s": _KEEP_ALIVE_S,
    }


def _check_place(settings: Settings) -> None:
    """Refuse where Serve ran before and listens elsewhere: it keeps its place as long as it runs.

    Raises:
        ClusterError: if so.
    """
    serves = _served_place()
    if serves is None:
        _LOGGER.warning(
            "This version of Ray does not tell where Serve listens. If it ran here before, that "
            "is its old place, whatever --host and --port say."
        )
    elif (_address(serves[0]), serves[1]) != (_address(settings.host), settings.port):
        host, port = serves
        raise ClusterError(
            f"Serve runs on this cluster already, at {host}:{port}, and not at "
            f"{settings.host}:{settings.port}. Give --host {host} --port {port}, or end it and "
            "all that is deployed on it with `serve shutdown`."
        )


def _served_place() -> tuple[str, int] | None:
    """Ask Serve where it listens, for which Ray has no public call; None if it has none at all."""
    try:
        context = import_module("ray.serve.context")
        options = context._get_global_client().http_config  # noqa: SLF001 - see above
    except (ImportError, AttributeError):
        return None
    return options.host, options.port


def _address(host: str) -> str:
    return _LOOPBACK if host == "localhost" else host


def _status() -> dict[str, Any]:
    found = serve.status().applications.get(APPLICATION)
    if found is None:
        return {"status": "NOT_DEPLOYED", "message": "", "deployments": {}}
    deployments = {name: dict(one.replica_states) for name, one in found.deployments.items()}
    return {
        "status": str(found.status.value),
        "message": found.message,
        "deployments": deployments,
    }


def _reason(told: str) -> str:
    """Find the cause in Serve's account of it, which ends with a traceback."""
    lines = [line.strip() for line in told.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("satsuma.errors.")]
    return (errors or lines or ["Serve gives no reason."])[-1 if errors else 0]
