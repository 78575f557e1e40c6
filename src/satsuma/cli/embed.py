"""`satsuma embed`: whole files in, vectors out."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import click
import orjson

from satsuma.bulk.conditions import parse_condition
from satsuma.bulk.dry_run import estimate
from satsuma.bulk.embedder import LocalEmbedder
from satsuma.bulk.formats import InputFormat, OutputFormat, tell_output
from satsuma.bulk.inputs import find_inputs
from satsuma.bulk.job import Job
from satsuma.bulk.locations import STANDARD_STREAM, Location, locate
from satsuma.bulk.options import JobOptions, VectorType
from satsuma.bulk.plan import find_model
from satsuma.bulk.progress import Progress
from satsuma.bulk.run import MakeEmbedder, run_job
from satsuma.bulk.targets import own_files
from satsuma.cli.extras import import_extra
from satsuma.cli.options import setting_options
from satsuma.cluster.options import keep_to_cores
from satsuma.settings import Settings, load_settings
from satsuma.types import Pooling

_EPILOG = """
\b
Examples:
  satsuma embed reviews.parquet vectors.parquet --model @cf/baai/bge-base-en-v1.5
  satsuma embed reviews.csv.gz vectors.jsonl --model ... --column review --id-column key
  satsuma embed 'logs/*.jsonl' vectors.parquet --model ... --where 'level = error' --keep host
  satsuma embed books/ chunks.ndjson --model ... --chunk 256 --overlap 32 --format text
  satsuma embed s3://bucket/in.parquet s3://bucket/out.parquet --model ...
  cat lines.txt | satsuma embed - - --model ... --format text --to jsonl | head
  satsuma embed reviews.parquet vectors.parquet --model ... --ray
