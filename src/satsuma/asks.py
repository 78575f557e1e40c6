"""What a request may ask of a model: vectors or scores, a prompt, a width, more outputs.

Told by the model's traits, so a job of many texts is refused before it begins.
"""

from __future__ import annotations

from satsuma.engine.load import LoadedModel, ModelTraits
from satsuma.errors import InvalidInputError
from satsuma.store.manifest import ModelManifest
from satsuma.types import EmbedRequest


def check_ask(request: EmbedRequest, model: LoadedModel, manifest: ModelManifest) -> None:
    """Refuse what this model does not do.

    Raises:
        InvalidInputError: if it gives scores and vectors are wanted, lacks the prompt or the heads,
            or was not trained for the width.
    """
    if request.query is not None and model.gives_scores:
        return
    check_vectors(model, manifest.id)
    check_dimensions(request.dimensions, model.encoder.hidden_size, manifest)
    if request.prompt_name:
        choose_prompt(request.prompt_name, model, manifest.id)
    if request.outputs:
        _check_heads(model)


def check_vectors(model: LoadedModel | ModelTraits, model_id: str) -> None:
    """Refuse to embed with a model that scores pairs of texts.

    Raises:
        InvalidInputError: if it is one.
    """
    if model.gives_scores:
        raise InvalidInputError(
            f"{model_id} scores texts beside a query and gives no vectors; send `query` and "
            "`contexts` to the run route, or `query` and `documents` to /v1/rerank"
        )


def choose_prompt(name: str | None, model: LoadedModel | ModelTraits, model_id: str) -> str:
    """Find what comes before a text: without a name the usual prompt, for "" none.

    Raises:
        InvalidInputError: if the model has no prompt of that name; the message says which it has.
    """
    if not name:
        return model.default_prompt if name is None else ""
    if name not in model.prompts:
        known = ", ".join(model.prompts) or "none"
        message = f"{model_id} has no prompt {name!r}; it has {known}"
        raise InvalidInputError(message, param="prompt_name")
    return model.prompts[name]


def check_dimensions(wanted: int | None, hidden_size: int, manifest: ModelManifest) -> None:
    """Refuse to cut vectors to a width for which the model was not trained.

    Raises:
        InvalidInputError: if so; the message says which widths there are.
    """
    if wanted is None:
        return
    widths, least = (*sorted(manifest.dimensions), hidden_size), manifest.min_dimensions
    if wanted in widths or (least and least <= wanted <= hidden_size):
        return
    message = f"`dimensions` of {manifest.id} is one of {', '.join(map(str, widths))}, not {wanted}"
    if least:
        message = f"`dimensions` of {manifest.id} is from {least} to {hidden_size}, not {wanted}"
    elif len(widths) == 1:
        message = (
            f"{manifest.id} was not trained to have its vectors cut; they have {hidden_size} "
            "dimensions, so leave `dimensions` out"
        )
    raise InvalidInputError(message, param="dimensions")


def _check_heads(model: LoadedModel) -> None:
    if model.heads is None:
        raise InvalidInputError(
            f"{model.id} has no sparse_linear.pt and colbert_linear.pt here, which `outputs` need",
            param="outputs",
        )
