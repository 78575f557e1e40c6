"""Options that several benchmarks have."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import click
import platformdirs

_MODELS_DIR = Path(platformdirs.user_cache_dir("satsuma", appauthor=False)) / "bench" / "models"

Option: TypeAlias = Callable[[Callable[..., Any]], Callable[..., Any]]


class FiniteRange(click.FloatRange):
    """Numbers of a range; neither infinite nor `nan`, which is in none and beyond none."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Refuse what cannot be counted to."""
        number = float(super().convert(value, param, ctx))
        if not math.isfinite(number):
            self.fail(f"{value} is not a finite number.", param, ctx)
        return number


A_DAY_S = 86_400.0
SECONDS = FiniteRange(0, A_DAY_S, min_open=True)

rounds_option = click.option(
    "--rounds",
    type=click.IntRange(1),
    default=5,
    show_default=True,
    help="Samples of each contender, taken in turns.",
)

models_dir_option = click.option(
    "--models-dir",
    type=click.Path(file_okay=False, path_type=Path),
    default=_MODELS_DIR,
    help="Keeps the random weights for the next run.  [default: the platform's cache folder]",
)

json_option = click.option("--json", "only_json", is_flag=True, help="Print the JSON line alone.")


def seconds_option(more: str) -> Option:
    """Let a user say how long a sample takes.

    Args:
        more: what else there is to know of it.
    """
    return click.option(
        "--seconds",
        type=SECONDS,
        default=1.0,
        show_default=True,
        help=f"Shortest sample; {more}",
    )


def threads_option(what: str) -> Option:
    """Let a user say how many cores are used.

    Args:
        what: the number is, as the help begins.
    """
    return click.option(
        "--threads",
        type=click.IntRange(0),
        default=0,
        show_default=True,
        help=f"{what}; 0 asks the machine, as the server does.",
    )


def chosen_option(flag: str, name: str, choices: Sequence[str], what: str = "") -> Option:
    """Let a user choose some of what there is.

    Args:
        flag: on the command line.
        name: of the argument, which gets those that were chosen; none stands for all.
        choices: what there is.
        what: one of them is, as the help begins; "" where the flag says it.
    """
    may = f"{what}; may" if what else "May"
    return click.option(
        flag,
        name,
        type=click.Choice(choices),
        multiple=True,
        help=f"{may} be given several times.  [default: all]",
    )
