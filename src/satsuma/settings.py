"""Every setting, once: its name, default and meaning; and the only reader of the environment.

A field `token_budget` is the flag `--token-budget`, the variable `SATSUMA_TOKEN_BUDGET` and the
key `token_budget` in `satsuma.toml`. Flags win over variables, variables over the file, the file
over the defaults. `docs/settings.md` is generated from this module.
"""

from __future__ import annotations

import operator
import os
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from enum import StrEnum
from pathlib import Path
from typing import Any, get_args, get_type_hints

import platformdirs

from satsuma.errors import ConfigurationError
from satsuma.masking import HIDDEN, mask_url
from satsuma.types import Engine, LogFormat, Precision

ENVIRONMENT_PREFIX = "SATSUMA_"
CONFIGURATION_FILE = "satsuma.toml"
AUTO_DEVICE, CPU_DEVICE = "auto", "cpu"

_DEVICE = re.compile(r"auto|cpu|mps|cuda(:\d{1,3})?")
# As a browser writes it: in lower case, without a path, and without its scheme's own port.
_ORIGIN = re.compile(
    r"\*|(?!http://.*:80$|https://.*:443$)"
    r"[a-z][a-z0-9+.-]*://([a-z0-9._-]+|\[[0-9a-f:.]+\])(:(?P<port>[1-9]\d{0,4}))?",
    re.ASCII,
)
_MAX_PORT = 65_535
_MAX_THREADS = 4096  # more than any machine has cores
_MAX_HTTP_PROCESSES = 64  # far more than one engine can feed
_NOT_NEGATIVE = (
    "threads",
    "lanes",
    "token_budget",
    "port",
    "drain_s",
    "max_waiting_tokens",
    "memory_budget_bytes",
    "requests_per_minute",
    "tokens_per_minute",
)
_POSITIVE = (
    "http_processes",
    "deadline_s",
    "max_body_bytes",
    "queue_lease_s",
    "queue_results_s",
    "queue_max_requests",
    "queue_max_texts",
    "queue_max_waiting_texts",
)

_TRUE = frozenset({"1", "true", "yes", "on"})
_FALSE = frozenset({"0", "false", "no", "off"})


def _data_dir() -> Path:
    return Path(platformdirs.user_data_dir("satsuma", appauthor=False))


def _setting(default: Any, help_text: str) -> Any:
    """Declare a field with its help; a callable default is made anew for each Settings."""
    if callable(default):
        return field(default_factory=default, metadata={"help": help_text})
    return field(default=default, metadata={"help": help_text})


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All of satsuma's settings, checked and typed. Immutable."""

    # Server
    host: str = _setting("127.0.0.1", "Address to listen on.")
    port: int = _setting(7768, "Port to listen on; 0 picks a free one.")
    unix_socket: str = _setting("", "Listen on this socket, and on no address.")
    tls_certificate: str = _setting("", "PEM file of a certificate and its chain; serves HTTPS.")
    tls_key: str = _setting("", "PEM file of the certificate's key; empty: it is in the same file.")
    cors_origin: tuple[str, ...] = _setting(
        (), "Origin whose pages may call, scheme://host[:port], or *; may be given several times."
    )
    no_auth: bool = _setting(False, "Accept every request, even beyond loopback.")
    max_body_bytes: int = _setting(10_000_000, "Largest request body, in bytes.")
    requests_per_minute: int = _setting(
        0, "Requests to embed that an account may make in a minute; 0 for no limit."
    )
    tokens_per_minute: int = _setting(
        0, "Tokens that an account may have embedded in a minute; 0 for no limit."
    )
    http_processes: int = _setting(
        1, "Processes that speak HTTP before the one that has the engine; 1: it speaks it itself."
    )
    drain_s: float = _setting(30.0, "Seconds that running requests get to finish on SIGTERM.")
    access_log: bool = _setting(False, "Log each request: path, status and time, never a text.")
    log_format: LogFormat = _setting(LogFormat.TEXT, "Lines of the log: text or json.")
    traces: bool = _setting(
        False, "Trace requests by OpenTelemetry, as the OTEL_* variables say; needs satsuma[otel]."
    )
    model: tuple[str, ...] = _setting((), "Model to load at start; may be given several times.")

    # Scheduler
    token_budget: int = _setting(
        0,
        "Tokens of one microbatch; a longer item runs alone. 0: 512, or on a card what it is "
        "measured to need.",
    )
    deadline_s: float = _setting(60.0, "Seconds that a request may take, waiting included.")
    max_waiting_tokens: int = _setting(
        0, "Tokens that may wait; 0 sizes the room so that the wait stays under the deadline."
    )

    # Queue
    queue_url: str = _setting(
        "", "Database of the asynchronous queue: postgresql://... ; empty: SQLite in data_dir."
    )
    no_queue_worker: bool = _setting(
        False, "Take queued requests in, and leave the work to other servers."
    )
    queue_lease_s: float = _setting(
        30.0, "Seconds after which the others take over from a server that gives no sign of life."
    )
    queue_results_s: float = _setting(86_400.0, "Seconds that answers are kept for polling.")
    queue_max_requests: int = _setting(10_000, "Requests of one call to the queue.")
    queue_max_texts: int = _setting(10_000, "Texts of one call to the queue.")
    queue_max_waiting_texts: int = _setting(1_000_000, "Texts that may wait in the queue.")

    # Engine
    engine: Engine = _setting(Engine.AUTO, "What runs the models: auto, native, onnx or torch.")
    device: str = _setting(
        AUTO_DEVICE,
        "What they run on: auto, cpu, cuda, cuda:N or mps. auto: every card that PyTorch can use, "
        "else the CPU; needs satsuma[gpu].",
    )
    precision: Precision = _setting(
        Precision.FP32,
        "Arithmetic of the weights: fp32; int8 on the CPU; fp16 or bf16 on a card.",
    )
    threads: int = _setting(0, "Cores to use; 0 asks the cgroup quota, the affinity, the machine.")
    lanes: int = _setting(
        0,
        "Microbatches that run at once, sharing the cores; 0: one a core, fewer from 32 cores on; "
        "two a card.",
    )
    skip_self_test: bool = _setting(False, "Serve a model without comparing its published vectors.")
    memory_budget_bytes: int = _setting(
        0,
        "Memory for loaded models; past it, the least recently used goes. 0: half the machine's, "
        "or half a card's.",
    )

    # Store
    models_dir: Path = _setting(lambda: _data_dir() / "models", "Folder of the models.")
    data_dir: Path = _setting(_data_dir, "Folder of the tokens and other state.")


