"""Does a body meet a schema, and if not, what would Workers AI say?

A small reader of JSON schemas that speaks Workers AI's grammar: each alternative that fails leaves
a note, and the refusal lists the notes. It knows the keywords that the kinds' schemas use, and it
decides as any reader of JSON Schema does.

Cloudflare's own validator knows fewer keywords and so lets nonsense through (an empty list, a list
of numbers, more texts than maxItems); satsuma refuses it in the same grammar: see
docs/compatibility.md.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice, takewhile
from typing import Any, Final

import orjson

from satsuma.kinds.schemas import MAX_TEXTS, Schema

# A hostile body must not buy long work or a long answer.
_MAX_NOTES: Final = 50
_MAX_NOTE_CHARACTERS: Final = 300
_MAX_ECHO_CHARACTERS: Final = 100
_MAX_ECHO_ITEMS: Final = 8
_MAX_ECHO_DEPTH: Final = 4


def explain(schema: Schema, body: Any) -> str | None:
    """Say in Workers AI's words how a body breaks a schema; None if it does not."""
    notes: list[str] = []
    if "oneOf" in schema:
        num_matches = _count_matches(schema["oneOf"], body, "", notes)
        found = f"oneOf at '/' not met, {num_matches} matches: {_listed(notes)}"
        return None if num_matches == 1 else found
    try:
        is_met = _matches(schema, body, "", notes)
    except _RefusedError as refusal:
        return f"{refusal}: {_listed(notes)}" if notes else str(refusal)
    return None if is_met else _listed(notes)


def _listed(notes: list[str]) -> str:
    """Join the notes; of too many, the first and the last, which name the alternatives."""
    half = _MAX_NOTES // 2
    kept = notes if len(notes) <= _MAX_NOTES else [*notes[:half], "...", *notes[-half:]]
    return ", ".join(note[:_MAX_NOTE_CHARACTERS] for note in kept)


class _RefusedError(Exception):
    """An alternative cannot match; the text is its note."""


def _count_matches(
    alternatives: Sequence[Schema], value: Any, pointer: str, notes: list[str]
) -> int:
    num_matches = 0
    for schema in alternatives:
        try:
            num_matches += _matches(schema, value, pointer, notes)
        except _RefusedError as refusal:
            notes.append(str(refusal))
    return num_matches


def _matches(schema: Schema, value: Any, pointer: str, notes: list[str]) -> bool:
    """Compare a value with one schema: a match, no match without a word, or a `_RefusedError`."""
    if "oneOf" in schema:
        return _count_matches(schema["oneOf"], value, pointer, notes) == 1
    if "properties" in schema:
        return _matches_object(schema, value, pointer, notes)
    if "enum" in schema and value not in schema["enum"]:
        allowed = ",".join(schema["enum"])
        raise _RefusedError(f"enum {_echo(value)} not in {allowed} at '{pointer}'")
    if schema["type"] == "array":
        return _matches_array(schema, value, pointer, notes)
    return _matches_scalar(schema, value, pointer)


def _matches_object(schema: Schema, value: Any, pointer: str, notes: list[str]) -> bool:
    members: Mapping[str, Any] = value if isinstance(value, dict) else {}
    present = [name for name in schema["properties"] if name in members]
    matched = {
        name
        for name in present
        if _matches(schema["properties"][name], members[name], f"{pointer}/{name}", notes)
    }
    _require(schema.get("required", ()), matched, pointer)
    _require_any(schema.get("anyOf", ()), matched, pointer)
    return len(matched) == len(present)  # what need not be there has to be right where it is


def _require(names: Sequence[str], matched: set[str], pointer: str) -> None:
    missing = [name for name in names if name not in matched]
    if missing:
        raise _RefusedError(_requires(missing, pointer))


