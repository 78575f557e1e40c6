"""An operation's failures, as the table of errors has them, in the shape that its clients read."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from satsuma.api.envelopes import Failure, render
from satsuma.api.errors import DeprecatedClientError, MethodNotAvailableError, find_answer
from satsuma.api.openapi.examples import REQUEST_ID
from satsuma.api.openapi.headers import header_refs
from satsuma.api.openapi.shapes.words import ref
from satsuma.api.paths import Dialect
from satsuma.errors import (
    ModelError,
    OverloadedError,
    QueueFullError,
    QueueUnavailableError,
    SatsumaError,
    ShuttingDownError,
)

_SHAPES: Final = {
    Dialect.REST: "Error",
    Dialect.BINDING: "BindingError",
    Dialect.OPENAI: "OpenAIError",
}
_ERRORS_WITH: Final[dict[str, set[type[SatsumaError]]]] = {
    "retry-after": {
        OverloadedError,
        QueueFullError,
        QueueUnavailableError,
        ShuttingDownError,
    },
    "allow": {MethodNotAvailableError, DeprecatedClientError},
}


def failures(errors: Iterable[type[SatsumaError]], dialect: Dialect) -> dict[str, Any]:
    """Describe what can go wrong, by status."""
    by_status: dict[int, list[type[SatsumaError]]] = {}
    for error in errors:
        by_status.setdefault(find_answer(error).status, []).append(error)
    return {str(status): _answer(by_status[status], dialect) for status in sorted(by_status)}


def examples_of(errors: Iterable[type[SatsumaError]]) -> dict[str, Any]:
    """Write the component examples that `failures` points at."""
    return {
        _name(error, dialect): {"summary": meaning(error), "value": example_of(error, dialect)}
        for error in errors
        for dialect in Dialect
    }


def meaning(error: type[SatsumaError]) -> str:
    """Say in a sentence what an error means."""
    return (error.__doc__ or "").strip().splitlines()[0]


def example_of(error: type[SatsumaError], dialect: Dialect) -> dict[str, Any]:
    """Write an error's body; where its words vary, its meaning stands for them."""
    answer = find_answer(error)
    description = answer.prefix + (answer.says or meaning(error))
    param = "model" if issubclass(error, ModelError) else None
    return render(Failure(error, description, REQUEST_ID, param), dialect)


def _answer(errors: list[type[SatsumaError]], dialect: Dialect) -> dict[str, Any]:
    """Describe the failures of one status: each code, and what it means."""
    lines = [f"- `{find_answer(one).code}`: {meaning(one)}" for one in errors]
    names = [name for name, those in _ERRORS_WITH.items() if those & set(errors)]
    if all(find_answer(one).is_model_layer for one in errors):
        names.append("cf-ai-req-id")
    pointers = {one.code: f"#/components/examples/{_name(one, dialect)}" for one in errors}
    examples = {code: {"$ref": pointer} for code, pointer in pointers.items()}
    content = {"schema": ref(_SHAPES[dialect]), "examples": examples}
    return {
        "description": "\n".join(lines),
        "headers": header_refs(("x-request-id", *names)),
        "content": {"application/json": content},
    }


def _name(error: type[SatsumaError], dialect: Dialect) -> str:
    return f"{_SHAPES[dialect]}.{error.__name__}"
