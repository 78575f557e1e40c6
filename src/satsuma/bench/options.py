"""Options that several benchmarks have."""

from __future__ import annotations

import click

rounds_option = click.option(
    "--rounds",
    type=click.IntRange(1),
    default=5,
    show_default=True,
    help="Samples of each contender, taken in turns.",
)
