"""`satsuma jobs`: what is in the asynchronous queue, and how it comes out again.

Parses, calls the queue's upkeep, prints. Works on the database itself, with a server or without.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import click

from satsuma.columns import align
from satsuma.errors import ConfigurationError, JobNotFoundError
from satsuma.jobs.assembly import open_upkeep
from satsuma.jobs.records import Job
from satsuma.jobs.states import JobStatus
from satsuma.jobs.upkeep import Upkeep
from satsuma.settings import load_settings

_HEADINGS = ("REQUEST ID", "ACCOUNT", "MODEL", "STATUS", "REQUESTS", "FAILED", "CREATED", "EXPIRES")
_SHOWN_FAILURES = 20

_Command = TypeVar("_Command", bound=Callable[..., Any])

_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
_SURE = click.option("--yes", "is_sure", is_flag=True, help="Do not ask.")


def _place(command: _Command) -> _Command:
    """Add the options that say where the queue is."""
    url = click.option(
        "--queue-url", help="Database of the queue; SATSUMA_QUEUE_URL and satsuma.toml set it too."
    )
    folder = click.option(
        "--data-dir",
        type=click.Path(path_type=Path, file_okay=False),
        help="Folder of the default database; SATSUMA_DATA_DIR and satsuma.toml set it too.",
    )
    return url(folder(command))


@click.group()
def jobs() -> None:
    """Look at the asynchronous queue, and clear it.

    A job is what one call with queueRequest=true put in. Its requests are embedded when nothing
    else waits, and its answers are kept for a day (queue_results_s).

    \b
    Examples:
      satsuma jobs list
      satsuma jobs show 768f15b7-4fd6-4498-906e-ad94ffc7f8d2
      satsuma jobs cancel 768f15b7-4fd6-4498-906e-ad94ffc7f8d2
      satsuma jobs purge --older-than-h 6
    """  # noqa: D301 - click reads the \b


@jobs.command("list")
@click.option("--account", metavar="ID", help="Only this account's.")
@_place
@_JSON
def list_jobs(
    account: str | None, queue_url: str | None, data_dir: Path | None, *, as_json: bool
) -> None:
    """List the jobs, oldest first.

    \b
    Examples:
      satsuma jobs list
      satsuma jobs list --account my-team --json
    """  # noqa: D301 - click reads the \b
    with _upkeep(queue_url, data_dir) as upkeep:
        found = upkeep.jobs(account)
    if as_json:
        click.echo(json.dumps([_to_json(job) for job in found], indent=2))
        return
    if not found:
        click.echo("No jobs.", err=True)
        return
    click.echo(align([_HEADINGS, *(_columns(job) for job in found)]))


@jobs.command("show")
@click.argument("request_id", metavar="REQUEST_ID")
@_place
@_JSON
def show_job(
    request_id: str, queue_url: str | None, data_dir: Path | None, *, as_json: bool
) -> None:
    """Show how far a job is, and why requests of it failed.

    \b
    Examples:
      satsuma jobs show 768f15b7-4fd6-4498-906e-ad94ffc7f8d2
      satsuma jobs show 768f15b7-4fd6-4498-906e-ad94ffc7f8d2 --json
    """  # noqa: D301 - click reads the \b
    with _upkeep(queue_url, data_dir) as upkeep:
        job = _find(upkeep, request_id)
        failures = [
            {"id": position, "code": reason.code, "reason": reason.message}
            for position, reason in upkeep.failures(request_id, _SHOWN_FAILURES)
        ]
    if as_json:
        click.echo(json.dumps({**_to_json(job), "failures": failures}, indent=2))
        return
    lines = [f"{key}: {value}" for key, value in _to_json(job).items() if value is not None]
    lines += [f"failed {one['id']}: {one['code']}: {one['reason']}" for one in failures]
    if job.num_failed > len(failures):
        lines.append(f"and {job.num_failed - len(failures)} more")
    click.echo("\n".join(lines))


@jobs.command("cancel")
@click.argument("request_id", metavar="REQUEST_ID")
@_place
@_SURE
def cancel_job(
    request_id: str, queue_url: str | None, data_dir: Path | None, *, is_sure: bool
) -> None:
    """End a job: what is not answered yet fails, what is answered stays.

    \b
    Examples:
      satsuma jobs cancel 768f15b7-4fd6-4498-906e-ad94ffc7f8d2
      satsuma jobs cancel --yes 768f15b7-4fd6-4498-906e-ad94ffc7f8d2
    """  # noqa: D301 - click reads the \b
    with _upkeep(queue_url, data_dir) as upkeep:
        job = _find(upkeep, request_id)
        if job.status is not JobStatus.DONE and not is_sure:
            num_left = job.num_requests - job.num_finished
            _confirm(f"Cancel {num_left} of {job.num_requests} requests of {job.account}?")
        click.echo(f"cancelled {upkeep.cancel(request_id)} requests of {request_id}")


@jobs.command("purge")
@click.option(
    "--older-than-h",
    type=click.FloatRange(min=0),
    default=0.0,
    help="Only jobs that were done so many hours ago.  [default: 0]",
)
@_place
@_SURE
def purge_jobs(
    older_than_h: float, queue_url: str | None, data_dir: Path | None, *, is_sure: bool
) -> None:
    """Delete the jobs that are done, and their answers; the others stay.

    \b
    Examples:
      satsuma jobs purge --older-than-h 6
      satsuma jobs purge --yes
    """  # noqa: D301 - click reads the \b
    with _upkeep(queue_url, data_dir) as upkeep:
        if not is_sure:
            _confirm("Delete the answers of jobs that are done, polled for or not?")
        click.echo(f"deleted {upkeep.purge(older_than_h * 3600)} jobs")


def _upkeep(queue_url: str | None, data_dir: Path | None) -> AbstractContextManager[Upkeep]:
    return open_upkeep(load_settings({"queue_url": queue_url, "data_dir": data_dir}))


def _find(upkeep: Upkeep, request_id: str) -> Job:
    job = upkeep.get(request_id)
    if job is None:
        raise JobNotFoundError(f"There is no job {request_id}. satsuma jobs list shows them.")
    return job


def _confirm(question: str) -> None:
    """Ask a person; a script has to say --yes."""
    if not sys.stdin.isatty():
        raise ConfigurationError("There is no terminal to ask on. Say --yes to go on.")
    click.confirm(question, abort=True)


def _columns(job: Job) -> tuple[str, ...]:
    return (
        job.request_id,
        job.account,
        job.model,
        job.status,
        f"{job.num_finished}/{job.num_requests}",
        str(job.num_failed),
        _moment(job.created_at_s) or "-",
        _moment(job.expires_at_s) or "-",
    )


def _moment(at_s: float | None) -> str | None:
    if at_s is None:
        return None
    return datetime.fromtimestamp(at_s, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _to_json(job: Job) -> dict[str, Any]:
    """Write a job with its times as people read them."""
    columns = asdict(job)
    times = [name for name in columns if name.endswith("_at_s")]
    shown = {name.removesuffix("_s"): _moment(columns.pop(name)) for name in times}
    first = {name: columns.pop(name) for name in ("request_id", "account", "model")}
    return {**first, "status": job.status.value, **columns, **shown}
