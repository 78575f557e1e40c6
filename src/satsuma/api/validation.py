"""From a body's bytes to JSON, and the run options that may stand among its members.

What is valid is the model's kind's to say: `satsuma.kinds`.
"""

from __future__ import annotations

import gc
from typing import Any

import orjson

from satsuma.errors import MalformedJsonError


def parse_json(body: bytes) -> Any:
    """Read JSON, whatever the Content-Type claimed.

    Raises:
        MalformedJsonError: if it is not JSON; the message points at the byte.
    """
    was_collecting = gc.isenabled()
    gc.disable()  # millions of empty lists would set off as many looks for garbage
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        message = f"invalid JSON at byte {_byte_offset(body, error.pos)}: {error.msg}"
        raise MalformedJsonError(message) from None
    finally:
        if was_collecting:
            gc.enable()


def says_queue(body: dict[str, Any]) -> bool:
    """Read the run option from among the body's `options`."""
    options = body.get("options")
    return isinstance(options, dict) and wants_queue(options.get("queueRequest"))


def wants_queue(value: object) -> bool:
    """Read the option `queueRequest`: JSON's true, or what stands for it in a query."""
    return value is True or str(value).lower() in {"true", "1"}


def _byte_offset(body: bytes, num_characters: int) -> int:
    """Turn orjson's offset, which counts characters, into bytes."""
    try:
        return len(body.decode()[:num_characters].encode())
    except UnicodeDecodeError as error:
        return error.start
