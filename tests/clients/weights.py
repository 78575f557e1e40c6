"""A folder of models with bge-base in its true shape, and the vectors that the library gives."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import numpy as np
import pytest
from tokenizers import Tokenizer

from satsuma import Ai
from satsuma.bench.random_model import (
    SHAPES,
    find_tokenizer_json,
    weights_digest,
    write_random_model,
)
from satsuma.store.catalog import bundled_catalog
from satsuma.store.manifest import WEIGHTS_FILE, FileDigest
from satsuma.store.record import new_record, write_record
from satsuma.types import FloatArray

BGE_BASE = "@cf/baai/bge-base-en-v1.5"
ALL_MINILM = "@hf/sentence-transformers/all-minilm-l6-v2"
UNKNOWN_MODEL = "@cf/baai/bge-of-nobody"


class Expected(Protocol):
    """Texts, a model and a pooling -> (B, H) float32."""

    def __call__(
        self, texts: Sequence[str], model: str = BGE_BASE, pooling: str = "mean"
    ) -> FloatArray:
        """Embed with the library, in this process."""


def write_bge_base(models_dir: Path) -> None:
    """Put a bge-base of random weights where a pull would have put the real one.

    Raises:
        ModelNotInstalledError: if the tokenizer's package is not installed.
    """
    folder = models_dir.joinpath(*BGE_BASE.removeprefix("@").split("/"))
    write_random_model(folder, SHAPES["bge-base"], find_tokenizer_json(), seed=0)
    manifest = bundled_catalog().find(BGE_BASE)
    assert manifest is not None
    weights = folder / WEIGHTS_FILE
    files = (
        FileDigest("config.json"),
        FileDigest("tokenizer.json"),
        FileDigest(WEIGHTS_FILE, weights.stat().st_size, weights_digest(folder)),
    )
    drawn = replace(manifest, revision="random", files=files)
    write_record(folder, new_record(drawn, "random weights"))


@contextmanager
def library(home: Path, models_dir: Path) -> Iterator[Expected]:
    """Offer satsuma in this process, with the models and the graphs that the server has too."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(home))
        patch.delenv("XDG_CACHE_HOME", raising=False)
        ai = Ai(models_dir=models_dir, skip_self_test=True)

    def embed(texts: Sequence[str], model: str = BGE_BASE, pooling: str = "mean") -> FloatArray:
        vectors: FloatArray = ai.run(model, {"text": list(texts), "pooling": pooling})["data"]
        return vectors

    with ai:
        yield embed


def token_ids(texts: Sequence[str]) -> list[list[int]]:
    """Give the texts as bge-base's tokens, without [CLS] and [SEP], as an OpenAI client would."""
    tokenizer = Tokenizer.from_file(str(find_tokenizer_json()))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return [one.ids for one in tokenizer.encode_batch(list(texts), add_special_tokens=False)]


def assert_same(actual: Sequence[Sequence[float]], expected: FloatArray) -> None:
    """Compare vectors value by value, and their number, to 1e-5."""
    assert np.shape(actual) == expected.shape
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-5)
