"""One node's part in embedding files: an actor that holds the model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from satsuma import __version__
from satsuma.bulk.embedder import LocalEmbedder
from satsuma.bulk.options import JobOptions
from satsuma.bulk.plan import find_model
from satsuma.cluster.logs import log_to_stderr
from satsuma.cluster.weights import fetch_missing
from satsuma.errors import SatsumaError
from satsuma.outcomes import Refusal
from satsuma.settings import load_settings
from satsuma.store.local import ModelStore
from satsuma.types import EmbedResult


class Member:
    """Embeds lists of texts with all cores of its node; Ray calls it in several threads."""

    def __init__(self, options: JobOptions, flags: Mapping[str, Any]) -> None:
        """Remember what is to be done.

        Args:
            options: of the job.
            flags: settings that count on every node, and the node's own number of threads.
        """
        log_to_stderr()
        self._options = options
        self._settings = load_settings(flags)
        self._embedder: LocalEmbedder | None = None

    def begin(self) -> dict[str, str] | Refusal:
        """Load the model, fetching what is missing, and tell what the vectors depend on."""
        try:
            fetch_missing(ModelStore(self._settings.models_dir), [self._options.model])
            model = find_model(self._options, self._settings)
            self._embedder = LocalEmbedder(self._options, self._settings)
        except SatsumaError as error:
            return Refusal.of(error)
        return {**model.to_json(), "satsuma": __version__}

    def embed(self, texts: Sequence[str]) -> EmbedResult | Refusal:
        """Embed a list of texts, after `begin`; an error is an answer too."""
        assert self._embedder is not None  # noqa: S101  nobody is asked before it has begun
        try:
            return self._embedder.submit(texts).result()
        except SatsumaError as error:
            return Refusal.of(error)
