"""`satsuma bench growth`: whether a queue of a hundred thousand texts costs what its texts cost.

In one process, past HTTP, twice: all texts of a size wait at once, as behind a bulk job, until they
are through; and as many are kept waiting, one text a request, as by that many clients. The first
rate has the queue's end in it, the second the requests' own cost. What is looked at beside: memory,
and the tokeniser's part of the cores' time.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import click
import numpy as np

from satsuma.assembly import assemble
from satsuma.bench.report import describe_surroundings
from satsuma.bench.workload import WORDS
from satsuma.engine.load import count_threads
from satsuma.engine.tokenizer import Tokenizer
from satsuma.memory import calm_collector
from satsuma.service import EmbeddingService
from satsuma.settings import load_settings
from satsuma.store.local import ModelStore
from satsuma.types import EmbedRequest

_MODEL = "@hf/sentence-transformers/all-minilm-l6-v2"
_TEXTS_PER_REQUEST = 100
_SIZES = (10, 100, 1_000, 10_000, 100_000)
_SHORTEST_S = 2.0  # small sizes are repeated to fill this
_KEPT_S = 10.0
_SUBMITTED_AFTER_S = 0.5e-3  # a request, at the most
_UNBOUNDED = 10**9


@dataclass(frozen=True, slots=True)
class Growth:
    """What one size of queue took.

    Attributes:
        num_texts: that waited at once.
        tokens_per_s: from the first submission to the last answer.
        kept_tokens_per_s: while as many requests of one text are kept waiting.
        tokenising_share: of the cores' time, were it done by one core at the tokeniser's own rate.
        memory_bytes: anonymous memory at the end; None where the system does not tell.
    """

    num_texts: int
    tokens_per_s: float
    kept_tokens_per_s: float
    tokenising_share: float
    memory_bytes: int | None


@click.command()
@click.option("--model", default=_MODEL, show_default=True, help="An installed model.")
@click.option(
    "--largest",
    type=click.IntRange(min=_SIZES[0]),
    default=_SIZES[-1],
    show_default=True,
    help="Texts of the largest queue.",
)
@click.option("--threads", type=click.IntRange(min=0), default=0, help="Cores; 0 asks the machine.")
@click.option("--json", "is_json", is_flag=True, help="Print the JSON line alone.")
def growth(model: str, largest: int, threads: int, is_json: bool) -> None:
    """Measure the rate with 10 to 100,000 short texts waiting at once.

    Takes about six minutes with all-MiniLM-L6-v2 on two cores. Let nothing else run meanwhile.

    \b
    Examples:
      satsuma bench growth
      satsuma bench growth --largest 10000
    """  # noqa: D301 - click reads the \b
    calm_collector()  # as a server does
    sizes = [size for size in _SIZES if size <= largest]
    rows: list[Growth] = []
    for row in _measure(model, sizes, threads):
        rows.append(row)
        if not is_json:
            click.echo(_show(row))
    surroundings = asdict(describe_surroundings(_count_cores(threads)))
    click.echo(json.dumps({"surroundings": surroundings, "growth": [asdict(row) for row in rows]}))


def _count_cores(threads: int) -> int:
    return count_threads(load_settings({"threads": threads}))


def _measure(model: str, sizes: Sequence[int], threads: int) -> Iterator[Growth]:
    """Keep one service over all sizes, so that what one leaves behind shows in the next."""
    flags = {"threads": threads, "deadline_s": float(_UNBOUNDED), "max_waiting_tokens": _UNBOUNDED}
    settings = load_settings(flags)
    files = ModelStore(settings.models_dir).resolve(model)
    tokenizer = Tokenizer(files.folder / "tokenizer.json", 512)
    with asyncio.Runner() as runner:
        service = assemble(settings)
        runner.run(service.load(model))
        runner.run(_answer(service, model, make_texts(1_000)))  # warms up
        for size in sizes:
            texts = make_texts(size)
            token_s = _tokenising_s(tokenizer, texts[:1_000]) / _count_cores(threads)
            yield _grow(runner, service, model, texts, token_s)
        runner.run(service.close())


def _grow(
    runner: asyncio.Runner,
    service: EmbeddingService,
    model: str,
    texts: Sequence[str],
    token_s: float,
) -> Growth:
    """Answer the queue until enough time has passed; a token is read in so much of all cores'."""
    spent_s, num_tokens = 0.0, 0
    while spent_s < _SHORTEST_S:
        started_at_s = time.perf_counter()
        num_tokens += runner.run(_answer(service, model, texts))
        spent_s += time.perf_counter() - started_at_s
    share = num_tokens * token_s / spent_s
    kept_per_s = runner.run(_keep_waiting(service, model, texts))
    return Growth(len(texts), num_tokens / spent_s, kept_per_s, share, anonymous_bytes())


