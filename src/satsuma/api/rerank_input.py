"""A rerank request's body -> what it asks for, or a refusal that names the member.

Sources: https://docs.cohere.com/reference/rerank and https://jina.ai/reranker/, which agree on all
that is read here. Members that neither knows are ignored.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from satsuma.errors import InvalidInputError

MAX_DOCUMENTS: Final = 1_000  # Cohere's advice

_FORMS: Final = (
    f"'/documents' must be a list of 1 to {MAX_DOCUMENTS} strings, or of objects with a string "
    "`text`, none empty"
)


@dataclass(frozen=True, slots=True)
class RerankRequest:
    """A checked body.

    Attributes:
        model: as the client wrote it.
        query: what the documents are compared with.
        documents: their texts.
        top_n: how many results are wanted, the best ones; None asks for all.
        returns_documents: whether each result has its text.
    """

    model: str
    query: str
    documents: tuple[str, ...]
    top_n: int | None
    returns_documents: bool


def read_rerank_request(body: Any) -> RerankRequest:
    """Check a decoded body.

    Raises:
        InvalidInputError: if a member has an impossible value; `param` names it.
    """
    if not isinstance(body, dict):
        raise InvalidInputError("the body must be a JSON object")
    return RerankRequest(
        model=_read_string(body, "model", "a model, such as @cf/baai/bge-reranker-base"),
        query=_read_string(body, "query", "a string, not empty"),
        documents=_read_documents(body.get("documents")),
        top_n=_read_top_n(body.get("top_n")),
        returns_documents=_read_truth(body, "return_documents"),
    )


def _read_string(body: dict[str, Any], name: str, wanted: str) -> str:
    value = body.get(name)
    if not isinstance(value, str) or not value:
        raise InvalidInputError(f"'/{name}' must be {wanted}", param=name)
    return value


def _read_documents(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not 1 <= len(value) <= MAX_DOCUMENTS:
        raise InvalidInputError(_FORMS, param="documents")
    return tuple(_read_document(one, index) for index, one in enumerate(value))


def _read_document(value: Any, index: int) -> str:
    text = value.get("text") if isinstance(value, dict) else value
    if not isinstance(text, str) or not text:
        message = f"{_FORMS}; '/documents/{index}' is none"
        raise InvalidInputError(message, param="documents")
    return text


def _read_top_n(value: Any) -> int | None:
    if value is None:
        return None
    if type(value) is not int or value < 1:
        raise InvalidInputError("'/top_n' must be a whole number above 0", param="top_n")
    return int(value)


def _read_truth(body: dict[str, Any], name: str) -> bool:
    value = body.get(name)
    if value is not None and not isinstance(value, bool):
        raise InvalidInputError(f"'/{name}' must be true or false", param=name)
    return bool(value)
