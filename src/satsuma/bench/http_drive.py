"""Puts load on a server: threads that send at given moments, or as soon as they are answered.

Latency is counted from the moment at which a request was meant to be sent, so a server that
stalls is charged for those that had to wait meanwhile (no coordinated omission).
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from satsuma.bench.http_client import GOOD, Answer, Connection, Target
from satsuma.bench.http_figures import Figures, Sample, summarise

_LATE_S = 10.0  # after the last moment, for what has not been sent or answered
_STOP_S = 1.0
_BACK_OFF_S = 0.5
_SHORTEST_S = 1e-3


@dataclass(frozen=True, slots=True)
class Work:
    """What is asked.

    Attributes:
        target: of whom.
        bodies: taken in turn.
        num_connections: at most.
        connect: makes one.
    """

    target: Target
    bodies: Sequence[bytes]
    num_connections: int
    connect: Callable[[Target], Connection] = Connection


@dataclass(frozen=True, slots=True)
class Span:
    """When it is asked.

    Attributes:
        duration_s: seconds in which requests are sent, the warm-up included.
        warmup_s: what is meant to be sent before does not count.
        moments_s: when to send, from the beginning; None sends whenever a connection is free.
    """

    duration_s: float
    warmup_s: float = 0.0
    moments_s: Sequence[float] | None = None


class Drive:
    """One phase of load; it can be stopped early, and what was measured so far counts."""

    def __init__(self, work: Work, span: Span) -> None:
        """Get ready."""
        self._span = span
        self._bodies = itertools.cycle(work.bodies)
        self._moments = None if span.moments_s is None else iter(span.moments_s)
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._samples: list[Sample] = []
        self._num_under_way = 0
        self._num_unsent = 0
        self._connections = [work.connect(work.target) for _ in range(work.num_connections)]
        self._threads = [
            threading.Thread(target=self._send, args=(connection,), daemon=True)
            for connection in self._connections
        ]
        self._is_over = False  # in its own time, and not stopped early
        self._start_s = 0.0
        self._end_s = 0.0  # of the last answer, from the start

    def start(self) -> None:
        """Begin, in the background."""
        self._start_s = time.perf_counter()
        for thread in self._threads:
            thread.start()

    def wait(self) -> None:
        """Wait until everything is answered, or is so late that it hardly will be."""
        give_up_s = self._span.duration_s + _LATE_S
        for thread in self._threads:
            thread.join(max(0.0, self._start_s + give_up_s - time.perf_counter()))
        with self._lock:
            self._is_over = True
            self._num_unsent = self._num_under_way + sum(1 for _ in self._moments or ())
        self.stop()

    def stop(self) -> None:
        """Send no more, and drop what is under way."""
        self._stopped.set()
        for connection in self._connections:
            connection.abort()
        for thread in self._threads:
            thread.join(_STOP_S)

    def figures(self, name: str, offered_per_s: float | None = None) -> Figures:
        """Sum up what was measured so far."""
        with self._lock:
            return summarise(
                name,
                list(self._samples),
                took_s=self._took_s(),
                offered_per_s=offered_per_s,
                num_unsent=self._num_unsent,
            )

    def _took_s(self) -> float:
        """Count from the warm-up's end to the last answer, and at least as long as was asked."""
        asked_s = self._span.duration_s if self._is_over else self._elapsed_s()
        return max(_SHORTEST_S, max(self._end_s, asked_s) - self._span.warmup_s)

    def _send(self, connection: Connection) -> None:
        while (moment_s := self._next()) is not None:
            free_s = self._elapsed_s()
            self._stopped.wait(moment_s - free_s)
            if self._stopped.is_set():
                break
            lag_s = self._elapsed_s() - max(moment_s, free_s)
            answer = connection.ask(next(self._bodies))
            self._note(moment_s, lag_s, answer)
            if self._moments is None and answer.status != GOOD:
                self._stopped.wait(_BACK_OFF_S)  # as a client does that is refused
        connection.close()

    def _next(self) -> float | None:
        """Give the next moment to send at; in a closed loop that is now."""
        with self._lock:
            now_s = self._elapsed_s()
            if self._moments is not None:
                moment_s = next(self._moments, None)
            else:
                moment_s = now_s if now_s < self._span.duration_s else None
            self._num_under_way += moment_s is not None
            return moment_s

    def _note(self, moment_s: float, lag_s: float, answer: Answer) -> None:
        with self._lock:
            if self._stopped.is_set():
                return  # it was cut
            self._num_under_way -= 1
            end_s = self._elapsed_s()
            self._end_s = end_s
            if moment_s >= self._span.warmup_s:
                told = (answer.status, answer.num_tokens, answer.message)
                self._samples.append(Sample(end_s - moment_s, lag_s, *told))

    def _elapsed_s(self) -> float:
        return time.perf_counter() - self._start_s
