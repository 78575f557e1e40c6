"""`satsuma bench http`: how fast a running server answers, and how much it can take."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import orjson

from satsuma.bench.http_address import check_address, find_loaded_model
from satsuma.bench.http_client import APIS, Target
from satsuma.bench.http_drive import Work
from satsuma.bench.http_figures import Figures, format_table, warnings
from satsuma.bench.http_phases import (
    BESIDE_BULK,
    BESIDE_QUEUE,
    IDLE,
    Plan,
    StoppedError,
    run_phases,
    run_sweep,
)
from satsuma.bench.http_schedule import Sweep
from satsuma.bench.http_texts import MIXES, Texts
from satsuma.bench.options import A_DAY_S, SECONDS, FiniteRange

_URL = "http://127.0.0.1:7768"
_SWEEP_FROM_PER_S = 5.0
_MOST_PER_S = 10_000.0  # four times what the generator can send
_MOST_REQUESTS = 10_000_000  # of a phase; their moments lie in memory
_INTERRUPTED = 130
_EPILOG = """
\b
Examples:
  satsuma bench http --rate 20                    latency at 20 queries a second
  satsuma bench http --concurrency 64             the most that 64 clients get
  satsuma bench http --sweep --slo-ms 100         the rate that this machine serves in time
  satsuma bench http --rate 5 --bulk 2            queries beside two bulk clients
  satsuma bench http --rate 5 --queued 4          queries beside the asynchronous queue
