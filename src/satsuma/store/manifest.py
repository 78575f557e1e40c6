"""What is known of a model before and after its files are here: identity, limits, digests.

Records only; nothing here touches a disk or a network.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from satsuma.types import Pooling

WEIGHTS_FILE = "model.safetensors"
WEIGHTS_FILES = (WEIGHTS_FILE, "pytorch_model.bin")  # in the order of preference
RERANKER = "reranker"  # the kind of a model that scores pairs of texts


@dataclass(frozen=True, slots=True)
class FileDigest:
    """One file's published identity; None where nobody published it.

    Attributes:
        path: relative to the model's folder, with forward slashes.
        size_bytes: length of the file.
        sha256: what the hub publishes for large files, and what satsuma records for all.
        git_sha1: git's blob digest, which is all that the hub publishes for small files.
    """

    path: str
    size_bytes: int | None = None
    sha256: str | None = None
    git_sha1: str | None = None


@dataclass(frozen=True, slots=True)
class PackageSource:
    """A distribution on the package index that carries the weights, and where in it they lie."""

    name: str
    version: str
    wheel_sha256: str
    folder: str


@dataclass(frozen=True, slots=True)
class PublishedVector:
    """The first values of a unit-length vector that somebody published for a text.

    Attributes:
        text: what was embedded, without what came before it.
        pooling: how.
        first: the vector's first values.
        source: who published them, and what is doubtful about them.
        is_certain: False where the source leaves a doubt, so that a difference proves nothing.
        prompt: what came before the text.
    """

    text: str
    pooling: Pooling
    first: tuple[float, ...]
    source: str
    is_certain: bool = True
    prompt: str = ""


@dataclass(frozen=True, slots=True)
class PublishedScores:
    """The scores that somebody published for texts beside a query.

    Attributes:
        query: what was asked.
        texts: what was scored.
        scores: of each text, as satsuma gives them: cosines, or a classifier's from 0 to 1.
        source: as of a vector.
        is_certain: as of a vector.
    """

    query: str
    texts: tuple[str, ...]
    scores: tuple[float, ...]
    source: str
    is_certain: bool = True


@dataclass(frozen=True, slots=True)
class Task:
    """What a kind of model does, as the catalog names it."""

    id: str
    name: str
    description: str


@dataclass(frozen=True, slots=True)
class Price:
    """What Cloudflare asks for; satsuma asks for nothing, and repeats it for programs that read it.

    Attributes:
        unit: of what, such as `per M input tokens`.
        price: of one unit, in `currency`.
        currency: ISO 4217.
    """

    unit: str
    price: float
    currency: str


@dataclass(frozen=True, slots=True)
class Listing:
    """How Cloudflare's public catalog shows a model, apart from what the manifest says anyway.

    Attributes:
        id: the model's uuid there.
        source: 1 for Cloudflare's own `@cf` models, 2 for those of the Hugging Face hub.
        author: lower case, as in the model's id.
        task: a task's name.
        created_at: UTC, as Cloudflare spells it: `2023-09-25 19:21:11.898`.
        info: address of a page about the model.
        has_queue: whether Cloudflare takes the model's requests into its asynchronous queue.
        context_window: tokens that Cloudflare says it takes at once; 0 where it does not say.
        is_beta: whether Cloudflare calls the model a beta.
        prices: what Cloudflare asks for.
    """

    id: str
    source: int
    author: str
    task: str
    created_at: str
    info: str
    has_queue: bool = False
    is_beta: bool = False
    context_window: int = 0
    prices: tuple[Price, ...] = ()


@dataclass(frozen=True, slots=True)
class ModelManifest:
    """A model's identity.

    Attributes:
        id: canonical id, such as `@cf/baai/bge-base-en-v1.5`.
        repository: hub repository, such as `BAAI/bge-base-en-v1.5`; "" for a local folder.
        revision: immutable commit on the hub; "" for a local folder.
        files: everything that a pull fetches.
        hidden_size: width of a vector; 0 if only the files tell.
        max_tokens: longest item, [CLS] and [SEP] included; 0 if only the files tell.
        pooling: the default pooling; None if only the files tell.
        licence: SPDX identifier, or "unknown".
        description: one sentence for people.
        package: where to get the same files from the package index, if anywhere.
        aliases: other ids that mean this model.
        dimensions: widths below `hidden_size` that the model was trained to be cut to (Matryoshka).
        min_dimensions: any width from here up is one of them; 0 if only those listed are.
        kind: what it takes and answers, one of `kinds.KINDS`; "" is what a text encoder does.
        listing: how Cloudflare's catalog shows it; None if it does not.
    """

    id: str
    repository: str
    revision: str
    files: tuple[FileDigest, ...]
    hidden_size: int = 0
    max_tokens: int = 0
    pooling: Pooling | None = None
    licence: str = "unknown"
    description: str = ""
    package: PackageSource | None = None
    aliases: tuple[str, ...] = ()
    dimensions: tuple[int, ...] = ()
    min_dimensions: int = 0
    kind: str = ""
    listing: Listing | None = None

    @property
    def weights_file(self) -> str:
        """The file that has the weights."""
        paths = {file.path for file in self.files}
        return next((name for name in WEIGHTS_FILES if name in paths), WEIGHTS_FILE)

    @property
    def size_bytes(self) -> int:
        """Sum of the published sizes; 0 if the weights' size is unknown."""
        if any(one.size_bytes is None for one in self.files if one.path == self.weights_file):
            return 0
        return sum(one.size_bytes or 0 for one in self.files)

    @property
    def weights_sha256(self) -> str | None:
        """Published digest of the weights."""
        return next((one.sha256 for one in self.files if one.path == self.weights_file), None)


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """An installed model: its manifest and where each file lies.

    Attributes:
        manifest: what the model is.
        folder: holds config.json, tokenizer.json, the weights and perhaps
            sentence-transformers' own files; entries may be symbolic links.
        graphs_dir: a writable folder for graphs that the engine builds from the weights.
        weights_sha256: digest of the weights, known without reading them again.
    """

    manifest: ModelManifest
    folder: Path
    graphs_dir: Path
    weights_sha256: str

    @property
    def weights(self) -> Path:
        """Where the weights lie."""
        return self.folder / self.manifest.weights_file
