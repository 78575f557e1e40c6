"""An installed model's files -> a loaded model: what the rest of satsuma imports of the engine."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from satsuma.engine.architectures.blueprint import Architecture
from satsuma.engine.architectures.folder import read_architecture
from satsuma.engine.backends import (
    Backend,
    LanePlan,
    choose_backend,
    count_threads,
    describe_engine,
    find_trouble,
    models_memory_bytes,
    plan_lanes,
)
from satsuma.engine.budget import find_token_budget
from satsuma.engine.fake import FakeEncoder, PacedEncoder
from satsuma.engine.heads import TokenHeads, load_heads
from satsuma.engine.packed_cache import cache_key, open_packed
from satsuma.engine.pooling import pool
from satsuma.engine.protocol import Encoder, Microbatch, Width
from satsuma.engine.self_test import run_self_test
from satsuma.engine.tokenizer import Tokenizer
from satsuma.engine.weights import Weights, find_module
from satsuma.errors import UnsupportedModelError
from satsuma.settings import Settings
from satsuma.store.digest import sha256_of
from satsuma.store.facts import read_facts
from satsuma.store.manifest import ModelFiles, PublishedVector
from satsuma.types import FloatArray, Pooling, Precision

_FLOAT_BYTES, _HALF_BYTES = 4, 2
_HALVES = (Precision.FP16, Precision.BF16)
_BUILD_COPIES = 3  # the source graph's weights, and the packed file's, unpacked and packed
_WARM_UP_TEXT = "the quick brown fox jumps over the lazy dog " * 14  # 128 tokens

__all__ = [
    "FakeEncoder",
    "LanePlan",
    "LoadedModel",
    "ModelTraits",
    "PacedEncoder",
    "check_model",
    "count_threads",
    "describe_engine",
    "estimate_memory_bytes",
    "find_trouble",
    "load_model",
    "models_memory_bytes",
    "plan_lanes",
    "read_traits",
]


@dataclass(frozen=True, slots=True)
class ModelTraits:
    """What is known of a model before it is loaded.

    Attributes:
        hidden_size: width H of its vectors.
        max_tokens: longest item, [CLS] and [SEP] included.
        pooling: the default mode.
        prompts: as of a loaded model.
        default_prompt: as of a loaded model.
        gives_scores: as of a loaded model.
        lowercases: whether its texts are put into lower case.
    """

    hidden_size: int
    max_tokens: int
    pooling: Pooling
    prompts: Mapping[str, str] = field(default_factory=dict)
    default_prompt: str = ""
    gives_scores: bool = False
    lowercases: bool = False


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model that can answer.

    Attributes:
        id: canonical model id.
        encoder: tokens -> hidden states.
        tokenizer: text -> tokens, at the model's limit.
        pooling: the default mode.
        precision: arithmetic of the weights.
        prompts: what comes before a text, by the name of its use, such as `query`.
        default_prompt: what comes before a text of which nothing is said.
        gives_scores: whether it scores pairs of texts (`Tokenizer.tokenize_pairs`, pooling `cls`)
            and gives no vectors.
        heads: makes more of every token; None if the model has no such heads.
    """

    id: str
    encoder: Encoder
    tokenizer: Tokenizer
    pooling: Pooling
    precision: Precision = Precision.FP32
    prompts: Mapping[str, str] = field(default_factory=dict)
    default_prompt: str = ""
    gives_scores: bool = False
    heads: TokenHeads | None = None

    def embed_one(self, text: str, pooling: Pooling) -> FloatArray:
        """Embed one text by itself, past any queue: (H,) float32, as `pooling.pool` leaves it."""
        microbatch = Microbatch.pack([tokens.ids for tokens in self.tokenizer.tokenize([text])])
        hidden_states = self.encoder.encode(microbatch, Width.ALL_CORES)  # (T, H)
        unscaled = [] if self.encoder.is_normalized else [0]
        vectors = pool(hidden_states, microbatch.lengths, [pooling], unscaled)
        vector: FloatArray = vectors[0]  # (H,)
        return vector

    def warm_up(self) -> tuple[int, float]:
        """Run once over all cores, so that the first request is not the slow one.

        Returns:
            Tokens, and the seconds that they took.
        """
        ids = self.tokenizer.tokenize([_WARM_UP_TEXT])[0].ids  # (T,)
        self.encoder.encode(Microbatch.pack([ids]), Width.ONE_LANE)
        started_at_s = time.perf_counter()
        self.encoder.encode(Microbatch.pack([ids]), Width.ALL_CORES)
        return len(ids), time.perf_counter() - started_at_s

    def find_token_budget(self) -> tuple[int, float]:
        """Measure how many tokens a microbatch needs for the full rate; see `budget`."""
        ids = self.tokenizer.tokenize([_WARM_UP_TEXT])[0].ids  # (T,)
        return find_token_budget(self.encoder, ids)


