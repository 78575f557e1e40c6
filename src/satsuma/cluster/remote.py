"""A service whose engine is elsewhere: in the replicas of a Serve deployment.

Belongs to one event loop. What a lost replica held is asked again of another: a vector does not
depend on who makes it, and the caller gets one answer.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from ray.exceptions import NodeDiedError, ObjectLostError, RayActorError, TaskCancelledError
from ray.serve.exceptions import BackPressureError, DeploymentUnavailableError

from satsuma.activity import Activity
from satsuma.background import run_in_background
from satsuma.errors import (
    DeadlineExceededError,
    EngineDiedError,
    OverloadedError,
    ShuttingDownError,
)
from satsuma.outcomes import Refusal
from satsuma.scheduler.admission import WaitingRoom
from satsuma.service import find_manifest
from satsuma.stats import Readiness, Stats
from satsuma.store.local import ModelStatus, ModelStore
from satsuma.store.manifest import ModelManifest
from satsuma.types import EmbedRequest, EmbedResult, TextTokens

_LOGGER = logging.getLogger(__name__)
_LOST = (RayActorError, ObjectLostError, NodeDiedError, TaskCancelledError)
_MAX_LOST = 5  # replicas that one request may outlive
_PAUSE_S = 0.1  # before it is asked again; the cluster needs a moment to notice
_RETRY_AFTER_S = 1.0
_MAX_BACKGROUND = 16  # queued requests under way: the replicas' room is for those who wait
_BACKGROUND_PAUSE_S = 1.0
_ASK_EVERY_S = 1.0
_ANSWERS_WITHIN_S = 5.0


class RemoteService:
    """Answers embedding requests with the replicas' vectors."""

    def __init__(self, replicas: Any, store: ModelStore, deadline_s: float) -> None:
        """Begin to ask whether the replicas are ready.

        Args:
            replicas: Serve's way to the deployment of `Replica`.
            store: knows the models' names; its node need not have their weights.
            deadline_s: how long a request may take, waiting for a replica included.
        """
        self._replicas = replicas
        self._store = store
        self._deadline_s = deadline_s
        self._by_model: dict[str, Any] = {}
        self._background = asyncio.Semaphore(_MAX_BACKGROUND)
        self._readiness = Readiness(is_ready=False, reason="no replica has answered yet", models=())
        self._stats = Stats(0.0, WaitingRoom(0, 0.0), (), Activity().report())
        self._watch = asyncio.create_task(self._keep_asking())

    def manifest(self, model: str) -> ModelManifest:
        """Look a model up by any of its names.

        Raises:
            ModelNotFoundError: if there is none.
        """
        return find_manifest(self._store.catalog, model)

    async def models(self) -> tuple[ModelStatus, ...]:
        """List the catalog's models and the others that are on this node."""
        return await run_in_background(self._store.list)

    async def check_installed(self, model: str) -> None:
        """Make sure that a model's weights are on this node.

        Raises:
            ModelError: if they are not.
        """
        await run_in_background(lambda: self._store.resolve(model))

    async def readiness(self) -> Readiness:
        """Tell what a replica said a moment ago."""
        return self._readiness

    async def embed(self, request: EmbedRequest) -> EmbedResult:
        """Answer one request. Cancelling it cancels it in its replica too.

        Raises:
            SatsumaError: what the replica refused it with, as `EmbeddingService.embed` does.
            OverloadedError: if too many wait already.
            DeadlineExceededError: if it was not done in time.
            EngineDiedError: if every replica that took it died.
        """
        replicas = self._replicas_for(self.manifest(request.model).id)
        ask = self._ask_behind if request.is_background else self._ask_in_time
        result: EmbedResult = await ask(lambda: replicas.embed.remote(request))
        return result

    async def tokenize(self, model: str, texts: Sequence[str]) -> list[TextTokens]:
        """Tell how a model reads texts; errors are those of `embed`."""
        replicas = self._replicas_for(self.manifest(model).id)
        tokens: list[TextTokens] = await self._ask_in_time(
            lambda: replicas.tokenize.remote(model, texts)
        )
        return tokens

    async def stats(self) -> Stats:
        """Tell what a replica, whichever, said of itself a moment ago."""
        return self._stats

    async def _ask_in_time(self, call: Callable[[], Any]) -> Any:
        try:
            async with asyncio.timeout(self._deadline_s):
                outcome = await self._ask_until_answered(call)
        except TimeoutError as error:
            raise DeadlineExceededError(f"Not done within {self._deadline_s:g} s.") from error
        return _open(outcome)

    async def _ask_behind(self, call: Callable[[], Any]) -> Any:
        """Ask for what nobody waits for: few at a time, and again until a replica has room."""
        async with self._background:
            while True:
                with suppress(OverloadedError, ShuttingDownError):
                    return _open(await self._ask_until_answered(call))
                await asyncio.sleep(_BACKGROUND_PAUSE_S)

    def _replicas_for(self, model_id: str) -> Any:
        """Prefer the replicas that have the model."""
        if model_id not in self._by_model:
            self._by_model[model_id] = self._replicas.options(multiplexed_model_id=model_id)
        return self._by_model[model_id]

    async def _ask_until_answered(self, call: Callable[[], Any]) -> Any:
        for num_lost in range(_MAX_LOST):
            try:
                return await _ask(call)
            except _LOST as error:
                _LOGGER.warning("a replica was lost with a request: %s", type(error).__name__)
                await asyncio.sleep(_PAUSE_S * 2**num_lost)
        raise EngineDiedError(f"{_MAX_LOST} replicas were lost with this request.")

    async def _keep_asking(self) -> None:
        while True:
            self._readiness = await self._ask_readiness()
            await asyncio.sleep(_ASK_EVERY_S)

    async def _ask_readiness(self) -> Readiness:
        try:
            async with asyncio.timeout(_ANSWERS_WITHIN_S):
                readiness: Readiness = await self._replicas.readiness.remote()
                self._stats = await self._replicas.stats.remote()
        except Exception as error:  # noqa: BLE001  whatever it is, there is no answer
            reason = f"no replica answers: {type(error).__name__}"
            return Readiness(is_ready=False, reason=reason, models=())
        return readiness


def _open(outcome: Any) -> Any:
    """Give a replica's answer.

    Raises:
        SatsumaError: if it is a refusal.
    """
    if isinstance(outcome, Refusal):
        raise outcome.to_error()
    return outcome


async def _ask(call: Callable[[], Any]) -> Any:
    response = call()
    try:
        return await response
    except (asyncio.CancelledError, TaskCancelledError) as error:
        response.cancel()
        if _is_being_cancelled():  # Serve has a word of its own for it, which asyncio does not know
            raise asyncio.CancelledError from error
        raise
    except BackPressureError as error:
        message = "Too many requests wait for a replica."
        raise OverloadedError(message, retry_after_s=_RETRY_AFTER_S) from error
    except DeploymentUnavailableError as error:
        raise ShuttingDownError("No replica takes requests; please try again.") from error


def _is_being_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
