"""Vectors as bytes, for clients that ask for `application/octet-stream`: a tenth of JSON's work.

The body is the rows alone, little-endian float32 whatever the machine's own order; headers say what
JSON says beside them. Errors stay JSON.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
from starlette.requests import Request
from starlette.responses import Response

from satsuma.api.errors import NotAcceptableError
from satsuma.api.queue_input import Ask
from satsuma.kinds.kind import Parsed
from satsuma.types import EmbedResult

MEDIA_TYPE: Final = "application/octet-stream"
_JSON: Final = "application/json"
_REFUSED: Final = frozenset({"q=0", "q=0.0", "q=0.00", "q=0.000"})


def wants_bytes(request: Request) -> bool:
    """Tell whether `Accept` names bytes; who takes JSON as well gets that."""
    accept = ",".join(request.headers.getlist("accept")).lower()
    if MEDIA_TYPE not in accept:
        return False
    ranges = [[part.strip() for part in one.split(";")] for one in accept.split(",")]
    named = {name for name, *parameters in ranges if not _REFUSED.intersection(parameters)}
    return MEDIA_TYPE in named and _JSON not in named


def check_has_rows(ask: Ask) -> None:
    """Make sure that the answer will be rows of vectors and nothing else.

    Raises:
        NotAcceptableError: if it will not.
    """
    if not isinstance(ask, Parsed):
        raise NotAcceptableError(f"a queued request is answered in JSON, not as {MEDIA_TYPE}")
    if ask.request.query is not None or ask.request.outputs:
        raise NotAcceptableError(
            f"scores and `outputs` are answered in JSON; {MEDIA_TYPE} is for vectors alone"
        )


def bytes_response(result: EmbedResult, headers: Mapping[str, str]) -> Response:
    """Write the rows.

    Args:
        result: vectors, (B, D).
        headers: of every answer with vectors.
    """
    rows = np.ascontiguousarray(result.vectors, "<f4")  # (B, D)
    described = {
        "x-satsuma-shape": ", ".join(map(str, rows.shape)),
        "x-satsuma-pooling": result.pooling.value,
        "x-satsuma-prompt-tokens": str(result.usage.prompt_tokens),
    }
    return Response(rows.tobytes(), headers={**headers, **described}, media_type=MEDIA_TYPE)
