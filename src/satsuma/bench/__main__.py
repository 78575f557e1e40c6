"""`python -m satsuma.bench` (or `make bench`): measure everything, print it, assert nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import click

from satsuma.ai import Ai
from satsuma.bench.ceiling import higher, measure_ceiling
from satsuma.bench.contenders import (
    ai_contender,
    engine_contender,
    ensure_model,
    load_random,
    model_id,
)
from satsuma.bench.endings import ending_on_sigterm
from satsuma.bench.http_load import (
    Load,
    NoAnswerError,
    ServerDidNotStartError,
    measure_http,
    running_server,
)
from satsuma.bench.measure import Contender, Measurement, measure
from satsuma.bench.options import (
    chosen_option,
    json_option,
    models_dir_option,
    rounds_option,
    seconds_option,
    threads_option,
)
from satsuma.bench.random_model import SHAPES, ModelShape
from satsuma.bench.report import Report, describe_surroundings, format_heading, format_table
from satsuma.bench.workload import LONE, MIXED, WORKLOADS, Workload, text_flops
from satsuma.engine.load import count_threads
from satsuma.errors import SatsumaError
from satsuma.settings import Settings

PATHS = ("engine", "ai", "http")
HTTP_CLIENTS = 16

_LENGTH_OF_HEADING = 128
_HTTP_WINDOW = 4  # in units of --seconds, since a window must hold many answers
_QUICK_WORKLOADS = ("1x10", "3x11", "16x32")


@dataclass(frozen=True, slots=True)
class Plan:
    """What to measure, and for how long."""

    shape: ModelShape
    workloads: Sequence[Workload]
    paths: Sequence[str]
    rounds: int
    seconds: float
    threads: int
    models_dir: Path


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--shape",
    type=click.Choice(list(SHAPES)),
    default="bge-base",
    show_default=True,
    help="Sizes of the model.",
)
@rounds_option
@seconds_option("a longer run is not cut. Over HTTP, mixed takes four times this.")
@chosen_option("--workload", "workloads", list(WORKLOADS), "Texts x tokens")
@chosen_option("--path", "paths", PATHS, "Way through satsuma")
@threads_option("Cores to use")
@models_dir_option
@click.option(
    "--quick",
    is_flag=True,
    help="Half a minute instead of four: two short rounds of the small workloads.",
)
@json_option
def main(  # noqa: PLR0913 - one argument a flag
    *,
    shape: str,
    rounds: int,
    seconds: float,
    workloads: tuple[str, ...],
    paths: tuple[str, ...],
    threads: int,
    models_dir: Path,
    quick: bool,
    only_json: bool,
) -> None:
    """Measure satsuma's speed beside the ceiling of this machine.

    The model has the shape of a real one and random weights, so nothing is downloaded. Every
    contender is warmed up, then all are timed in turns. `engine` is the bare encoder with one
    text or a few; `ai` is the whole path in this process; `http` is a real server with 16
    clients. Progress goes to standard error; the last line on standard output is JSON.

    Let nothing else run meanwhile, and compare only runs of the same machine.
    """
    plan = Plan(
        shape=SHAPES[shape],
        workloads=[WORKLOADS[name] for name in workloads or WORKLOADS],
        paths=paths or PATHS,
        rounds=rounds,
        seconds=seconds,
        threads=count_threads(Settings(threads=threads)),
        models_dir=models_dir,
    )
    if quick:
        plan = _quickened(plan, keep_workloads=bool(workloads))
    try:
        run(plan, only_json=only_json)
    except (SatsumaError, ServerDidNotStartError, NoAnswerError, OSError) as error:
        raise click.ClickException(str(error)) from error


def _quickened(plan: Plan, *, keep_workloads: bool) -> Plan:
    small = plan.workloads if keep_workloads else [WORKLOADS[name] for name in _QUICK_WORKLOADS]
    return replace(plan, workloads=small, rounds=2, seconds=0.5)


def run(plan: Plan, *, only_json: bool) -> None:
    """Measure what the plan says and print the report."""
    where = describe_surroundings(plan.threads)
    _progress("measuring the ceiling")
    before = measure_ceiling(plan.threads)
    measurements = list(measure_all(plan))
    _progress("measuring the ceiling again")
    ceiling = higher(before, measure_ceiling(plan.threads))
    flops_per_token = text_flops(plan.shape, _LENGTH_OF_HEADING) / _LENGTH_OF_HEADING
    if not only_json:
        click.echo(format_heading(where, plan.shape.name, flops_per_token, ceiling) + "\n")
        click.echo(format_table(measurements, ceiling) + "\n")
    click.echo(Report(where, plan.shape.name, flops_per_token, ceiling, measurements).to_json())


def measure_all(plan: Plan) -> Iterator[Measurement]:
    """Measure in this process, then over HTTP, when nothing of the first is left in memory."""
    _progress(f"preparing {model_id(plan.shape)} in {plan.models_dir}")
    ensure_model(plan.models_dir, plan.shape)
    if "engine" in plan.paths or "ai" in plan.paths:
        yield from measure_in_process(plan)
    if "http" in plan.paths:
        yield from measure_server(plan)


def measure_in_process(plan: Plan) -> list[Measurement]:
    """Time the bare engine on small requests and the whole path on all, in turns."""
    loaded = load_random(plan.models_dir, plan.shape, plan.threads)
    try:
        with Ai(models_dir=plan.models_dir, threads=plan.threads, device="cpu") as ai:
            contenders: list[Contender] = []
            if "engine" in plan.paths:
                small = [one for one in plan.workloads if one.num_tokens <= 512]
                contenders += [engine_contender(loaded, plan.shape, one) for one in small]
            if "ai" in plan.paths:
                contenders += [ai_contender(ai, plan.shape, one) for one in plan.workloads]
            return _measure_aloud(contenders, plan)
    finally:
        loaded.encoder.close()


def _measure_aloud(contenders: Sequence[Contender], plan: Plan) -> list[Measurement]:
    _progress(f"warming up {len(contenders)} contenders")
    return measure(
        contenders,
        rounds=plan.rounds,
        seconds=plan.seconds,
        on_round=lambda number: _progress(f"round {number + 1} of {plan.rounds}"),
    )


def measure_server(plan: Plan) -> Iterator[Measurement]:
    """Time a real server: one client with a short text, then many clients."""
    _progress("starting satsuma serve")
    model = model_id(plan.shape)
    long_s = plan.seconds * _HTTP_WINDOW
    loads = (
        Load(1, LONE, plan.seconds, plan.seconds, plan.rounds),
        Load(HTTP_CLIENTS, LONE, plan.seconds, plan.seconds, plan.rounds),
        Load(HTTP_CLIENTS, MIXED, long_s, long_s, plan.rounds),
    )
    with running_server(model, plan.models_dir, plan.threads) as server:
        for load in loads:
            _progress(f"http, clients: {load.num_clients}, {load.workload.name}")
            yield measure_http(server.url, model, plan.shape, load)


def _progress(message: str) -> None:
    click.echo(f"... {message}", err=True)


if __name__ == "__main__":
    with ending_on_sigterm():
        main()
