"""Reading a query string by the same schemas that the OpenAPI document shows.

Knows strings, whole numbers with bounds, and booleans. Parameters without a schema are ignored, as
Cloudflare does.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from starlette.datastructures import QueryParams

from satsuma.api.errors import InvalidQueryError, shorten
from satsuma.kinds.schemas import Schema

_WHOLE_NUMBER: Final = re.compile(r"-?[0-9]{1,18}")
_TRUTH: Final = {"true": True, "false": False}


def read_query(sent: QueryParams, schemas: Mapping[str, Schema]) -> dict[str, Any]:
    """Read the parameters that have a schema; one that was not sent has its default, or None.

    Raises:
        InvalidQueryError: if one is no value of its schema, or was sent more than once.
    """
    return {name: _read(name, schema, sent.getlist(name)) for name, schema in schemas.items()}


def _read(name: str, schema: Schema, values: list[str]) -> Any:
    if not values:
        return schema.get("default")
    if len(values) > 1:
        raise InvalidQueryError(f"{name} was sent {len(values)} times; send it once")
    return _READERS[schema["type"]](name, schema, values[0])


def _read_text(_name: str, _schema: Schema, value: str) -> str:
    return value


def _read_whole_number(name: str, schema: Schema, value: str) -> int:
    least, most = schema["minimum"], schema["maximum"]
    if not _WHOLE_NUMBER.fullmatch(value) or not least <= int(value) <= most:
        message = f"{name} must be a whole number from {least} to {most}, not {_echo(value)}"
        raise InvalidQueryError(message)
    return int(value)


def _read_truth(name: str, _schema: Schema, value: str) -> bool:
    truth = _TRUTH.get(value.lower())
    if truth is None:
        raise InvalidQueryError(f"{name} must be true or false, not {_echo(value)}")
    return truth


_READERS: Final = {"string": _read_text, "integer": _read_whole_number, "boolean": _read_truth}


def _echo(value: str) -> str:
    return repr(shorten(value))
