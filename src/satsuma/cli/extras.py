"""Packages that come with an extra: missing ones are explained, not traced."""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import TYPE_CHECKING

from satsuma.errors import ConfigurationError
from satsuma.settings import Settings

if TYPE_CHECKING:
    from satsuma.api.metering import Traces  # needs an extra

_SERVER = ("starlette", "uvicorn", "uvloop", "httptools", "sqlalchemy")
_EXTRAS = {
    **dict.fromkeys(_SERVER, "server"),
    "opentelemetry": "otel",
    "pyarrow": "files",
    "ray": "ray",
    "torch": "gpu",
}


def import_extra(module: str) -> ModuleType:
    """Import one of our modules that needs an extra's packages.

    Raises:
        ConfigurationError: if they are not installed; the message says how to get them.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        extra = _EXTRAS.get((error.name or "").split(".")[0])
        if extra is None:
            raise
        raise ConfigurationError(
            f"The packages for this are not installed. Get them: pip install 'satsuma[{extra}]'"
        ) from error


def open_traces(settings: Settings) -> Traces | None:
    """Begin to trace where that is asked for.

    Raises:
        ConfigurationError: if the packages are not installed, or a variable cannot be used.
    """
    if not settings.traces:
        return None
    traces: Traces = import_extra("satsuma.api.tracing").open_traces()
    return traces
