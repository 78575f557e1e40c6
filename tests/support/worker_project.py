"""A Worker's project, and `satsuma workers init` in it."""

from __future__ import annotations

from typing import Protocol

CONFIG = '{ "name": "w", "ai": { "binding": "AI" } }'


class Init(Protocol):
    """Runs `satsuma workers init` in the project."""

    def __call__(self, *flags: str) -> str:
        """Give what it printed."""
