"""satsuma as a server in a process of its own, asked over loopback by one client."""

from __future__ import annotations

import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import httpx
import numpy as np
import orjson

from satsuma.bench.peers.errors import last_line
from satsuma.bench.peers.protocol import Embedder, Options, Vectors, in_batches, serve
from satsuma.bench.peers.workers.satsuma_in_process import check_precision

_MAX_TEXTS = 100  # of one request: Workers AI's own limit
_READY_TIMEOUT_S = 300.0
_REQUEST_TIMEOUT_S = 600.0
_STOP_TIMEOUT_S = 30.0
_POLL_S = 0.1


class OverHttp(Embedder):
    """Requests of up to 100 texts, one after the other, on a connection that stays open.

    The answers are the default ones, JSON; turning them into an array is part of the time. The
    client shares the cores with the server. Memory is the server's.
    """

    packages = ("onnxruntime", "uvicorn", "httpx")

    def __init__(self, options: Options) -> None:
        """Start the server and wait until it is ready."""
        check_precision(options.precision)
        self._data_dir = tempfile.TemporaryDirectory()
        base_url = f"http://127.0.0.1:{_free_port()}"
        model = f"@local/{Path(options.folder).name}"
        command = _command(options, model, base_url, self._data_dir.name)
        self._log = Path(self._data_dir.name) / "serve.log"
        with self._log.open("wb") as log:
            self._server = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
            )
        self._client = httpx.Client(base_url=base_url, timeout=_REQUEST_TIMEOUT_S, trust_env=False)
        self._path = f"/client/v4/accounts/local/ai/run/{model}"
        try:
            self._wait_until_ready()
        except BaseException:
            self.close()
            raise

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Ask."""
        return np.concatenate([self._ask(batch) for batch in in_batches(texts, _MAX_TEXTS)])

    def process_id(self) -> int:
        """Name the server."""
        return self._server.pid

    def close(self) -> None:
        """Stop the server."""
        self._client.close()
        self._server.terminate()
        try:
            self._server.wait(_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._server.kill()
            self._server.wait()
        self._data_dir.cleanup()

    def _ask(self, texts: Sequence[str]) -> Vectors:
        response = self._client.post(self._path, content=orjson.dumps({"text": texts}))
        response.raise_for_status()
        return np.array(orjson.loads(response.content)["result"]["data"], dtype=np.float32)

    def _wait_until_ready(self) -> None:
        give_up_s = time.monotonic() + _READY_TIMEOUT_S
        while time.monotonic() < give_up_s and self._server.poll() is None:
            try:
                if self._client.get("/ready").is_success:
                    return
            except httpx.TransportError:
                pass
            time.sleep(_POLL_S)
        said = last_line(self._log.read_text(encoding="utf-8", errors="replace"))
        raise TimeoutError(f"satsuma serve did not get ready: {said}")


def _command(options: Options, model: str, base_url: str, data_dir: str) -> list[str]:
    flags = {
        "--host": "127.0.0.1",
        "--port": base_url.rpartition(":")[2],
        "--model": model,
        "--models-dir": str(Path(options.folder).parent),
        "--data-dir": data_dir,
        "--threads": str(options.threads),
        "--precision": options.precision,
    }
    command = [sys.executable, "-m", "satsuma", "serve", "--device", "cpu", "--skip-self-test"]
    return [*command, *(part for flag in flags.items() for part in flag)]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    serve(OverHttp)
