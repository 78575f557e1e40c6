"""A request's items: what a model reads for each text, prompts included, and what is made of them.

Knows no queue and no event loop; all of it may be called in a thread.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from satsuma.asks import choose_prompt
from satsuma.engine.load import LoadedModel
from satsuma.engine.pooling import cut, pool
from satsuma.engine.protocol import Microbatch, Width
from satsuma.engine.scoring import cosines, logistic
from satsuma.errors import ContextExceededError, InvalidInputError, TextTooLongError
from satsuma.scheduler.tickets import Outcome
from satsuma.types import (
    EmbedRequest,
    EmbedResult,
    FloatArray,
    SparseVector,
    Timings,
    TokenIds,
    TokenOutput,
    Tokens,
    Usage,
)

_QUERY_CHARACTERS = 256  # of what may be answered in the caller's thread
_CHARACTERS_PER_TOKEN = 4  # of ordinary English
_QUERY_PROMPTS = ("query",)
_TEXT_PROMPTS = ("document", "passage")


class TokenOutputs(NamedTuple):
    """What is made of an item's tokens beside its vector, one of each an item.

    Attributes:
        sparse: the items' words.
        multi_vectors: (T - 1, K) float32 each.
    """

    sparse: tuple[SparseVector, ...] = ()
    multi_vectors: tuple[FloatArray, ...] = ()


def count_characters(request: EmbedRequest) -> int:
    """Count what is to be tokenised, or the tokens where a text comes as them."""
    query = 0 if request.query is None else len(request.query) * len(request.texts)
    return query + sum(map(len, request.texts))


def is_query(request: EmbedRequest) -> bool:
    """Tell what may be answered in the caller's thread; its tokens are counted later."""
    if request.is_background or request.outputs or not request.texts or not all(request.texts):
        return False
    return count_characters(request) <= _QUERY_CHARACTERS


def guess_tokens(request: EmbedRequest, model: LoadedModel) -> int:
    """About how many tokens the request has, told by lengths alone."""
    most, query = model.tokenizer.max_tokens, _guess_length(request.query or "")
    return sum(min(most, 2 + query + _guess_length(text)) for text in request.texts)


def _guess_length(text: str | TokenIds) -> int:
    return len(text) // _CHARACTERS_PER_TOKEN if isinstance(text, str) else len(text)


def read_items(request: EmbedRequest, model: LoadedModel) -> list[Tokens]:
    """Tokenise what the model has to read: a query's own item first, where it is one.

    Raises:
        InvalidInputError: if a token id is not in the vocabulary.
        TextTooLongError: if a text is, and may not be cut.
        ContextExceededError: if all of them together have too many tokens.
    """
    if model.gives_scores:
        texts = _only_strings(request.texts)
        return model.tokenizer.tokenize_pairs(request.query or "", texts)
    tokens = model.tokenizer.tokenize(_prompted(request, model))
    if request.max_padded_tokens or not request.may_truncate:
        _check_lengths(request, model, tokens)
    return tokens


def read_rows(request: EmbedRequest, model: LoadedModel, vectors: FloatArray) -> FloatArray:
    """Make of the items' vectors what the request wants: (B, D) vectors, or (B, 1) scores."""
    if model.gives_scores:
        return logistic(vectors)  # (B, 1)
    if request.query is not None:
        return cosines(vectors)  # (1 + B, H) -> (B, 1)
    if request.dimensions is not None:
        scaled = request.is_normalized
        return cut(vectors, request.dimensions, is_normalized=scaled)  # (B, D)
    return vectors


def read_tokens(
    request: EmbedRequest,
    model: LoadedModel,
    tokens: Sequence[Tokens],
    states: Sequence[FloatArray],
) -> TokenOutputs:
    """Make of each item's hidden states what the request wants beside vectors.

    Args:
        request: what is wanted.
        model: has the heads.
        tokens: of each item.
        states: (T, H) of each item.
    """
    heads = model.heads
    if heads is None:
        return TokenOutputs()
    pairs = list(zip(states, tokens, strict=True))
    is_sparse = TokenOutput.SPARSE in request.outputs
    is_multi = TokenOutput.MULTI_VECTORS in request.outputs
    sparse = tuple(heads.weigh(one, item.ids) for one, item in pairs) if is_sparse else ()
    return TokenOutputs(sparse, tuple(map(heads.spread, states)) if is_multi else ())


