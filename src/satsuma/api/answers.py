"""Writing answers: JSON, the bare result that REST and the binding share, and its headers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import orjson
from starlette.responses import Response

from satsuma.types import EmbedResult, Timings


def json_response(
    content: object, headers: Mapping[str, str] | None = None, *, status: int = 200
) -> Response:
    """Write JSON; orjson gives each float32 its shortest exact form.

    The binding compares the content type letter by letter, so it names no charset.
    """
    body = orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY)
    return Response(body, status, headers, media_type="application/json")


def enveloped(result: object, messages: Sequence[object] = ()) -> dict[str, Any]:
    """Put a result into Cloudflare's envelope."""
    return {"result": result, "success": True, "errors": [], "messages": messages}


def bare_answer(result: EmbedResult) -> dict[str, Any]:
    """Give Workers AI's result: what the binding answers, and REST puts into its envelope."""
    return {
        "shape": result.vectors.shape,
        "data": np.ascontiguousarray(result.vectors, dtype=np.float32),  # (B, H)
        "pooling": result.pooling.value,
        "usage": result.usage.to_json(),
    }


def answer_headers(result: EmbedResult, identity: str) -> dict[str, str]:
    """Give the headers of every answer with vectors."""
    headers = {
        "cf-ai-req-id": identity,
        "server-timing": _server_timing(result.timings),
        "x-satsuma-precision": result.precision.value,
    }
    if result.num_truncated:
        headers["x-satsuma-truncated"] = str(result.num_truncated)
    return headers


def _server_timing(timings: Timings) -> str:
    stages = {
        "tokenise": timings.tokenise_s,
        "queue": timings.queue_s,
        "inference": timings.inference_s,
    }
    return ", ".join(f"{name};dur={1000 * spent_s:.2f}" for name, spent_s in stages.items())
