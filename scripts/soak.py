"""Keep a real server busy for an hour, and see that nothing grows: `make soak`.

Needs the tests' packages and all-MiniLM-L6-v2's. Ends with 1 if something did.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import click
from support.chaos.catalog import play_scene, theatre
from support.chaos.report import conclude, show, summarise
from support.chaos.scene import Timing
from support.chaos.soak import learn_models, soak_scene


@click.command()
@click.option("--minutes", default=60.0, show_default=True, help="How long.")
@click.option("--seed", default=1, show_default=True, help="Of texts and moments.")
@click.option("--record", "is_recorded", is_flag=True, help="Keep the run for docs/reliability.md.")
def main(*, minutes: float, seed: int, is_recorded: bool) -> None:
    """Soak, and judge the trends."""
    timing = Timing(load_s=60 * minutes)
    with theatre(seed) as (home, oracle):
        models = home / "models"
        scene = soak_scene(learn_models(models, seed), models)
        finding = play_scene(scene, home, oracle, seed, timing)
    click.echo(show(finding))
    summary = summarise("soak", [finding], seed=seed, load_s=timing.load_s)
    sys.exit(conclude(summary, is_recorded=is_recorded))


if __name__ == "__main__":
    main()
