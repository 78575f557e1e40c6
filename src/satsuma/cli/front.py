"""One of the processes of `satsuma serve --http-processes N`, which runs it with two sockets."""

from __future__ import annotations

import socket
import sys

from satsuma.api.metering import Traces
from satsuma.api.server import run
from satsuma.cli.extras import open_traces
from satsuma.cli.logs import set_up_logging
from satsuma.fronts.front import Front
from satsuma.settings import Settings


def main() -> None:
    """Serve on inherited sockets: the connection to the main process, and the listener."""
    end, listener = (socket.socket(fileno=int(number)) for number in sys.argv[1:])
    for one in (end, listener):
        one.set_inheritable(False)  # they had to be, to come here
    end.setblocking(False)
    sys.exit(run(Front().run(end, listener, _prepare)))


def _prepare(settings: Settings) -> Traces | None:
    set_up_logging(settings.log_format)
    return open_traces(settings)


if __name__ == "__main__":
    main()