def make_result(
    request: EmbedRequest,
    model: LoadedModel,
    tokens: Sequence[Tokens],
    outcome: Outcome,
    tokenise_s: float,
) -> EmbedResult:
    """Put a request's answer together, but for what is wanted beside vectors."""
    return EmbedResult(
        vectors=read_rows(request, model, outcome.vectors),
        pooling=request.pooling or model.pooling,
        usage=Usage(prompt_tokens=sum(map(len, tokens))),
        timings=Timings(tokenise_s, outcome.queue_s, outcome.inference_s),
        num_truncated=sum(one.is_truncated for one in tokens),
        precision=model.precision,
    )


def answer_alone(request: EmbedRequest, model: LoadedModel) -> FloatArray:
    """Answer a request past any queue, in one run over all cores: for checks.

    Returns:
        What `read_rows` does.
    """
    tokens = read_items(request, model)
    microbatch = Microbatch.pack([one.ids for one in tokens])
    states = model.encoder.encode(microbatch, Width.ALL_CORES)  # (T, H)
    poolings = [request.pooling or model.pooling] * len(tokens)
    unscaled = [] if model.encoder.is_normalized else list(range(len(tokens)))
    return read_rows(request, model, pool(states, microbatch.lengths, poolings, unscaled))


def _prompted(request: EmbedRequest, model: LoadedModel) -> Sequence[str | TokenIds]:
    if request.query is None:
        prompt = choose_prompt(request.prompt_name, model, model.id)
        return _behind(prompt, request.texts) if prompt else request.texts
    query = _prompt_of(model, _QUERY_PROMPTS) + request.query
    return (query, *_behind(_prompt_of(model, _TEXT_PROMPTS), request.texts))


def _behind(prompt: str, texts: tuple[str | TokenIds, ...]) -> tuple[str | TokenIds, ...]:
    """Put a prompt before the texts; what comes as tokens is complete."""
    return tuple(prompt + text if isinstance(text, str) else text for text in texts)


def _prompt_of(model: LoadedModel, names: Sequence[str]) -> str:
    """Find the model's own prompt for a use, of the names that it may have."""
    named = next((model.prompts[name] for name in names if name in model.prompts), None)
    return model.default_prompt if named is None else named


def _only_strings(texts: tuple[str | TokenIds, ...]) -> list[str]:
    strings = [text for text in texts if isinstance(text, str)]
    if len(strings) != len(texts):
        raise InvalidInputError("A text that is scored beside a query has to come as a string.")
    return strings


def _check_lengths(request: EmbedRequest, model: LoadedModel, tokens: Sequence[Tokens]) -> None:
    """Refuse what is too long, in the service's words.

    Source: users' reports of bge-m3's error 3030.
    """
    if not request.may_truncate:
        _check_whole(request, model, tokens)
    limit = request.max_padded_tokens
    if limit:
        padded = len(tokens) * max(map(len, tokens))
        if padded > limit:
            message = f"Max context reached {padded} tokens but model supports only {limit}"
            raise ContextExceededError(message)


def _check_whole(request: EmbedRequest, model: LoadedModel, tokens: Sequence[Tokens]) -> None:
    """Refuse the first text that lost its end, and tell how long it is."""
    texts, most = _prompted(request, model), model.tokenizer.max_tokens
    pairs = zip(texts, tokens, strict=True)
    cut_off = next((text for text, one in pairs if one.is_truncated), None)
    if cut_off is not None:
        length = model.tokenizer.count(cut_off) if isinstance(cut_off, str) else len(cut_off)
        raise TextTooLongError(f"Sequence too long: {length} > {most}")
