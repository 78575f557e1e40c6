"""The document's operations: each path's method, what it takes, what it answers."""

from __future__ import annotations

from typing import Any, Final

from satsuma.api.catalog import SCHEMA_QUERY, SEARCH_QUERY
from satsuma.api.errors import InvalidQueryError, NoRouteError, UnlistedModelError
from satsuma.api.openapi.answers import answers, json_content
from satsuma.api.openapi.examples import MODEL as MODEL_ID
from satsuma.api.openapi.failures import failures
from satsuma.api.openapi.headers import header_refs
from satsuma.api.openapi.parts import (
    ACCOUNT,
    BINDING,
    BINDING_MODEL,
    BINDING_VERSION,
    CLOSED,
    INFERENCE,
    MODEL,
    OPEN,
    PER_ACCOUNT,
    QUEUE_REQUEST,
    RUN,
    Errors,
    Operation,
    body,
    closed,
    operation,
    query,
)
from satsuma.api.paths import Dialect
from satsuma.errors import ShuttingDownError
from satsuma.service import MAX_LOCATED_CHARACTERS

_TOKENIZE_ERRORS: Final = (*CLOSED, *INFERENCE)
_SAYS_JSON: Final = "JSON, whatever the Content-Type."


def operations() -> dict[str, dict[str, Operation]]:
    """List every operation by path and method."""
    account = "/client/v4/accounts/{account_id}"
    return {
        f"{account}/ai/run/{{model}}": {"post": _run()},
        "/run": {"post": _binding()},
        "/ai-gateway/run": {"post": _binding()},
        **_openai("", ()),
        **_openai(f"{account}/ai", (ACCOUNT,)),
        f"{account}/ai/models/search": {"get": _search(ACCOUNT)},
        "/ai-api/models/search": {"get": _search()},
        f"{account}/ai/models/schema": {"get": _schema()},
        f"{account}/ai/tasks/search": {"get": _named("tasks", "Tasks")},
        f"{account}/ai/authors/search": {"get": _named("authors", "Authors")},
        f"{account}/tokens/verify": {"get": _verify(ACCOUNT)},
        "/client/v4/user/tokens/verify": {"get": _verify()},
        "/satsuma/tokenize": {"post": _tokenize()},
        "/satsuma/stats": {"get": _stats()},
        **_ops(),
    }


def _run() -> Operation:
    says = (
        "JSON, whatever the Content-Type. Other members are ignored. An input, or `requests` for "
        "the queue, or the `request_id` of a job. This is the input of a text encoder; "
        "`models/schema` has that of any other model."
    )
    errors = (*PER_ACCOUNT, *INFERENCE, *RUN)
    return operation(
        "Workers AI",
        "Embed texts, now or queued",
        answers("A vector for each text; or a job, or its responses.", "RunEnvelope", errors),
        parameters=[ACCOUNT, MODEL, QUEUE_REQUEST],
        requestBody=body("RunInput", says),
    )


def _binding() -> Operation:
    return operation(
        "Worker binding",
        "Embed texts for `env.AI.run`, now or queued",
        answers("The bare answer.", "RunAnswer", BINDING, Dialect.BINDING),
        parameters=[BINDING_MODEL, BINDING_VERSION],
        requestBody=body("BindingInput", "What the Workers runtime sends."),
    )


def _openai(prefix: str, parameters: tuple[Operation, ...]) -> dict[str, dict[str, Operation]]:
    errors = PER_ACCOUNT if parameters else (*CLOSED, NoRouteError)
    return {
        f"{prefix}/v1/embeddings": {"post": _openai_embeddings(parameters, errors)},
        f"{prefix}/v1/rerank": {"post": _rerank(parameters, errors)},
        f"{prefix}/v2/rerank": {"post": _rerank(parameters, errors)},
        f"{prefix}/v1/models": {"get": _openai_models(parameters, errors)},
        f"{prefix}/v1/models/{{model}}": {"get": _openai_model(parameters, errors)},
    }


def _openai_embeddings(parameters: tuple[Operation, ...], errors: Errors) -> Operation:
    vectors = _inferred("A vector for each text.", "OpenAIAnswer", errors)
    asked = body("OpenAIInput", _SAYS_JSON)
    summary = "Embed texts, OpenAI's way"
    return operation("OpenAI", summary, vectors, parameters=list(parameters), requestBody=asked)


