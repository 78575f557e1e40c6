"""`satsuma deploy ray` on a cluster of two nodes: the same answers, and a node that is killed."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
from support.postgres import Cluster
from support.program import Server, environment, serving
from support.ray_cluster import (
    Deployed,
    Node,
    RayCluster,
    deploy,
    free_port,
    need_ray_nodes,
    ray_cluster,
)

from satsuma import Ai

ALL_MINILM = "@hf/sentence-transformers/all-minilm-l6-v2"
NUM_REQUESTS = 120
NUM_CLIENTS = 8
VARYING = {"date", "server", "server-timing", "content-length", "x-request-id", "cf-ai-req-id"}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The home of everything here, so that the weights are packed once."""
    need_ray_nodes()
    return tmp_path_factory.mktemp("ray")


@dataclass
class Place:
    """A cluster, and what is deployed there until a test removes it."""

    cluster: RayCluster
    flags: tuple[str, ...]
    port: int
    deployed: Deployed | None = None


@pytest.fixture(scope="module")
def place(home: Path, postgres: Cluster) -> Iterator[Place]:
    """Two nodes of a core each; calls go to the head."""
    queue = ("--queue-url", postgres.new_queue(), "--queue-lease-s", "3")
    flags = ("--model", ALL_MINILM, "--min-replicas", "2", "--drain-s", "20", *queue)
    with ray_cluster(environment(home)) as cluster:
        _add_node(cluster)
        yield Place(cluster, flags, free_port())


@pytest.fixture
def deployed(place: Place) -> Deployed:
    """A replica and a gateway on either node; anew, if the last test removed them."""
    if place.deployed is None:
        _revive(place.cluster)
        place.deployed = deploy(place.cluster, *place.flags, port=place.port)
    return place.deployed


@pytest.fixture
def doomed(deployed: Deployed) -> Node:
    """A node with a replica and a gateway, for the test to kill."""
    return _revive(deployed.cluster)


def _revive(cluster: RayCluster) -> Node:
    """Give the second node; another one, if it was killed."""
    node = cluster.nodes[-1]
    return _add_node(cluster) if node.is_killed else node


def _add_node(cluster: RayCluster) -> Node:
    return cluster.add_node(RAY_SERVE_WORKER_PROXY_HTTP_PORT=str(free_port()))


@pytest.fixture(scope="module")
def server(home: Path) -> Iterator[Server]:
    """A plain server beside it."""
    with serving("--model", ALL_MINILM, env=environment(home)) as running:
        yield running


@dataclass(frozen=True)
class Call:
    """A request that both get."""

    name: str
    method: str
    path: str
    body: str | None = None


RUN = f"/client/v4/accounts/me/ai/run/{ALL_MINILM}"
CALLS = [
    Call("a text", "POST", RUN, '{"text": "hello world"}'),
    Call("texts", "POST", RUN, '{"text": ["hello world", "another"], "pooling": "cls"}'),
    Call("no JSON", "POST", RUN, '{"text": '),
    Call("no text", "POST", RUN, '{"text": []}'),
    Call("too much", "POST", RUN, '{"text": "' + "x" * 10_000_001 + '"}'),
    Call("no model", "POST", "/client/v4/accounts/me/ai/run/@cf/acme/none", '{"text": "x"}'),
    Call(
        "no weights",
        "POST",
        "/client/v4/accounts/me/ai/run/@cf/baai/bge-base-en-v1.5",
        '{"text": "x"}',
    ),
    Call("no route", "GET", "/nowhere"),
    Call("no method", "PUT", RUN, "{}"),
    Call("a list", "GET", "/client/v4/accounts/me/ai/models/search?per_page=3"),
    Call("OpenAI", "POST", "/v1/embeddings", f'{{"model": "{ALL_MINILM}", "input": "hi"}}'),
    Call("ready", "GET", "/ready"),
    Call("health", "GET", "/health"),
    Call("schema", "GET", f"/client/v4/accounts/me/ai/models/schema?model={ALL_MINILM}"),
]


_COMES_AGAIN = 60


def ask(url: str, call: Call) -> requests.Response:
    """Call, and come again where the answer says when: another test may just have lost a node."""
    for _ in range(_COMES_AGAIN):
        answer = requests.request(call.method, url + call.path, data=call.body, timeout=60)
        if answer.status_code != 503 or "retry-after" not in answer.headers:
            break
        time.sleep(float(answer.headers["retry-after"]))
    return answer


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.name)
def test_answers_as_serve_does(deployed: Deployed, server: Server, call: Call) -> None:
    """Status, headers and body; but for what differs between two calls of one server."""
    ours, its = (ask(one.url, call) for one in (deployed, server))
    assert ours.status_code == its.status_code
    assert comparable_headers(ours) == comparable_headers(its)
    assert comparable_body(ours) == comparable_body(its)