_TYPES: dict[str, Any] = get_type_hints(Settings)


def load_settings(
    flags: Mapping[str, Any] | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    config_file: Path | None = None,
) -> Settings:
    """Gather the settings from flags, environment and file, in that order.

    Args:
        flags: values by field name; None means "not given".
        environ: the process's own when None.
        config_file: `$SATSUMA_CONFIG`, else `satsuma.toml` in the working folder, when None.

    Raises:
        ConfigurationError: if a value has the wrong type, or the file an unknown key.
    """
    environ = os.environ if environ is None else environ
    given = {name: value for name, value in (flags or {}).items() if value is not None}
    given = {name: value for name, value in given.items() if value != ()}
    values = {**_from_file(config_file, environ), **_from_environ(environ), **given}
    settings = Settings(**{name: _coerce(name, value) for name, value in values.items()})
    _check(settings)
    return settings


@dataclass(frozen=True, slots=True)
class Origin:
    """A setting's value and where it came from.

    Attributes:
        name: the field's.
        value: what counts.
        source: `default`, a variable's name, or the file.
    """

    name: str
    value: Any
    source: str


def trace_settings(
    *, environ: Mapping[str, str] | None = None, config_file: Path | None = None
) -> list[Origin]:
    """List every setting's value and origin, in order of declaration; flags aside.

    Raises:
        ConfigurationError: as `load_settings`.
    """
    environ = os.environ if environ is None else environ
    settings = load_settings(environ=environ, config_file=config_file)
    chosen, _ = _find_file(config_file, environ)
    sources = dict.fromkeys(_from_file(config_file, environ), str(chosen.absolute()))
    sources |= {name: ENVIRONMENT_PREFIX + name.upper() for name in _from_environ(environ)}
    return [Origin(name, getattr(settings, name), sources.get(name, "default")) for name in _TYPES]


def describe_settings() -> list[tuple[str, str, str]]:
    """List (name, default, help) of each setting, in order of declaration."""
    return [(f.name, _show_default(f), f.metadata["help"]) for f in fields(Settings)]


def _show_default(one: Field[Any]) -> str:
    if one.default_factory is not MISSING:
        return "under the platform's data folder"
    return "none" if one.default in {(), ""} else str(one.default).lower()


