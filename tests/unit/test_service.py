"""The service and its residency, on fake encoders: limits, sharing, loading and unloading."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable

import numpy as np
import pytest

from satsuma.engine.load import FakeEncoder, LoadedModel
from satsuma.engine.pooling import cut
from satsuma.engine.protocol import Microbatch, Width
from satsuma.engine.tokenizer import Tokenizer
from satsuma.errors import (
    DeadlineExceededError,
    EngineError,
    InvalidInputError,
    ModelNotFoundError,
    SatsumaError,
    ShuttingDownError,
    UnsupportedModelError,
    WeightsChangedError,
)
from satsuma.residency import Residency
from satsuma.scheduler.admission import Limits
from satsuma.scheduler.pace import Pace
from satsuma.scheduler.scheduler import Scheduler
from satsuma.service import EmbeddingService
from satsuma.store.catalog import Catalog, bundled_catalog
from satsuma.store.local import ModelStatus
from satsuma.store.manifest import ModelFiles, ModelManifest
from satsuma.types import EmbedRequest, FloatArray, Pooling, TokenOutput

HELLO_WORLD = 4  # tokens
TRAINED = ModelManifest("@local/trained", "", "", (), dimensions=(2, 1))


class Bench:
    """A service over fake encoders, and what happened to them."""

    def __init__(self, tokenizer: Tokenizer, deadline_s: float, budget_bytes: int) -> None:
        """Put a service together from real parts and fake encoders."""
        catalog = Catalog((*bundled_catalog().manifests, TRAINED))
        self.tokenizer = tokenizer
        self.encoders: dict[str, FakeEncoder] = {}
        self.loads: list[str] = []
        self.unloads: list[str] = []
        self.missing: dict[str, SatsumaError] = {}
        self.failing: dict[str, SatsumaError] = {}
        self.scheduler = Scheduler(num_lanes=2, pace=Pace(64), limits=Limits(deadline_s, 0))
        self.residency = Residency(
            load=self.load,
            measure=self.measure,
            unload=lambda model: self.unloads.append(model.id),
            memory_budget_bytes=budget_bytes,
        )
        self.service = EmbeddingService(catalog, self.residency, self.scheduler, deadline_s)

    def measure(self, model_id: str) -> int:
        """Tell a size, unless the model is not here."""
        if model_id in self.missing:
            raise self.missing[model_id]
        return 1000

    def load(self, model_id: str) -> LoadedModel:
        """Load slowly enough for others to ask meanwhile."""
        self.loads.append(model_id)
        time.sleep(0.05)
        if model_id in self.failing:
            raise self.failing[model_id]
        encoder = self.encoders.setdefault(model_id, FakeEncoder())
        return LoadedModel(model_id, encoder, self.tokenizer, Pooling.MEAN)


MakeBench = Callable[..., Bench]


@pytest.fixture
async def make_bench(all_minilm_files: ModelFiles) -> AsyncIterator[MakeBench]:
    """Make benches that are closed at the end."""
    tokenizer = Tokenizer(all_minilm_files.folder / "tokenizer.json", 256)
    made: list[Bench] = []

    def make(deadline_s: float = 30.0, budget_bytes: int = 10_000) -> Bench:
        made.append(Bench(tokenizer, deadline_s, budget_bytes))
        return made[-1]

    yield make
    for bench in made:
        await bench.service.close()


def ask(*texts: str, model: str = "@local/a", pooling: Pooling | None = None) -> EmbedRequest:
    """A request."""
    return EmbedRequest(model, texts, pooling)


async def test_usage_counts_every_texts_tokens(make_bench: MakeBench) -> None:
    """[CLS] and [SEP] included, and truncated texts as far as they were read."""
    result = await make_bench().service.embed(ask("hello world", "word " * 1000))
    assert result.usage.prompt_tokens == HELLO_WORLD + 256
    assert result.usage.total_tokens == result.usage.prompt_tokens
    assert result.num_truncated == 1


async def test_pooling_defaults_to_the_models(make_bench: MakeBench) -> None:
    """And a request may ask for another."""
    service = make_bench().service
    assert (await service.embed(ask("a"))).pooling is Pooling.MEAN
    assert (await service.embed(ask("a", pooling=Pooling.CLS))).pooling is Pooling.CLS


async def test_a_request_may_have_its_vectors_as_they_were_pooled(make_bench: MakeBench) -> None:
    """Beside another that wants unit length, in one microbatch perhaps."""
    service = make_bench().service
    requests = [
        EmbedRequest("@local/a", ("hello world",), None, None, one) for one in (True, False)
    ]
    unit, pooled = await asyncio.gather(*map(service.embed, requests))
    assert np.linalg.norm(unit.vectors) == pytest.approx(1.0)
    np.testing.assert_array_equal(pooled.vectors[0][[0, 2, 3]], [1.0, 1.5, 0.0])


@pytest.mark.parametrize("texts", [(), ("",), ("a", "")])
async def test_empty_texts_are_refused(make_bench: MakeBench, texts: tuple[str, ...]) -> None:
    """Before anything is loaded."""
    bench = make_bench()
    with pytest.raises(InvalidInputError):
        await bench.service.embed(ask(*texts))
    assert bench.loads == []


@pytest.mark.parametrize("model", ["@cf/acme/unknown", "nonsense", "@local/../x", ""])
async def test_an_unknown_model_is_not_found(make_bench: MakeBench, model: str) -> None:
    """Without loading anything."""
    with pytest.raises(ModelNotFoundError):
        await make_bench().service.embed(ask("a", model=model))


async def test_concurrent_requests_load_a_model_once(make_bench: MakeBench) -> None:
    """Everyone waits for the same load."""
    bench = make_bench()
    await asyncio.gather(*(bench.service.embed(ask("a")) for _ in range(20)))
    assert bench.loads == ["@local/a"]
    assert (await bench.service.readiness()).models == ("@local/a",)


async def test_a_failed_load_fails_its_requests_only(make_bench: MakeBench) -> None:
    """Others are answered, and the next request tries again."""
    bench = make_bench()
    bench.failing["@local/b"] = UnsupportedModelError("no")
    bad, good = await asyncio.gather(
        bench.service.embed(ask("a", model="@local/b")),
        bench.service.embed(ask("a")),
        return_exceptions=True,
    )
    assert isinstance(bad, UnsupportedModelError)
    assert not isinstance(good, BaseException)
    del bench.failing["@local/b"]
    await bench.service.embed(ask("a", model="@local/b"))


async def test_a_caller_that_goes_away_does_not_stop_a_load(make_bench: MakeBench) -> None:
    """Somebody else may be waiting for it."""
    bench = make_bench()
    gone = asyncio.create_task(bench.service.embed(ask("a")))
    stays = asyncio.create_task(bench.service.embed(ask("b")))
    await asyncio.sleep(0.01)
    gone.cancel()
    assert (await stays).vectors.shape == (1, 4)
    assert bench.loads == ["@local/a"]


async def test_the_least_recently_used_model_goes(make_bench: MakeBench) -> None:
    """Within the memory budget two stay; the third takes the place of the oldest."""
    bench = make_bench(budget_bytes=2000)
    for model in ("@local/a", "@local/b", "@local/a", "@local/c"):
        await bench.service.embed(ask("x", model=model))
    assert bench.unloads == ["@local/b"]
    assert (await bench.service.readiness()).models == ("@local/a", "@local/c")


async def test_a_model_in_use_is_not_unloaded(make_bench: MakeBench) -> None:
    """The newcomer waits until it is idle, and both are answered."""
    bench = make_bench(budget_bytes=1000)
    bench.encoders["@local/a"] = FakeEncoder(delay_s=0.3)
    first, second = await asyncio.gather(
        bench.service.embed(ask("x")), bench.service.embed(ask("x", model="@local/b"))
    )
    np.testing.assert_array_equal(first.vectors, second.vectors)
    assert bench.unloads == ["@local/a"]


async def test_a_newcomer_is_served_under_steady_traffic_of_another_model(
    make_bench: MakeBench,
) -> None:
    """A model that is never idle finishes what it has, and lets the other in."""
    bench = make_bench(budget_bytes=1000)
    bench.encoders["@local/a"] = FakeEncoder(delay_s=0.01)
    is_over = asyncio.Event()

    async def client() -> None:
        while not is_over.is_set():
            await bench.service.embed(ask("x"))

    clients = [asyncio.create_task(client()) for _ in range(4)]
    await asyncio.sleep(0.2)
    async with asyncio.timeout(5):
        await bench.service.embed(ask("x", model="@local/b"))
    is_over.set()
    await asyncio.gather(*clients)


async def test_a_model_that_is_not_here_fails_at_once(make_bench: MakeBench) -> None:
    """Also while every place is taken by busy models."""
    bench = make_bench(budget_bytes=1000)
    bench.encoders["@local/a"] = FakeEncoder(delay_s=0.5)
    busy = asyncio.create_task(bench.service.embed(ask("x")))
    await asyncio.sleep(0.2)
    bench.missing["@local/b"] = ModelNotFoundError("not here")
    started_at_s = time.perf_counter()
    with pytest.raises(ModelNotFoundError, match="not here"):
        await bench.service.embed(ask("x", model="@local/b"))
    assert time.perf_counter() - started_at_s < 0.3
    await busy


async def test_close_within_a_limit(make_bench: MakeBench) -> None:
    """A stuck engine does not keep the service from saying that it has not ended."""
    bench = make_bench()
    bench.encoders["@local/a"] = FakeEncoder(delay_s=1.0)
    stuck = asyncio.create_task(bench.service.embed(ask("x")))
    await asyncio.sleep(0.2)
    assert not await bench.service.close(timeout_s=0.05)
    await stuck


async def test_one_model_is_always_allowed(make_bench: MakeBench) -> None:
    """Even above the budget: refusing it would refuse it for ever."""
    await make_bench(budget_bytes=1).service.embed(ask("x"))


async def test_the_deadline_holds(make_bench: MakeBench) -> None:
    """A slow engine is not waited for, and what is left costs no more."""
    bench = make_bench(deadline_s=0.2)
    bench.encoders["@local/a"] = FakeEncoder(delay_s=0.5)
    with pytest.raises(DeadlineExceededError, match=r"0\.2 s"):
        await bench.service.embed(ask("x"))
    await asyncio.sleep(0.6)
    assert bench.scheduler.room().waiting_tokens == 0


async def test_a_cancelled_request_leaves_the_queue(make_bench: MakeBench) -> None:
    """A client that disconnects frees its place."""
    bench = make_bench()
    bench.encoders["@local/a"] = FakeEncoder(delay_s=0.1)
    await bench.service.embed(ask("x"))
    many = asyncio.create_task(bench.service.embed(ask(*["word " * 60] * 50)))
    await asyncio.sleep(0.15)
    many.cancel()
    await asyncio.sleep(0.3)
    assert bench.scheduler.room().waiting_tokens == 0
    assert len(bench.encoders["@local/a"].runs) < 10


async def test_readiness_says_why_not(make_bench: MakeBench) -> None:
    """Nothing is loaded at first."""
    readiness = await make_bench().service.readiness()
    assert not readiness.is_ready
    assert readiness.reason == "no model is loaded"


class LostEncoder(FakeEncoder):
    """Its device failed for good."""

    num_cuts = 0
    trouble = "cuda:0 failed for good"

    def free_memory(self) -> None:
        """There is nothing to give."""


async def test_a_lost_device_is_not_ready(make_bench: MakeBench) -> None:
    """Every request would fail, and jobs had better go to another server."""
    bench = make_bench()
    bench.encoders["@local/b"] = LostEncoder()
    await bench.service.load("@local/a")
    assert not bench.service.is_stuck
    await bench.service.load("@local/b")
    readiness = await bench.service.readiness()
    assert (readiness.is_ready, readiness.reason) == (False, "cuda:0 failed for good")
    assert bench.service.is_stuck


async def test_a_closed_service_refuses(make_bench: MakeBench) -> None:
    """New requests hear that the server is stopping."""
    bench = make_bench()
    await bench.service.embed(ask("x"))
    bench.scheduler.close()
    with pytest.raises(ShuttingDownError):
        await bench.service.embed(ask("x"))


async def test_long_texts_do_not_block_the_loop(make_bench: MakeBench) -> None:
    """Tokenising happens in another thread while the loop goes on."""
    bench = make_bench()
    await bench.service.load("@local/a")
    big = asyncio.create_task(bench.service.embed(ask(*["漢字 " * 20_000] * 100)))
    longest_s, last_s = 0.0, time.perf_counter()
    while not big.done():
        await asyncio.sleep(0.001)
        now_s = time.perf_counter()
        longest_s, last_s = max(longest_s, now_s - last_s), now_s
    await big
    assert longest_s < 0.25


async def test_an_engine_error_reaches_its_request(make_bench: MakeBench) -> None:
    """As EngineError, with the engine's own words."""
    bench = make_bench()
    bench.encoders["@local/a"] = FakeEncoder(poison_id=7592)
    with pytest.raises(EngineError, match="poison"):
        await bench.service.embed(ask("hello"))


