"""A client of the asynchronous queue: it puts a job in, and looks until it is done."""

from __future__ import annotations

import http.client
import time

import orjson

from satsuma.bench.http_client import GOOD, Answer, Connection

_POLL_S = 0.25
_QUERY = "?queueRequest=true"
_RESPONSES, _HEAD_BYTES = b'"responses"', 100  # what a pending answer has not, at its beginning


class QueueConnection(Connection):
    """Asks as the queue's clients do; an answer is that of a whole job. Not thread-safe."""

    def ask(self, body: bytes) -> Answer:
        """Put a job of these texts in, and wait for its vectors."""
        try:
            return self._await_job(body)
        except (OSError, http.client.HTTPException, ValueError, LookupError) as error:
            self.close()
            return Answer(type(error).__name__, message=str(error))

    def _await_job(self, body: bytes) -> Answer:
        told, content = self.exchange(body, _QUERY)
        if told.status != GOOD:
            return told
        poll = orjson.dumps({"request_id": orjson.loads(content)["result"]["request_id"]})
        while told.status == GOOD and _RESPONSES not in content[:_HEAD_BYTES]:
            time.sleep(_POLL_S)
            told, content = self.exchange(poll, _QUERY)
        return told
