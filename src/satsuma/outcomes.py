"""Errors that cross from one process to another.

Pickling an exception loses what its constructor takes by name, and Ray would wrap it in one of its
own; so a refusal travels as an answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

from satsuma.errors import SatsumaError


@dataclass(frozen=True, slots=True)
class Refusal:
    """An error that another process answered with.

    Attributes:
        error: its class.
        message: its words.
        details: its attributes, such as `retry_after_s`.
    """

    error: type[SatsumaError]
    message: str
    details: dict[str, Any]

    @classmethod
    def of(cls, error: SatsumaError) -> Self:
        """Take an error apart."""
        return cls(type(error), str(error), dict(vars(error)))

    def to_error(self) -> SatsumaError:
        """Put it together again."""
        error = self.error.__new__(self.error, self.message)
        error.args = (self.message,)
        vars(error).update(self.details)
        return error
