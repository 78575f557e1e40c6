"""`satsuma deploy`: the HTTP surface on a cluster."""

from __future__ import annotations

from typing import Any

import click
import orjson

from satsuma.cli.extras import import_extra
from satsuma.cli.options import setting_options
from satsuma.cluster.options import cluster_fields
from satsuma.settings import load_settings

_EPILOG = """
\b
Examples:
  ray start --head                               on one machine
  ray start --address HEAD:6379                  on each of the others
  satsuma deploy ray --model @cf/baai/bge-base-en-v1.5 --max-replicas 4
  satsuma token create --account demo && satsuma deploy ray --host 0.0.0.0
  satsuma deploy status
"""
_SETTINGS = (
    "host", "port", "model", "models_dir", "lanes", "engine", "precision", "token_budget",
    "deadline_s", "max_waiting_tokens", "max_body_bytes", "memory_budget_bytes", "drain_s",
    "no_auth", "skip_self_test", "data_dir",
    "queue_url", "no_queue_worker", "queue_lease_s", "queue_results_s", "queue_max_requests",
    "queue_max_texts", "queue_max_waiting_texts",
)  # fmt: skip

_address = click.option(
    "--address",
    default="auto",
    show_default=True,
    help="The cluster: auto is the one that this machine is a node of; or its head's HOST:PORT.",
)


def _cluster_options(command: Any) -> Any:
    """Add the options of a cluster, in their order."""
    for one in reversed(cluster_fields()):
        flag = "--" + one.name.replace("_", "-")
        help_text = f"{one.metadata['help']}  [default: {one.default}]"
        kind = type(one.default)
        command = click.option(flag, one.name, type=kind, default=None, help=help_text)(command)
    return command


@click.group()
def deploy() -> None:
    """Serve embeddings on a Ray cluster, with the same URLs and JSON.

    \b
    A gateway on each node speaks HTTP; replicas embed, more of them while requests queue.
    docs/cluster.md has it by example.
    """  # noqa: D301 - click reads the \b


@deploy.command("ray", epilog=_EPILOG)
@_address
@_cluster_options
@setting_options(*_SETTINGS)
def deploy_ray(address: str, **flags: Any) -> None:
    """Deploy to a Ray cluster, or change what is deployed there.

    Run it on a node of the cluster. Every node that has a gateway or a replica listens on --port.
    What is given here counts on every node; what is not, each node reads from its own environment
    and satsuma.toml. Models that a node lacks are fetched there. Nodes need satsuma[ray], and the
    same tokens.json if callers have tokens.
    """
    given = {name: value for name, value in flags.items() if value not in (None, ())}
    options = {one.name: given.pop(one.name) for one in cluster_fields() if one.name in given}
    settings = load_settings(given)
    here = {"host": settings.host, "port": settings.port}  # the proxies', so that all agree
    told = import_extra("satsuma.cluster.deploy").deploy(
        address, settings, {**options, **given, **here}
    )
    click.echo(_replicas_line(told))
    click.echo(f"Ready: http://{_reachable(settings.host)}:{settings.port} on every node")


@deploy.command("status")
@_address
@click.option("--json", "is_json", is_flag=True, help="Print JSON.")
def show_status(address: str, is_json: bool) -> None:
    """Show how what is deployed does.

    \b
    Examples:
      satsuma deploy status
      satsuma deploy status --json
    """  # noqa: D301 - click reads the \b
    told = import_extra("satsuma.cluster.deploy").status(address)
    if is_json:
        click.echo(orjson.dumps(told).decode())
        return
    click.echo("\n".join(line for line in (told["status"], told["message"]) if line))
    click.echo(_replicas_line(told))


@deploy.command("remove")
@_address
def remove(address: str) -> None:
    """Take down what is deployed, once the running requests are done.

    \b
    Examples:
      satsuma deploy remove
      satsuma deploy remove --address head:6379
    """  # noqa: D301 - click reads the \b
    import_extra("satsuma.cluster.deploy").remove(address)
    click.echo("Removed.")


def _replicas_line(told: Any) -> str:
    """Count replicas and gateways by state."""
    parts = (
        f"{name.lower()}s: " + (", ".join(f"{n} {state.lower()}" for state, n in states.items()))
        for name, states in sorted(told["deployments"].items())
    )
    return "; ".join(parts)


def _reachable(host: str) -> str:
    return {"0.0.0.0": "NODE", "::": "NODE"}.get(host, host)  # noqa: S104 - not bound here
