"""What one kind of model takes and answers: schemas, and two pure functions beside them.

`parse` makes of a valid input what the service is asked; `render` makes of what the service gave
the members of the answer. Neither knows HTTP, a queue or a model in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, NamedTuple, Protocol, TypeAlias

from satsuma.errors import InvalidInputError
from satsuma.kinds.explain import explain
from satsuma.kinds.schemas import TICKET, Schema
from satsuma.types import EmbedRequest, FloatArray, SparseVector, Usage

Shown: TypeAlias = Mapping[str, Any]

_NOTHING: Final[Shown] = MappingProxyType({})


class Parsed(NamedTuple):
    """What a valid input asks.

    Attributes:
        request: for the service.
        shown: what the answer's writer has to know of the input: JSON, and no texts, for it is
            kept with a queued request's result.
    """

    request: EmbedRequest
    shown: Shown = _NOTHING


class Result(Protocol):
    """What an answer's writer reads: an `EmbedResult`, or what the queue kept of one."""

    @property
    def vectors(self) -> FloatArray:
        """(B, H) float32, or (B, 1) scores."""

    @property
    def pooling(self) -> str:
        """The mode that was used."""

    @property
    def usage(self) -> Usage | None:
        """Tokens; None in the queue's answers, which have it for the whole job."""

    @property
    def sparse(self) -> tuple[SparseVector, ...]:
        """Each text's words, where they were wanted."""

    @property
    def multi_vectors(self) -> tuple[FloatArray, ...]:
        """(T - 1, K) float32 of each text, where they were wanted."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What the queue kept of a result."""

    vectors: FloatArray
    pooling: str
    usage: None = None
    sparse: tuple[SparseVector, ...] = ()
    multi_vectors: tuple[FloatArray, ...] = ()


Parse: TypeAlias = Callable[[str, Mapping[str, Any]], Parsed]
Render: TypeAlias = Callable[[Result, Shown], dict[str, Any]]


def _never(_body: Any) -> bool:
    return False


@dataclass(frozen=True, slots=True)
class Form:
    """One of the inputs that a kind of model takes.

    Attributes:
        schema: of an object.
        parse: model id and a valid body -> what it asks.
        is_plain: recognises a valid body without walking the schema, where it is a common one;
            what it does not recognise may be valid all the same.
    """

    schema: Schema
    parse: Parse
    is_plain: Callable[[Any], bool] = _never


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of model.

    Attributes:
        forms: of its inputs; an input is one of them, and no other.
        render: writes the bare answer.
        answers: the answers' schemas.
        has_queue: whether several inputs may come at once as `requests`, for the queue.
    """

    forms: tuple[Form, ...]
    render: Render
    answers: tuple[Schema, ...]
    has_queue: bool = False
    input: Schema = field(init=False)
    output: Schema = field(init=False)

    def __post_init__(self) -> None:
        """Put the served schemas together."""
        object.__setattr__(self, "input", _input_of(self))
        object.__setattr__(self, "output", _output_of(self))


def _input_of(kind: Kind) -> Schema:
    inputs = [form.schema for form in kind.forms]
    if kind.has_queue:
        inputs.append(_requests_of(inputs))
    return {"type": "object", **(inputs[0] if len(inputs) == 1 else {"oneOf": inputs})}


def _requests_of(inputs: list[Schema]) -> Schema:
    one = inputs[0] if len(inputs) == 1 else {"oneOf": list(inputs)}
    requests = {
        "type": "array",
        "description": "Inputs for the asynchronous queue, each as it would be sent alone.",
        "items": {"type": "object", **one},
    }
    return {"properties": {"requests": requests}, "required": ["requests"]}


def _output_of(kind: Kind) -> Schema:
    outputs = [*kind.answers, *([TICKET] if kind.has_queue else [])]
    return outputs[0] if len(outputs) == 1 else {"oneOf": outputs}


def read_input(kind: Kind, model: str, body: Any) -> Parsed | None:
    """Read a decoded body; None if its `requests` are for the queue.

    Args:
        kind: the model's.
        model: canonical id.
        body: any JSON value.

    Raises:
        InvalidInputError: if it breaks the input schema.
    """
    plain = _find_plain(kind, body)
    if plain is None or "requests" in body:
        refusal = explain(kind.input, body)
        if refusal is not None:
            raise InvalidInputError(refusal)
    form = plain or _find_form(kind, body)
    return None if form is None else form.parse(model, body)


def parse_valid(kind: Kind, model: str, body: Mapping[str, Any]) -> Parsed:
    """Read an input that meets the schema of one of the kind's forms."""
    form = _find_plain(kind, body) or _find_form(kind, body)
    assert form is not None  # noqa: S101 - so it was checked
    return form.parse(model, body)


def _find_plain(kind: Kind, body: Any) -> Form | None:
    for form in kind.forms:
        if form.is_plain(body):
            return form
    return None


def _find_form(kind: Kind, body: Any) -> Form | None:
    return next((form for form in kind.forms if explain(form.schema, body) is None), None)
