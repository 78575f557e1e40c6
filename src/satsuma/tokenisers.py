"""Where texts are tokenised: at once on the event loop, or beside it where that would hold it up.

Belongs to one event loop. `items.py` says what is tokenised.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from satsuma.engine.load import LoadedModel
from satsuma.items import TokenOutputs, count_characters, guess_tokens, read_items, read_tokens
from satsuma.scheduler.scheduler import Scheduler
from satsuma.types import EmbedRequest, FloatArray, TextTokens, Tokens

# Up to here tokenising takes less time than handing it to another thread and back.
_INLINE_CHARACTERS = 2_000
_NUM_THREADS = 2
_NO_MORE = TokenOutputs()


class Tokenisers:
    """The threads beside the loop, and who gets what."""

    def __init__(self, scheduler: Scheduler) -> None:
        """Start no thread yet.

        Args:
            scheduler: is told of what is on its way to it.
        """
        self._scheduler = scheduler
        self._threads = ThreadPoolExecutor(_NUM_THREADS, "satsuma-tokeniser")
        self._background = ThreadPoolExecutor(1, "satsuma-background-tokeniser")

    async def read(self, request: EmbedRequest, model: LoadedModel) -> list[Tokens]:
        """Tokenise beside the loop what would hold it up, and always what nobody waits for."""
        loop = asyncio.get_running_loop()
        if request.is_background:
            return await loop.run_in_executor(self._background, read_items, request, model)
        if count_characters(request) <= _INLINE_CHARACTERS:
            return read_items(request, model)
        with self._scheduler.reserve(model.encoder, guess_tokens(request, model)):
            return await loop.run_in_executor(self._threads, read_items, request, model)

    async def read_outputs(
        self,
        request: EmbedRequest,
        model: LoadedModel,
        tokens: list[Tokens],
        states: tuple[FloatArray, ...],
    ) -> TokenOutputs:
        """Make of the tokens what was asked for beside vectors."""
        if not request.outputs:
            return _NO_MORE
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(
            self._threads, read_tokens, request, model, tokens, states
        )

    async def locate(self, model: LoadedModel, texts: Sequence[str]) -> list[TextTokens]:
        """Tell where texts' tokens lie."""
        locate = model.tokenizer.locate
        if sum(map(len, texts)) <= _INLINE_CHARACTERS:
            return locate(texts)
        return await asyncio.get_running_loop().run_in_executor(self._threads, locate, texts)

    def close(self) -> None:
        """Take nothing more; what runs goes on."""
        self._threads.shutdown(wait=False)
        self._background.shutdown(wait=False)
