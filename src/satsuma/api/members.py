"""The members of a body that no JSON Schema describes, one at a time: a value, or a refusal."""

from __future__ import annotations

from typing import Any, TypeGuard

from satsuma.errors import InvalidInputError


def read_object(body: Any) -> dict[str, Any]:
    """Check that a decoded body has members at all.

    Raises:
        InvalidInputError: if it is no object.
    """
    if not isinstance(body, dict):
        raise InvalidInputError("the body must be a JSON object")
    return body


def read_text(members: dict[str, Any], name: str, refusal: str) -> str:
    """Read a string that is needed, and not empty.

    Args:
        members: the body's.
        name: of the member.
        refusal: what follows its name where it is none.

    Raises:
        InvalidInputError: if it is none.
    """
    value = members.get(name)
    if not isinstance(value, str) or not value:
        raise InvalidInputError(f"'/{name}' {refusal}", param=name)
    return value


def read_model(members: dict[str, Any]) -> str:
    """Read which model is asked, as the client wrote it.

    Raises:
        InvalidInputError: if nobody says.
    """
    return read_text(members, "model", "must name a model, such as @cf/baai/bge-base-en-v1.5")


def read_count(members: dict[str, Any], name: str) -> int | None:
    """Read a whole number above 0; null counts as left out.

    Raises:
        InvalidInputError: if it is none; neither a bool nor 1.0 is.
    """
    value = members.get(name)
    if value is None:
        return None
    if not _is_whole(value) or value < 1:
        raise InvalidInputError(f"'/{name}' must be a whole number above 0", param=name)
    return value


def _is_whole(value: Any) -> TypeGuard[int]:
    return type(value) is int
