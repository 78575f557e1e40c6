"""`/metrics`: counts of real requests, from the first scrape on, and for whom."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import httpx
import pytest
from api.in_test_service import MODEL, InTestService
from prometheus_client.parser import text_string_to_metric_families

from satsuma.api.app import create_app
from satsuma.api.metrics import ROUTES, Metrics, State
from satsuma.api.paths import route_of
from satsuma.auth.tokens import TokenStore
from satsuma.cli.logs import JsonFormatter
from satsuma.errors import ModelNotInstalledError
from satsuma.settings import Settings

RUN = f"/client/v4/accounts/me/ai/run/{MODEL}"


async def scrape(client: httpx.AsyncClient, **headers: str) -> dict[str, float]:
    """Read every sample of ours."""
    answer = await client.get("/metrics", headers=headers)
    assert answer.status_code == 200
    return dict(samples(answer.text))


def samples(text: str) -> Iterator[tuple[str, float]]:
    """Give each sample's name with its labels' values, and its value."""
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = ",".join(sample.labels[name] for name in sorted(sample.labels))
            yield f"{sample.name}{{{labels}}}" if labels else sample.name, sample.value


async def test_requests_are_counted(client: httpx.AsyncClient) -> None:
    """By model, route and status; texts and tokens by model."""
    await client.post(RUN, json={"text": ["one", "two"]})
    await client.post(RUN, json={"text": []})
    await client.get("/no/such/path")
    found = await scrape(client)
    assert found[f"satsuma_requests_total{{{MODEL},run,200}}"] == 1
    assert found["satsuma_requests_total{,run,400}"] == 1
    assert found["satsuma_requests_total{,other,400}"] == 1
    assert found[f"satsuma_texts_total{{{MODEL}}}"] == 2
    assert found[f"satsuma_tokens_total{{{MODEL}}}"] > 0
    assert found["satsuma_request_seconds_count{run}"] == 2
    assert found[f"satsuma_inference_seconds_count{{{MODEL}}}"] == 1


async def test_all_are_there_at_first(client: httpx.AsyncClient) -> None:
    """A dashboard has no gaps before the first request; the process's own are there too."""
    found = await scrape(client)
    names = {name.partition("{")[0] for name in found}
    assert names >= {
        "satsuma_build_info",
        "satsuma_engine_seconds_total",
        "satsuma_microbatch_tokens_count",
        "satsuma_request_seconds_count",
        "satsuma_waiting_tokens",
        "python_info",
    }


async def test_a_model_that_is_not_here_makes_no_label(
    client: httpx.AsyncClient, service: InTestService
) -> None:
    """Else anybody could fill the server's memory with names."""
    service.error = ModelNotInstalledError("not here")
    await client.post(RUN, json={"text": ["one"]})
    found = await scrape(client)
    assert found["satsuma_requests_total{,run,503}"] == 1


def test_a_model_s_counts_are_there_before_its_first_request() -> None:
    """From the moment at which it is loaded."""
    metrics = Metrics(lambda: State(7, {MODEL: 10}, {"queued": 3}))
    metrics.note_model(MODEL)
    metrics.note_microbatch(64, 0.5, is_express=True)
    found = dict(samples(metrics.write("")[0].decode()))
    assert found[f"satsuma_tokens_total{{{MODEL}}}"] == 0
    assert found[f"satsuma_model_memory_bytes{{{MODEL}}}"] == 10
    assert found["satsuma_waiting_tokens"] == 7
    assert found["satsuma_jobs{queued}"] == 3
    assert found["satsuma_engine_seconds_total{express}"] == 0.5


async def test_openmetrics_is_given_to_who_asks(client: httpx.AsyncClient) -> None:
    """By the scraper's Accept."""
    answer = await client.get("/metrics", headers={"accept": "application/openmetrics-text"})
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    assert answer.text.endswith("# EOF\n")


async def test_scraping_wants_a_token_once_there_is_one(
    client: httpx.AsyncClient, tokens: TokenStore
) -> None:
    """Counts name models and loads; any account's token will do."""
    token, _ = tokens.create("me")
    assert (await client.get("/metrics")).status_code == 400
    assert await scrape(client, authorization=f"Bearer {token}")


@pytest.mark.parametrize(
    ("path", "route"),
    [
        (RUN, "run"),
        ("/run", "binding"),
        ("/ai-api/models/search", "binding"),
        ("/v1/embeddings", "openai"),
        ("/client/v4/accounts/me/ai/v1/embeddings", "openai"),
        ("/v1/rerank", "openai"),
        ("/v2/rerank", "openai"),
        ("/client/v4/accounts/me/ai/models/search", "catalog"),
        ("/ready", "operations"),
        ("/metrics", "operations"),
        ("/", "playground"),
        ("/satsuma/tokenize", "playground"),
        ("/wp-login.php", "other"),
    ],
)
def test_paths_are_of_few_kinds(path: str, route: str) -> None:
    """Whatever a client makes up, labels stay few."""
    assert route_of(path) == route
    assert route in ROUTES


async def test_access_lines_have_ids_and_no_texts(
    service: InTestService, caplog: pytest.LogCaptureFixture
) -> None:
    """Path, status and time; as JSON with the request's id."""
    app = create_app(service, Settings(access_log=True), None)
    lines: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(JsonFormatter().format(record))  # type: ignore[method-assign]
    logger = logging.getLogger("satsuma.access")
    logger.addHandler(handler)
    try:
        with caplog.at_level(logging.INFO, "satsuma.access"):
            transport = httpx.ASGITransport(app)
            async with httpx.AsyncClient(transport=transport, base_url="http://satsuma") as client:
                answer = await client.post(RUN, json={"text": "a secret"})
    finally:
        logger.removeHandler(handler)
    (line,) = map(json.loads, lines)
    assert line["request_id"] == answer.headers["x-request-id"]
    assert line["message"].startswith(f"POST {RUN} 200 in ")
    assert "secret" not in lines[0]
