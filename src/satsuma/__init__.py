"""Cloudflare Workers AI text embeddings, self-hosted."""

from typing import Any

__version__ = "0.1.0"

__all__ = ["Ai", "__version__"]


def __getattr__(name: str) -> Any:
    """Import `Ai` when it is first asked for, so that `satsuma --help` stays quick."""
    if name == "Ai":
        from satsuma.ai import Ai  # noqa: PLC0415  the reason is the line above

        return Ai
    raise AttributeError(f"module 'satsuma' has no attribute {name!r}")
