"""The composition root: Settings -> store -> engine -> scheduler -> service."""

from __future__ import annotations

from satsuma.engine.load import LoadedModel, count_threads, load_model
from satsuma.engine.machine import total_memory_bytes
from satsuma.residency import Residency
from satsuma.scheduler.admission import Limits
from satsuma.scheduler.scheduler import Scheduler
from satsuma.service import EmbeddingService
from satsuma.settings import Settings
from satsuma.store.local import ModelStore
from satsuma.store.manifest import WEIGHTS_FILE


def assemble(settings: Settings, store: ModelStore | None = None) -> EmbeddingService:
    """Make a service; must be called in the event loop that will use it.

    Args:
        settings: everything that can be set.
        store: the models of `settings.models_dir` when None.
    """
    models = store or ModelStore(settings.models_dir)
    limits = Limits(settings.deadline_s, settings.max_waiting_tokens)
    scheduler = Scheduler(
        num_lanes=count_threads(settings), token_budget=settings.token_budget, limits=limits
    )

    def load(model_id: str) -> LoadedModel:
        published = models.catalog.published_vectors(model_id)
        model = load_model(models.resolve(model_id), settings, published)
        scheduler.note_rate(model.encoder, *model.warm_up())
        return model

    residency = Residency(
        load=load,
        measure=lambda model_id: (models.resolve(model_id).folder / WEIGHTS_FILE).stat().st_size,
        unload=lambda model: scheduler.forget(model.encoder),
        memory_budget_bytes=settings.memory_budget_bytes or total_memory_bytes() // 2,
    )
    return EmbeddingService(models.catalog, residency, scheduler, settings.deadline_s)
