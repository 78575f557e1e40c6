"""Settings as command-line options: names, types and help come from `settings.py`."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeVar, get_args, get_type_hints

import click

from satsuma.settings import Settings, describe_settings

_Command = TypeVar("_Command", bound=Callable[..., Any])
_TYPES = get_type_hints(Settings)
_DESCRIPTIONS = {name: (default, help_text) for name, default, help_text in describe_settings()}


def setting_options(*names: str) -> Callable[[_Command], _Command]:
    """Add the options of these settings to a command, in this order."""

    def decorate(command: _Command) -> _Command:
        for name in reversed(names):
            command = _option(name)(command)
        return command

    return decorate


def _option(name: str) -> Callable[[_Command], _Command]:
    default, help_text = _DESCRIPTIONS[name]
    wanted = _TYPES[name]
    arguments: dict[str, Any] = {"help": f"{help_text}  [default: {default}]", "default": None}
    if get_args(wanted):
        arguments |= {"multiple": True, "default": ()}
    elif wanted is bool:
        arguments |= {"is_flag": True}
    elif issubclass(wanted, StrEnum):
        arguments |= {"type": click.Choice([member.value for member in wanted])}
    else:
        arguments |= {"type": click.Path(path_type=Path) if wanted is Path else wanted}
    return click.option("--" + name.replace("_", "-"), name, **arguments)
