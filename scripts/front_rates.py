"""How much of a fast engine's rate passes the server: `python front_rates.py`.

The engine is `PacedEncoder`: it has a known rate, and sleeps. The clients are one thread that
sends requests written beforehand and throws the answers away. What each thread of the server takes
of the processor is told beside the rate, so that a machine of few cores, on which server and
clients share them, shows what a server would reach that has a core to itself.
"""

from __future__ import annotations

import contextlib
import json
import math
import re
import selectors
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import click
import numpy as np
import orjson
from paced_server import HIDDEN_SIZE, MARK

from satsuma.bench.http_client import Target
from satsuma.bench.random_model import find_tokenizer_json

MODEL = "@hf/sentence-transformers/all-minilm-l6-v2"  # its tokeniser; its weights are not run
FORMATS = ("json", "base64", "bytes")
_NUM_SPECIAL = 2
_NUM_TEXTS = 2_000
_STARTS_WITHIN_S = 60.0
_HEAD_END = b"\r\n\r\n"
_LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)
_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Case:
    """What the clients ask for.

    Attributes:
        written: how vectors are written, one of `FORMATS`.
        num_texts: of a request.
    """

    written: str
    num_texts: int


@dataclass(frozen=True, slots=True)
class Figures:
    """What one case came to.

    Attributes:
        tokens_per_s: through the server.
        latency_ms: median of a request's.
        text_us: processor's time a text, by thread of the server; "clients" is the other side's.
        answer_bytes: of a text.
    """

    tokens_per_s: float
    latency_ms: float
    text_us: dict[str, float]
    answer_bytes: float


