"""What fronts ask of the main process: all that the HTTP surface needs, by way of a socket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import numpy as np
import pytest
from api.in_test_service import MODEL, InTestService
from unit.fronts.conftest import Join

from satsuma.api.identity import current_request_id, name_request
from satsuma.api.metrics import Metrics
from satsuma.errors import ModelNotFoundError, ModelNotInstalledError, RateLimitedError
from satsuma.fronts.client import DistantLimiter, DistantService, FrontMetrics
from satsuma.fronts.connection import Connection
from satsuma.fronts.host import Host
from satsuma.settings import Settings
from satsuma.store.catalog import bundled_catalog
from satsuma.types import EmbedRequest, EmbedResult, Pooling
from satsuma.usage.quotas import Limits


class NamingService(InTestService):
    """Tells the id of the request that it answers, and what becomes of it."""

    def __init__(self) -> None:
        """Begin with no request."""
        super().__init__()
        self.request_id = ""
        self.has_begun, self.was_cancelled = asyncio.Event(), asyncio.Event()

    async def embed(self, request: EmbedRequest) -> EmbedResult:
        """Note the id."""
        self.request_id = current_request_id()
        self.has_begun.set()
        try:
            return await super().embed(request)
        except asyncio.CancelledError:
            self.was_cancelled.set()
            raise


@pytest.fixture
def engine() -> NamingService:
    """The service of the main process."""
    return NamingService()


@pytest.fixture
def host(engine: NamingService) -> Host:
    """The main process's end."""
    return Host(engine, Settings(http_processes=2), Metrics(), lambda: None)


@pytest.fixture
async def caller(host: Host, join: Join) -> AsyncIterator[Connection]:
    """A front's end."""
    connection, _ = await join(host.handlers(1))
    yield connection
    connection.close()


@pytest.fixture
def service(caller: Connection) -> DistantService:
    """The service as a front sees it."""
    return DistantService(caller, bundled_catalog())


async def test_vectors_come_back(service: DistantService, engine: NamingService) -> None:
    """The request arrives whole, under the id that the front gave it."""
    request = EmbedRequest(MODEL, ("one", "three"), Pooling.CLS, dimensions=3)
    name_request("an-id")
    result = await service.embed(request)
    assert engine.requests == [request]
    assert engine.request_id == "an-id"
    np.testing.assert_array_equal(result.vectors[:, :2], [[3, 0], [5, 1]])
    assert (result.pooling, result.usage.prompt_tokens) == (Pooling.CLS, 8)


async def test_a_client_that_leaves_stops_the_work(
    service: DistantService, engine: NamingService
) -> None:
    """Cancelling reaches the engine."""
    call = asyncio.create_task(service.embed(EmbedRequest(MODEL, ("slow 60",))))
    await asyncio.wait_for(engine.has_begun.wait(), 5)
    call.cancel()
    await asyncio.wait_for(engine.was_cancelled.wait(), 5)


async def test_the_rest_of_the_service(service: DistantService, engine: NamingService) -> None:
    """Names are known at the front; disk, load and readiness are the main process's."""
    assert service.manifest("cf/baai/bge-base-en-v1.5").id == MODEL
    with pytest.raises(ModelNotFoundError):
        service.manifest("@cf/baai/none")
    assert (await service.tokenize(MODEL, ["two words"]))[0].num_tokens == 4
    assert await service.models() == await engine.models()
    assert (await service.stats()).uptime_s == 1.5
    assert (await service.readiness()).models == (MODEL,)
    await service.check_installed(MODEL)
    engine.error = ModelNotInstalledError("get it with a pull")
    with pytest.raises(ModelNotInstalledError, match="with a pull"):
        await service.check_installed(MODEL)


async def test_a_lost_engine_is_not_ready(service: DistantService, caller: Connection) -> None:
    """And says so rather than fail."""
    caller.close()
    readiness = await service.readiness()
    assert (readiness.is_ready, readiness.reason) == (False, "the engine does not answer")


async def test_quotas_hold_over_all_fronts(host: Host, join: Join) -> None:
    """Two fronts that ask in turn get one minute's worth between them."""
    one, two = [DistantLimiter((await join(host.handlers(n)))[0]) for n in (1, 2)]
    holders = [("account me", Limits(requests_per_minute=2, tokens_per_minute=100))]
    await one.admit(holders)
    await two.admit(holders)
    for limiter in (one, two):
        with pytest.raises(RateLimitedError) as caught:
            await limiter.admit(holders)
        assert 0 < caught.value.retry_after_s <= 30
    standings = {each.name: each.remaining for each in await two.settle(holders, 30)}
    assert standings == {"requests": 0, "tokens": 70}
    await one.hold(holders, 200)
    with pytest.raises(RateLimitedError):
        await two.hold(holders, 1)


async def test_an_answer_outlives_the_quotas(caller: Connection) -> None:
    """Vectors that are there are answered, though nobody can say what is left."""
    caller.close()
    assert await DistantLimiter(caller).settle([("account me", Limits(1, 1))], 5) == ()


async def test_a_scrape_tells_of_all(host: Host, join: Join) -> None:
    """Every front's requests, the engine's microbatches, and what a gone front had counted."""
    fronts = []
    for number in (1, 2):
        fronts.append(front := FrontMetrics((await join(host.handlers(number)))[0]))
        answer, _ = await join({"count": count_of(front)})
        host.connections[number] = answer
        front.note_request("run", MODEL, 200, 0.1)
    host.metrics.note_microbatch(8, 0.5, is_express=False)
    labels = f'{{model="{MODEL}",route="run",status="200"}}'
    assert f"satsuma_requests_total{labels} 2.0" in await scrape(fronts[0])
    fronts[1].note_request("run", MODEL, 200, 0.1)
    await fronts[1].hand_over()
    host.connections.pop(2)
    host.totals.close(2)
    text = await scrape(fronts[0])
    assert f"satsuma_requests_total{labels} 3.0" in text
    assert 'satsuma_engine_seconds_total{lane="lane"} 0.5' in text
    assert 'satsuma_request_seconds_count{route="run"} 3.0' in text


def count_of(front: FrontMetrics) -> Callable[[], Coroutine[Any, Any, object]]:
    """A front's handler of `count`."""

    async def count() -> object:
        return front.counted()

    return count


async def scrape(front: FrontMetrics) -> str:
    """What a scraper gets of this front."""
    return (await front.scrape(""))[0].decode()
