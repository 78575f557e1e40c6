"""sentence-transformers, with the back end that the variant names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from sentence_transformers import SentenceTransformer  # type: ignore[import-not-found]

from satsuma.bench.peers.protocol import Embedder, Options, Vectors, serve

_FILES = {
    ("onnx", "fp32"): "onnx/model.onnx",
    ("onnx", "int8"): "onnx/model_int8.onnx",
    ("openvino", "fp32"): "openvino/openvino_model.xml",
    ("openvino", "int8"): "openvino/openvino_model_int8.xml",
}


class SentenceTransformers(Embedder):
    """`SentenceTransformer.encode` as it comes: batches of 32, sorted by length, padded."""

    def __init__(self, options: Options) -> None:
        """Load the model with its own modules: transformer, pooling, normalisation."""
        torch.set_num_threads(options.threads)
        self.packages = ("sentence-transformers", "transformers", *_PACKAGES[options.variant])
        self._model = SentenceTransformer(
            options.folder,
            device="cpu",
            backend=options.variant,
            model_kwargs=_model_kwargs(options),
            local_files_only=True,
        )
        self._model.max_seq_length = options.max_tokens

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Encode."""
        vectors: Vectors = self._model.encode(list(texts), show_progress_bar=False)
        return vectors


_PACKAGES = {
    "torch": ("torch",),
    "onnx": ("onnxruntime", "optimum-onnx"),
    "openvino": ("openvino", "optimum-intel"),
}


def _model_kwargs(options: Options) -> dict[str, Any]:
    if options.variant == "torch":
        return {}
    kwargs: dict[str, Any] = {"file_name": _FILES[options.variant, options.precision]}
    if options.variant == "onnx":
        return kwargs | {"provider": "CPUExecutionProvider", "session_options": _session(options)}
    return kwargs | {"ov_config": _ov_config(options)}


def _ov_config(options: Options) -> dict[str, Any]:
    """OpenVINO computes fp32 models in bf16 where the processor can, unless it is told not to."""
    config: dict[str, Any] = {"INFERENCE_NUM_THREADS": options.threads}
    return config | ({"INFERENCE_PRECISION_HINT": "f32"} if options.precision == "fp32" else {})


def _session(options: Options) -> Any:
    import onnxruntime  # noqa: PLC0415 - only this variant has it

    session_options = onnxruntime.SessionOptions()
    session_options.intra_op_num_threads = options.threads
    return session_options


if __name__ == "__main__":
    serve(SentenceTransformers)
