"""What every program here needs: where the server is, what to embed, and how to tell of it.

A program runs in an environment that holds its SDK and nothing of satsuma, and prints one JSON
object.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
from collections.abc import Callable
from typing import Any

SERVER = os.environ["SERVER_URL"]
ACCOUNT = os.environ["ACCOUNT_ID"]
TOKEN = os.environ["API_TOKEN"]
MODEL = os.environ["MODEL"]
UNKNOWN_MODEL = os.environ["UNKNOWN_MODEL"]
TEXTS: list[str] = json.loads(os.environ["TEXTS"])
TOKEN_IDS: list[list[int]] = json.loads(
    os.environ["TOKEN_IDS"]
)  # of TEXTS, without [CLS] and [SEP]


def version(distribution: str) -> str:
    """Tell which release is installed here."""
    return importlib.metadata.version(distribution)


def refusal(call: Callable[[], Any]) -> dict[str, Any]:
    """Tell what a call raises, as somebody who catches it would see it."""
    try:
        returned = call()
    except Exception as error:  # noqa: BLE001 - which one it is is what the test asks
        response = getattr(error, "response", None)  # requests keeps the status there
        return {
            "class": type(error).__name__,
            "status": getattr(error, "status_code", getattr(response, "status_code", None)),
            "code": getattr(error, "code", None),
            "param": getattr(error, "param", None),
            "errors": [
                {"code": one.code, "message": one.message} for one in getattr(error, "errors", [])
            ],
            "message": str(error),
        }
    return {"class": None, "returned": repr(returned)}


def tell(**outcome: Any) -> None:
    """Print what was seen."""
    print(json.dumps(outcome))