def comparable_headers(reply: requests.Response) -> dict[str, str]:
    """Give the headers that should be alike."""
    headers = {name.lower(): value for name, value in reply.headers.items()}
    assert headers["x-request-id"].count("-") == 4, "one uuid"
    return {name: value for name, value in headers.items() if name not in VARYING}


def comparable_body(reply: requests.Response) -> str:
    """Give the body without the request's id."""
    return reply.text.replace(reply.headers["x-request-id"], "ID")


def test_a_killed_node_costs_no_request(deployed: Deployed, doomed: Node) -> None:
    """Each gets one answer, of 200 and with its own vector, while a node with a replica dies."""
    texts = [f"text number {number} " + "word " * 60 for number in range(NUM_REQUESTS)]
    url = deployed.run_url(ALL_MINILM)
    is_halfway = threading.Event()
    answers: list[Any] = [None] * NUM_REQUESTS

    def ask(number: int) -> None:
        reply = requests.post(url, json={"text": texts[number]}, timeout=120)
        assert answers[number] is None
        answers[number] = (reply.status_code, reply.json())
        if number >= NUM_REQUESTS // 3:
            is_halfway.set()

    with ThreadPoolExecutor(NUM_CLIENTS) as clients:
        calls = [clients.submit(ask, number) for number in range(NUM_REQUESTS)]
        assert is_halfway.wait(60)
        doomed.kill()
        for call in calls:
            call.result()
    assert [status for status, _ in answers] == [200] * NUM_REQUESTS
    vectors = [answer["result"]["data"][0] for _, answer in answers]
    np.testing.assert_allclose(vectors, expected(texts), atol=1e-6)


def test_a_killed_node_costs_no_queued_request(deployed: Deployed, doomed: Node) -> None:
    """Whatever its gateway had taken of the queue, another one takes; each is answered once."""
    texts = [f"queued text number {number} " + "word " * 60 for number in range(NUM_REQUESTS)]
    asked = {"requests": [{"text": one, "external_reference": one} for one in texts]}
    url = deployed.run_url(ALL_MINILM) + "?queueRequest=true"
    request_id = requests.post(url, json=asked, timeout=60).json()["result"]["request_id"]
    while (answer := poll(url, request_id))["status"] == "queued":
        time.sleep(0.05)
    doomed.kill()
    while (answer := poll(url, request_id)).get("status"):
        time.sleep(0.2)
    responses = {one["external_reference"]: one for one in answer["responses"]}
    assert len(answer["responses"]) == len(responses) == NUM_REQUESTS
    vectors = [responses[one]["result"]["data"][0] for one in texts]
    np.testing.assert_allclose(vectors, expected(texts), atol=1e-6)


def poll(url: str, request_id: str) -> Any:
    """Ask how far a job is, or for its answers; while a node is being missed, again."""
    while True:
        reply = requests.post(url, json={"request_id": request_id}, timeout=60)
        if reply.status_code != 503:
            return reply.json()["result"]
        time.sleep(0.2)


def expected(texts: list[str]) -> Any:
    """Embed in this process."""
    with Ai() as ai:
        return ai.run(ALL_MINILM, {"text": texts})["data"]


def test_another_port_than_serves_own_is_refused(place: Place, deployed: Deployed) -> None:
    """The command does not say that it is ready where nobody listens."""
    cluster, other = deployed.cluster, ("--port", str(free_port()))
    done = cluster.satsuma("deploy", "ray", "--address", cluster.address, *other, *place.flags)
    assert done.returncode == 1
    assert f"Serve runs on this cluster already, at 127.0.0.1:{place.port}" in done.stderr
    assert requests.get(f"{deployed.url}/ready", timeout=60).status_code == 200


def test_a_removed_deployment_finishes_what_it_took(place: Place, deployed: Deployed) -> None:
    """Callers get answers until they are told to go elsewhere, and nothing but these two."""
    url, cluster = deployed.run_url(ALL_MINILM), deployed.cluster
    body = {"text": ["word " * 250] * 4}

    def call_until_refused() -> list[requests.Response]:
        replies = [requests.post(url, json=body, timeout=60)]
        while replies[-1].status_code == 200:
            replies.append(requests.post(url, json=body, timeout=60))
        return replies

    place.deployed = None
    with ThreadPoolExecutor(NUM_CLIENTS) as clients:
        calls = [clients.submit(call_until_refused) for _ in range(NUM_CLIENTS)]
        done = cluster.satsuma("deploy", "remove", "--address", cluster.address)
        refused = [call.result()[-1] for call in calls]
    assert done.returncode == 0, done.stderr
    assert {(one.status_code, one.json()["errors"][0]["code"]) for one in refused} == {(503, 3040)}
    assert deployed.status()["status"] == "NOT_DEPLOYED"