def _rerank(parameters: tuple[Operation, ...], errors: Errors) -> Operation:
    ranked = _inferred("The best documents first.", "Reranked", errors)
    asked = body("RerankInput", _SAYS_JSON)
    summary = "Put documents into the order of their relevance, Cohere's and Jina's way"
    return operation("Rerank", summary, ranked, parameters=list(parameters), requestBody=asked)


def _inferred(says: str, shape: str, errors: Errors) -> Operation:
    """Describe what a model gives, to an OpenAI client."""
    return answers(says, shape, (*errors, *INFERENCE), Dialect.OPENAI)


def _openai_models(parameters: tuple[Operation, ...], errors: Errors) -> Operation:
    return operation(
        "OpenAI",
        "List the models that can answer",
        answers("The models.", "OpenAIModels", errors, Dialect.OPENAI),
        parameters=list(parameters),
    )


def _openai_model(parameters: tuple[Operation, ...], errors: Errors) -> Operation:
    all_errors = (*errors, UnlistedModelError)
    return operation(
        "OpenAI",
        "Show a model that can answer",
        answers("The model.", "OpenAIModel", all_errors, Dialect.OPENAI),
        parameters=[*parameters, MODEL],
    )


def _search(*parameters: Operation) -> Operation:
    return operation(
        "Catalog",
        "List the models that there are",
        answers("A page of models.", "Models", (*closed(parameters), InvalidQueryError)),
        parameters=[*parameters, *query(SEARCH_QUERY)],
    )


def _schema() -> Operation:
    errors = (*PER_ACCOUNT, InvalidQueryError, UnlistedModelError)
    model = {**query(SCHEMA_QUERY)[0], "required": True, "example": MODEL_ID}
    return operation(
        "Catalog",
        "Show the JSON Schemas of what a model takes and answers",
        answers("The schemas.", "ModelSchemas", errors),
        parameters=[ACCOUNT, model],
    )


def _named(what: str, shape: str) -> Operation:
    return operation(
        "Catalog",
        f"List the models' {what}",
        answers("All of them.", shape, PER_ACCOUNT),
        parameters=[ACCOUNT],
    )


def _verify(*parameters: Operation) -> Operation:
    return operation(
        "Tokens",
        "Ask whether the token is good",
        answers("It is.", "Verified", closed(parameters)),
        parameters=list(parameters),
    )


def _tokenize() -> Operation:
    says = f"JSON, whatever the Content-Type; at most {MAX_LOCATED_CHARACTERS:,} characters in all."
    return operation(
        "satsuma",
        "Show how a model reads texts",
        answers("Each text's tokens, and where they lie in it.", "Tokenized", _TOKENIZE_ERRORS),
        requestBody=body("TokenizeInput", says),
    )


def _stats() -> Operation:
    return operation(
        "satsuma",
        "Show what the server has to do, and what it did in the last minute",
        answers("The figures.", "Stats", CLOSED),
    )


def _ops() -> dict[str, dict[str, Operation]]:
    """Describe what whoever runs the server asks."""
    ready = answers("Requests are answered.", "Ready", (*OPEN, ShuttingDownError))
    waiting = json_content("NotReady")["application/json"]
    stopping = ready["503"]["content"]["application/json"]["schema"]
    ready["503"]["content"] = {
        "application/json": {"schema": {"anyOf": [waiting["schema"], stopping]}}
    }
    return {
        "/health": {"get": _open("Is the process alive?", answers("It is.", "Health", OPEN))},
        "/ready": {"get": _open("Would a request be answered now?", ready)},
        "/metrics": {"get": operation("Server", "Counts for Prometheus", _metrics())},
        "/openapi.json": {
            "get": _open("This document", answers("It.", "Document", (*OPEN, ShuttingDownError)))
        },
    }


def _metrics() -> dict[str, Any]:
    text = {"schema": {"type": "string"}, "example": "satsuma_waiting_tokens 0.0\n"}
    success = {
        "description": "Prometheus's text, or OpenMetrics where that is accepted.",
        "headers": header_refs(["x-request-id"]),
        "content": {"text/plain": text, "application/openmetrics-text": text},
    }
    return {"200": success, **failures(CLOSED, Dialect.REST)}


def _open(summary: str, responses: dict[str, Any]) -> Operation:
    return {**operation("Server", summary, responses), "security": []}