"""


def _choice(kind: Any) -> click.Choice[str]:
    return click.Choice([member.value for member in kind])


@click.command(epilog=_EPILOG)
@click.argument("input_", metavar="INPUT")
@click.argument("output")
@click.option("--model", required=True, help="The model that embeds.")
@click.option(
    "--column", default="text", show_default=True, help="Column, or member, that has the texts."
)
@click.option("--id-column", help="Column that becomes the output's id.  [default: row numbers]")
@click.option("--keep", multiple=True, metavar="COLUMN", help="Column to copy; repeatable.")
@click.option(
    "--where",
    multiple=True,
    metavar="CONDITION",
    help="Rows to take: COLUMN OP VALUE, or COLUMN is [not] null; repeatable, all must hold.",
)
@click.option("--limit", type=int, help="Rows to embed at most.")
@click.option("--pooling", type=_choice(Pooling), help="[default: the model's own]")
@click.option(
    "--prompt-name",
    metavar="NAME",
    help='The model\'s own prompt before each text; "" is none.  [default: the usual one]',
)
@click.option("--dimensions", type=int, help="Cut vectors to as many; few models allow it.")
@click.option(
    "--normalize/--no-normalize", "is_normalized", default=True, help="Unit length, or as pooled."
)
@click.option(
    "--dtype", type=_choice(VectorType), default="float32", show_default=True, help="Numbers."
)
@click.option(
    "--chunk",
    "chunk_tokens",
    type=int,
    metavar="N",
    help="Cut texts into chunks of N tokens.  [default: texts that are too long lose their end]",
)
@click.option(
    "--overlap",
    "overlap_tokens",
    type=int,
    default=0,
    metavar="M",
    help="Tokens that a chunk shares with the one before.",
)
@click.option("--format", "input_format", type=_choice(InputFormat), help="[default: INPUT's name]")
@click.option("--to", "output_format", type=_choice(OutputFormat), help="[default: OUTPUT's name]")
@click.option("--errors", metavar="FILE", help="Names bad rows.  [default: OUTPUT.errors.jsonl]")
@click.option("--strict", "is_strict", is_flag=True, help="Stop at the first bad row.")
@click.option(
    "--overwrite", "may_overwrite", is_flag=True, help="Replace OUTPUT, and what goes beside it."
)
@click.option("--restart", "is_restarted", is_flag=True, help="Forget what a killed run has done.")
@click.option(
    "--state",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of unfinished work.  [default: OUTPUT.satsuma, or the cache]",
)
@click.option("--dry-run", "is_dry", is_flag=True, help="Count rows and tokens, estimate the time.")
@click.option(
    "--ray",
    "address",
    metavar="[ADDRESS]",
    is_flag=False,
    flag_value="auto",
    help="Embed on a Ray cluster: auto is the one of this machine, local a new one on it.",
)
@click.option("--progress/--no-progress", "is_shown", default=None, help="[default: on a terminal]")
@setting_options(
    "threads", "lanes", "engine", "device", "precision", "skip_self_test", "models_dir"
)
def embed(  # noqa: PLR0913 - click gives each option an argument
    input_: str,
    output: str,
    *,
    is_dry: bool,
    is_shown: bool | None,
    is_strict: bool,
    is_restarted: bool,
    may_overwrite: bool,
    state: Path | None,
    errors: str | None,
    address: str | None,
    **wishes: Any,
) -> None:
    """Embed every text of INPUT into OUTPUT.

    INPUT is a file, a folder, a glob, a URI (s3://, gs://) or - for standard input: Parquet, CSV,
    TSV, JSON Lines or lines of text, plain or in gzip or zstd. OUTPUT is Parquet, JSON Lines, npy,
    an Arrow stream or Vectorize's NDJSON, or - for standard output.

    Run the same command again after Ctrl-C or a crash, and it goes on where it was. The result is
    the same, byte for byte on the CPU's native engine, and as near as docs/gpu.md says on a card.
    OUTPUT appears when it is whole. The last line is a report in JSON.
    """
    flags = _take_flags(wishes)
    if address is not None:
        flags = keep_to_cores(flags)
    settings = load_settings(flags)
    input_format, output_format = wishes.pop("input_format"), wishes.pop("output_format")
    places = _locate_targets(output, errors)
    kind = tell_output(output, None if output_format is None else OutputFormat(output_format))
    inputs = find_inputs(
        input_,
        None if input_format is None else InputFormat(input_format),
        () if places[0] is None else own_files(places[0], places[1], kind, state),
    )
    options = _read_options(wishes, inputs[0].format, kind)
    job = Job(
        inputs=inputs,
        output=places[0],
        options=options,
        model=find_model(options, settings),
        is_strict=is_strict,
        is_restarted=is_restarted,
        may_overwrite=may_overwrite,
        state=state,
        errors=places[1],
    )
    _refuse_terminal(job)
    make_embedder = _choose_embedder(job, settings, None if is_dry else address, flags)
    _do(
        job,
        make_embedder,
        is_dry=is_dry,
        is_shown=sys.stderr.isatty() if is_shown is None else is_shown,
    )


def _locate_targets(output: str, errors: str | None) -> tuple[Location | None, Location | None]:
    """Find where the vectors go, and where rows without one are named."""
    return (
        None if output == STANDARD_STREAM else locate(output),
        None if errors is None else locate(errors),
    )


def _take_flags(wishes: dict[str, Any]) -> dict[str, Any]:
    names = ("threads", "lanes", "engine", "device", "precision", "skip_self_test", "models_dir")
    flags = {name: wishes.pop(name) for name in names}
    return {name: value for name, value in flags.items() if value is not None}


def _choose_embedder(
    job: Job, settings: Settings, address: str | None, flags: Mapping[str, Any]
) -> MakeEmbedder:
    """Say who embeds: this process, or a cluster."""
    if address is None:
        return partial(LocalEmbedder, job.options, settings)
    cluster = import_extra("satsuma.cluster.embedder")
    alike = {"engine": settings.engine.value, "precision": settings.precision.value}
    make: MakeEmbedder = partial(
        cluster.ClusterEmbedder, job.options, job.model, {**flags, **alike}, address
    )
    return make


def _read_options(
    wishes: Mapping[str, Any], input_format: InputFormat, output_format: OutputFormat
) -> JobOptions:
    pooling = wishes["pooling"]
    read = {
        "pooling": None if pooling is None else Pooling(pooling),
        "dtype": VectorType(wishes["dtype"]),
        "where": tuple(map(parse_condition, wishes["where"])),
        "input_format": input_format,
        "output_format": output_format,
    }
    return JobOptions(**{**wishes, **read})


def _refuse_terminal(job: Job) -> None:
    if job.inputs[0].location is None and sys.stdin.isatty():
        raise click.UsageError("Pipe something into standard input, or name a file.")
    is_binary = job.options.output_format not in {OutputFormat.JSONL, OutputFormat.VECTORIZE}
    if job.output is None and is_binary and sys.stdout.isatty():
        raise click.UsageError(f"{job.options.output_format} is binary: name a file, or pipe it.")


def _do(job: Job, make_embedder: MakeEmbedder, *, is_dry: bool, is_shown: bool) -> None:
    with Progress(job.inputs, is_shown=is_shown) as progress:
        try:
            if is_dry:
                told = estimate(job, make_embedder, progress)
            else:
                told = run_job(job, make_embedder, progress).to_json()
        except KeyboardInterrupt:
            if not is_dry and job.output is not None:
                rows = f"{progress.done.rows:,} rows are done"
                click.echo(f"{rows}. The same command goes on from there.", err=True)
            raise
    click.echo(orjson.dumps(told).decode(), err=job.output is None and not is_dry)
