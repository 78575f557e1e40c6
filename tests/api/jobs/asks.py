"""What the queue is asked over HTTP."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
from api.in_test_service import MODEL
from api.serving import RUN_PATH

from satsuma.jobs.assembly import Jobs

QUEUE_PATH = f"{RUN_PATH}?queueRequest=true"
BINDING = "/run?version=3"
HEADERS = {"cf-consn-model-id": MODEL}
WITHIN_S = 20.0


def requests_of(*texts: Any) -> dict[str, Any]:
    """A body for the queue."""
    return {"requests": [{"text": text} for text in texts]}


async def queue(client: httpx.AsyncClient, body: Any) -> str:
    """Put a job in; gives its id."""
    answer = await client.post(QUEUE_PATH, json=body)
    assert answer.status_code == 200, answer.text
    request_id: str = answer.json()["result"]["request_id"]
    return request_id


async def finish(jobs: Jobs, client: httpx.AsyncClient, request_id: str) -> Any:
    """Let the worker do it; gives the result of the poll."""
    assert jobs.worker is not None
    jobs.worker.start()
    async with asyncio.timeout(WITHIN_S):
        while True:
            answer = await client.post(RUN_PATH, json={"request_id": request_id})
            if "responses" in answer.json()["result"]:
                return answer.json()["result"]
            await asyncio.sleep(0.01)


def nested(depth: int) -> Any:
    """Lists within one another."""
    innermost: list[Any] = []
    for _ in range(depth - 1):
        innermost = [innermost]
    return innermost
