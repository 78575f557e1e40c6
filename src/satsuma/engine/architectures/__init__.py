"""config.json -> which encoder it is: one file a family, and the list of them.

A family's file reads the numbers, names the tensors in their roles, and lists the steps. Nothing
here reads weights or knows a kernel. docs/adding-an-architecture.md walks through one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from satsuma.engine.architectures import bert, gemma3, modernbert, nomic, qwen3, xlm_roberta
from satsuma.engine.architectures.blueprint import EncoderConfig
from satsuma.engine.architectures.numbers import require
from satsuma.errors import UnsupportedModelError

_Parse = Callable[[Mapping[str, Any]], EncoderConfig]

# What a file raises whose members are of other kinds than a model's own.
_ODD: Final = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)

_FAMILIES: dict[str, _Parse] = {
    **dict.fromkeys(bert.MODEL_TYPES, bert.parse),
    **dict.fromkeys(xlm_roberta.MODEL_TYPES, xlm_roberta.parse),
    **dict.fromkeys(qwen3.MODEL_TYPES, qwen3.parse),
    **dict.fromkeys(gemma3.MODEL_TYPES, gemma3.parse),
    **dict.fromkeys(modernbert.MODEL_TYPES, modernbert.parse),
    **dict.fromkeys(nomic.MODEL_TYPES, nomic.parse),
}

SUPPORTED_MODEL_TYPES = tuple(_FAMILIES)

# Whose published models come with code that a file here says again; other code is unknown.
_WITH_CODE = nomic.MODEL_TYPES
_CLASSIFIER = "ForSequenceClassification"


def parse_config(config: Mapping[str, Any]) -> EncoderConfig:
    """Read config.json's numbers.

    Raises:
        UnsupportedModelError: if the architecture is not supported, or something in it; the
            message says what, and what is supported.
    """
    model_type = config.get("model_type")
    require("model_type", model_type, SUPPORTED_MODEL_TYPES)
    try:
        _check_code(config)
        encoder = _FAMILIES[str(model_type)](config)
        _check_head(config, encoder)
    except _ODD as error:
        raise UnsupportedModelError(f"config.json cannot be understood: {error!r}.") from error
    return encoder


def _check_code(config: Mapping[str, Any]) -> None:
    """Refuse a model that is loaded by code of its own: it may compute anything."""
    code = config.get("auto_map") or {}
    names = [code[key] for key in code if key.startswith("AutoModel")]
    if names and config.get("model_type") not in _WITH_CODE:
        raise UnsupportedModelError(
            f"config.json has its model computed by code that comes with it ({names[0]}), which "
            "satsuma does not run."
        )


def _check_head(config: Mapping[str, Any], encoder: EncoderConfig) -> None:
    """Refuse a classifier of a family that has no head here: it would give vectors of no use."""
    names = config.get("architectures") or ()
    head = next((name for name in names if name.endswith(_CLASSIFIER)), None)
    if head is not None and not encoder.gives_scores:
        raise UnsupportedModelError(
            f"config.json has the classifier {head}. Of classifiers, satsuma runs those of "
            f"{', '.join(xlm_roberta.MODEL_TYPES)}."
        )
