"""What a path alone decides, before any route: who may ask, for which account, in whose words."""

from __future__ import annotations

import re
from enum import Enum, auto
from functools import lru_cache
from typing import Final

from satsuma.auth.tokens import ACCOUNT_ID

OPEN_PATHS: Final = frozenset({"/health", "/ready", "/openapi.json"})  # without a token
METRICS_PATH: Final = "/metrics"

# The pages hold no secrets; what they ask the API for needs a token like everybody's.
PAGES: Final = {"/": "index.html", "/docs": "docs.html"}
PAGE_FILES: Final = "/playground/"

BINDING_RUN_PATHS: Final = frozenset({"/run", "/ai-gateway/run"})
BINDING_PATHS: Final = BINDING_RUN_PATHS | {"/ai-api/models/search"}  # all that `env.AI` asks for

_ACCOUNT: Final = re.compile(r"/client/v4/accounts/([^/]*)(?:/|$)")
_RUN: Final = re.compile(r"/client/v4/accounts/[^/]*/ai/run/")
_BELOW: Final = r"(/client/v4/accounts/[^/]*/ai)?"
_EMBEDDINGS: Final = re.compile(rf"{_BELOW}/(v1/embeddings|v[12]/rerank)")
_OPENAI: Final = re.compile(rf"{_BELOW}/(v1(/|$)|v2/rerank$)")

_NUM_KNOWN: Final = 64  # few, for a path may be long, and clients keep to theirs


class Dialect(Enum):
    """Whose shape of errors a path's clients read."""

    REST = auto()
    BINDING = auto()
    OPENAI = auto()


def is_open(path: str) -> bool:
    """Tell whether a path answers without a token."""
    return path in OPEN_PATHS or path in PAGES or path.startswith(PAGE_FILES)


def dialect_of(path: str) -> Dialect:
    """Tell a path's dialect; anything unknown is REST."""
    if path in BINDING_RUN_PATHS:
        return Dialect.BINDING
    return Dialect.OPENAI if _OPENAI.match(path) else Dialect.REST


_PAGES: Final = frozenset({"/", "/docs"})


@lru_cache(_NUM_KNOWN)
def route_of(path: str) -> str:
    """Tell a path's kind: one of `metrics.ROUTES`, few enough to be counted by."""
    if path in BINDING_PATHS:
        return "binding"
    if path in OPEN_PATHS or path == METRICS_PATH:
        return "operations"
    if _OPENAI.match(path):
        return "openai"
    if _RUN.match(path):
        return "run"
    if path in _PAGES or path.startswith(("/playground/", "/satsuma/")):
        return "playground"
    return "catalog" if path.startswith("/client/v4/") else "other"


@lru_cache(_NUM_KNOWN)
def embeds(path: str) -> bool:
    """Tell whether a path's requests use the engine."""
    is_run = path in BINDING_RUN_PATHS or _RUN.match(path) is not None
    return is_run or _EMBEDDINGS.fullmatch(path) is not None


@lru_cache(_NUM_KNOWN)
def account_of(path: str) -> str | None:
    """Read the account in a path; None leaves it to the route to refuse a malformed one."""
    match = _ACCOUNT.match(path)
    return match[1] if match and ACCOUNT_ID.fullmatch(match[1]) else None