async def test_listing_models_is_shared_by_who_asks_meanwhile(make_bench: MakeBench) -> None:
    """A thousand clients do not start a thousand threads; the next one sees what is new."""
    bench = make_bench()
    looks: list[int] = []

    def look() -> tuple[ModelStatus, ...]:
        time.sleep(0.05)
        looks.append(1)
        return ()

    bench.service._list_models = look
    await asyncio.gather(*(bench.service.models() for _ in range(100)))
    assert len(looks) == 1
    await bench.service.models()
    assert len(looks) == 2


async def test_token_ids_stand_for_their_text(make_bench: MakeBench) -> None:
    """The same vector, and the same count."""
    service = make_bench().service
    text = await service.embed(ask("hello world"))
    ids = await service.embed(EmbedRequest("@local/a", ((7592, 2088),)))
    np.testing.assert_array_equal(ids.vectors, text.vectors)
    assert ids.usage.prompt_tokens == HELLO_WORLD


async def test_an_unknown_token_id_is_refused(make_bench: MakeBench) -> None:
    """And the room that was reserved for it is given back."""
    service = make_bench().service
    for _ in range(3):
        with pytest.raises(InvalidInputError, match="100277") as caught:
            await service.embed(EmbedRequest("@local/a", ((100277,),)))
    assert caught.value.param == "input"
    assert (await service.embed(ask("a"))).vectors.shape[0] == 1


