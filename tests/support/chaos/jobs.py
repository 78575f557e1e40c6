"""Jobs of the asynchronous queue: what was accepted is owed, and checked by value."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import Any

import httpx

from support.chaos.scene import Stage
from support.chaos.server import ChaosServer

_OWED_WITHIN_S = 90.0
_TOOK_IN, _NO_ROOM = 200, 503


@dataclass
class Jobs:
    """What a server has taken in.

    Attributes:
        owed: the texts of each job's requests, by the job's id.
        num_refused: calls that were answered with 503, and when to come again.
    """

    stage: Stage
    owed: dict[str, list[list[int]]] = field(default_factory=dict)
    num_refused: int = 0

    async def send(self, server: ChaosServer, num_jobs: int) -> int:
        """Put some in; gives how many were taken."""
        before = len(self.owed)
        for _ in range(num_jobs):
            await self._send(server)
        return len(self.owed) - before

    async def collect(self, server: ChaosServer) -> None:
        """Wait until all are done, and compare each vector."""
        end_s, left = time.monotonic() + _OWED_WITHIN_S, dict(self.owed)
        while left and time.monotonic() < end_s:
            for request_id in list(left):
                responses = await self._poll(server, request_id)
                if responses is not None:
                    self._check(left.pop(request_id), responses)
            await asyncio.sleep(0.1)
        self.stage.notes["jobs"] = len(self.owed)
        self.stage.num_lost += len(left)
        self.stage.expect(not left, f"{len(left)} of {len(self.owed)} jobs are not done")

    async def _send(self, server: ChaosServer) -> None:
        oracle, dice = self.stage.oracle, self.stage.dice
        requests = [list(oracle.draw(dice).numbers) for _ in range(dice.randint(1, 5))]
        body = {
            "requests": [
                {"text": [oracle.texts[number] for number in numbers], "external_reference": place}
                for place, numbers in enumerate(requests)
            ]
        }
        answer = await _post(server, oracle.path + "?queueRequest=true", body)
        if answer is None:
            return  # cut: nobody said that it was taken
        if answer.status_code == _TOOK_IN:
            self.owed[answer.json()["result"]["request_id"]] = requests
            return
        says_when = answer.headers.get("retry-after", "").isdecimal()
        is_refusal = answer.status_code == _NO_ROOM and says_when
        self.num_refused += is_refusal
        self.stage.expect(is_refusal, f"a job was answered {answer.status_code} {answer.text}")

    async def _poll(self, server: ChaosServer, request_id: str) -> list[Any] | None:
        answer = await _post(server, self.stage.oracle.path, {"request_id": request_id})
        if answer is None or answer.status_code == _NO_ROOM:
            return None
        self.stage.expect(answer.status_code != 404, f"job {request_id} is lost")
        is_done = answer.status_code == _TOOK_IN and "responses" in answer.json()["result"]
        return list(answer.json()["result"]["responses"]) if is_done else None

    def _check(self, requests: list[list[int]], responses: list[Any]) -> None:
        references = [one["external_reference"] for one in responses]
        self.stage.expect(references == list(range(len(requests))), "answers in another order")
        for numbers, one in zip(requests, responses, strict=False):
            is_right = one["success"] and self.stage.oracle.is_right(numbers, one["result"])
            self.stage.num_wrong += not is_right
            self.stage.expect(is_right, f"a job's vectors are wrong: {str(one)[:300]}")


async def _post(server: ChaosServer, path: str, body: Any) -> httpx.Response | None:
    """Ask over a connection of its own; None if it was cut."""
    async with httpx.AsyncClient(timeout=30.0, trust_env=False) as client:
        try:
            return await client.post(f"http://127.0.0.1:{server.port}{path}", json=body)
        except httpx.HTTPError:
            return None
