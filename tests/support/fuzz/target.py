"""A target: what is made up, what it is given to, and how it is tried."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.strategies import SearchStrategy

Check: TypeAlias = Callable[[Any], None]


@dataclass(frozen=True)
class Target:
    """Something that reads what others wrote.

    Attributes:
        does: what it is given.
        expects: all that may come of it.
        strategy: makes inputs up.
        open: gives what tries one input, and raises if it is not as expected; has a folder.
        wholes: what a fuzzer that follows the code begins with; without any it does not try.
        read: makes an input of such a fuzzer's bytes.
    """

    name: str
    does: str
    expects: str
    strategy: SearchStrategy[Any]
    open: Callable[[Path], AbstractContextManager[Check]]
    wholes: tuple[bytes, ...] = ()
    read: Callable[[bytes], Any] = bytes


def named_by_first(names: Sequence[Any]) -> Callable[[bytes], tuple[Any, bytes]]:
    """Read the first byte as one of some names, and the rest as what it is given."""
    return lambda raw: (names[raw[0] % len(names)] if raw else names[0], raw[1:])


def try_target(target: Target, check: Check, *, num_examples: int, number: int) -> None:
    """Try a target with so many inputs.

    Args:
        target: whose inputs are made up.
        check: what `target.open` gave.
        num_examples: how many, at least.
        number: another one makes others up.

    Raises:
        BaseException: what the first bad input led to, with the smallest such input as a note.
    """

    @seed(number)
    @settings(
        max_examples=num_examples,
        deadline=None,
        database=None,
        derandomize=False,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )
    @given(target.strategy)
    def is_as_expected(given_input: Any) -> None:
        check(given_input)

    is_as_expected()
