"""What a job would come to: everything counted, nothing written, and the rate measured."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from satsuma.bulk.embedder import Embedder
from satsuma.bulk.job import Job, check_job
from satsuma.bulk.parts import Counts
from satsuma.bulk.progress import Progress
from satsuma.bulk.repeats import RepeatIndex
from satsuma.bulk.run import MakeEmbedder
from satsuma.bulk.windows import Window
from satsuma.engine.tokenizer import Tokenizer
from satsuma.types import Tokens

Read = Callable[[Sequence[str]], Sequence[Tokens]]

_SAMPLE_TOKENS = 4096
_MEASURE_S = 2.0


def estimate(job: Job, make_embedder: MakeEmbedder, progress: Progress) -> dict[str, Any]:
    """Count a job's rows and tokens, and estimate its time from a sample's rate.

    Returns:
        The counts, `tokens_per_s`, and `estimated_s` without loading the model.

    Raises:
        JobError: if the input cannot be read.
        ConfigurationError: if the options do not go together.
        SatsumaError: if the model or the engine fails.
    """
    check_job(job)
    read = _reader(job)
    sample = _Sample()
    progress.begin(Counts())
    with (
        tempfile.TemporaryDirectory(prefix="satsuma-embed-") as folder,
        closing(RepeatIndex(Path(folder) / "repeats.sqlite")) as repeats,
    ):
        for window in job.windows():
            texts = repeats.find_sources(window.number, window.texts).new_texts
            counts = _count(window, texts, read, sample)
            progress.advance(counts, window.next, window.share)
    counts = progress.done
    with make_embedder() as embedder:
        rate = _measure(embedder, sample.texts)
    told = {"model": job.model.files.manifest.id, **asdict(counts), "repeated": counts.repeated}
    return told | {
        "tokens_per_s": round(rate, 1),
        "estimated_s": round(counts.tokens / rate, 3) if rate else 0.0,
    }


@dataclass(slots=True)
class _Sample:
    """The first texts of a job."""

    texts: list[str] = field(default_factory=list)
    num_tokens: int = 0

    def add(self, text: str, num_tokens: int) -> None:
        """Take a text, unless there are enough."""
        if self.num_tokens < _SAMPLE_TOKENS:
            self.texts.append(text)
            self.num_tokens += num_tokens


def _reader(job: Job) -> Read:
    """Read texts as the model does, each behind its prompt."""
    prompt, folder = job.model.prompt, job.model.files.folder
    tokenizer = Tokenizer(folder / "tokenizer.json", job.model.traits.max_tokens)
    return lambda texts: tokenizer.tokenize([prompt + text for text in texts])


def _count(window: Window, new_texts: Sequence[str], read: Read, sample: _Sample) -> Counts:
    tokens = read(new_texts)
    for text, one in zip(new_texts, tokens, strict=True):
        sample.add(text, len(one))
    return Counts.of_window(
        window,
        embedded=len(new_texts),
        tokens=sum(map(len, tokens)),
        truncated=sum(one.is_truncated for one in tokens),
    )


def _measure(
    embedder: Embedder, sample: Sequence[str], clock: Callable[[], float] = time.perf_counter
) -> float:
    """Embed a sample again and again, for a few seconds: tokens a second."""
    if not sample:
        return 0.0
    embedder.submit(sample[:1]).result()  # loads the model
    begun_at_s, tokens = clock(), 0
    under_way = [embedder.submit(sample) for _ in range(embedder.num_lists)]
    while under_way:
        tokens += under_way.pop(0).result().usage.prompt_tokens
        if clock() - begun_at_s < _MEASURE_S:
            under_way.append(embedder.submit(sample))
    return tokens / (clock() - begun_at_s)