"""


@click.command("http", epilog=_EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--url",
    callback=check_address,
    default=_URL,
    show_default=True,
    envvar="SATSUMA_URL",
    help="The server.",
)
@click.option("--token", envvar="SATSUMA_TOKEN", help="API token; SATSUMA_TOKEN sets it too.")
@click.option("--model", help="A model's id.  [default: the first that the server has loaded]")
@click.option("--api", type=click.Choice(APIS), default=APIS[0], show_default=True)
@click.option(
    "--rate",
    type=FiniteRange(1e-3, _MOST_PER_S),
    help="Requests a second, sent whatever becomes of those before (open loop).",
)
@click.option(
    "--concurrency",
    type=click.IntRange(1),
    help="Clients that ask again as soon as they are answered (closed loop).  [default: 1]",
)
@click.option("--sweep", is_flag=True, help="Raise the rate until --slo-ms is missed.")
@click.option(
    "--slo-ms",
    type=FiniteRange(0, min_open=True),
    default=200.0,
    show_default=True,
    help="What a sweep's 99th percentile must not pass.",
)
@click.option(
    "--arrivals",
    "spacing",
    type=click.Choice(["poisson", "constant"]),
    default="poisson",
    show_default=True,
    help="Of an open loop's requests.",
)
@click.option(
    "--connections",
    type=click.IntRange(1),
    default=64,
    show_default=True,
    help="An open loop's; a request that finds none free waits, and its latency counts that.",
)
@click.option(
    "--mix",
    type=click.Choice(list(MIXES)),
    default="query",
    show_default=True,
    help="Lengths: 6 to 14 tokens, 8 to 255, or half below 30 with a long tail.",
)
@click.option(
    "--texts", type=click.IntRange(1), default=1, show_default=True, help="Texts of a request."
)
@click.option("--tokens", type=click.IntRange(3), help="Tokens of every text, instead of a mix.")
@click.option(
    "--file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Take the texts from its lines, instead of a mix.",
)
@click.option(
    "--bulk",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    help="Then measure again beside so many clients that send 32 x 128 tokens.",
)
@click.option(
    "--queued",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    help="Then measure again beside so many queued jobs of 32 x 128 tokens, each followed by the "
    "next; the last are left to the server.",
)
@click.option(
    "--duration",
    type=SECONDS,
    default=10.0,
    show_default=True,
    help="Seconds of a phase, after its warm-up.",
)
@click.option(
    "--warmup",
    type=FiniteRange(0, A_DAY_S),
    default=1.0,
    show_default=True,
    help="Seconds of a phase that do not count.",
)
@click.option("--json", "only_json", is_flag=True, help="Print the JSON line alone.")
def http(*, only_json: bool, sweep: bool, **options: Any) -> None:
    """Put load on a running server, and say how long it takes to answer.

    Latency counts from the moment at which a request was meant to be sent, so a server that stalls
    is charged for those that had to wait (no coordinated omission). A sweep raises the rate until
    the answers are late or refused, and the last good rate is what this server can be sized for.

    The generator takes about 0.4 ms of one core a request: some 2,500 a second are its limit, and
    beside the server on a small machine it slows that down. It says when it was late itself.
    """
    plan = _plan(**options, is_open=sweep or options["rate"] is not None)
    search = Sweep(plan.rate_per_s or _SWEEP_FROM_PER_S) if sweep else None
    phases: list[Figures] = []
    code = 0
    try:
        for phase in run_sweep(plan, search) if search else run_phases(plan):
            phases.append(phase)
            click.echo(f"... {phase.name}", err=True)
    except StoppedError as stopped:
        phases.append(stopped.figures)
        code = _INTERRUPTED
    _print(phases, search, only_json=only_json)
    is_bad = all(not phase.latency_ms for phase in phases)
    sys.exit(code or is_bad or any(phase.is_broken for phase in phases))


def _plan(*, is_open: bool, **options: Any) -> Plan:
    if is_open and options["concurrency"]:
        raise click.UsageError("--concurrency is a closed loop: leave out --rate and --sweep.")
    num_requests = (options["rate"] or 0) * (options["duration"] + options["warmup"])
    if num_requests > _MOST_REQUESTS:
        message = f"{num_requests:,.0f} requests are too many: lower --rate or --duration."
        raise click.UsageError(message)
    model = options["model"] or find_loaded_model(options["url"])
    target = Target(options["url"], model, options["api"], options["token"])
    texts = Texts(options["mix"], options["texts"], options["tokens"] or 0, options["file"])
    num_connections = options["connections"] if is_open else options["concurrency"] or 1
    return Plan(
        work=Work(target, texts.bodies(target), num_connections),
        rate_per_s=options["rate"],
        is_poisson=options["spacing"] == "poisson",
        duration_s=options["duration"],
        warmup_s=options["warmup"],
        num_bulk=options["bulk"],
        num_queued=options["queued"],
        slo_ms=options["slo_ms"],
    )


def _print(phases: Sequence[Figures], search: Sweep | None, *, only_json: bool) -> None:
    """Print the table, what to make of it, and the JSON line."""
    ratios = {kind: _p99_ratio(phases, kind) for kind in (BESIDE_BULK, BESIDE_QUEUE)}
    if not only_json:
        click.echo(format_table(phases))
        for line in warnings(phases):
            click.secho(line, fg="yellow")
        if search is not None:
            click.echo(f"Served in time: {search.served_per_s:.4g} requests/s.")
        for kind, ratio in ratios.items():
            if ratio is not None:
                click.echo(f"p99 {kind} is {ratio:.1f} times the idle server's.")
    summary = {
        "knee_per_s": None if search is None else search.served_per_s,
        "bulk_p99_ratio": ratios[BESIDE_BULK],
        "queue_p99_ratio": ratios[BESIDE_QUEUE],
    }
    click.echo(orjson.dumps({"phases": [phase.to_json() for phase in phases], **summary}))


def _p99_ratio(phases: Sequence[Figures], kind: str) -> float | None:
    """Divide the 99th percentile beside other work by the idle server's."""
    p99 = {
        one: phase.latency_ms.get("p99")
        for one in (IDLE, kind)
        for phase in phases
        if phase.name.endswith(one)
    }
    idle, busy = p99.get(IDLE), p99.get(kind)
    return busy / idle if idle and busy else None
