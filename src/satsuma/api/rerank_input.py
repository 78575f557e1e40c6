"""A rerank request's body -> what it asks for, or a refusal that names the member.

Sources: https://docs.cohere.com/reference/rerank and https://jina.ai/reranker/, which agree on all
that is read here. Members that neither knows are ignored.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from satsuma.api.members import read_count, read_object, read_text
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
    members = read_object(body)
    return RerankRequest(
        model=read_text(members, "model", "must be a model, such as @cf/baai/bge-reranker-base"),
        query=read_text(members, "query", "must be a string, not empty"),
        documents=_read_documents(members.get("documents")),
        top_n=read_count(members, "top_n"),
        returns_documents=_read_truth(members, "return_documents"),
    )


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


def _read_truth(members: dict[str, Any], name: str) -> bool:
    value = members.get(name)
    if value is not None and not isinstance(value, bool):
        raise InvalidInputError(f"'/{name}' must be true or false", param=name)
    return bool(value)
