"""How much of a cluster satsuma takes: replicas, cores, queues. Plain numbers, without Ray."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from dataclasses import Field, asdict, dataclass, field, fields
from typing import Any, Self

from satsuma.errors import ConfigurationError
from satsuma.settings import AUTO_DEVICE, CPU_DEVICE

_MAX_GATEWAYS = 8  # by default; a gateway is a process on some node


def _option(default: float, help_text: str) -> Any:
    return field(default=default, metadata={"help": help_text})


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterOptions:
    """What `satsuma deploy ray` and the import path take besides settings."""

    replica_cores: int = _option(0, "Cores of a replica; 0: all of the smallest node's.")
    min_replicas: int = _option(1, "Replicas that are always there.")
    max_replicas: int = _option(0, "Replicas at most; 0: as many as the nodes have room for now.")
    target_ongoing_requests: int = _option(
        16, "Requests a replica, running and queued; more add replicas, fewer remove some."
    )
    max_ongoing_requests: int = _option(
        64, "Requests that a replica takes at once; the others wait in the gateways."
    )
    max_queued_requests: int = _option(1024, "Requests that wait in a gateway; more answer 429.")
    upscale_delay_s: float = _option(5.0, "Seconds above the target before replicas are added.")
    downscale_delay_s: float = _option(300.0, "Seconds below it before replicas are removed.")
    gateways: int = _option(0, "Processes that speak HTTP; 0: one a node, eight at most.")

    @classmethod
    def parse(cls, arguments: Mapping[str, Any]) -> Self:
        """Read numbers, or texts that spell them; None means "not given".

        Raises:
            ConfigurationError: if one is none, or they do not go together.
        """
        kinds = {one.name: type(one.default) for one in fields(cls)}
        given = {name: value for name, value in arguments.items() if value is not None}
        options = cls(**{name: _coerce(name, value, kinds[name]) for name, value in given.items()})
        options._check()
        return options

    def on(self, node_cores: list[int]) -> Self:
        """Settle what is left to the cluster.

        Args:
            node_cores: cores of each node that has any.

        Raises:
            ConfigurationError: if no node has room for a replica.
        """
        cores = self.replica_cores or min(node_cores, default=0)
        room = sum(node // cores for node in node_cores) if cores else 0
        if not room:
            most = max(node_cores, default=0)
            raise ConfigurationError(
                f"No node has {max(1, cores)} cores for a replica; the largest has {most}."
            )
        settled = {
            "replica_cores": cores,
            "max_replicas": self.max_replicas or max(self.min_replicas, room),
            "gateways": self.gateways or min(len(node_cores), _MAX_GATEWAYS),
        }
        return type(self)(**asdict(self) | settled)

    def _check(self) -> None:
        for name in ("replica_cores", "max_replicas", "gateways", "downscale_delay_s"):
            if getattr(self, name) < 0:
                raise ConfigurationError(f"{name} must be 0 or more.")
        for name in ("min_replicas", "target_ongoing_requests", "max_queued_requests"):
            if getattr(self, name) < 1:
                raise ConfigurationError(f"{name} must be 1 or more.")
        if self.max_replicas and self.max_replicas < self.min_replicas:
            raise ConfigurationError("max_replicas must be at least min_replicas.")
        if self.max_ongoing_requests < self.target_ongoing_requests:
            raise ConfigurationError(
                "max_ongoing_requests must be at least target_ongoing_requests."
            )
        if not self.upscale_delay_s >= 0:
            raise ConfigurationError("upscale_delay_s must be 0 or more.")


def cluster_fields() -> tuple[Field[Any], ...]:
    """List the options, in order of declaration; their help is in their metadata."""
    return fields(ClusterOptions)


def keep_to_cores(flags: Mapping[str, Any]) -> dict[str, Any]:
    """Pin settings to the CPU on every node: Ray is asked for cores, and for no card.

    Raises:
        ConfigurationError: if another device was asked for.
    """
    device = flags.get("device", AUTO_DEVICE)
    if device not in (AUTO_DEVICE, CPU_DEVICE):
        raise ConfigurationError(f"A cluster runs on cores, and device {device} was given.")
    return {**flags, "device": CPU_DEVICE}


def _coerce(name: str, value: Any, kind: type) -> Any:
    is_text = isinstance(value, str)
    try:
        return kind(value) if is_text or kind is float else operator.index(value)
    except (TypeError, ValueError) as error:
        wanted = "a whole number" if kind is int else "a number"
        raise ConfigurationError(f"{name} cannot be {value!r}: {wanted} is needed.") from error