async def test_vectors_are_cut_where_the_model_was_trained_for_it(make_bench: MakeBench) -> None:
    """To the widths that it was trained for, its own among them."""
    service = make_bench().service
    whole = await service.embed(ask("hello", model=TRAINED.id))
    hidden_size = whole.vectors.shape[1]
    for dimensions in (1, 2, hidden_size):
        request = EmbedRequest(TRAINED.id, ("hello",), dimensions=dimensions)
        vectors = (await service.embed(request)).vectors
        np.testing.assert_allclose(vectors, cut(whole.vectors, dimensions), atol=1e-6)


@pytest.mark.parametrize(
    ("model", "dimensions", "message"),
    [
        ("@local/a", 2, "was not trained to have its vectors cut"),
        (TRAINED.id, 3, "is one of 1, 2, "),
        (TRAINED.id, 10_000, "is one of 1, 2, "),
    ],
)
async def test_other_dimensions_are_refused(
    make_bench: MakeBench, model: str, dimensions: int, message: str
) -> None:
    """Half a vector of a model that was not trained for it means little."""
    with pytest.raises(InvalidInputError, match=message) as caught:
        await make_bench().service.embed(EmbedRequest(model, ("a",), dimensions=dimensions))
    assert caught.value.param == "dimensions"


async def test_texts_are_located_by_the_models_own_tokenizer(make_bench: MakeBench) -> None:
    """Which loads the model; short texts and long ones alike."""
    service = make_bench().service
    short, long = await service.tokenize("@cf/baai/bge-base-en-v1.5", ["hello world", "a " * 5_000])
    assert (short.num_tokens, short.spans) == (HELLO_WORLD, ((0, 5), (6, 11)))
    assert (long.num_tokens, long.is_truncated) == (256, True)


