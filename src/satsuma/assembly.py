"""The composition root: Settings -> store -> engine -> scheduler -> service."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from satsuma.engine.load import (
    LoadedModel,
    estimate_memory_bytes,
    load_model,
    models_memory_bytes,
    plan_lanes,
)
from satsuma.errors import ModelNotInstalledError
from satsuma.residency import Residency
from satsuma.scheduler.admission import Limits
from satsuma.scheduler.pace import choose_pace
from satsuma.scheduler.scheduler import OnRun, Scheduler
from satsuma.service import EmbeddingService
from satsuma.settings import Settings
from satsuma.store.local import ModelStore
from satsuma.store.manifest import ModelFiles

_LOGGER = logging.getLogger(__name__)


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
    plan = plan_lanes(settings)
    pace = choose_pace(plan.token_budget, is_on_cards=plan.is_on_cards)
    scheduler = Scheduler(num_lanes=plan.num_lanes, pace=pace, limits=limits, on_run=on_run)

    def resolve(model_id: str) -> ModelFiles:
        try:
            return models.resolve(model_id)
        except ModelNotInstalledError as error:
            raise ModelNotInstalledError(reasons.get(model_id, str(error))) from error

    def load(model_id: str) -> LoadedModel:
        published = models.catalog.published_vectors(model_id)
        model = load_model(resolve(model_id), settings, published)
        scheduler.note_rate(model.encoder, *model.warm_up())
        if plan.is_measured:
            num_tokens, spent_s = model.find_token_budget()
            _LOGGER.info("%s: microbatches of %d tokens", model_id, num_tokens)
            scheduler.note_pace(model.encoder, choose_pace(num_tokens, is_on_cards=True))
            scheduler.note_rate(model.encoder, num_tokens, spent_s)
        return model

    residency = Residency(
        load=load,
        measure=lambda id_: estimate_memory_bytes(resolve(id_), settings.precision),
        unload=lambda model: scheduler.forget(model.encoder),
        memory_budget_bytes=models_memory_bytes(settings),
    )
    return EmbeddingService(
        models.catalog, residency, scheduler, settings.deadline_s, list_models=models.list
    )
