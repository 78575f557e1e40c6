"""Who embeds a window's texts: this process, or others by the same contract."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from typing import Protocol, Self

from satsuma.bulk.options import JobOptions
from satsuma.in_process import InProcessService
from satsuma.settings import Settings
from satsuma.types import EmbedRequest, EmbedResult


class Embedder(Protocol):
    """Embeds texts, several lists of them at once."""

    @property
    def num_lists(self) -> int:
        """How many lists it takes to keep it busy."""
        ...

    def submit(self, texts: Sequence[str]) -> Future[EmbedResult]:
        """Begin with a list of texts; the vectors come in their order."""
        ...


class LocalEmbedder:
    """The service, in this process.

    Three windows are under way: while one runs, the next is tokenised and waits, so that no lane
    meets an empty queue while the last one is written and another is read.
    """

    num_lists = 3

    def __init__(self, options: JobOptions, settings: Settings) -> None:
        """Start the service and load the model.

        Raises:
            SatsumaError: if that fails.
        """
        self._options = options
        self._service = InProcessService(settings)
        try:
            self._service.load(options.model)
        except BaseException:
            self._service.close()
            raise

    def submit(self, texts: Sequence[str]) -> Future[EmbedResult]:
        """Embed texts, later; see `Embedder`."""
        return self._service.submit(
            EmbedRequest(
                model=self._options.model,
                texts=tuple(texts),
                pooling=self._options.pooling,
                dimensions=self._options.dimensions,
                is_normalized=self._options.is_normalized,
                prompt_name=self._options.prompt_name,
            )
        )

    def close(self) -> None:
        """Give up what waits, and let the running microbatches end."""
        self._service.close()

    def __enter__(self) -> Self:
        """Use as a context manager, which closes at the end."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close."""
        self.close()