def _from_file(path: Path | None, environ: Mapping[str, str]) -> dict[str, Any]:
    chosen, is_named = _find_file(path, environ)
    if not is_named and not chosen.is_file():
        return {}
    try:
        content = tomllib.loads(chosen.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        message = f"{chosen} cannot be read as TOML: {error}"
        raise ConfigurationError(message) from error
    unknown = sorted(set(content) - set(_TYPES))
    if unknown:
        message = f"{chosen} has unknown settings: {', '.join(unknown)}. See docs/settings.md."
        raise ConfigurationError(message)
    return content


def _find_file(path: Path | None, environ: Mapping[str, str]) -> tuple[Path, bool]:
    """Tell which file counts, and whether somebody named it: then it has to be there."""
    named = path or environ.get(ENVIRONMENT_PREFIX + "CONFIG")
    return Path(named or CONFIGURATION_FILE), named is not None


def _from_environ(environ: Mapping[str, str]) -> dict[str, str]:
    named = {name: environ.get(ENVIRONMENT_PREFIX + name.upper()) for name in _TYPES}
    return {name: value for name, value in named.items() if value is not None and value != ""}


def _coerce(name: str, value: Any) -> Any:
    """Turn a flag's, a variable's or the file's value into the field's type."""
    wanted = _TYPES[name]
    try:
        if get_args(wanted):  # tuple[str, ...]
            values = value.split(",") if isinstance(value, str) else value
            return tuple(_coerce_text(one).strip() for one in values)
        return _COERCIONS.get(wanted, wanted)(value)
    except (TypeError, ValueError) as error:
        shown = HIDDEN if name == "queue_url" else repr(value)  # it may hold a password
        message = f"{name} cannot be {shown}: {_wanted(wanted)} is needed."
        raise ConfigurationError(message) from error


def _coerce_bool(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    text = _coerce_text(value).strip().lower()
    if text not in _TRUE | _FALSE:
        raise ValueError(text)
    return text in _TRUE


def _coerce_text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(value)
    return value


def _coerce_int(value: Any) -> int:
    if isinstance(value, bool):
        raise TypeError(value)
    return int(value) if isinstance(value, str) else operator.index(value)


def _coerce_float(value: Any) -> float:
    if isinstance(value, bool):
        raise TypeError(value)
    return float(value)


_COERCIONS: dict[Any, Callable[[Any], Any]] = {
    bool: _coerce_bool,
    int: _coerce_int,
    float: _coerce_float,
    str: _coerce_text,
    Path: lambda value: Path(value).expanduser(),
}


def _wanted(wanted: Any) -> str:
    names = {int: "a whole number", float: "a number", bool: "true or false", Path: "a path"}
    if isinstance(wanted, type) and issubclass(wanted, StrEnum):
        return "one of " + ", ".join(wanted)
    return names.get(wanted, "text")


def _check(settings: Settings) -> None:
    """Refuse what no part could work with."""
    _check_numbers(settings)
    if not _DEVICE.fullmatch(settings.device):
        message = f"device cannot be {settings.device!r}: auto, cpu, cuda, cuda:N or mps is needed."
        raise ConfigurationError(message)
    if settings.tls_key and not settings.tls_certificate:
        raise ConfigurationError("tls_key needs tls_certificate: a key alone serves no HTTPS.")
    for origin in settings.cors_origin:
        _check_origin(origin)


def _check_numbers(settings: Settings) -> None:
    for name in _POSITIVE:
        if not getattr(settings, name) > 0:  # also refuses nan
            raise ConfigurationError(f"{name} must be positive.")
    for name in _NOT_NEGATIVE:
        if not getattr(settings, name) >= 0:
            raise ConfigurationError(f"{name} must be 0 or more.")
    for name in ("threads", "lanes"):
        if getattr(settings, name) > _MAX_THREADS:
            raise ConfigurationError(f"{name} must be at most {_MAX_THREADS}.")
    if settings.http_processes > _MAX_HTTP_PROCESSES:
        raise ConfigurationError(f"http_processes must be at most {_MAX_HTTP_PROCESSES}.")
    if settings.port > _MAX_PORT:
        raise ConfigurationError(f"port must be at most {_MAX_PORT}.")


def _check_origin(origin: str) -> None:
    """Refuse what no browser sends: nobody would learn why its pages may not call."""
    found = _ORIGIN.fullmatch(origin)
    if found is None or int(found["port"] or 0) > _MAX_PORT:
        shown = mask_url(origin) if "@" in origin else origin
        message = (
            f"cors_origin cannot be {shown!r}: * is needed, or scheme://host[:port] as browsers "
            "write it, such as https://app.example.com."
        )
        raise ConfigurationError(message)