def _require_any(alternatives: Sequence[Schema], matched: set[str], pointer: str) -> None:
    """Look for an alternative of which all names are there; nothing else is said in them."""
    if alternatives and not any(set(one["required"]) <= matched for one in alternatives):
        wanted = ", ".join(_requires(one["required"], pointer) for one in alternatives)
        raise _RefusedError(f"anyOf at '{pointer or '/'}' not met, 0 matches: {wanted}")


def _requires(names: Sequence[str], pointer: str) -> str:
    return f"required properties at '{pointer or '/'}' are '{','.join(names)}'"


def _matches_array(schema: Schema, value: Any, pointer: str, notes: list[str]) -> bool:
    """Compare with an array schema; an object's members are looked at as if they were items."""
    if isinstance(value, str):
        raise _mismatch(schema, value, pointer)
    if not isinstance(value, list | dict) or value == {}:
        return False
    if not value and "minItems" in schema and "properties" in schema["items"]:
        return False  # to the published validator an empty list of objects is none
    _check_size(schema, value, pointer)
    for key, item in _entries(value):
        if not _matches(schema["items"], item, f"{pointer}/{key}", notes):
            return False
    if isinstance(value, dict):
        raise _mismatch(schema, value, pointer)
    return True


def _check_size(schema: Schema, value: list[Any] | dict[str, Any], pointer: str) -> None:
    fewest, most = schema.get("minItems", 0), schema.get("maxItems", math.inf)
    if len(value) < fewest:
        raise _RefusedError(f"'{pointer}' must NOT have fewer than {fewest} items")
    if len(value) > most:
        raise _RefusedError(f"'{pointer}' must NOT have more than {most} items")


def _entries(value: list[Any] | dict[str, Any]) -> Iterable[tuple[int | str, Any]]:
    return value.items() if isinstance(value, dict) else enumerate(value)


def _matches_scalar(schema: Schema, value: Any, pointer: str) -> bool:
    if schema["type"] not in _types_of(value):
        raise _mismatch(schema, value, pointer)
    shortest, least = schema.get("minLength", 0), schema.get("minimum", -math.inf)
    if isinstance(value, str) and len(value) < shortest:
        raise _RefusedError(f"Length of '{pointer}' must be >= {shortest} not met")
    if isinstance(value, int | float) and value < least:
        raise _RefusedError(f"'{pointer}' must be >= {least}")
    return True


def _mismatch(schema: Schema, value: Any, pointer: str) -> _RefusedError:
    actual = ",".join(f"'{name}'" for name in _types_of(value))
    return _RefusedError(f"Type mismatch of '{pointer}', '{schema['type']}' not in {actual}")


def _types_of(value: Any) -> tuple[str, ...]:
    """Name a JSON value's types; a list of scalars is also "binary" to Workers AI."""
    if value is None:
        return ("null",)
    if isinstance(value, bool):
        return ("boolean",)
    if isinstance(value, int | float):
        return ("number", "integer") if value == value // 1 else ("number",)
    if isinstance(value, list):
        first = islice(value, MAX_TEXTS + 1)  # more texts are refused in any case
        seen = takewhile(lambda one: one is not None, first)  # theirs looks no further than a null
        return ("array", "binary") if all(map(_is_byte_like, seen)) else ("array",)
    return ("string",) if isinstance(value, str) else ("object",)


def _is_byte_like(value: Any) -> bool:
    return isinstance(value, str | int | float) and not isinstance(value, bool)


def _echo(value: Any, depth: int = 0) -> str:
    """Write a refused value as JavaScript's String() would, cut to a decent length."""
    if isinstance(value, dict) or depth == _MAX_ECHO_DEPTH:
        return "[object Object]"
    if isinstance(value, list):
        items = value[:_MAX_ECHO_ITEMS]
        return ",".join("" if one is None else _echo(one, depth + 1) for one in items)
    return (value if isinstance(value, str) else _echo_scalar(value))[:_MAX_ECHO_CHARACTERS]


def _echo_scalar(value: Any) -> str:
    is_whole = isinstance(value, float) and value.is_integer() and abs(value) < 2**53
    return orjson.dumps(int(value) if is_whole else value).decode()
