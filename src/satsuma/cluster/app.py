"""The Serve application: `satsuma.cluster.app:app`, for `satsuma deploy ray` and Serve's own tools.

    serve run satsuma.cluster.app:app model=@cf/baai/bge-base-en-v1.5 max_replicas=4

Gateways speak HTTP, replicas embed. Each is a deployment of its own, so that a lost replica costs
no request: the gateway asks another.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import ray
from ray import serve

from satsuma.cluster.gateway import Gateway
from satsuma.cluster.options import ClusterOptions, keep_to_cores
from satsuma.cluster.replica import Replica
from satsuma.cluster.shared_queue import check_shared
from satsuma.errors import ConfigurationError
from satsuma.settings import Settings, load_settings

DEFAULT_MODELS = ("@cf/baai/bge-base-en-v1.5",)
_OPTION_NAMES = frozenset(one.name for one in fields(ClusterOptions))
_SETTING_NAMES = frozenset(one.name for one in fields(Settings)) - {"threads"}
_MAX_GATEWAY_REQUESTS = 10_000  # a gateway only waits; what is too much is refused by its queue
_LOOK_BACK_S = 15.0  # over which queues are averaged
_HEALTH_EVERY_S = 5.0
_HEALTH_WITHIN_S = 30.0
_MAX_STARTS = 2  # of a replica that cannot be made; its reason is told after the last


def app(arguments: Mapping[str, Any]) -> Any:
    """Build the application for the cluster that this process is connected to.

    Args:
        arguments: `ClusterOptions` and settings by name. These settings count on every node; what
            is left out, each node's environment and `satsuma.toml` say.

    Returns:
        What `serve.run` runs.

    Raises:
        ConfigurationError: if one is unknown, or has an impossible value.
    """
    unknown = sorted(set(arguments) - _OPTION_NAMES - _SETTING_NAMES)
    if unknown:
        raise ConfigurationError(f"A cluster has no {', '.join(unknown)}. See docs/cluster.md.")
    taken = {name: value for name, value in arguments.items() if name in _OPTION_NAMES}
    options = ClusterOptions.parse(taken).on(node_cores())
    given = {name: value for name, value in arguments.items() if name in _SETTING_NAMES}
    flags = keep_to_cores(given)  # gateways too: they look at what replicas would run on
    settings = load_settings(flags)  # refuses what every node would refuse
    check_shared(settings)
    models = settings.model or DEFAULT_MODELS
    replicas = _replicas(options, settings.drain_s).options(user_config={"models": list(models)})
    replicas = replicas.bind({**flags, "threads": options.replica_cores})
    return _gateways(options, settings.drain_s).bind(flags, replicas)


def node_cores() -> list[int]:
    """Count the cores of each node that is alive and has any."""
    resources = (node["Resources"] for node in ray.nodes() if node["Alive"])
    return [cores for one in resources if (cores := int(one.get("CPU", 0)))]


def _replicas(options: ClusterOptions, drain_s: float) -> Any:
    return serve.deployment(Replica).options(
        name="Replica",
        ray_actor_options={"num_cpus": options.replica_cores},
        autoscaling_config={
            "min_replicas": options.min_replicas,
            "max_replicas": options.max_replicas,
            "target_ongoing_requests": options.target_ongoing_requests,
            "upscale_delay_s": options.upscale_delay_s,
            "downscale_delay_s": options.downscale_delay_s,
            "look_back_period_s": _LOOK_BACK_S,
        },
        max_ongoing_requests=options.max_ongoing_requests,
        max_queued_requests=options.max_queued_requests,
        **_lifetime(drain_s),
    )


def _gateways(options: ClusterOptions, drain_s: float) -> Any:
    return serve.deployment(serve.ingress()(Gateway)).options(
        name="Gateway",
        num_replicas=options.gateways,
        ray_actor_options={"num_cpus": 0},  # it waits more than it works
        max_ongoing_requests=_MAX_GATEWAY_REQUESTS,
        **_lifetime(drain_s),
    )


def _lifetime(drain_s: float) -> dict[str, Any]:
    """How they end, and how it is noticed that they should: alike for both."""
    return {
        "graceful_shutdown_timeout_s": drain_s,
        "graceful_shutdown_wait_loop_s": 0.1,
        "health_check_period_s": _HEALTH_EVERY_S,
        "health_check_timeout_s": _HEALTH_WITHIN_S,
        "max_constructor_retry_count": _MAX_STARTS,
    }
