"""Plain `requests`, as Cloudflare's page for Python has it."""

from __future__ import annotations

from typing import Any

import requests
from program import ACCOUNT, MODEL, SERVER, TEXTS, TOKEN, UNKNOWN_MODEL, tell, version

BASE = f"{SERVER}/client/v4/accounts/{ACCOUNT}/ai/run"


def run(body: dict[str, Any], model: str = MODEL) -> dict[str, Any]:
    """Send a body, and give status and answer."""
    headers = {"Authorization": f"Bearer {TOKEN}"}
    answer = requests.post(f"{BASE}/{model}", headers=headers, json=body, timeout=60)
    return {"status": answer.status_code, **answer.json()}


tell(
    version=version("requests"),
    string=run({"text": TEXTS[0]})["result"],
    list=run({"text": TEXTS})["result"],
    cls=run({"text": TEXTS, "pooling": "cls"})["result"],
    unknown_model=run({"text": TEXTS}, UNKNOWN_MODEL),
    bad_input=run({"text": ""}),
)
