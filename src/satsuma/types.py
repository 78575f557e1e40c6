"""The value objects that every layer shares: what a client asks, what it gets back.

Plain frozen records over numpy; nothing here knows a model, a queue or a wire format.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

FloatArray: TypeAlias = npt.NDArray[np.float32]
IntArray: TypeAlias = npt.NDArray[np.int64]
DoubleArray: TypeAlias = npt.NDArray[np.float64]
Int8Array: TypeAlias = npt.NDArray[np.int8]
ByteArray: TypeAlias = npt.NDArray[np.uint8]
TokenIds: TypeAlias = tuple[int, ...]  # a text that the client has tokenised


class Pooling(StrEnum):
    """How one vector is made of an item's token vectors."""

    MEAN = "mean"
    CLS = "cls"
    LAST_TOKEN = "last_token"  # noqa: S105  a token of text


class TokenOutput(StrEnum):
    """What is made of every token of a text, beside its vector, by a model with heads for it."""

    SPARSE = "sparse"
    MULTI_VECTORS = "multi_vectors"


class Engine(StrEnum):
    """What runs a model. `auto` takes PyTorch on a card, and the native one on the CPU."""

    AUTO = "auto"
    NATIVE = "native"
    ONNX = "onnx"
    TORCH = "torch"


class LogFormat(StrEnum):
    """How a line of log is written: for people or for programs."""

    TEXT = "text"
    JSON = "json"


class Precision(StrEnum):
    """The arithmetic of the weights. fp32 is the default, so that vectors equal Cloudflare's.

    The CPU's engine has fp32 and int8; PyTorch has fp32, fp16 and bf16.
    """

    FP32 = "fp32"
    INT8 = "int8"
    FP16 = "fp16"
    BF16 = "bf16"


@dataclass(frozen=True, slots=True)
class Tokens:
    """One item, ready for an encoder.

    Attributes:
        ids: (T,) int64 vocabulary indices, [CLS] and [SEP] included.
        is_truncated: True if the text did not fit and its end was left out.
    """

    ids: IntArray
    is_truncated: bool

    def __len__(self) -> int:
        """Count the tokens, [CLS] and [SEP] included."""
        return len(self.ids)


@dataclass(frozen=True, slots=True)
class TextTokens:
    """How a text is read, for people to look at.

    Attributes:
        num_tokens: [CLS] and [SEP] included.
        is_truncated: True if the text did not fit and its end was left out.
        spans: (first, last + 1) character of each token that comes from the text itself.
    """

    num_tokens: int
    is_truncated: bool
    spans: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class SparseVector:
    """A text as weights of its words.

    Attributes:
        indices: (W,) int64, the words' token ids, ascending.
        values: (W,) float32, each above 0.
    """

    indices: IntArray
    values: FloatArray


@dataclass(frozen=True, slots=True)
class EmbedRequest:
    """What a client asks: one model, one or more texts, one pooling.

    Attributes:
        model: a canonical model id, such as `@cf/baai/bge-base-en-v1.5`.
        texts: the items, in the order in which their vectors are wanted; each a string, or its
            tokens in the model's own vocabulary, with or without [CLS] and [SEP].
        pooling: None asks for the model's own default.
        dimensions: None asks for whole vectors; a smaller number cuts them.
        is_normalized: False leaves the vectors as long as the pooling makes them.
        is_background: nobody waits for it: it has no deadline, and runs when nothing else waits.
        query: None asks for vectors; else each text is scored beside it.
        prompt_name: which of the model's own prompts comes before each text; None takes the one
            that is usual with the model, "" none. A text that comes as tokens gets none.
        may_truncate: False refuses a text that is too long, where True cuts it.
        max_padded_tokens: limit of the number of items times the longest one; 0 for none.
        outputs: what is wanted beside the vectors.
    """

    model: str
    texts: tuple[str | TokenIds, ...]
    pooling: Pooling | None = None
    dimensions: int | None = None
    is_normalized: bool = True
    is_background: bool = False
    query: str | None = None
    prompt_name: str | None = None
    may_truncate: bool = True
    max_padded_tokens: int = 0
    outputs: tuple[TokenOutput, ...] = ()


@dataclass(frozen=True, slots=True)
class Usage:
    """What a request cost, counted in tokens as the model saw them."""

    prompt_tokens: int
    completion_tokens: int = 0

    @property
    def total_tokens(self) -> int:
        """Sum of prompt and completion tokens."""
        return self.prompt_tokens + self.completion_tokens

    def to_json(self) -> dict[str, int]:
        """Spell it as Workers AI does."""
        return {
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
            "total_tokens": self.total_tokens,
        }


@dataclass(frozen=True, slots=True)
class Timings:
    """Where a request's time went, in seconds.

    Attributes:
        tokenise_s: text to tokens.
        queue_s: from admission to the start of the last item's microbatch.
        inference_s: the longest microbatch that carried one of its items.
    """

    tokenise_s: float
    queue_s: float
    inference_s: float


@dataclass(frozen=True, slots=True)
class EmbedResult:
    """The answer to an `EmbedRequest`.

    Attributes:
        vectors: (B, H) float32, one row a text, in the request's order, L2-normalised unless the
            request says otherwise; H is the model's hidden size, or the request's `dimensions`. Of
            a request with a query, (B, 1): the texts' scores.
        pooling: the mode that was used.
        usage: tokens counted, [CLS] and [SEP] included.
        timings: where the time went.
        num_truncated: how many texts were cut to the model's limit.
        precision: the arithmetic that made the vectors.
        sparse: each text's words, where they are wanted.
        multi_vectors: (T - 1, K) float32 of each text, where they are wanted: a vector of unit
            length for each token but [CLS].
    """

    vectors: FloatArray
    pooling: Pooling
    usage: Usage
    timings: Timings
    num_truncated: int
    precision: Precision = Precision.FP32
    sparse: tuple[SparseVector, ...] = ()
    multi_vectors: tuple[FloatArray, ...] = ()
