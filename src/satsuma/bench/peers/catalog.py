"""Who takes part: each library, the precisions that it has, and how it is asked.

Every contender gets texts and gives an array of unit vectors, with its own defaults for batches,
as a user's program would call it. Only the number of threads is set.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

FP32, INT8 = "fp32", "int8"
PRECISIONS = (FP32, INT8)

# The program that writes a format, and the environment that has its packages.
CONVERTERS = {
    "onnx": "sentence-transformers-onnx",
    "openvino": "sentence-transformers-openvino",
    "ctranslate2": "ctranslate2",
    "gguf": "llama-cpp",
}


@dataclass(frozen=True, slots=True)
class Peer:
    """One contender.

    Attributes:
        name: as `--contender` has it.
        precision: of the weights.
        method: what is timed, in one sentence.
        worker: its program in `workers/`.
        environment: of its packages; "" is the one that satsuma runs in.
        format: of its weights, one of `CONVERTERS`; "" reads the model folder as it is.
        variant: which of its worker's ways.
        pads: whether it computes the padding of short texts.
    """

    name: str
    precision: str
    method: str
    worker: str
    environment: str = ""
    format: str = ""
    variant: str = ""
    pads: bool = True

    @property
    def label(self) -> str:
        """Name it in a report."""
        return f"{self.name} {self.precision}"

    @property
    def is_ours(self) -> bool:
        """Whether it is satsuma itself."""
        return not self.environment

    @property
    def conversions(self) -> tuple[str, ...]:
        """Precisions to convert, in this order: int8 is made from fp32's files."""
        if not self.format:
            return ()
        return (FP32,) if self.precision == FP32 else (FP32, INT8)


def _both(peer: Peer) -> tuple[Peer, Peer]:
    return peer, replace(peer, precision=INT8)


_OVER_HTTP = (
    "`satsuma serve` and one client that keeps its connection, 100 texts a request, JSON parsed "
    "to an array; the client shares the cores"
)
_ENCODE = "`SentenceTransformer.encode`: batches of 32, longest texts first, padded"

REFERENCE = Peer(
    "sentence-transformers",
    FP32,
    _ENCODE,
    "sentence_transformers",
    "sentence-transformers",
    variant="torch",
)

PEERS: tuple[Peer, ...] = (
    *_both(Peer("satsuma", FP32, "`Ai().run` in this process", "satsuma_in_process", pads=False)),
    *_both(Peer("satsuma-http", FP32, _OVER_HTTP, "satsuma_http", pads=False)),
    REFERENCE,
    *_both(
        Peer(
            "sentence-transformers-onnx",
            FP32,
            _ENCODE,
            "sentence_transformers",
            "sentence-transformers-onnx",
            format="onnx",
            variant="onnx",
        )
    ),
    *_both(
        Peer(
            "sentence-transformers-openvino",
            FP32,
            _ENCODE,
            "sentence_transformers",
            "sentence-transformers-openvino",
            format="openvino",
            variant="openvino",
        )
    ),
    *_both(
        Peer(
            "fastembed",
            FP32,
            "`TextEmbedding.embed`: batches of 256 in the texts' order, padded",
            "fastembed",
            "fastembed",
            "onnx",
        )
    ),
    *_both(
        Peer(
            "onnxruntime",
            FP32,
            "`InferenceSession` in a short script: batches of 32 in the texts' order, padded",
            "onnxruntime",
            "onnxruntime",
            "onnx",
        )
    ),
    *_both(
        Peer(
            "ctranslate2",
            FP32,
            "`Encoder.forward_batch`: batches of 32, longest texts first; its products leave "
            "padding out",
            "ctranslate2",
            "ctranslate2",
            "ctranslate2",
            pads=False,
        )
    ),
    Peer(
        "infinity",
        FP32,
        "`AsyncEmbeddingEngine.embed` on torch: batches of 32, padded; no HTTP",
        "infinity",
        "infinity",
    ),
    *_both(
        Peer(
            "llama-cpp",
            FP32,
            "`Llama.embed` of llama-cpp-python, compiled here: batches of 512 tokens end to end, "
            "no padding; its int8 is Q8_0",
            "llama_cpp",
            "llama-cpp",
            "gguf",
            pads=False,
        )
    ),
)

NAMES = tuple(dict.fromkeys(peer.name for peer in PEERS))


def choose(names: tuple[str, ...], precisions: tuple[str, ...]) -> list[Peer]:
    """List the contenders of these names and precisions; empty stands for all."""
    return [
        peer
        for peer in PEERS
        if peer.name in (names or NAMES) and peer.precision in (precisions or PRECISIONS)
    ]
