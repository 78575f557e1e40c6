"""Put a real server under overload and faults, and see that it keeps its promises: `make chaos`.

Needs the tests' packages and all-MiniLM-L6-v2's. Ends with 1 if any promise was broken.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import click
from support.chaos.catalog import SCENES, play_scene, theatre
from support.chaos.report import conclude, show, summarise
from support.chaos.scene import Timing


@click.command()
@click.option("--minutes", default=10.0, show_default=True, help="Of the overload.")
@click.option("--seconds", default=20.0, show_default=True, help="Of each fault.")
@click.option("--connections", default=200, show_default=True, help="Of the overload.")
@click.option("--seed", default=1, show_default=True, help="Of texts and moments.")
@click.option("--only", help="Scenes whose names have this in them.")
@click.option("--record", "is_recorded", is_flag=True, help="Keep the run for docs/reliability.md.")
def main(  # noqa: PLR0913 - a flag each
    *,
    minutes: float,
    seconds: float,
    connections: int,
    seed: int,
    only: str | None,
    is_recorded: bool,
) -> None:
    """Play the scenes, one after another."""
    timing = Timing(fault_s=seconds, load_s=60 * minutes, num_connections=connections)
    findings = []
    with theatre(seed) as (home, oracle):
        for scene in SCENES:
            if only is None or only in scene.name:
                findings.append(play_scene(scene, home, oracle, seed, timing))
                click.echo(show(findings[-1]))
    how = {"seed": seed, "load_s": timing.load_s, "fault_s": timing.fault_s}
    summary = summarise("chaos", findings, connections=connections, **how)
    sys.exit(conclude(summary, is_recorded=is_recorded))


if __name__ == "__main__":
    main()