def _tokenising_s(tokenizer: Tokenizer, texts: list[str]) -> float:
    """Tokenise on one core: seconds a token."""
    started_at_s = time.perf_counter()
    num_tokens = sum(map(len, tokenizer.tokenize(texts)))
    return (time.perf_counter() - started_at_s) / num_tokens


async def _answer(service: EmbeddingService, model: str, texts: Sequence[str]) -> int:
    """Submit everything at once; returns the tokens that were counted."""
    requests = [
        EmbedRequest(model, tuple(texts[start : start + _TEXTS_PER_REQUEST]))
        for start in range(0, len(texts), _TEXTS_PER_REQUEST)
    ]

    async def answer(request: EmbedRequest) -> int:
        """Let go of the vectors, as a server does that has sent them."""
        return (await service.embed(request)).usage.total_tokens

    return sum(await asyncio.gather(*map(answer, requests)))


async def _keep_waiting(service: EmbeddingService, model: str, texts: Sequence[str]) -> float:
    """Ask for each text alone, again as soon as it is answered: tokens a second."""
    num_tokens, answered = 0, asyncio.Event()

    async def ask(text: str) -> None:
        nonlocal num_tokens
        while True:
            result = await service.embed(EmbedRequest(model, (text,)))
            num_tokens += result.usage.total_tokens  # after the wait: others count meanwhile
            answered.set()

    async with asyncio.TaskGroup() as group:
        clients = [group.create_task(ask(text)) for text in texts]
        await asyncio.sleep(1 + _SUBMITTED_AFTER_S * len(texts))
        before, started_at_s = num_tokens, time.perf_counter()
        answered.clear()
        await asyncio.sleep(_KEPT_S)
        await answered.wait()  # a slow machine may need longer for the first
        rate = (num_tokens - before) / (time.perf_counter() - started_at_s)
        for client in clients:
            client.cancel()
    return rate


def make_texts(count: int) -> list[str]:
    """Write texts of 4 to 20 words, the same in every run, all different."""
    random = np.random.default_rng(count)
    return [
        " ".join(WORDS[word] for word in random.integers(len(WORDS), size=length))
        for length in random.integers(4, 21, size=count)
    ]


def anonymous_bytes(status: Path = Path("/proc/self/status")) -> int | None:
    """Return this process's memory that no file backs; None where the system does not tell."""
    try:
        lines = status.read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    found = next((line for line in lines if line.startswith("RssAnon:")), None)
    return None if found is None else int(found.split()[1]) * 1024


def _show(row: Growth) -> str:
    memory = "?" if row.memory_bytes is None else f"{row.memory_bytes / 1e6:,.0f} MB"
    return (
        f"{row.num_texts:>8,} texts waiting {row.tokens_per_s:>7,.0f} tokens/s   "
        f"kept waiting {row.kept_tokens_per_s:>7,.0f} tokens/s   "
        f"tokenising {row.tokenising_share:.1%} of the cores   memory {memory}"
    )
