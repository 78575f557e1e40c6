"""Text in, vectors out: validate, tokenise, schedule, assemble.

What the API, the library, the command line and the benchmark all call.

Belongs to one event loop, but for `embed_here`. Knows no HTTP and no runtime.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from functools import lru_cache, partial
from typing import TypeVar

from satsuma.activity import Activity
from satsuma.asks import check_ask
from satsuma.background import run_in_background
from satsuma.engine.load import LoadedModel
from satsuma.engine.protocol import DeviceEncoder
from satsuma.errors import (
    DeadlineExceededError,
    InvalidInputError,
    ModelNotFoundError,
    SatsumaError,
    WeightsChangedError,
)
from satsuma.items import is_query, make_result, read_items
from satsuma.residency import Residency
from satsuma.scheduler.scheduler import Scheduler
from satsuma.scheduler.tickets import Outcome
from satsuma.stats import LoadedFacts, Readiness, Stats
from satsuma.store.catalog import Catalog
from satsuma.store.local import ModelStatus
from satsuma.store.manifest import ModelManifest
from satsuma.tokenisers import Tokenisers
from satsuma.types import (
    EmbedRequest,
    EmbedResult,
    TextTokens,
    Tokens,
)

_LOGGER = logging.getLogger(__name__)
_T = TypeVar("_T")

_NUM_KNOWN_NAMES = 256

# Telling where tokens lie is for people who look at a few texts; it waits in no queue.
MAX_LOCATED_CHARACTERS = 200_000
_STUCK_DEADLINES = 2.0  # a microbatch that takes this many deadlines will not end


class EmbeddingService:
    """Answers embedding requests of every installed model."""

    def __init__(
        self,
        catalog: Catalog,
        residency: Residency,
        scheduler: Scheduler,
        deadline_s: float,
        list_models: Callable[[], tuple[ModelStatus, ...]] = tuple,
    ) -> None:
        """Put the parts together; `assembly.assemble` makes them.

        Args:
            catalog: known models and the grammar of ids.
            residency: model id -> loaded model.
            scheduler: the cores.
            deadline_s: how long a request may take.
            list_models: looks on the disk for what is here; blocks, so it is called in a thread.
        """
        self._find_manifest = lru_cache(_NUM_KNOWN_NAMES)(partial(find_manifest, catalog))
        self._residency = residency
        self._scheduler = scheduler
        self._deadline_s = deadline_s
        self._stuck_after_s = _STUCK_DEADLINES * deadline_s
        self._list_models = list_models
        self._listing: asyncio.Future[tuple[ModelStatus, ...]] | None = None
        self._activity = Activity()
        self._started_at_s = time.monotonic()
        self._tokenisers = Tokenisers(scheduler)

    def manifest(self, model: str) -> ModelManifest:
        """Look a model up by any of its names. Cheap: asks no disk and no network.

        Raises:
            ModelNotFoundError: if the name has no known form, or Cloudflare's catalog lacks it.
        """
        return self._find_manifest(model)

    async def models(self) -> tuple[ModelStatus, ...]:
        """List the catalog's models, then the others that are here, and where each stands.

        Looks on the disk, which takes about a millisecond; who asks meanwhile shares the answer.

        Raises:
            SatsumaError: if the models' folder holds what cannot be read.
        """
        if self._listing is None or self._listing.done():
            self._listing = asyncio.ensure_future(run_in_background(self._list_models))
        return await asyncio.shield(self._listing)

    async def embed(self, request: EmbedRequest) -> EmbedResult:
        """Answer one request. Cancelling it takes what is left of it out of the queue.

        Raises:
            InvalidInputError: if there is no text, or an empty one, or a token id that the model
                lacks, or if its vectors cannot be cut to the wanted dimensions, or if it lacks the
                prompt, or gives scores where vectors are wanted.
            ContextExceededError: if the texts are longer than the request lets them be.
            ModelError: if the model is unknown, not installed, unsupported or wrong.
            OverloadedError: if it could not be done in time.
            DeadlineExceededError: if it was not.
            ShuttingDownError: if the scheduler is closed.
            EngineError: if the engine failed on one of its texts.
        """
        if not request.texts or not all(request.texts):
            raise InvalidInputError("One or more texts are needed, none of them empty.")
        if request.is_background:  # nobody waits for it
            return await self._embed(request)
        started_at_s = time.perf_counter()
        try:
            result = await self._in_time(self._embed(request))
        except SatsumaError as error:
            self._activity.note_failure(error)
            raise
        latency_s = time.perf_counter() - started_at_s
        self._activity.note_answer(result.usage.prompt_tokens, latency_s, result.timings.queue_s)
        return result

    def embed_here(self, request: EmbedRequest) -> EmbedResult | None:
        """Answer a query in the calling thread, if its model is loaded and nothing else is to do.

        Any thread may call it. It is counted in no statistics.

        Returns:
            None if the request has to take the usual way, as it has to when the engine fails or
            runs on PyTorch, whose behaviour belongs to the thread: `embed` it.

        Raises:
            InvalidInputError: as `embed`.
            ModelNotFoundError: as `embed`.
        """
        if not is_query(request):
            return None
        manifest = self.manifest(request.model)
        model = self._residency.peek(manifest.id)
        if model is None or isinstance(model.encoder, DeviceEncoder) or not self._scheduler.is_idle:
            return None
        check_ask(request, model, manifest)
        started_at_s = time.perf_counter()
        tokens = read_items(request, model)
        tokenise_s = time.perf_counter() - started_at_s
        outcome = self._scheduler.run_now(
            model.encoder,
            [one.ids for one in tokens],
            request.pooling or model.pooling,
            is_normalized=request.is_normalized,
        )
        if outcome is None:
            return None
        return make_result(request, model, tokens, outcome, tokenise_s)

    @property
    def is_interrupted_here(self) -> bool:
        """Whether this thread is in the middle of `embed_here`: then a signal handler is asking."""
        return self._scheduler.is_interrupted_here

    async def tokenize(self, model: str, texts: Sequence[str]) -> list[TextTokens]:
        """Tell how a model reads texts; loads the model where needed.

        Raises:
            InvalidInputError: if there is no text, or too many characters in all.
            ModelError: as `embed`.
            DeadlineExceededError: if it was not done in time.
        """
        num_characters = sum(map(len, texts))
        if not texts or num_characters > MAX_LOCATED_CHARACTERS:
            raise InvalidInputError(
                f"One or more texts are needed, of at most {MAX_LOCATED_CHARACTERS} characters in "
                f"all, not {num_characters}."
            )
        return await self._in_time(self._locate(model, texts))

    async def stats(self) -> Stats:
        """Tell how busy the service is. Cheap enough for every second."""
        return Stats(
            uptime_s=time.monotonic() - self._started_at_s,
            waiting=self._scheduler.room(),
            models=tuple(map(LoadedFacts.of, self._residency.loaded)),
            activity=self._activity.report(),
        )

    async def readiness(self) -> Readiness:
        """Tell whether a model can answer now."""
        models = self._residency.loaded_ids
        trouble = self._scheduler.trouble(stuck_after_s=self._stuck_after_s) or self._loss()
        reason = trouble or ("" if models else "no model is loaded")
        return Readiness(is_ready=not reason, reason=reason, models=models)

    @property
    def waiting_tokens(self) -> int:
        """Tokens admitted and not done, of all models."""
        return self._scheduler.room().waiting_tokens

    @property
    def model_bytes(self) -> dict[str, int]:
        """Memory of each model that is loaded."""
        return {one.id: one.encoder.memory_bytes for one in self._residency.loaded}

    @property
    def is_stuck(self) -> bool:
        """Whether a microbatch never ends, though others may go on, or a device is lost."""
        return self._scheduler.oldest_run_s() > self._stuck_after_s or bool(self._loss())

    async def check_installed(self, model: str) -> None:
        """Make sure that a model's weights are here, without loading them.

        Raises:
            ModelError: if they are not, or the model is unknown.
        """
        await self._residency.check(self.manifest(model).id)

    async def load(self, model: str) -> None:
        """Load a model now rather than on its first use.

        Raises:
            ModelError: whatever keeps it from loading.
        """
        async with self._residency.use(self.manifest(model).id):
            pass

    async def close(self, timeout_s: float | None = None) -> bool:
        """Stop the lanes and unload the models; running work is finished, what waits is refused.

        Args:
            timeout_s: how long to wait for running work; None waits as long as it takes.

        Returns:
            Whether everything has ended; if not, threads are still in the engine's hands.
        """
        self._tokenisers.close()
        has_ended = await run_in_background(lambda: self._scheduler.close(timeout_s))
        if not has_ended:
            return False
        try:
            async with asyncio.timeout(timeout_s):
                await self._residency.close()
        except TimeoutError:
            return False
        return True

    def _loss(self) -> str:
        """Say which device failed for good; empty if none did."""
        encoders = [one.encoder for one in self._residency.loaded]
        told = [one.trouble for one in encoders if isinstance(one, DeviceEncoder)]
        return next(filter(None, told), "")

    async def _in_time(self, work: Awaitable[_T]) -> _T:
        try:
            async with asyncio.timeout(self._deadline_s):
                return await work
        except TimeoutError as error:
            raise DeadlineExceededError(f"Not done within {self._deadline_s:g} s.") from error

    async def _embed(self, request: EmbedRequest) -> EmbedResult:
        """Embed, once more if the weights turn out to be others than were loaded."""
        try:
            return await self._embed_once(request)
        except WeightsChangedError as error:
            _LOGGER.error("%s: %s Loading it anew.", request.model, error)  # noqa: TRY400
            return await self._embed_once(request)

    async def _embed_once(self, request: EmbedRequest) -> EmbedResult:
        manifest = self.manifest(request.model)
        async with self._residency.use(manifest.id) as model:
            check_ask(request, model, manifest)
            started_at_s = time.perf_counter()
            tokens = await self._tokenisers.read(request, model)
            tokenise_s = time.perf_counter() - started_at_s
            outcome = await self._encode(request, model, tokens)
            more = await self._tokenisers.read_outputs(request, model, tokens, outcome.states)
        answer = make_result(request, model, tokens, outcome, tokenise_s)
        if not request.outputs:
            return answer
        return replace(answer, sparse=more.sparse, multi_vectors=more.multi_vectors)

    async def _encode(
        self, request: EmbedRequest, model: LoadedModel, tokens: list[Tokens]
    ) -> Outcome:
        """Wait for the lanes; a model whose weights have changed is not used again."""
        future = self._scheduler.submit(
            model.encoder,
            [one.ids for one in tokens],
            request.pooling or model.pooling,
            is_normalized=request.is_normalized,
            is_background=request.is_background,
            keeps_states=bool(request.outputs),
        )
        try:
            return await asyncio.wrap_future(future)
        except WeightsChangedError:
            self._residency.discard(model)
            raise

    async def _locate(self, model: str, texts: Sequence[str]) -> list[TextTokens]:
        async with self._residency.use(self.manifest(model).id) as loaded:
            return await self._tokenisers.locate(loaded, texts)


def find_manifest(catalog: Catalog, model: str) -> ModelManifest:
    """Look a model up by any of its names; asks no disk and no network.

    Raises:
        ModelNotFoundError: if the name has no known form, or Cloudflare's catalog lacks it.
    """
    known = catalog.find(model)
    if known is not None:
        return known
    model_id = catalog.canonical_id(model)
    if model_id.startswith("@cf/"):
        raise ModelNotFoundError(f"There is no model {model_id} in the catalog.")
    return ModelManifest(id=model_id, repository="", revision="", files=())
