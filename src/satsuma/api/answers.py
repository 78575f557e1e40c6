"""Writing answers: JSON, Cloudflare's envelope, and the headers of what was embedded."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import orjson
from starlette.responses import Response

from satsuma.types import EmbedResult, FloatArray, Timings

NUMBERS_AT_ONCE: Final = 1 << 17  # some 3 ms of writing


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


async def in_parts(content: Any) -> Any:
    """Write an answer's long arrays part by part: whole, they would hold up everybody else's.

    Returns:
        The same answer, with JSON in their places.
    """
    if isinstance(content, dict):
        return {name: await in_parts(member) for name, member in content.items()}
    if isinstance(content, list):
        return [await in_parts(one) for one in content]
    is_long = isinstance(content, np.ndarray) and content.size > NUMBERS_AT_ONCE
    return await _write_rows(content) if is_long else content


async def _write_rows(rows: FloatArray) -> orjson.Fragment:
    """Write (R, H)."""
    num_at_once = max(1, NUMBERS_AT_ONCE // rows.shape[1])
    parts = []
    for start in range(0, len(rows), num_at_once):
        part = rows[start : start + num_at_once]
        parts.append(orjson.dumps(part, option=orjson.OPT_SERIALIZE_NUMPY)[1:-1])
        await asyncio.sleep(0)
    return orjson.Fragment(b"[" + b",".join(parts) + b"]")


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
