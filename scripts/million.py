"""`satsuma embed` on a million rows: memory over time, kills, and its rate beside the engine's.

`kills` makes a Parquet file of short texts (one row group, a tenth of them repeated, some null) and
a model of two layers; embeds it without interruption, watching the memory; embeds it again, killed
three times on the way; and compares the bytes. `rate` embeds distinct texts with a real model, in
turns with the engine alone: the same texts as microbatches ready made, a lane a core, no files.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import numpy as np
import pyarrow as pa
from pyarrow import parquet

from satsuma.bench.random_model import ModelShape, find_tokenizer_json, write_random_model
from satsuma.bench.workload import WORDS
from satsuma.engine.load import LoadedModel, load_model, plan_lanes
from satsuma.engine.pooling import pool
from satsuma.engine.protocol import Microbatch, Width
from satsuma.settings import Settings, load_settings
from satsuma.store.local import ModelStore

TINY = ModelShape("tiny", 64, 2, 4, 256)
_REPEATED, _NULL = 0.1, 0.001
_WATCH_S = 0.25
_SLICES = 10


@click.group()
def main() -> None:
    """Measure `satsuma embed` at length."""


@main.command()
@click.option("--folder", type=click.Path(path_type=Path), default="build/million")
@click.option("--rows", default=1_000_000, show_default=True)
@click.option("--kills", default=3, show_default=True)
@click.option("--layers", default=TINY.num_layers, show_default=True)
def kills(folder: Path, rows: int, kills: int, layers: int) -> None:
    """Embed a generated file at once and killed on the way, and compare."""
    folder.mkdir(parents=True, exist_ok=True)
    shape = ModelShape("tiny", TINY.hidden_size, layers, TINY.num_heads, TINY.intermediate_size)
    write_random_model(folder / "models" / "tiny", shape, find_tokenizer_json())
    source = folder / "texts.parquet"
    write_texts(source, rows)
    whole, resumed = folder / "whole.parquet", folder / "resumed.parquet"
    run = _Run(source, whole)
    run.finish()
    run.print_memory()
    num_parts = -(-rows // run.rows_per_part)
    for number in range(1, kills + 1):
        _Run(source, resumed).kill_after(number * num_parts // (kills + 1))
        print(f"killed at {len(list(_parts(resumed))):,} of about {num_parts:,} parts")
    run = _Run(source, resumed)
    run.finish()
    run.print_memory()
    is_same = _sha256(whole) == _sha256(resumed)
    print(f"{whole.stat().st_size:,} bytes, {'identical' if is_same else 'DIFFERENT'}")
    sys.exit(0 if is_same else 1)


def write_texts(path: Path, num_rows: int) -> None:
    """Write rows of an id, a text of 2 to 16 words and a language; the same ones each time."""
    random = np.random.default_rng(0)
    words = np.array(WORDS)
    lengths = random.integers(2, 17, num_rows)
    picks = random.integers(len(words), size=(num_rows, 16))
    texts: list[str | None] = [
        " ".join(words[row[:length]]) for row, length in zip(picks, lengths, strict=True)
    ]
    for row in np.flatnonzero(random.random(num_rows) < _REPEATED).tolist():
        texts[row] = texts[int(random.integers(row + 1))]
    for row in np.flatnonzero(random.random(num_rows) < _NULL).tolist():
        texts[row] = None
    columns = {
        "key": pa.array(np.arange(num_rows)),
        "text": pa.array(texts, pa.string()),
        "lang": pa.array(np.array(["en", "de", "fr"])[random.integers(3, size=num_rows)]),
    }
    parquet.write_table(pa.table(columns), path, row_group_size=num_rows)


@dataclass
class _Run:
    """One run of the command, watched."""

    source: Path
    target: Path
    seen: list[tuple[float, int, int, int]] = field(default_factory=list)  # s, parts, memory
    rows_per_part: int = 1

    def __post_init__(self) -> None:
        wanted = ["--model", "@local/tiny", "--models-dir", str(self.source.parent / "models")]
        columns = ["--id-column", "key", "--keep", "lang"]
        command = [sys.executable, "-m", "satsuma", "embed", str(self.source), str(self.target)]
        self.started_at_s = time.monotonic()
        self.process = subprocess.Popen(
            [*command, *wanted, *columns, "--overwrite"], stdout=subprocess.PIPE
        )

    def finish(self) -> None:
        """Watch until the end, and print the report."""
        watcher = threading.Thread(target=self._watch)
        watcher.start()
        out, _ = self.process.communicate()
        watcher.join()
        if self.process.returncode:
            sys.exit(f"the run ended with {self.process.returncode}")
        report = json.loads(out)
        self.rows_per_part = max(1, report["rows"] // max(seen[1] for seen in self.seen))
        print(json.dumps(report))

    def kill_after(self, num_parts: int) -> None:
        """Kill when so many parts are kept."""
        while sum(1 for _ in _parts(self.target)) < num_parts and self.process.poll() is None:
            time.sleep(0.05)
        self.process.kill()
        self.process.communicate()

    def print_memory(self) -> None:
        """Print the memory at ten moments, and the most of it."""
        print("seconds   parts   resident MB   of that its own MB")
        for chosen in np.linspace(0, len(self.seen) - 1, _SLICES).astype(int):
            at_s, num_parts, resident, own = self.seen[chosen]
            print(f"{at_s:7.0f} {num_parts:7,} {resident // 1024:13,} {own // 1024:20,}")
        resident, own = (max(seen[place] for seen in self.seen) // 1024 for place in (2, 3))
        print(f"most: {resident:,} MB resident, {own:,} MB its own")

    def _watch(self) -> None:
        status = Path(f"/proc/{self.process.pid}/status")
        while self.process.poll() is None:
            try:
                lines = dict(one.split(":", 1) for one in status.read_text().splitlines())
                resident, own = (int(lines[name].split()[0]) for name in ("VmRSS", "RssAnon"))
            except (OSError, KeyError):
                return
            num_parts = sum(1 for _ in _parts(self.target))
            at_s = time.monotonic() - self.started_at_s
            self.seen.append((at_s, num_parts, resident, own))
            time.sleep(_WATCH_S)


def _parts(target: Path) -> Iterator[Path]:
    return Path(f"{target}.satsuma/parts").glob("*.arrow")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@main.command()
@click.option("--folder", type=click.Path(path_type=Path), default="build/million")
@click.option("--model", default="@hf/sentence-transformers/all-minilm-l6-v2", show_default=True)
@click.option("--models-dir", type=click.Path(path_type=Path))
@click.option("--texts", "num_texts", default=20_000, show_default=True)
@click.option("--turns", default=2, show_default=True)
def rate(folder: Path, model: str, models_dir: Path | None, num_texts: int, turns: int) -> None:
    """Embed the same texts with the engine alone and with the command, in turns."""
    folder.mkdir(parents=True, exist_ok=True)
    source, target = folder / "distinct.parquet", folder / "distinct.npy"
    texts = distinct_texts(num_texts)
    parquet.write_table(pa.table({"text": texts}), source)
    settings = load_settings({"models_dir": models_dir})
    loaded = load_model(ModelStore(settings.models_dir).resolve(model), settings)
    loaded.warm_up()
    rates: dict[str, list[float]] = {"engine": [], "embed": []}
    for _ in range(turns):
        rates["engine"].append(engine_rate(loaded, texts, settings))
        rates["embed"].append(_embed_rate(source, target, model, models_dir))
        print({name: [round(one) for one in values] for name, values in rates.items()})
    engine, command = (sum(values) / len(values) for values in rates.values())
    print(f"satsuma embed reaches {command / engine:.1%} of the engine's {engine:,.0f} tokens/s")


def distinct_texts(num_texts: int) -> list[str]:
    """Make texts of 3 to 60 words, no two alike."""
    random = np.random.default_rng(1)
    return [
        f"{number} " + " ".join(WORDS[one] for one in random.integers(len(WORDS), size=length))
        for number, length in enumerate(random.integers(2, 60, num_texts))
    ]


def engine_rate(model: LoadedModel, texts: Sequence[str], settings: Settings) -> float:
    """Run full microbatches of like lengths, a lane a core, as nice as lanes: tokens a second."""
    plan = plan_lanes(settings)
    items = sorted((one.ids for one in model.tokenizer.tokenize(texts)), key=len, reverse=True)
    microbatches: list[list[Any]] = [[]]
    for ids in items:
        if sum(map(len, microbatches[-1])) + len(ids) > plan.token_budget:
            microbatches.append([])
        microbatches[-1].append(ids)

    def run(chosen: list[Any]) -> None:
        packed = Microbatch.pack(chosen)
        states = model.encoder.encode(packed, Width.ONE_LANE)  # (T, H)
        pool(states, packed.lengths, [model.pooling] * len(chosen))

    begun_at_s = time.perf_counter()
    with ThreadPoolExecutor(plan.num_lanes, initializer=os.nice, initargs=(5,)) as lanes:
        list(lanes.map(run, microbatches))
    return sum(map(len, items)) / (time.perf_counter() - begun_at_s)


def _embed_rate(source: Path, target: Path, model: str, models_dir: Path | None) -> float:
    places = [] if models_dir is None else ["--models-dir", str(models_dir)]
    command = [sys.executable, "-m", "satsuma", "embed", str(source), str(target), "--overwrite"]
    result = subprocess.run(
        [*command, "--model", model, *places], stdout=subprocess.PIPE, check=True, env=os.environ
    )
    told: float = json.loads(result.stdout)["tokens_per_s"]
    return told


if __name__ == "__main__":
    main()
