"""Texts, the vectors that they have to get, and what is thought of an answer."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

import numpy as np
import orjson

from satsuma import Ai
from satsuma.bench.workload import WORDS
from satsuma.types import FloatArray
from support.chaos.client import Reply, write_request
from support.chaos.ways import RUN, Way, read_result

TOLERANCE: Final = 1e-5
_NUM_TEXTS: Final = 160
_AT_ONCE: Final = 40
_SHOWN: Final = 3  # of each fate


class Fate(StrEnum):
    """What became of a request."""

    RIGHT = "right"  # its own vectors
    REFUSED = "refused"  # 429, and when to come again
    STOPPING = "stopping"  # 503, and when to come again
    LATE = "late"  # 408: not done within the deadline
    FAILED = "failed"  # 500, in the documented form
    CUT = "cut"  # the connection ended without an answer
    AWAY = "away"  # nobody listened: it was never accepted
    WRONG = "wrong"  # other vectors, or an answer that is documented nowhere
    STUCK = "stuck"  # neither an answer nor an end


_REFUSALS: Final = {
    (429, 3040): Fate.REFUSED,
    (503, 3040): Fate.STOPPING,
    (408, 3007): Fate.LATE,
    (500, 4007): Fate.FAILED,
}
_SAYS_WHEN: Final = (429, 503)  # to come again


@dataclass(frozen=True, slots=True)
class Question:
    """Some texts, as one request's body, and where it is sent to."""

    numbers: tuple[int, ...]
    body: bytes
    way: Way = RUN


@dataclass
class Oracle:
    """Knows every text's vector beforehand, from the library in this process.

    Attributes:
        texts: distinct ones, queries and passages in turn.
        vectors: (N, H) float32, theirs.
    """

    model: str
    texts: list[str]
    vectors: FloatArray

    @classmethod
    def learn(cls, ai: Ai, model: str, seed: int) -> Oracle:
        """Make texts, and embed each."""
        texts = make_texts(seed)
        parts = [
            np.asarray(ai.run(model, {"text": texts[start : start + _AT_ONCE]})["data"])
            for start in range(0, len(texts), _AT_ONCE)
        ]
        return cls(model, texts, np.concatenate(parts))

    @property
    def path(self) -> str:
        """Where the model is asked."""
        return RUN.path(self.model)

    def draw(self, dice: random.Random, way: Way = RUN) -> Question:
        """Choose a request: a query, or a few texts of any length."""
        if way.least == 1 and dice.random() < 0.5:
            numbers = [2 * dice.randrange(len(self.texts) // 2)]
        else:
            numbers = dice.sample(range(len(self.texts)), dice.randint(2, 6))
        return self.question(numbers, way)

    def question(self, numbers: Sequence[int], way: Way = RUN) -> Question:
        """Make a request for these texts."""
        body = way.body(self.model, [self.texts[number] for number in numbers])
        return Question(tuple(numbers), orjson.dumps(body), way)

    def request(self, question: Question) -> bytes:
        """Write a question down as a client sends it."""
        way = question.way
        return write_request(way.path(self.model), question.body, headers=way.headers(self.model))

    def mean_bytes(self) -> float:
        """Say how long a request's body is, on average."""
        dice = random.Random(0)  # noqa: S311 - no secret
        return float(np.mean([len(self.draw(dice).body) for _ in range(1_000)]))

    def is_right(self, numbers: Sequence[int], result: Any) -> bool:
        """Compare a bare answer's rows with the vectors of the texts that were asked for."""
        return _is_close(read_result, result, self.vectors[list(numbers)])

    def judge(self, question: Question, reply: Reply) -> Fate:
        """Say what an answer is."""
        if reply.status == 200:
            expected = question.way.expect(self.vectors[list(question.numbers)])
            is_right = _is_close(question.way.read, reply.json, expected)
            return Fate.RIGHT if is_right else Fate.WRONG
        fate = _REFUSALS.get((reply.status, reply.code), Fate.WRONG)
        says_when = reply.headers.get("retry-after", "0")
        if reply.status in _SAYS_WHEN and not (says_when.isdecimal() and int(says_when) >= 1):
            return Fate.WRONG
        return fate


def _is_close(read: Callable[[Any], FloatArray], answer: Any, expected: FloatArray) -> bool:
    try:
        got = read(answer)
    except (TypeError, LookupError, ValueError):
        return False
    return got.shape == expected.shape and bool(np.abs(got - expected).max() < TOLERANCE)


def make_texts(seed: int) -> list[str]:
    """Make distinct texts: queries of a few words and passages of many, in turn."""
    dice = random.Random(seed)  # noqa: S311 - no secret
    lengths = [dice.randint(40, 160) if n % 2 else dice.randint(2, 9) for n in range(_NUM_TEXTS)]
    return [f"{n} " + " ".join(dice.choices(WORDS, k=length)) for n, length in enumerate(lengths)]


@dataclass(frozen=True, slots=True)
class Outcome:
    """One request.

    Attributes:
        sent_s: when, by the monotonic clock.
        took_s: until its end.
        says: why, where it is not as it should be.
        num_bytes: of its body, which the work goes by.
    """

    fate: Fate
    sent_s: float
    took_s: float
    says: str = ""
    num_bytes: int = 0


@dataclass
class Tally:
    """Many requests.

    Attributes:
        counts: by fate.
        num_bytes: of their bodies, by fate.
        took_s: of those that were answered rightly.
        cuts_s: when those were sent whose connection ended.
        shown: a few of the others, by fate.
    """

    counts: Counter[Fate] = field(default_factory=Counter)
    num_bytes: Counter[Fate] = field(default_factory=Counter)
    took_s: list[float] = field(default_factory=list)
    cuts_s: list[float] = field(default_factory=list)
    shown: dict[Fate, list[str]] = field(default_factory=dict)

    def note(self, outcome: Outcome) -> None:
        """Count one."""
        self.counts[outcome.fate] += 1
        self.num_bytes[outcome.fate] += outcome.num_bytes
        if outcome.fate is Fate.CUT:
            self.cuts_s.append(outcome.sent_s)
        if outcome.fate is Fate.RIGHT:
            self.took_s.append(outcome.took_s)
        elif len(self.shown.setdefault(outcome.fate, [])) < _SHOWN:
            self.shown[outcome.fate].append(outcome.says)

    def add(self, other: Tally) -> None:
        """Count another's too."""
        self.counts += other.counts
        self.num_bytes += other.num_bytes
        self.took_s += other.took_s
        self.cuts_s += other.cuts_s
        for fate, says in other.shown.items():
            self.shown.setdefault(fate, []).extend(says[:_SHOWN])

    @property
    def num_requests(self) -> int:
        """All of them."""
        return self.counts.total()

    def percentile_s(self, share: float) -> float:
        """How long so many percent of the right answers took at most; 0 without any."""
        return float(np.percentile(self.took_s, share)) if self.took_s else 0.0
