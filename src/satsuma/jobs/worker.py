"""Works on the queue in the idle time of a server: claims, embeds, keeps the answers.

Three loops share one hold on the queue: one says that this server lives, and takes what dead ones
held; one claims as much as fills the lanes; one commits what is done, all that is there at once.
A database that does not answer stops none of them for good. Belongs to one event loop; all that
blocks runs beside it.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NoReturn, TypeVar

from satsuma.background import run_in_background
from satsuma.errors import (
    EngineError,
    LeaseLostError,
    ModelError,
    QueueError,
    QueueUnavailableError,
    SatsumaError,
    ShuttingDownError,
)
from satsuma.jobs.inputs import read_inputs
from satsuma.jobs.records import Claimed, Done, Ending, Erred, Outcome, Reason, Refused, Released
from satsuma.jobs.states import MAX_SLICE_REQUESTS, outage_pause_s
from satsuma.types import EmbedRequest, EmbedResult

if TYPE_CHECKING:  # slow to import: `assembly.py`
    from satsuma.jobs.claims import Claims

_LOGGER = logging.getLogger(__name__)
_T = TypeVar("_T")

Embed = Callable[[EmbedRequest], Awaitable[EmbedResult]]
NoteUsage = Callable[[str, str, int, int], None]

_BEATS_PER_LEASE: Final = 3
_LOOK_EVERY_S: Final = 1.0  # for what other servers took in
_SWEEP_EVERY_S: Final = 60.0
_SET_ASIDE_S: Final = 30.0  # a model that this server cannot run; another may
_STOP_S: Final = 3.0  # for the last answers, and for giving the rest back


@dataclass(frozen=True, slots=True)
class WorkerOptions:
    """How a worker works.

    Attributes:
        target_tokens: about how many tokens to keep under way.
        lease_s: how long the others wait for a sign of life.
    """

    target_tokens: int
    lease_s: float


class Worker:
    """Works until it is stopped.

    Attributes:
        note_usage: hears once of each answer that is kept, in whichever thread: account, model,
            texts, tokens.
    """

    def __init__(
        self,
        make_claims: Callable[[], Claims],
        sweep: Callable[[], int],
        embed: Embed,
        is_stuck: Callable[[], bool],
        options: WorkerOptions,
    ) -> None:
        """Prepare; `start` begins.

        Args:
            make_claims: makes a hold on the queue.
            sweep: removes what has expired; blocks.
            embed: answers a request.
            is_stuck: whether the engine hangs: then others had better take its work.
            options: how much, and how long.
        """
        self._make_claims = make_claims
        self._claims: Claims  # from `start` on
        self._sweep = sweep
        self._embed = embed
        self._is_stuck = is_stuck
        self._options = options
        self.note_usage: NoteUsage = lambda *_: None
        self._is_listed = asyncio.Event()
        self._news = asyncio.Event()  # something came, or something ended
        self._has_outcomes = asyncio.Event()
        self._outcomes: list[Outcome] = []
        self._attempts: set[asyncio.Task[None]] = set()
        self._under_way: list[Claimed] = []  # claimed, and not committed
        self._set_aside: dict[str, float] = {}  # model -> until when
        self._beating_since_s: float | None = None
        self._loops: list[asyncio.Task[NoReturn]] = []
        self._calls: set[asyncio.Task[Any]] = set()  # of the database

    def start(self) -> None:
        """Begin to work."""
        self._claims = self._make_claims()
        steps = (self._live, self._take, self._commit, self._clear)
        self._loops = [asyncio.create_task(self._repeat(step)) for step in steps]

    def notice(self) -> None:
        """Hear that a job came in here."""
        self._news.set()

    async def stop(self) -> None:
        """Keep what is done, give back what is not, within a few seconds."""
        if not self._loops:
            return
        await _cancel(self._loops)
        await _cancel(self._attempts)
        try:
            async with asyncio.timeout(_STOP_S):
                await asyncio.gather(*self._calls, return_exceptions=True)
                await run_in_background(self._finish_and_leave)
        except (QueueError, TimeoutError) as error:
            _LOGGER.warning("queued work could not be given back, and will be taken: %s", error)

    def _finish_and_leave(self) -> None:
        if self._outcomes:
            self._note(self._claims.finish(self._outcomes))
        self._claims.leave()

    def _note(self, counted: list[Outcome]) -> None:
        for one in counted:
            if isinstance(one.ending, Done):
                claimed, result = one.claimed, one.ending.result
                num_texts, num_tokens = len(result.vectors), result.usage.prompt_tokens
                self.note_usage(claimed.account, claimed.model, num_texts, num_tokens)

    async def _ask(self, work: Callable[[], _T]) -> _T:
        """Ask the database; what was begun is ended, also when nobody waits for it any more.

        Raises:
            LeaseLostError: if others took this server for dead; it has begun anew then.
            QueueUnavailableError: if the database does not answer.
        """
        claims = self._claims
        call = asyncio.create_task(_call(work))
        self._calls.add(call)
        call.add_done_callback(self._calls.discard)
        answer = await asyncio.shield(call)
        if isinstance(answer, LeaseLostError) and claims is self._claims:
            _LOGGER.warning("%s", answer)
            self._begin_anew()
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def _repeat(self, step: Callable[[], Awaitable[None]]) -> NoReturn:
        """Take a step again and again, whatever becomes of it."""
        num_failures = 0
        while True:
            try:
                await step()
                num_failures = 0
            except LeaseLostError:
                continue
            except Exception as error:  # noqa: BLE001  queued work goes on
                self._beating_since_s = None
                _log_failure(error, num_failures)
                await asyncio.sleep(outage_pause_s(num_failures))
                num_failures += 1

    # --- the steps ----------------------------------------------------------------------------

    async def _live(self) -> None:
        """Give a sign of life, and see who gives none."""
        lease_s = self._options.lease_s
        if not self._is_stuck():
            await self._ask(self._claims.beat)
            self._is_listed.set()
            since_s = self._beating_since_s = self._beating_since_s or time.monotonic()
            # After an outage all are late; each gets the time to say that it lives.
            if time.monotonic() - since_s >= lease_s:
                await self._recover()
        await asyncio.sleep(lease_s / _BEATS_PER_LEASE)

    async def _recover(self) -> None:
        num_lost = await self._ask(self._claims.recover)
        if num_lost:
            _LOGGER.warning("took %d queued requests of servers that vanished", num_lost)
            self._news.set()

    async def _take(self) -> None:
        """Claim what fills the lanes, or wait for room or for work."""
        await self._is_listed.wait()
        self._news.clear()
        claims, claimed = self._claims, list[Claimed]()
        room_tokens = self._room_tokens()
        aside, is_idle = self._aside(), not self._under_way
        if room_tokens and await self._ask(lambda: claims.is_needed(aside)):
            claimed = await self._ask(
                lambda: claims.claim(
                    room_tokens,
                    is_idle=is_idle,
                    max_requests=MAX_SLICE_REQUESTS,
                    set_aside=aside,
                )
            )
        if claims is self._claims:  # else they were lost meanwhile
            self._begin(claimed)
        if not claimed:
            with suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_EVERY_S):
                    await self._news.wait()

    async def _commit(self) -> None:
        """Keep what is done."""
        await self._has_outcomes.wait()
        self._has_outcomes.clear()
        claims, outcomes = self._claims, self._outcomes
        self._outcomes = []
        try:
            await self._ask(lambda: self._note(claims.finish(outcomes)))  # also if this is stopped
        except Exception:
            if claims is self._claims:  # else others do it now
                self._outcomes = [*outcomes, *self._outcomes]
                self._has_outcomes.set()
            raise
        if claims is self._claims:
            over = {one.claimed.place for one in outcomes}
            self._under_way = [one for one in self._under_way if one.place not in over]
            self._news.set()

    async def _clear(self) -> None:
        """Remove what has expired."""
        await asyncio.sleep(_SWEEP_EVERY_S)
        await self._ask(self._sweep)

    # --- requests -----------------------------------------------------------------------------

    def _room_tokens(self) -> int:
        """Say how much more to claim; 0 while the engine hangs, a suspect runs, or enough does."""
        if self._is_stuck() or any(one.is_alone for one in self._under_way):
            return 0
        target = self._options.target_tokens
        room = target - sum(one.num_tokens for one in self._under_way)
        return room if room >= target // 2 else 0

    def _aside(self) -> list[str]:
        """List the models that this server cannot run now."""
        now_s = time.monotonic()
        return [model for model, until_s in self._set_aside.items() if now_s < until_s]

    def _begin(self, claimed: list[Claimed]) -> None:
        self._under_way.extend(claimed)
        for one in claimed:
            attempt = asyncio.create_task(self._attempt(one))
            self._attempts.add(attempt)
            attempt.add_done_callback(self._attempts.discard)

    def _begin_anew(self) -> None:
        """Drop everything: others do it now."""
        for attempt in self._attempts:
            attempt.cancel()
        self._claims = self._make_claims()
        self._is_listed.clear()
        self._outcomes = []
        self._under_way = []
        self._beating_since_s = None

    async def _attempt(self, claimed: Claimed) -> None:
        claims = self._claims
        ending = await self._embed_one(claimed)
        if claims is self._claims:
            self._outcomes.append(Outcome(claimed, ending))
            self._has_outcomes.set()

    async def _embed_one(self, claimed: Claimed) -> Ending:
        """Answer a request, or say what became of it."""
        try:
            return Done(await self._embed(read_inputs(claimed.model, claimed.inputs)))
        except ShuttingDownError:
            return Released()
        except ModelError as error:
            _LOGGER.warning("queued work for %s is left to others: %s", claimed.model, error)
            self._set_aside[claimed.model] = time.monotonic() + _SET_ASIDE_S
            return Released()
        except EngineError as error:
            return Erred(str(error))
        except SatsumaError as error:
            return Refused(Reason(error.code, str(error)))
        except Exception as error:
            _LOGGER.exception("a queued request failed in an unknown way")
            return Erred(type(error).__name__)


async def _call(work: Callable[[], _T]) -> _T | Exception:
    """Run it beside the loop; an error is a value, for nobody may be left to hear of it."""
    try:
        return await run_in_background(work)
    except Exception as error:  # noqa: BLE001  raised again by whoever waits
        return error


async def _cancel(tasks: list[asyncio.Task[NoReturn]] | set[asyncio.Task[None]]) -> None:
    ending = list(tasks)
    for task in ending:
        task.cancel()
    await asyncio.gather(*ending, return_exceptions=True)


def _log_failure(error: Exception, num_failures: int) -> None:
    """Say once what is wrong, and no more until it was right again."""
    if not isinstance(error, QueueUnavailableError):
        _LOGGER.error("queued work failed, and goes on", exc_info=error)
    elif num_failures == 0:
        _LOGGER.warning("queued work waits, for the queue's database does not answer: %s", error)