@pytest.mark.parametrize("texts", [[], ["a" * 200_001], ["a" * 100_000] * 3])
async def test_too_much_is_not_located(make_bench: MakeBench, texts: list[str]) -> None:
    """It waits in no queue, so it must be little work."""
    with pytest.raises(InvalidInputError, match="200000 characters"):
        await make_bench().service.tokenize("@cf/baai/bge-base-en-v1.5", texts)


async def test_stats_tell_of_models_and_requests(make_bench: MakeBench) -> None:
    """What is loaded, and what was answered, refused or failed."""
    bench = make_bench()
    assert (await bench.service.stats()).models == ()
    request = EmbedRequest("@cf/baai/bge-base-en-v1.5", ("hello world",))
    await bench.service.embed(request)
    bench.missing["@cf/baai/bge-small-en-v1.5"] = UnsupportedModelError("no")
    with pytest.raises(UnsupportedModelError):
        await bench.service.embed(EmbedRequest("@cf/baai/bge-small-en-v1.5", ("x",)))
    stats = await bench.service.stats()
    assert [(one.id, one.max_tokens) for one in stats.models] == [(request.model, 256)]
    assert (stats.activity.answered, stats.activity.failed) == (1, 1)
    assert stats.activity.latency is not None
    assert stats.waiting.waiting_tokens == 0
    assert stats.uptime_s > 0


