"""An OpenAI embeddings request's body -> what it asks for, or a refusal that names the member.

Source: https://platform.openai.com/docs/api-reference/embeddings/create. Members that OpenAI does
not know are ignored, as Workers AI ignores them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from satsuma.api.errors import shorten
from satsuma.api.members import read_count, read_model, read_object
from satsuma.errors import InvalidInputError
from satsuma.types import Pooling, TokenIds

MAX_INPUTS: Final = 2048  # OpenAI's limit; its clients send batches up to it
ENCODING_FORMATS: Final = ("float", "base64")

_INPUT_FORMS: Final = (
    "'/input' must be a string, a list of strings, a list of token ids, or a list of such lists"
)
MAX_TOKEN_IDS: Final = 65_536  # of one text; OpenAI's models read 8,192


@dataclass(frozen=True, slots=True)
class OpenAIRequest:
    """A checked body.

    Attributes:
        model: as the client wrote it.
        texts: each a string, or token ids of the model's own vocabulary.
        dimensions: None asks for whole vectors.
        pooling: satsuma's own addition; None asks for the model's default.
        prompt_name: satsuma's own; which of the model's own prompts comes before each text.
        is_base64: the vectors are wanted as base64 of little-endian float32.
    """

    model: str
    texts: tuple[str | TokenIds, ...]
    dimensions: int | None
    pooling: Pooling | None
    prompt_name: str | None
    is_base64: bool


def read_openai_request(body: Any) -> OpenAIRequest:
    """Check a decoded body.

    Raises:
        InvalidInputError: if a member has an impossible value; `param` names it.
    """
    members = read_object(body)
    _read_choice(members, "user", None)
    encoding_format = _read_choice(members, "encoding_format", ENCODING_FORMATS)
    pooling = _read_choice(members, "pooling", tuple(Pooling))
    return OpenAIRequest(
        model=read_model(members),
        texts=_read_texts(members.get("input")),
        dimensions=read_count(members, "dimensions"),
        pooling=None if pooling is None else Pooling(pooling),
        prompt_name=_read_choice(members, "prompt_name", None),
        is_base64=encoding_format == "base64",
    )


def _read_choice(members: dict[str, Any], name: str, allowed: tuple[str, ...] | None) -> str | None:
    """Read an optional string; null counts as left out, as OpenAI's clients may send it."""
    value = members.get(name)
    if value is None:
        return None
    if not isinstance(value, str):
        raise InvalidInputError(f"'/{name}' must be a string", param=name)
    if allowed is not None and value not in allowed:
        message = f"'/{name}' must be one of {', '.join(allowed)}, not {shorten(value)}"
        raise InvalidInputError(message, param=name)
    return value


def _read_texts(value: Any) -> tuple[str | TokenIds, ...]:
    if isinstance(value, str):
        return (_checked(value, "/input"),)
    if not isinstance(value, list) or not value:
        raise InvalidInputError(_INPUT_FORMS, param="input")
    if type(value[0]) is int:
        return (_checked(value, "/input"),)
    if len(value) > MAX_INPUTS:
        message = f"'/input' must NOT have more than {MAX_INPUTS} items"
        raise InvalidInputError(message, param="input")
    return tuple(_checked(one, f"/input/{index}") for index, one in enumerate(value))


def _checked(value: Any, pointer: str) -> str | TokenIds:
    if value in ("", []):
        raise InvalidInputError(f"Length of '{pointer}' must be >= 1 not met", param="input")
    if isinstance(value, str):
        return value
    if isinstance(value, list) and len(value) > MAX_TOKEN_IDS:
        message = f"'{pointer}' must NOT have more than {MAX_TOKEN_IDS} token ids"
        raise InvalidInputError(message, param="input")
    if isinstance(value, list) and _is_token_ids(value):
        return tuple(value)
    raise InvalidInputError(f"{_INPUT_FORMS}; '{pointer}' is none of them", param="input")


def _is_token_ids(values: list[Any]) -> bool:
    """Tell a list of whole numbers; a bool is none, and neither is 1.0."""
    return set(map(type, values)) == {int}
