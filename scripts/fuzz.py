"""Make up bad input and see what comes of it: `make fuzz ARGS="--minutes 10"`.

Needs the tests' packages and all-MiniLM-L6-v2's. Ends with 1 if anything came of it that is not
documented, and shows the smallest input that leads there.
"""

from __future__ import annotations

import faulthandler
import itertools
import json
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import click
from functional.test_openapi import run_schemathesis, serve_api
from support.chaos.report import describe, record
from support.fuzz import guided
from support.fuzz.catalog import TARGETS
from support.fuzz.target import Check, Target, try_target

_EXAMPLES_A_ROUND = 300
_DOCUMENT_EXAMPLES = 10  # of each operation, for each minute
_GUIDED_SHARE = 0.5  # of the time, where atheris is installed


@dataclass
class Attempt:
    """A target, and how often it was tried.

    Attributes:
        num_guided: inputs that followed the code.
        num_branches: of satsuma's own that those reached.
        failure: what came of it; empty as long as nothing did.
    """

    target: Target
    check: Check
    num_inputs: int = 0
    num_guided: int = 0
    num_branches: int = 0
    failure: str = field(default="")

    def go_on(self, number: int) -> None:
        """Try one round, unless something was found."""
        if self.failure:
            return
        try:
            try_target(self.target, self._count, num_examples=_EXAMPLES_A_ROUND, number=number)
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            self.failure = "".join(traceback.format_exception(error))

    def follow_code(self, folder: Path, seed: int, seconds: int) -> None:
        """Try inputs that reach further and further, in a process of their own."""
        found = guided.try_guided(self.target.name, _new(folder), seed=seed, seconds=seconds)
        self.num_guided, self.num_branches = found.num_inputs, found.num_branches
        self.failure = self.failure or found.failure

    def _count(self, given: Any) -> None:
        self.num_inputs += 1
        self.check(given)

    def show(self) -> str:
        """Lay it out."""
        followed = f", {self.num_guided} that followed the code" if self.num_guided else ""
        return (
            f"{'BROKEN' if self.failure else 'ok'}  {self.target.name}\n"
            f"    did       {self.target.does}\n"
            f"    expected  {self.target.expects}\n"
            f"    inputs    {self.num_inputs}{followed}\n{self.failure}"
        )


@click.command()
@click.option("--minutes", default=10.0, show_default=True, help="How long, in all.")
@click.option("--seed", default=1, show_default=True, help="Of the first round.")
@click.option("--only", help="Targets whose names have this in them.")
@click.option("--record", "is_recorded", is_flag=True, help="Keep the run for docs/reliability.md.")
def main(*, minutes: float, seed: int, only: str | None, is_recorded: bool) -> None:
    """Try all targets in turn, then every operation of the API's document."""
    faulthandler.enable()  # a crash below Python says where
    is_guided = guided.IS_HERE
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        attempts = [
            Attempt(one, stack.enter_context(one.open(_new(folder / str(place)))))
            for place, one in enumerate(TARGETS)
            if only is None or only in one.name
        ]
        _try_made_up(attempts, seed, 60 * minutes * (1 - _GUIDED_SHARE * is_guided))
        if is_guided:
            _try_guided(attempts, folder, seed, 60 * minutes * _GUIDED_SHARE)
        else:
            click.echo("fuzz: atheris is not installed, so NOTHING FOLLOWED THE CODE")
        for attempt in attempts:
            click.echo(attempt.show())
        is_document_good = only is not None or _try_document(folder, seed, minutes)
    num_broken = sum(bool(one.failure) for one in attempts) + (not is_document_good)
    _conclude(attempts, minutes, seed, num_broken, is_recorded=is_recorded)
    sys.exit(1 if num_broken else 0)


def _new(folder: Path) -> Path:
    folder.mkdir()
    return folder


def _try_made_up(attempts: Sequence[Attempt], seed: int, duration_s: float) -> None:
    """Go round the targets for so long, and once at least."""
    end_s = time.monotonic() + duration_s
    for number in itertools.count(seed):
        for attempt in attempts:
            attempt.go_on(number)
        if time.monotonic() > end_s:
            return


def _try_guided(attempts: Sequence[Attempt], folder: Path, seed: int, duration_s: float) -> None:
    """Share the time among the targets that take plain bytes."""
    fit = [one for one in attempts if one.target.wholes and not one.failure]
    for place, attempt in enumerate(fit):
        seconds = max(1, round(duration_s / len(fit)))
        attempt.follow_code(folder / f"guided-{place}", seed, seconds)


def _try_document(folder: Path, seed: int, minutes: float) -> bool:
    """Let schemathesis try every operation; gives whether it found nothing."""
    home = _new(folder / "home")
    with serve_api(home) as api:
        num_examples = max(_DOCUMENT_EXAMPLES, round(_DOCUMENT_EXAMPLES * minutes))
        found = run_schemathesis(api, home, seed=seed, num_examples=num_examples)
    is_good = found.returncode == 0
    click.echo(f"{'ok' if is_good else 'BROKEN'}  every operation, by schemathesis")
    click.echo(f"    expected  what the API's document says, and no 5xx\n{found.stdout[-1500:]}")
    return is_good


def _conclude(
    attempts: list[Attempt], minutes: float, seed: int, num_broken: int, *, is_recorded: bool
) -> None:
    num_inputs = sum(one.num_inputs + one.num_guided for one in attempts)
    click.echo(f"fuzz: {num_inputs} inputs to {len(attempts)} targets; {num_broken} broken")
    targets = [
        {
            "name": one.target.name,
            "does": one.target.does,
            "expects": one.target.expects,
            "inputs": one.num_inputs,
            "guided": one.num_guided,
            "branches": one.num_branches,
            "is_good": not one.failure,
        }
        for one in attempts
    ]
    summary = describe("fuzz", minutes=minutes, seed=seed, broken=num_broken, targets=targets)
    click.echo(json.dumps(summary))
    if is_recorded:
        record(summary)


if __name__ == "__main__":
    main()
