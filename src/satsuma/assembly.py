"""The composition root: Settings -> store -> engine -> scheduler -> service."""

from __future__ import annotations

from collections.abc import Mapping

from satsuma.engine.load import LoadedModel, count_lanes, estimate_memory_bytes, load_model
from satsuma.engine.machine import total_memory_bytes
from satsuma.errors import ModelNotInstalledError
from satsuma.residency import Residency
from satsuma.scheduler.admission import Limits
from satsuma.scheduler.scheduler import OnRun, Scheduler
from satsuma.service import EmbeddingService
from satsuma.settings import Settings
from satsuma.store.local import ModelStore
from satsuma.store.manifest import ModelFiles


def assemble(
    settings: Settings,
    store: ModelStore | None = None,
    unavailable: Mapping[str, str] | None = None,
    on_run: OnRun | None = None,
) -> EmbeddingService:
    """Make a service.

    Args:
        settings: everything that can be set.
        store: the models of `settings.models_dir` when None.
        unavailable: what to say of models that could not be fetched, by id; one that is
            installed later is served all the same.
        on_run: told of every microbatch.
    """
    reasons = unavailable or {}
    models = store or ModelStore(settings.models_dir)
    limits = Limits(settings.deadline_s, settings.max_waiting_tokens)
    scheduler = Scheduler(
        num_lanes=count_lanes(settings),
        token_budget=settings.token_budget,
        limits=limits,
        on_run=on_run,
    )

    def resolve(model_id: str) -> ModelFiles:
        try:
            return models.resolve(model_id)
        except ModelNotInstalledError as error:
            raise ModelNotInstalledError(reasons.get(model_id, str(error))) from error

    def load(model_id: str) -> LoadedModel:
        published = models.catalog.published_vectors(model_id)
        model = load_model(resolve(model_id), settings, published)
        scheduler.note_rate(model.encoder, *model.warm_up())
        return model

    residency = Residency(
        load=load,
        measure=lambda model_id: estimate_memory_bytes(resolve(model_id)),
        unload=lambda model: scheduler.forget(model.encoder),
        memory_budget_bytes=settings.memory_budget_bytes or total_memory_bytes() // 2,
    )
    return EmbeddingService(
        models.catalog, residency, scheduler, settings.deadline_s, list_models=models.list
    )
