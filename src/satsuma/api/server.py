"""Runs the application on a socket, and stops it gracefully.

uvicorn alone closes its listener on the first signal. Here the first signal only closes the gate
(`drain.py`): the listener stays open, so that new requests get an answer instead of a refused
connection, until the running ones are done or `drain_s` has passed.
"""

from __future__ import annotations

import asyncio
import signal
import socket
import ssl
import time
from collections.abc import Callable, Coroutine
from types import FrameType
from typing import Any, Final, TypeAlias, TypeVar

import uvicorn
import uvloop
from starlette.applications import Starlette

from satsuma.api.drain import Drain
from satsuma.api.head_limit import LimitedHeadProtocol
from satsuma.api.listening import address_of, listen
from satsuma.errors import ConfigurationError
from satsuma.settings import Settings

_T = TypeVar("_T")
OnReady: TypeAlias = Callable[[str, int], None]

# Above the minute after which common clients drop an idle connection, so that theirs is the side
# that closes it: the other way round, a request can meet a connection that is just being closed.
_KEEP_ALIVE_S: Final = 75
_CUT_S: Final = 1  # for refusing what is cut, and for slow readers of an answer


def run(main: Coroutine[Any, Any, _T]) -> _T:
    """Run a coroutine to its end on the server's kind of event loop; main thread only."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main)


async def serve(app: Starlette, settings: Settings, on_ready: OnReady | None = None) -> int:
    """Serve until SIGTERM or SIGINT, on the event loop that the application's service lives on.

    Args:
        app: from `create_app`.
        settings: address, port and `drain_s`.
        on_ready: called with the bound address and port, or the socket's path and 0, once requests
            are answered.

    Returns:
        The process's exit code: 0 if every accepted request was answered, 1 if some were cut.

    Raises:
        ConfigurationError: if the address cannot be listened on, or the certificate not be used.
    """
    with listen(settings) as listener:
        return await serve_on(listener, app, settings, on_ready)


async def serve_on(
    listener: socket.socket,
    app: Starlette,
    settings: Settings,
    on_ready: OnReady | None = None,
    *,
    leaves_others: bool = False,
) -> int:
    """Do what `serve` does, on a socket that listens already; it is closed at the end.

    Args:
        listener: what to accept from.
        app: as for `serve`.
        settings: as for `serve`.
        on_ready: as for `serve`.
        leaves_others: whether others accept from the socket too: then a signal leaves newcomers to
            them, where a server that is alone would refuse them.

    Raises:
        ConfigurationError: if the certificate cannot be used.
    """
    drain: Drain = app.state.drain
    server = _DrainingServer(_uvicorn_config(app, settings), drain, settings.drain_s, on_ready)
    server.leaves_others = leaves_others
    await server.serve(sockets=[listener])
    return 1 if drain.is_cut else 0


class _DrainingServer(uvicorn.Server):
    """uvicorn's server with another answer to signals."""

    def __init__(
        self, config: uvicorn.Config, drain: Drain, drain_s: float, on_ready: OnReady | None
    ) -> None:
        super().__init__(config)
        self._drain = drain
        self._drain_s = drain_s
        self._on_ready = on_ready
        self._deadline: float | None = None
        self.leaves_others = False
        self._leaves = False

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, then tell the caller where."""
        await super().startup(sockets=sockets)
        if self.started and self._on_ready is not None and sockets:
            self._on_ready(*address_of(sockets[0]))

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002
        """Close the gate; a SIGINT after that means it: leave at once."""
        if self._drain.is_draining and sig == signal.SIGINT:
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            signal.raise_signal(signal.SIGINT)
        self._drain.start()
        self._leaves = self.leaves_others
        self.should_exit = not self.started  # while it starts, there is nothing to drain

    async def on_tick(self, counter: int) -> bool:
        """Leave once the gate is closed and nothing runs, or time is up."""
        if self._leaves:
            for listening in self.servers:
                listening.close()  # in this process alone
        if self._drain.is_draining:
            self.should_exit = self._is_drained()
        return await super().on_tick(counter)

    def _is_drained(self) -> bool:
        now = time.monotonic()
        if self._deadline is None:
            self._deadline = now + max(0.0, self._drain_s - _CUT_S)
        if self._drain.running and now >= self._deadline:
            self._drain.cut()
        return not self._drain.running or self._drain.is_cut


def _refuse_password() -> str:
    """Answer OpenSSL, which would ask on the terminal for an encrypted key's password."""
    raise ConfigurationError(
        "The certificate's key has a password, and satsuma reads no such keys. Write one without: "
        "openssl pkey -in key.pem -out plain.pem"
    )


def _check_key(settings: Settings) -> None:
    """Read the certificate once before uvicorn does, which leaves passwords to OpenSSL."""
    if settings.tls_certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        key = settings.tls_key or None
        context.load_cert_chain(settings.tls_certificate, key, password=_refuse_password)


def _uvicorn_config(app: Starlette, settings: Settings) -> uvicorn.Config:
    config = uvicorn.Config(
        app,
        ssl_certfile=settings.tls_certificate or None,
        ssl_keyfile=settings.tls_key or None,
        http=LimitedHeadProtocol,
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="error",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=_CUT_S,
    )
    try:
        _check_key(settings)
        config.load()
    except (OSError, ValueError) as error:  # a missing file; ssl.SSLError is an OSError
        raise ConfigurationError(
            f"The certificate {settings.tls_certificate} cannot be used: {error}. It needs PEM "
            "files, the key without a password."
        ) from error
    return config
