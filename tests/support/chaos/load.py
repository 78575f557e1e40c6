"""Puts requests on a server: clients that ask again once answered, or moments that come whatever.

Belongs to one event loop.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from satsuma.bench.http_schedule import arrivals
from support.chaos.client import AwayError, Connection, CutError, Reply
from support.chaos.oracle import Fate, Oracle, Outcome, Question, Tally

_BACK_OFF_S = 0.1
_BACKS_OFF = (Fate.REFUSED, Fate.STOPPING, Fate.AWAY, Fate.CUT)
_SHOWN_CHARACTERS = 300


@dataclass(frozen=True, slots=True)
class Target:
    """A server, and what is asked of it.

    Attributes:
        within_s: an answer that takes longer counts as stuck.
    """

    port: int
    oracle: Oracle
    within_s: float


class Client:
    """Asks, judges, notes; connects anew where it has to."""

    def __init__(self, target: Target, tally: Tally, dice: random.Random) -> None:
        """Connect on the first request."""
        self._target = target
        self._tally = tally
        self._dice = dice
        self._connection: Connection | None = None

    async def ask(self, question: Question | None = None) -> Outcome:
        """Ask one thing, a random one unless it is given."""
        question = question or self._target.oracle.draw(self._dice)
        sent_s = time.monotonic()
        fate, says = await self._exchange(question)
        took_s = time.monotonic() - sent_s
        outcome = Outcome(fate, sent_s, took_s, says, num_bytes=len(question.body))
        self._tally.note(outcome)
        return outcome

    async def _exchange(self, question: Question) -> tuple[Fate, str]:
        oracle = self._target.oracle
        try:
            if self._connection is None:
                self._connection = await Connection.open(self._target.port)
            request = oracle.request(question)
            reply = await self._connection.ask(request, self._target.within_s)
        except AwayError as error:
            return Fate.AWAY, str(error)
        except CutError as error:
            self.close()
            return Fate.CUT, str(error)
        except TimeoutError:
            self.close()
            return Fate.STUCK, f"nothing within {self._target.within_s:g} s"
        if reply.headers.get("connection") == "close":
            self.close()
        return oracle.judge(question, reply), _show(reply)

    def close(self) -> None:
        """Hang up."""
        if self._connection is not None:
            self._connection.drop()
            self._connection = None


def _show(reply: Reply) -> str:
    return f"{reply.status} {reply.body[:_SHOWN_CHARACTERS].decode(errors='replace')}"


def _another(dice: random.Random) -> random.Random:
    """Make a client's own dice, so that its requests depend on nobody else's."""
    return random.Random(dice.random())  # noqa: S311 - no secret


async def closed_loop(
    target: Target, tally: Tally, dice: random.Random, *, num_clients: int, duration_s: float
) -> None:
    """Let clients ask for so long, each again as soon as it is answered."""
    end_s = time.monotonic() + duration_s

    async def ask_again(client: Client) -> None:
        while time.monotonic() < end_s:
            outcome = await client.ask()
            if outcome.fate in _BACKS_OFF:
                await asyncio.sleep(_BACK_OFF_S)
        client.close()

    clients = [Client(target, tally, _another(dice)) for _ in range(num_clients)]
    await asyncio.gather(*map(ask_again, clients))


@asynccontextmanager
async def background_clients(
    target: Target, tally: Tally, dice: random.Random, num_clients: int
) -> AsyncIterator[None]:
    """Keep clients busy for the length of a block; what is under way at its end is answered."""
    is_over = asyncio.Event()

    async def ask_again(client: Client) -> None:
        while not is_over.is_set():
            outcome = await client.ask()
            if outcome.fate in _BACKS_OFF:
                await asyncio.sleep(_BACK_OFF_S)
        client.close()

    clients = [Client(target, tally, _another(dice)) for _ in range(num_clients)]
    async with asyncio.TaskGroup() as group:
        for client in clients:
            group.create_task(ask_again(client))
        try:
            yield
        finally:
            is_over.set()


async def open_loop(
    target: Target,
    tally: Tally,
    dice: random.Random,
    *,
    rate_per_s: float,
    duration_s: float,
    num_connections: int,
) -> float:
    """Send at random moments, whatever becomes of those before.

    Returns:
        The longest that a request waited for a free connection, in seconds.
    """
    free: asyncio.Queue[Client] = asyncio.Queue()
    for _ in range(num_connections):
        free.put_nowait(Client(target, tally, dice))
    longest_s = 0.0

    async def send(moment_s: float) -> None:
        nonlocal longest_s
        client = await free.get()
        longest_s = max(longest_s, time.monotonic() - moment_s)
        await client.ask()
        free.put_nowait(client)

    start_s = time.monotonic()
    async with asyncio.TaskGroup() as group:
        for moment_s in arrivals(
            rate_per_s, duration_s, is_poisson=True, seed=dice.randrange(1 << 30)
        ):
            await asyncio.sleep(max(0.0, start_s + moment_s - time.monotonic()))
            group.create_task(send(start_s + moment_s))
    while not free.empty():
        free.get_nowait().close()
    return longest_s
