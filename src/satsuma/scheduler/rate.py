"""How fast an encoder has been. Not thread-safe: the scheduler's lock guards it."""

from __future__ import annotations

from satsuma.scheduler.pace import Pace

_RATE_MEMORY = 0.9  # share of the old measurement that each new microbatch leaves
_MOST_TIMES = 4.0  # what it was expected to take: more is a machine that slept, or a run that hung


class Rate:
    """How fast an encoder has been of late, by all that it ran.

    Attributes:
        best_tokens_per_s: that it ever was.
        pace: what microbatches it wants; None for what the machine's encoders usually want.
    """

    def __init__(self) -> None:
        """Start with no measurement."""
        self.pace: Pace | None = None
        self._measured_tokens = 0.0
        self._measured_s = 0.0
        self.best_tokens_per_s = 0.0

    @property
    def tokens_per_s(self) -> float:
        """Tokens a second of recent microbatches; 0 before the first."""
        return self._measured_tokens / self._measured_s if self._measured_s else 0.0

    def note_run(self, num_tokens: int, engine_s: float) -> None:
        """Remember how long a microbatch took, in seconds of the whole engine."""
        if self._measured_s:
            engine_s = min(engine_s, _MOST_TIMES * num_tokens / self.tokens_per_s)
        self._measured_tokens = self._measured_tokens * _RATE_MEMORY + num_tokens
        self._measured_s = self._measured_s * _RATE_MEMORY + engine_s
        self.best_tokens_per_s = max(self.best_tokens_per_s, self.tokens_per_s)
