"""How much may be asked for in a minute: buckets that fill steadily. Plain arithmetic, no clock.

Source: the token bucket of RFC 2697's meters; what is told of it is that of
https://datatracker.ietf.org/doc/draft-ietf-httpapi-ratelimit-headers/
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

WINDOW_S: Final = 60
_MAX_BUCKETS: Final = 100_000  # of accounts and tokens that asked lately

QuotaName: TypeAlias = Literal["requests", "tokens"]


@dataclass(frozen=True, slots=True)
class Limits:
    """How much a minute; 0 for as much as anybody wants."""

    requests_per_minute: int = 0
    tokens_per_minute: int = 0


@dataclass(slots=True)
class Bucket:
    """What is left of a minute's worth.

    Attributes:
        quota: a minute's worth, and what the bucket holds at most.
        level: what is left; below 0 after more was used than there was.
        updated_at_s: when that was so.
    """

    quota: int
    level: float
    updated_at_s: float

    @classmethod
    def full(cls, quota: int, now_s: float) -> Bucket:
        """Begin with a whole minute's worth."""
        return cls(quota, float(quota), now_s)

    def fill(self, now_s: float) -> None:
        """Add what has come since."""
        elapsed_s = max(0.0, now_s - self.updated_at_s)
        self.level = min(self.quota, self.level + elapsed_s * self.quota / WINDOW_S)
        self.updated_at_s = now_s

    def wait_s(self, amount: float = 1.0) -> float:
        """Say how long until there is so much; 0 if there is."""
        return max(0.0, (amount - self.level) * WINDOW_S / self.quota)


@dataclass(frozen=True, slots=True)
class Standing:
    """What is left of one quota, for a client to read.

    Attributes:
        name: of the quota.
        quota: a minute's worth.
        remaining: what is left, in whole ones.
        reset_s: until it is whole again.
    """

    name: str
    quota: int
    remaining: int
    reset_s: int


@dataclass(slots=True)
class Quotas:
    """The buckets of everybody who asked lately. Belongs to one thread."""

    _buckets: dict[tuple[str, str], Bucket] = field(default_factory=dict)

    def wait_s(self, who: str, limits: Limits, name: QuotaName, now_s: float) -> float:
        """Say how long until one is left of a quota; 0 if it is now, or there is no such quota.

        Args:
            who: an account or a token.
            limits: theirs.
            name: of the quota.
            now_s: seconds, monotonic.
        """
        bucket = self._of(who, limits, now_s).get(name)
        return 0.0 if bucket is None else bucket.wait_s()

    def take(self, who: str, limits: Limits, name: QuotaName, amount: int, now_s: float) -> None:
        """Take so much of a quota: it may be more than there is, or below 0 to give back."""
        bucket = self._of(who, limits, now_s).get(name)
        if bucket is not None:
            bucket.level -= amount

    def standings(self, who: str, limits: Limits, now_s: float) -> list[Standing]:
        """Say what is left of each quota."""
        return [
            Standing(
                name,
                bucket.quota,
                max(0, math.floor(bucket.level)),
                math.ceil(bucket.wait_s(bucket.quota)),
            )
            for name, bucket in self._of(who, limits, now_s).items()
        ]

    def _of(self, who: str, limits: Limits, now_s: float) -> dict[QuotaName, Bucket]:
        """Give somebody's buckets, filled up to now."""
        quotas: dict[QuotaName, int] = {
            "requests": limits.requests_per_minute,
            "tokens": limits.tokens_per_minute,
        }
        return {
            name: self._bucket(who, name, quota, now_s) for name, quota in quotas.items() if quota
        }

    def _bucket(self, who: str, name: str, quota: int, now_s: float) -> Bucket:
        bucket = self._buckets.get((who, name))
        if bucket is None or bucket.quota != quota:
            self._forget_full(now_s)
            bucket = self._buckets[who, name] = Bucket.full(quota, now_s)
        bucket.fill(now_s)
        return bucket

    def _forget_full(self, now_s: float) -> None:
        """Drop those that a new one would equal, when there are very many."""
        if len(self._buckets) < _MAX_BUCKETS:
            return
        for bucket in self._buckets.values():
            bucket.fill(now_s)
        self._buckets = {
            key: bucket for key, bucket in self._buckets.items() if bucket.level < bucket.quota
        }