class HarmedEncoder(FakeEncoder):
    """One whose weights have changed on the disk, after each of its first loads."""

    def __init__(self, loads: list[str], num_bad: int) -> None:
        """Look at the loads so far, of which so many are bad."""
        super().__init__()
        self._loads = loads
        self._num_bad = num_bad

    def encode(self, microbatch: Microbatch, width: Width) -> FloatArray:
        """Notice, or run."""
        if len(self._loads) <= self._num_bad:
            raise WeightsChangedError("weights was written to while it was in use.")
        return super().encode(microbatch, width)


async def test_weights_that_change_are_loaded_anew(make_bench: MakeBench) -> None:
    """The request that noticed is answered from the new ones, and so are all that follow."""
    bench = make_bench()
    bench.encoders["@local/a"] = HarmedEncoder(bench.loads, num_bad=1)
    results = await asyncio.gather(*(bench.service.embed(ask("x")) for _ in range(4)))
    assert len({result.vectors.tobytes() for result in results}) == 1
    assert (bench.loads, bench.unloads) == (["@local/a"] * 2, ["@local/a"])
    assert (await bench.service.readiness()).models == ("@local/a",)


async def test_weights_that_change_again_and_again_fail_the_request(make_bench: MakeBench) -> None:
    """Nobody waits for ever."""
    bench = make_bench()
    bench.encoders["@local/a"] = HarmedEncoder(bench.loads, num_bad=2)
    with pytest.raises(WeightsChangedError):
        await bench.service.embed(ask("x"))
    assert (await bench.service.embed(ask("x"))).vectors.shape == (1, 4)


async def test_a_query_may_be_answered_in_its_callers_thread(make_bench: MakeBench) -> None:
    """Once its model is loaded, with what the usual way gives."""
    service = make_bench().service
    request = ask("hello world", pooling=Pooling.CLS)
    assert service.embed_here(request) is None
    usual = await service.embed(request)
    here = service.embed_here(request)
    assert here is not None
    np.testing.assert_array_equal(here.vectors, usual.vectors)
    assert (here.pooling, here.usage, here.precision) == (
        usual.pooling,
        usual.usage,
        usual.precision,
    )


@pytest.mark.parametrize(
    "request_",
    [
        ask(),
        ask("a", ""),
        ask("a " * 200),
        ask("a", model="@local/b"),
        EmbedRequest("@local/a", ("a",), is_background=True),
        EmbedRequest("@local/a", ("a",), outputs=tuple(TokenOutput)),
    ],
)
async def test_all_else_takes_the_usual_way(make_bench: MakeBench, request_: EmbedRequest) -> None:
    """Whatever is no query, or of a model that is not loaded."""
    bench = make_bench()
    await bench.service.embed(ask("x"))
    assert bench.service.embed_here(request_) is None
    assert len(bench.encoders["@local/a"].runs) == 1


async def test_refusals_are_the_same_in_the_callers_thread(make_bench: MakeBench) -> None:
    """Of what the model does not do, and of a model that there is not."""
    service = make_bench().service
    await service.embed(ask("x"))
    with pytest.raises(InvalidInputError, match="dimensions"):
        service.embed_here(EmbedRequest("@local/a", ("a",), dimensions=3))
    with pytest.raises(ModelNotFoundError):
        service.embed_here(ask("a", model="nonsense"))


async def test_a_model_on_its_way_out_takes_no_callers(make_bench: MakeBench) -> None:
    """While the last of its users is waited for, as for whoever asks the usual way."""
    bench = make_bench(budget_bytes=1000)
    async with bench.residency.use("@local/a"):
        assert bench.service.embed_here(ask("x")) is not None
        newcomer = asyncio.create_task(bench.service.load("@local/b"))
        await asyncio.sleep(0.05)
        assert bench.service.embed_here(ask("x")) is None
    await newcomer
    assert bench.service.embed_here(ask("x")) is None
    assert bench.service.embed_here(ask("x", model="@local/b")) is not None


async def test_pytorch_runs_in_no_callers_thread(make_bench: MakeBench) -> None:
    """The thread may have autocast on, say."""
    bench = make_bench()
    bench.encoders["@local/a"] = LostEncoder()
    await bench.service.load("@local/a")
    assert bench.service.embed_here(ask("x")) is None


async def test_changed_weights_are_not_used_in_the_callers_thread(make_bench: MakeBench) -> None:
    """The usual way loads them anew."""
    bench = make_bench()
    bench.encoders["@local/a"] = HarmedEncoder(bench.loads, num_bad=1)
    await bench.service.load("@local/a")
    assert bench.service.embed_here(ask("x")) is None
    await bench.service.embed(ask("x"))
    assert bench.loads == ["@local/a"] * 2
    assert bench.service.embed_here(ask("x")) is not None
