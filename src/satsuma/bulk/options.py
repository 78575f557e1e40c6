"""What a job is asked to do, and which wishes do not go together."""

from __future__ import annotations

from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Any

from satsuma.bulk.conditions import Condition
from satsuma.bulk.formats import InputFormat, OutputFormat
from satsuma.errors import ConfigurationError
from satsuma.types import Pooling

ID, VECTOR, CHUNK, START, END = "id", "vector", "chunk", "start", "end"
_NUM_SPECIAL_TOKENS = 2  # [CLS] and [SEP]
_VECTORIZE_FORBIDS = ('"', ".")


class VectorType(StrEnum):
    """The numbers of the output's vectors."""

    FLOAT32 = "float32"
    FLOAT16 = "float16"


@dataclass(frozen=True, slots=True, kw_only=True)
class JobOptions:
    """Everything about a job that its output depends on, but for the input and the model.

    Attributes:
        model: any name of it.
        column: the texts.
        id_column: what the output's `id` is taken from; None takes the row's number.
        keep: columns that go into the output as they are.
        where: conditions that a row has to meet, all of them.
        limit: rows to embed at most.
        pooling: None asks for the model's own default.
        prompt_name: which of the model's own prompts comes before each text; None asks for the
            usual one, "" for none.
        dimensions: None asks for whole vectors.
        is_normalized: whether vectors get unit length.
        dtype: numbers of the output.
        chunk_tokens: longest chunk, [CLS] and [SEP] included; None leaves texts whole.
        overlap_tokens: of a chunk with the one before.
        input_format: what the input is read as.
        output_format: what the output is written as.
    """

    model: str
    input_format: InputFormat
    output_format: OutputFormat
    column: str = "text"
    id_column: str | None = None
    keep: tuple[str, ...] = ()
    where: tuple[Condition, ...] = ()
    limit: int | None = None
    pooling: Pooling | None = None
    prompt_name: str | None = None
    dimensions: int | None = None
    is_normalized: bool = True
    dtype: VectorType = VectorType.FLOAT32
    chunk_tokens: int | None = None
    overlap_tokens: int = 0

    @property
    def columns(self) -> tuple[str, ...]:
        """What has to be read, each once, the texts first."""
        ids = () if self.id_column is None else (self.id_column,)
        names = (self.column, *ids, *self.keep, *(one.column for one in self.where))
        return tuple(dict.fromkeys(names))

    def to_json(self) -> dict[str, Any]:
        """Spell them as the plan and the output's metadata do, those that were given."""
        values = {one.name: getattr(self, one.name) for one in fields(self) if one.name != "model"}
        values["where"] = [str(one) for one in self.where]
        return {name: value for name, value in values.items() if value not in (None, (), [])}


def check_options(options: JobOptions, max_chunk_tokens: int) -> None:
    """Refuse what cannot be meant.

    Args:
        options: what was asked.
        max_chunk_tokens: the longest chunk that the model reads whole.

    Raises:
        ConfigurationError: says what does not go together, and what would.
    """
    _check_chunks(options, max_chunk_tokens)
    _check_columns(options)
    if options.output_format is OutputFormat.VECTORIZE:
        _check_vectorize(options)
    if options.limit is not None and options.limit < 1:
        raise ConfigurationError("--limit must be 1 or more.")


def _check_chunks(options: JobOptions, max_chunk_tokens: int) -> None:
    chunk, overlap = options.chunk_tokens, options.overlap_tokens
    if chunk is None:
        if overlap:
            raise ConfigurationError("--overlap goes with --chunk: how long is a chunk?")
        return
    if not _NUM_SPECIAL_TOKENS < chunk <= max_chunk_tokens:
        raise ConfigurationError(
            f"--chunk must be from {_NUM_SPECIAL_TOKENS + 1} to {max_chunk_tokens}, the most that "
            f"{options.model} reads, not {chunk}."
        )
    if not 0 <= overlap < chunk - _NUM_SPECIAL_TOKENS:
        raise ConfigurationError(
            f"--overlap must be from 0 to {chunk - _NUM_SPECIAL_TOKENS - 1}: a chunk of {chunk} "
            f"tokens has room for {chunk - _NUM_SPECIAL_TOKENS} of a text, and has to get on."
        )


def _check_columns(options: JobOptions) -> None:
    taken = [ID, VECTOR, *((CHUNK, START, END) if options.chunk_tokens else ())]
    for name in options.keep:
        if options.keep.count(name) > 1:
            raise ConfigurationError(f"--keep {name}: once is enough.")
        if name in taken and name != options.id_column:
            raise ConfigurationError(
                f"--keep {name}: the output has a column of that name of its own."
                + (" --id-column id would fill it." if name == ID else "")
            )
    if options.input_format is InputFormat.LINES and len(options.columns) > 1:
        raise ConfigurationError(
            f"Lines of text have no columns but {options.column!r}, the line: leave out "
            "--id-column and --keep."
        )


def _check_vectorize(options: JobOptions) -> None:
    if options.dtype is not VectorType.FLOAT32:
        raise ConfigurationError("Vectorize keeps float32: leave out --dtype.")
    for name in options.keep:
        if not name or name.startswith("$") or any(one in name for one in _VECTORIZE_FORBIDS):
            raise ConfigurationError(
                f"--keep {name}: Vectorize's metadata has no names that are empty, begin with $ "
                'or hold a dot or a ".'
            )