class Server:
    """A paced server's process."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        """Wait until it is ready."""
        self.process_id = process.pid
        assert process.stdin is not None
        assert process.stdout is not None
        self._asks: IO[str] = process.stdin
        self._says: IO[str] = process.stdout
        address = self._read(r"Listening on http://\S+:(\d+)")
        self.port = int(address[1])
        self._read("^Ready:")

    def thread_seconds(self) -> dict[str, float]:
        """Ask what every thread has taken of the processor."""
        self._asks.write("\n")
        self._asks.flush()
        found = self._read(f"^{MARK}(.*)")
        seconds: dict[str, float] = json.loads(found[1])
        return seconds

    def _read(self, pattern: str) -> re.Match[str]:
        for line in self._says:
            if found := re.search(pattern, line):
                return found
        raise click.ClickException("the server ended")


@contextlib.contextmanager
def paced_server(tokens_per_s: float, flags: Sequence[str]) -> Iterator[Server]:
    """Run a server before an engine of this rate until the block ends."""
    program = Path(__file__).with_name("paced_server.py")
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile() as log:
        command = [sys.executable, str(program), str(tokens_per_s), "serve", "--port", "0"]
        command += ["--model", MODEL, "--data-dir", folder, "--skip-self-test", *flags]
        pipe = subprocess.PIPE
        process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=log, text=True)
        try:
            yield Server(process)
        finally:
            process.terminate()
            process.wait(_STARTS_WITHIN_S)


def make_texts(number: int, num_tokens: int, *, has_accents: bool = False) -> list[str]:
    """Make texts of exactly so many tokens, of words as frequent as in a language.

    Args:
        number: of texts.
        num_tokens: of each, [CLS] and [SEP] included.
        has_accents: whether one word of each is not ASCII.
    """
    vocabulary = json.loads(find_tokenizer_json().read_text(encoding="utf-8"))["model"]["vocab"]
    words = [word for word in vocabulary if re.fullmatch("[a-z]{2,}", word)]
    draws = np.random.default_rng(0)
    shares = 1 / np.arange(1, len(words) + 1)  # Zipf's law
    size = (number, num_tokens - _NUM_SPECIAL - has_accents)
    drawn = draws.choice(len(words), size, p=shares / shares.sum())
    end = " café" if has_accents else ""
    return [" ".join(words[index] for index in row) + end for row in drawn]


def write_requests(case: Case, texts: Sequence[str]) -> list[bytes]:
    """Write the requests of a case, head and body."""
    api = "openai" if case.written == "base64" else "workers-ai"
    target = Target("http://localhost", MODEL, api)
    groups = [texts[i : i + case.num_texts] for i in range(0, len(texts), case.num_texts)]
    more = "Accept: application/octet-stream\r\n" if case.written == "bytes" else ""
    requests = []
    for group in groups:
        body = target.body(list(group))
        head = f"POST {target.path} HTTP/1.1\r\nHost: localhost\r\n{more}"
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        requests.append(head.encode() + body)
    return requests


@dataclass
class Client:
    """One connection, which asks again once it is answered."""

    connection: socket.socket
    asked_at_s: float = 0.0
    head: bytes = b""
    num_left: int = -1  # bytes of the answer's body; -1 while its head comes


@dataclass
class Clients:
    """All connections, in one thread."""

    port: int
    requests: Sequence[bytes]
    num_wanted: float = math.inf
    latencies_s: list[float] = field(default_factory=list)
    num_bytes: int = 0
    num_sent: int = 0

    def run(
        self, number: int, warmup_s: float, seconds: float, server: Server
    ) -> tuple[float, dict[str, float]]:
        """Keep so many requests under way.

        Returns:
            The seconds that were counted, and the processor's time of each thread in them.
        """
        with selectors.DefaultSelector() as selector:
            clients = [self._connect(selector) for _ in range(number)]
            for client in clients:
                self._ask(client)
            self._serve(selector, time.perf_counter() + warmup_s)
            self.latencies_s.clear()
            self.num_bytes = 0
            before, begin_s = self._processor(server), time.perf_counter()
            self._serve(selector, begin_s + seconds)
            spent_s, after = time.perf_counter() - begin_s, self._processor(server)
            for client in clients:
                client.connection.close()
        return spent_s, {name: after[name] - before.get(name, 0.0) for name in after}

    def _processor(self, server: Server) -> dict[str, float]:
        return {**server.thread_seconds(), "clients": time.process_time()}

    def _connect(self, selector: selectors.BaseSelector) -> Client:
        connection = socket.create_connection(("127.0.0.1", self.port))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        client = Client(connection)
        selector.register(connection, selectors.EVENT_READ, client)
        return client

    def _serve(self, selector: selectors.BaseSelector, until_s: float) -> None:
        while time.perf_counter() < until_s and len(self.latencies_s) < self.num_wanted:
            for key, _ in selector.select(1.0):
                self._read(key.data)

    def _ask(self, client: Client) -> None:
        client.asked_at_s = time.perf_counter()
        client.connection.sendall(self.requests[self.num_sent % len(self.requests)])
        self.num_sent += 1

    def _read(self, client: Client) -> None:
        chunk = client.connection.recv(_CHUNK_BYTES)
        self.num_bytes += len(chunk)
        if client.num_left < 0:
            client.head += chunk
            head, end, body = client.head.partition(_HEAD_END)
            if not end:
                return
            if not head.startswith(b"HTTP/1.1 200 "):
                raise click.ClickException(client.head[:500].decode(errors="replace"))
            found = _LENGTH.search(head)
            client.num_left, chunk, client.head = int(found[1]) if found else 0, body, b""
        client.num_left -= len(chunk)
        if client.num_left == 0:
            client.num_left = -1
            self.latencies_s.append(time.perf_counter() - client.asked_at_s)
            self._ask(client)


def teach(server: Server, texts: Sequence[str]) -> None:
    """Send every text once: a server that has run for a while knows nearly all words."""
    requests = write_requests(Case("json", 100), texts)
    clients = Clients(server.port, requests, num_wanted=len(requests))
    clients.run(2, _STARTS_WITHIN_S, 0.0, server)


def measure(server: Server, case: Case, texts: Sequence[str], plan: Plan) -> Figures:
    """Keep the server busy with one case."""
    clients = Clients(server.port, write_requests(case, texts))
    number = max(2, plan.num_under_way // case.num_texts)
    spent_s, seconds = clients.run(number, plan.warmup_s, plan.seconds, server)
    num_texts = len(clients.latencies_s) * case.num_texts
    return Figures(
        tokens_per_s=num_texts * plan.num_tokens / spent_s,
        latency_ms=1e3 * float(np.median(clients.latencies_s)),
        text_us={name: 1e6 * spent / num_texts for name, spent in seconds.items()},
        answer_bytes=clients.num_bytes / num_texts,
    )


@dataclass(frozen=True, slots=True)
class Plan:
    """How long, and with what.

    Attributes:
        seconds: of each case.
        warmup_s: before them.
        num_tokens: of a text.
        num_under_way: texts that are asked for at a time.
    """

    seconds: float
    warmup_s: float
    num_tokens: int
    num_under_way: int


def show(case: Case, figures: Figures, rate: float) -> str:
    """Write a line."""
    parts = sorted(figures.text_us.items(), key=lambda pair: -pair[1])
    shown = ", ".join(f"{name} {spent_us:.1f}" for name, spent_us in parts if spent_us >= 0.1)
    server_us = sum(spent for name, spent in figures.text_us.items() if name != "clients")
    return (
        f"{case.written:>7} x {case.num_texts:<4}{figures.tokens_per_s:>10,.0f} tokens/s "
        f"{figures.tokens_per_s / rate:>4.0%}  {figures.latency_ms:>6.1f} ms "
        f"{figures.answer_bytes:>7,.0f} bytes  server {server_us:>6.1f} us a text: {shown}"
    )


@click.command(context_settings={"ignore_unknown_options": True})
@click.option("--rate", default=200_000.0, show_default=True, help="The engine's tokens a second.")
@click.option("--format", "formats", type=click.Choice(FORMATS), multiple=True)
@click.option(
    "--texts", "sizes", type=int, multiple=True, help="Of a request.  [default: 1 10 100]"
)
@click.option("--tokens", "num_tokens", default=128, show_default=True, help="Of each text.")
@click.option("--seconds", default=5.0, show_default=True, help="Of each case.")
@click.option("--under-way", default=512, show_default=True, help="Texts asked for at a time.")
@click.option("--accents", is_flag=True, help="Texts that are not plain ASCII.")
@click.argument("flags", nargs=-1, type=click.UNPROCESSED)
def main(  # noqa: PLR0913 - one argument a flag
    *,
    rate: float,
    formats: tuple[str, ...],
    sizes: tuple[int, ...],
    num_tokens: int,
    seconds: float,
    under_way: int,
    accents: bool,
    flags: tuple[str, ...],
) -> None:
    """Measure every format with every size of request; FLAGS are for `satsuma serve`."""
    texts = make_texts(_NUM_TEXTS, num_tokens, has_accents=accents)
    plan = Plan(seconds, 1.0, num_tokens, under_way)
    lines = []
    with paced_server(rate, flags) as server:
        teach(server, texts)
        for written in formats or FORMATS:
            for num_texts in sizes or (1, 10, 100):
                case = Case(written, num_texts)
                figures = measure(server, case, texts, plan)
                click.echo(show(case, figures, rate))
                lines.append({"format": written, "texts": num_texts, **_as_json(figures)})
    click.echo(orjson.dumps({"rate": rate, "hidden_size": HIDDEN_SIZE, "cases": lines}).decode())


def _as_json(figures: Figures) -> dict[str, object]:
    return {
        "tokens_per_s": round(figures.tokens_per_s),
        "latency_ms": round(figures.latency_ms, 1),
        "answer_bytes": round(figures.answer_bytes),
        "text_us": {name: round(spent, 1) for name, spent in figures.text_us.items()},
    }


if __name__ == "__main__":
    main()
