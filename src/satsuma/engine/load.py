"""An installed model's files -> a loaded model: the only module that picks an adapter."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from satsuma.engine import graph, onnx
from satsuma.engine.architectures import EncoderConfig, find_roles, parse_config
from satsuma.engine.fake import FakeEncoder
from satsuma.engine.graph_cache import PACKED_NAME, cache_key, open_graph
from satsuma.engine.machine import detect_cores, instruction_sets
from satsuma.engine.pooling import pool
from satsuma.engine.protocol import Encoder, Microbatch, Width
from satsuma.engine.self_test import run_self_test
from satsuma.engine.tokenizer import Tokenizer
from satsuma.engine.weights import Weights
from satsuma.errors import EngineError, UnsupportedModelError
from satsuma.settings import Settings
from satsuma.store.manifest import WEIGHTS_FILE, ModelFiles, PublishedVector
from satsuma.types import FloatArray, Pooling, Precision

_BUILD_COPIES = 3  # the source graph's weights, and the packed file's, unpacked and packed
_WARM_UP_TEXT = "the quick brown fox jumps over the lazy dog " * 14  # 128 tokens

__all__ = ["FakeEncoder", "LoadedModel", "load_model"]


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model that can answer.

    Attributes:
        id: canonical model id.
        encoder: tokens -> hidden states.
        tokenizer: text -> tokens, at the model's limit.
        pooling: the default mode.
    """

    id: str
    encoder: Encoder
    tokenizer: Tokenizer
    pooling: Pooling

    def embed_one(self, text: str, pooling: Pooling) -> FloatArray:
        """Embed one text by itself, past any queue: (H,) float32 of unit length."""
        microbatch = Microbatch.pack([tokens.ids for tokens in self.tokenizer.tokenize([text])])
        hidden_states = self.encoder.encode(microbatch, Width.ALL_CORES)  # (T, H)
        vector: FloatArray = pool(hidden_states, microbatch.lengths, [pooling])[0]  # (H,)
        return vector

    def warm_up(self) -> tuple[int, float]:
        """Run once over all cores, so that the first request is not the slow one.

        Returns:
            Tokens, and the seconds that they took.
        """
        ids = self.tokenizer.tokenize([_WARM_UP_TEXT])[0].ids  # (T,)
        self.encoder.encode(Microbatch.pack([ids]), Width.ONE_CORE)
        started_at_s = time.perf_counter()
        self.encoder.encode(Microbatch.pack([ids]), Width.ALL_CORES)
        return len(ids), time.perf_counter() - started_at_s


def load_model(
    files: ModelFiles, settings: Settings, published: Sequence[PublishedVector] = ()
) -> LoadedModel:
    """Load a model, building its packed graph first where none is cached. Blocks for seconds.

    Args:
        files: an installed model.
        settings: precision, threads, self-test.
        published: vectors to compare with, unless the settings skip it.

    Raises:
        UnsupportedModelError: if the engine cannot run the model.
        SelfTestError: if its vectors are not the published ones.
        EngineError: if the runtime cannot load it.
        DiskFullError: if there is no room for the packed graph.
    """
    config = parse_config(_read_config(files.folder / "config.json"))
    max_tokens = min(files.manifest.max_tokens or config.max_positions, config.max_positions)
    loaded = LoadedModel(
        id=files.manifest.id,
        encoder=_load_encoder(files, config, settings),
        tokenizer=Tokenizer(files.folder / "tokenizer.json", max_tokens),
        pooling=files.manifest.pooling or Pooling.MEAN,
    )
    if not settings.skip_self_test:
        run_self_test(loaded.id, published, loaded.embed_one)
    return loaded


def _read_config(path: Path) -> dict[str, Any]:
    try:
        config = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error  # clients need not see the folder
        raise UnsupportedModelError(f"{path.name} cannot be read: {reason}") from error
    if not isinstance(config, dict):
        raise UnsupportedModelError(f"{path.name} is not a JSON object.")
    return config


def _load_encoder(files: ModelFiles, config: EncoderConfig, settings: Settings) -> Encoder:
    key = cache_key(
        files.weights_sha256,
        settings.precision,
        config,
        graph.GRAPH_VERSION,
        onnx.RUNTIME_VERSION,
        instruction_sets(),  # packed weights fit one kind of processor
    )
    weights_bytes = (files.folder / WEIGHTS_FILE).stat().st_size
    build = partial(_build_packed, files.folder, config, settings.precision)
    packed = open_graph(files.graphs_dir, key, build, weights_bytes * _BUILD_COPIES)
    return onnx.OnnxEncoder(
        packed,
        hidden_size=config.hidden_size,
        threads=count_threads(settings),
        memory_bytes=weights_bytes,
    )


def _build_packed(folder: Path, config: EncoderConfig, precision: Precision, target: Path) -> None:
    """Write the packed graph of a model's folder into an empty target folder."""
    if precision is not Precision.FP32:
        raise EngineError(f"Precision {precision} has no graph.")
    weights = Weights(folder / WEIGHTS_FILE)
    roles = find_roles(config, weights.headers)
    source = graph.write_graph(config, roles, weights.read, target)
    onnx.pack_weights(source, target / PACKED_NAME)
    for written in target.glob("graph.*"):
        written.unlink()


def count_threads(settings: Settings) -> int:
    """Cores to use: the setting, or what the machine grants."""
    return settings.threads or detect_cores().usable
