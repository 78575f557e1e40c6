"""`satsuma bench targets`: every promise of speed that needs no other library, on this machine."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

import click

from satsuma.ai import Ai
from satsuma.bench.ceiling import Ceiling, ceiling_sampler, measure_ceiling
from satsuma.bench.contenders import ensure_model, model_id
from satsuma.bench.http_load import NoAnswerError, ServerDidNotStartError, running_server
from satsuma.bench.http_raw import RefusedError
from satsuma.bench.options import json_option, models_dir_option, rounds_option, seconds_option
from satsuma.bench.random_model import SHAPES, ModelShape
from satsuma.bench.report import describe_surroundings, format_heading
from satsuma.bench.targets.in_process import bulk_rows, measure_bulk
from satsuma.bench.targets.over_http import (
    Setting,
    beside_bulk_row,
    bulk_row,
    many_clients_row,
    memory_row,
    overhead_row,
)
from satsuma.bench.targets.rows import Row, format_rows, to_json
from satsuma.bench.targets.starts import start_row, start_target
from satsuma.bench.workload import text_flops
from satsuma.engine.load import count_threads
from satsuma.errors import SatsumaError
from satsuma.settings import Settings, load_settings

_ALL_MINILM = "@hf/sentence-transformers/all-minilm-l6-v2"
_START_S = {"bge-base": 3.0, "all-minilm-l6-v2": 1.0}
_LENGTH_OF_HEADING = 128
_PATIENT = ("--deadline-s", "600")  # the largest request takes a minute on two cores


@click.command("targets", context_settings={"help_option_names": ["-h", "--help"]})
@rounds_option
@seconds_option("some take several times this.")
@models_dir_option
@json_option
def targets(*, rounds: int, seconds: float, models_dir: Path, only_json: bool) -> None:
    """Measure what satsuma promises of its own speed, each figure beside its target.

    On the shape of bge-base with random weights: bulk work in fp32 and int8 and through HTTP,
    against the machine's ceiling; what a short request costs beyond the engine; many clients;
    queries beside bulk work; memory; and starts. Other libraries are `satsuma bench peers`.

    Eight minutes on two cores. Let nothing else run meanwhile. A missed target is no failure: the
    exit code is 0. Progress goes to standard error; the last line on standard output is JSON.
    """
    shape, threads = SHAPES["bge-base"], count_threads(Settings())
    where = describe_surroundings(threads)
    try:
        ensure_model(models_dir, shape)
        ceiling, rows = _measure(shape, threads, models_dir, rounds, seconds)
    except (SatsumaError, ServerDidNotStartError, NoAnswerError, RefusedError, OSError) as error:
        raise click.ClickException(str(error)) from error
    if not only_json:
        flops = text_flops(shape, _LENGTH_OF_HEADING) / _LENGTH_OF_HEADING
        click.echo(format_heading(where, shape.name, flops, ceiling) + "\n")
        click.echo(format_rows(rows) + "\n")
    click.echo(to_json(rows, surroundings=asdict(where), ceiling=asdict(ceiling)))


def _measure(
    shape: ModelShape, threads: int, models_dir: Path, rounds: int, seconds: float
) -> tuple[Ceiling, list[Row]]:
    """Measure the ceiling, and everything."""
    _progress("the ceiling")
    ceiling = measure_ceiling(threads)
    with ceiling_sampler(threads) as sample:
        _progress("bulk work in this process")
        rows = list(bulk_rows(*measure_bulk(shape, models_dir, rounds, seconds, sample)))
        with running_server(model_id(shape), models_dir, threads, _PATIENT) as server:
            setting = Setting(server, shape, rounds, seconds)
            rows += _measure_server(setting, sample, models_dir)
    return ceiling, [*rows, *_measure_starts(shape, models_dir, threads, rounds)]


def _measure_server(
    setting: Setting, ceiling: Callable[[], float], models_dir: Path
) -> Iterator[Row]:
    _progress("bulk work through HTTP")
    yield bulk_row(setting, ceiling)
    _progress("one short request")
    yield overhead_row(setting)
    _progress("many clients")
    with Ai(models_dir=models_dir, device="cpu", skip_self_test=True) as ai:
        yield many_clients_row(setting, ai)
    _progress("queries beside bulk work")
    yield beside_bulk_row(setting)
    _progress("the largest request")
    row = memory_row(setting, models_dir)
    if row is None:
        _progress("which cannot be told: this system has no /proc/PID/smaps to read")
    else:
        yield row


def _measure_starts(
    shape: ModelShape, models_dir: Path, threads: int, rounds: int
) -> Iterator[Row]:
    places = {
        "all-minilm-l6-v2": (_ALL_MINILM, load_settings().models_dir),
        shape.name: (model_id(shape), models_dir),
    }
    for name, (model, folder) in places.items():
        _progress(f"starts with {name}")
        yield start_row(start_target(name, _START_S[name]), model, folder, threads, rounds)


def _progress(message: str) -> None:
    click.echo(f"... {message}", err=True)
