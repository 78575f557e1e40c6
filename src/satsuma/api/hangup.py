"""Who wants to know at once that a connection is lost: the requests that came over it.

Listening by ASGI's own `receive` takes a task for each request.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from starlette.types import Scope

_KEY: Final = "satsuma.hangup"


class Hangup:
    """A connection's end. Belongs to its event loop.

    Attributes:
        is_lost: whether it has come; nobody is told of it any more.
    """

    def __init__(self) -> None:
        """Begin with a connection that is there."""
        self.is_lost = False
        self._listeners: set[Callable[[], None]] = set()

    def listen(self, listener: Callable[[], None]) -> None:
        """Be told when the connection is lost."""
        self._listeners.add(listener)

    def ignore(self, listener: Callable[[], None]) -> None:
        """Be told no more."""
        self._listeners.discard(listener)

    def tell(self) -> None:
        """Tell all who listen that it is lost."""
        self.is_lost = True
        listeners, self._listeners = self._listeners, set()
        for listener in listeners:
            listener()


def with_hangup(scope: Scope, hangup: Hangup) -> None:
    """Put it into a request's scope, for `hangup_of`."""
    scope[_KEY] = hangup


def hangup_of(scope: Scope) -> Hangup | None:
    """Give that of a request's connection; None behind another server than ours."""
    hangup: Hangup | None = scope.get(_KEY)
    return hangup