def load_model(
    files: ModelFiles, settings: Settings, published: Sequence[PublishedVector] = ()
) -> LoadedModel:
    """Load a model, packing its weights first where that was not done. Blocks for seconds.

    Args:
        files: an installed model.
        settings: precision, threads, self-test.
        published: vectors to compare with, unless the settings skip it.

    Raises:
        UnsupportedModelError: if the engine cannot run the model.
        SelfTestError: if its vectors are not the published ones.
        EngineError: if the runtime cannot load it.
        DiskFullError: if there is no room for the packed weights.
    """
    architecture, traits = _read(files)
    tokenizer = _open_tokenizer(files, architecture, traits)
    loaded = LoadedModel(
        id=files.manifest.id,
        encoder=_load_encoder(files, architecture, settings),
        tokenizer=tokenizer,
        pooling=traits.pooling,
        precision=settings.precision,
        prompts=traits.prompts,
        default_prompt=traits.default_prompt,
        gives_scores=traits.gives_scores,
        heads=load_heads(files.folder, traits.hidden_size, tokenizer.special_ids),
    )
    if not settings.skip_self_test:
        run_self_test(loaded.id, published, loaded.embed_one, settings.precision)
    return loaded


def read_traits(files: ModelFiles) -> ModelTraits:
    """Look at a model's small files.

    Raises:
        UnsupportedModelError: if the engine cannot run the model.
    """
    return _read(files)[1]


def check_model(files: ModelFiles) -> ModelTraits:
    """Look whether a model could be loaded: its small files, its tokenizer, its tensors' names.

    Raises:
        UnsupportedModelError: if the engine cannot run the model; the message says why.
    """
    architecture, traits = _read(files)
    headers = _open_weights(files.weights, architecture).headers
    architecture.blueprint(headers).check(headers)
    _open_tokenizer(files, architecture, traits)
    return traits


def estimate_memory_bytes(files: ModelFiles, precision: Precision = Precision.FP32) -> int:
    """Estimate what a loaded model takes, from what its checkpoint says of its tensors.

    In fp32, a checkpoint of 16-bit numbers takes twice its file's size. Where nothing can be read
    of it, the file's size stands for it; loading will say what is wrong.
    """
    number_bytes = _HALF_BYTES if precision in _HALVES else _FLOAT_BYTES
    try:
        headers = Weights(files.weights).headers
    except UnsupportedModelError:
        return files.weights.stat().st_size
    return sum(number_bytes * math.prod(one.shape) for one in headers.values())


def _read(files: ModelFiles) -> tuple[Architecture, ModelTraits]:
    facts, manifest = read_facts(files.folder), files.manifest
    architecture = read_architecture(files.folder, facts)
    config = architecture.config
    traits = ModelTraits(
        hidden_size=architecture.hidden_size,
        max_tokens=min(manifest.max_tokens or config.max_tokens, config.max_tokens),
        pooling=Pooling.CLS if config.gives_scores else manifest.pooling or Pooling.MEAN,
        prompts=facts.prompts,
        default_prompt=facts.prompts.get(facts.default_prompt, ""),
        gives_scores=config.gives_scores,
        lowercases=facts.lowercases,
    )
    return architecture, traits


def _open_tokenizer(
    files: ModelFiles, architecture: Architecture, traits: ModelTraits
) -> Tokenizer:
    return Tokenizer(
        files.folder / "tokenizer.json",
        traits.max_tokens,
        lowercases=traits.lowercases,
        num_known=architecture.config.vocab_size,
    )


def _load_encoder(files: ModelFiles, architecture: Architecture, settings: Settings) -> Encoder:
    weights_bytes = files.weights.stat().st_size
    backend = choose_backend(settings, architecture, weights_bytes)
    parts = (architecture, *_digest_modules(files, architecture), *backend.cache_parts())
    key = cache_key(files.weights_sha256, settings.precision, *parts)
    build = partial(_build_packed, files.weights, architecture, backend)
    folder = open_packed(files.graphs_dir, key, build, weights_bytes * _BUILD_COPIES)
    return backend.open(folder)


def _build_packed(path: Path, architecture: Architecture, backend: Backend, target: Path) -> None:
    """Pack a checkpoint, and the dense layers beside it, into an empty target folder."""
    weights = _open_weights(path, architecture)
    headers = weights.headers
    architecture.blueprint(headers).check(headers)
    backend.write(headers, weights.read, target)


def _open_weights(path: Path, architecture: Architecture) -> Weights:
    return Weights(path, _list_modules(architecture))


def _digest_modules(files: ModelFiles, architecture: Architecture) -> tuple[str, ...]:
    """Hash the dense layers' own weights, of which the checkpoint's digest tells nothing."""
    paths = (find_module(files.folder / one) for one in _list_modules(architecture))
    return tuple(sha256_of(path) for path in paths if path.is_file())


def _list_modules(architecture: Architecture) -> list[str]:
    return [dense.linear.weight.name.rpartition("/")[0] for dense in architecture.denses]
