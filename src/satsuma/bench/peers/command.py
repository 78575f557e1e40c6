"""`satsuma bench peers`: satsuma beside other embedding libraries, in the same run."""

from __future__ import annotations

from pathlib import Path

import click
import platformdirs

from satsuma.bench.options import (
    SECONDS,
    chosen_option,
    rounds_option,
    seconds_option,
    threads_option,
)
from satsuma.bench.peers import catalog, models, workloads
from satsuma.bench.peers.environments import default_folder
from satsuma.bench.peers.errors import PeerError
from satsuma.bench.peers.output import check_page, write_folder, write_page
from satsuma.bench.peers.rounds import Timing
from satsuma.bench.peers.run import Plan, prepare_all, run
from satsuma.bench.peers.setup import Setup
from satsuma.bench.peers.table import format_report
from satsuma.engine.load import count_threads
from satsuma.settings import Settings

_MODELS_DIR = Path(platformdirs.user_cache_dir("satsuma", appauthor=False)) / "bench" / "peers"


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@chosen_option("--contender", "contenders", catalog.NAMES, "Library")
@chosen_option("--precision", "precisions", catalog.PRECISIONS, "Of the weights")
@chosen_option("--model", "model_names", list(models.PREPARERS))
@chosen_option("--workload", "workload_names", workloads.NAMES)
@rounds_option
@seconds_option("a longer run is not cut.")
@threads_option("Of each contender")
@click.option(
    "--limit",
    "limit_s",
    type=SECONDS,
    default=300.0,
    show_default=True,
    help="Seconds that a contender may stay silent.",
)
@click.option(
    "--stsb",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    envvar="STSB",
    help="stsbenchmark.tsv.gz, or the variable STSB.  [default: texts of the same lengths]",
)
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for results.json, results.md and a plot a model.",
)
@click.option(
    "--page",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Page that has the marks of this benchmark, to put the tables there; needs --output.",
)
@click.option(
    "--models-dir",
    type=click.Path(file_okay=False, path_type=Path),
    default=_MODELS_DIR,
    help="Keeps models in all formats for the next run.  [default: the platform's cache folder]",
)
@click.option(
    "--environments",
    "environments_dir",
    type=click.Path(file_okay=False, path_type=Path),
    default=None,
    help="Keeps the libraries' environments.  [default: peers/ in this environment]",
)
@click.option("--no-install", is_flag=True, help="Leave out what is not installed yet.")
@click.option("--setup-only", is_flag=True, help="Install and convert, and measure nothing.")
@click.option("--list", "only_list", is_flag=True, help="List the contenders and end.")
def peers(  # noqa: PLR0913 - one argument a flag
    *,
    contenders: tuple[str, ...],
    precisions: tuple[str, ...],
    model_names: tuple[str, ...],
    workload_names: tuple[str, ...],
    rounds: int,
    seconds: float,
    threads: int,
    limit_s: float,
    stsb: Path | None,
    output: Path | None,
    page: Path | None,
    models_dir: Path,
    environments_dir: Path | None,
    no_install: bool,
    setup_only: bool,
    only_list: bool,
) -> None:
    """Measure satsuma beside other embedding libraries.

    Each library is installed into an environment of its own and runs in a process of its own,
    with the same weights, texts and threads. All are warmed up, then timed in turns, while the
    others wait. What cannot be installed is named, and the rest goes on. Progress goes to
    standard error; the last line on standard output is JSON. Ctrl-C ends it with the workloads
    that are done.

    The first run takes some 8 GB of disk. Let nothing else run meanwhile.
    """
    chosen = catalog.choose(contenders, precisions)
    count = count_threads(Settings(threads=threads))
    setup = Setup(environments_dir or default_folder(), count, _progress, not no_install)
    if only_list:
        _list(chosen, setup)
        return
    plan = Plan(
        peers=chosen,
        models=model_names or list(models.PREPARERS),
        workloads=workload_names or workloads.NAMES,
        timing=Timing(rounds, seconds, limit_s, count),
        models_dir=models_dir.resolve(),
        stsb=stsb,
    )
    try:
        if setup_only:
            _set_up(plan, setup)
        else:
            _measure(plan, setup, output, page)
    except PeerError as error:
        raise click.ClickException(str(error)) from error


def _list(chosen: list[catalog.Peer], setup: Setup) -> None:
    width = max(len(peer.label) for peer in chosen)
    for peer in chosen:
        is_here = not peer.environment or setup.environment(peer.environment).is_current
        state = "installed" if is_here else "not installed"
        click.echo(f"{peer.label:<{width}}  {state:<13}  {peer.method}")


def _set_up(plan: Plan, setup: Setup) -> None:
    for _, _, failures in prepare_all(plan, setup):
        for one in failures:
            click.echo(f"{one.model}, {one.contender} {one.precision}: {one.reason}")


def _measure(plan: Plan, setup: Setup, output: Path | None, page: Path | None) -> None:
    if page is not None:
        if output is None:
            raise click.UsageError("--page needs --output, for the plots.")
        check_page(page)
    report = run(plan, setup)
    if output is not None:
        plots = write_folder(report, output)
        if page is not None:
            write_page(report, page, plots)
    click.echo(format_report(report))
    click.echo(report.to_json())


def _progress(message: str) -> None:
    click.echo(f"... {message}", err=True)
