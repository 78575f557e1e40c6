"""What a model folder's small files decide: limits, pooling, dense layers, normalisation, prompts.

Knows JSON keys; does not know what a tensor is. Each decision keeps the name of the file that it
came from, so that `satsuma models info` can show it.

Source: the files of sentence-transformers, https://sbert.net/docs/sentence_transformer/usage/custom_models.html
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from satsuma.errors import UnsupportedModelError
from satsuma.types import Pooling

_CONFIG = "config.json"
_MODULES = "modules.json"
# The first is usual; older models have one that is named after their family.
LENGTHS_FILES = tuple(
    f"sentence_{family}_config.json" for family in ("bert", "roberta", "xlm-roberta", "camembert")
)
_PROMPTS = "config_sentence_transformers.json"
_TOKENIZER = "tokenizer_config.json"
_USUAL_POOLING = "1_Pooling"  # where modules.json does not say
_MODULE_KINDS = ("Transformer", "Pooling", "Dense", "Normalize")
_OWN_MODULES = "sentence_transformers."  # others come with code of their own
_ORDER = re.compile("Transformer( Pooling)?( Dense)*( Normalize)?")
# Older files have a flag for each mode, newer ones a name.
_POOLING_FLAGS = {
    "pooling_mode_mean_tokens": Pooling.MEAN,
    "pooling_mode_cls_token": Pooling.CLS,
    "pooling_mode_lasttoken": Pooling.LAST_TOKEN,
}
_POOLING_NAMES = {
    "mean": Pooling.MEAN,
    "cls": Pooling.CLS,
    "lasttoken": Pooling.LAST_TOKEN,
}
_ACTIVATIONS = {"Identity": "identity", "Tanh": "tanh", "GELU": "gelu", "ReLU": "relu"}
# What an engine's family may need a word here for: docs/adding-an-architecture.md.
_OFFSETS = ("xlm-roberta", "roberta", "camembert")  # they number positions from beyond the padding
_POSITIONS = ("max_position_embeddings", "max_trained_positions")  # the second is Nomic's
_CLASSIFIER = "ForSequenceClassification"
_MOST = 1 << 24  # of anything that a file counts; more is a mistake, or a trap


@dataclass(frozen=True, slots=True)
class DenseFacts:
    """A dense layer of sentence-transformers: `<folder>/model.safetensors` has its weights.

    Attributes:
        folder: below the model's.
        in_width: of its input.
        out_width: of its output.
        has_bias: whether there is a bias.
        activation: what follows, as `engine.architectures` spells it.
    """

    folder: str
    in_width: int
    out_width: int
    has_bias: bool
    activation: str


@dataclass(frozen=True, slots=True)
class FolderFacts:
    """What a folder's own JSON files tell.

    Attributes:
        model_type: config.json's, such as `bert`; "" if it has none.
        hidden_size: width of a vector; 0 if untold, or if there are none.
        max_tokens: longest item; 0 if untold.
        pooling: None if untold.
        lowercases: whether texts are put into lower case, whatever the tokenizer itself does.
        denses: layers that follow the pooling, in order.
        is_normalized: whether vectors are scaled to length 1; also where no file tells.
        prompts: what comes before a text, by the name of its use, such as `query`.
        default_prompt: the use of a text of which nothing is said; "" for none.
        gives_scores: whether it is a classifier, which gives scores and no vectors.
        sources: the file that each of these came from.
    """

    model_type: str
    hidden_size: int
    max_tokens: int
    pooling: Pooling | None
    lowercases: bool = False
    denses: tuple[DenseFacts, ...] = ()
    is_normalized: bool = True
    prompts: Mapping[str, str] = field(default_factory=dict)
    default_prompt: str = ""
    gives_scores: bool = False
    sources: Mapping[str, str] = field(default_factory=dict)


def read_facts(folder: Path) -> FolderFacts:
    """Read what the JSON files of a folder tell of its model.

    Raises:
        UnsupportedModelError: if one of them is not a JSON object, or asks for a pooling or
            another part that satsuma does not do.
    """
    config, modules = _read_json(folder, _CONFIG), _read_modules(folder)
    lengths_file = next((one for one in LENGTHS_FILES if (folder / one).is_file()), "")
    lengths = _read_json(folder, lengths_file) if lengths_file else {}
    prompts = _read_json(folder, _PROMPTS)
    pooling_folder = next((path for kind, path in modules if kind == "Pooling"), _USUAL_POOLING)
    pooling = _read_pooling(folder, f"{pooling_folder}/{_CONFIG}")
    denses = tuple(_read_dense(folder, path) for kind, path in modules if kind == "Dense")
    _check_order(folder, modules, pooling, denses)
    gives_scores, lowercases = _is_classifier(config), lengths.get("do_lower_case") is True
    width = denses[-1].out_width if denses else _whole(_find(config, "hidden_size", "n_embd"))
    told = {lengths_file: lengths.get("max_seq_length")}
    told[_TOKENIZER] = _read_json(folder, _TOKENIZER).get("model_max_length")
    max_tokens, length_file = _read_length(config, told)
    sources = {
        "model_type": _CONFIG,
        "dimensions": f"{denses[-1].folder}/{_CONFIG}" if denses else _CONFIG,
        "max_tokens": length_file,
        "pooling": f"{pooling_folder}/{_CONFIG}" if pooling else "",
        "dense_layers": _MODULES,
        "is_normalized": _MODULES,
        "prompts": _PROMPTS,
        "default_prompt": _PROMPTS,
        **({"gives_scores": _CONFIG} if gives_scores else {}),
        **({"lowercases": lengths_file} if lowercases else {}),
    }
    return FolderFacts(
        model_type=str(config.get("model_type", "")),
        hidden_size=0 if gives_scores else width,
        max_tokens=max_tokens,
        pooling=pooling,
        lowercases=lowercases,
        denses=denses,
        is_normalized=not modules or any(kind == "Normalize" for kind, _ in modules),
        prompts=_read_prompts(prompts),
        default_prompt=str(prompts.get("default_prompt_name") or ""),
        gives_scores=gives_scores,
        sources={name: file for name, file in sources.items() if (folder / file).is_file()},
    )


def check_model_type(facts: FolderFacts, supported: Collection[str], *, where: str) -> None:
    """Refuse an architecture that the engine cannot run.

    Raises:
        UnsupportedModelError: if the model type is not one of the supported ones.
    """
    if facts.model_type not in supported:
        message = (
            f"{where} has model_type {facts.model_type!r}, which satsuma cannot run. "
            f"Supported: {', '.join(supported)}."
        )
        raise UnsupportedModelError(message)


def _read_modules(folder: Path) -> tuple[tuple[str, str], ...]:
    """Read the kinds of modules.json and their folders; none if there is no such file."""
    content = _read_content(folder, _MODULES)
    if content is None:
        return ()
    if not isinstance(content, list) or not all(isinstance(one, dict) for one in content):
        message = f"{folder.name}/{_MODULES} is not a list. Replace it with the model's own."
        raise UnsupportedModelError(message)
    modules = tuple((_kind_of(one), str(one.get("path", ""))) for one in content)
    for kind, path in modules:
        if kind not in _MODULE_KINDS:
            _refuse(folder, _MODULES, f"the module {kind}", _MODULE_KINDS)
        if not _is_below(path):
            _refuse(folder, _MODULES, f"the folder {path}", ("folders below the model's own",))
    return modules


def _kind_of(module: Mapping[str, Any]) -> str:
    """Name a module's kind; that of another package by its whole name."""
    kind = str(module.get("type", ""))
    return kind.rsplit(".", 1)[-1] if kind.startswith(_OWN_MODULES) else kind


def _is_below(path: str) -> bool:
    """Tell whether a path stays in the folder that it is relative to."""
    parts = PurePosixPath(path)
    return not parts.is_absolute() and ".." not in parts.parts


def _read_pooling(folder: Path, file: str) -> Pooling | None:
    """Read sentence-transformers' pooling; what satsuma cannot do is refused, not replaced."""
    config = _read_json(folder, file)
    if config.get("include_prompt") is False:
        _refuse(folder, file, "pooling without the prompt", ("include_prompt true",))
    named = config.get("pooling_mode")
    if named is not None:
        names = named if isinstance(named, list) else [named]
        if len(names) != 1 or names[0] not in tuple(_POOLING_NAMES):
            _refuse(folder, file, " and ".join(map(str, names)), tuple(_POOLING_NAMES))
        return _POOLING_NAMES[names[0]]
    modes = [key for key in config if key.startswith("pooling_mode_") and config[key] is True]
    if not modes:
        return None
    if len(modes) > 1 or modes[0] not in _POOLING_FLAGS:
        _refuse(folder, file, " and ".join(modes), tuple(_POOLING_FLAGS))
    return _POOLING_FLAGS[modes[0]]


def _read_dense(folder: Path, path: str) -> DenseFacts:
    file = f"{path}/{_CONFIG}"
    config = _read_json(folder, file)
    activation = str(config.get("activation_function", "Tanh")).rsplit(".", 1)[-1]
    if activation not in _ACTIVATIONS:
        _refuse(folder, file, f"the activation {activation}", tuple(_ACTIVATIONS))
    if config.get("use_residual"):
        _refuse(folder, file, "a residual", ("dense layers without one",))
    widths = _whole(config.get("in_features")), _whole(config.get("out_features"))
    has_bias = config.get("bias", True) is True
    return DenseFacts(path, *widths, has_bias, _ACTIVATIONS[activation])


def _check_order(
    folder: Path,
    modules: tuple[tuple[str, str], ...],
    pooling: Pooling | None,
    denses: tuple[DenseFacts, ...],
) -> None:
    """Refuse what the engine, which computes dense layers before it pools, would do wrongly."""
    order = " ".join(kind for kind, _ in modules)
    if modules and not _ORDER.fullmatch(order):
        _refuse(folder, _MODULES, f"the order {order}", (" ".join(_MODULE_KINDS),))
    if pooling in {None, Pooling.MEAN} and any(one.activation != "identity" for one in denses):
        _refuse(folder, _MODULES, "an activation after mean pooling", ("Identity",))


def _read_prompts(config: Mapping[str, Any]) -> dict[str, str]:
    prompts = config.get("prompts")
    prompts = prompts if isinstance(prompts, dict) else {}
    return {str(name): prompt for name, prompt in prompts.items() if isinstance(prompt, str)}


def _is_classifier(config: Mapping[str, Any]) -> bool:
    """Tell a sequence classifier of a family whose heads the engine has."""
    names = config.get("architectures")
    names = names if isinstance(names, list) else []
    is_of_family = config.get("model_type") in _OFFSETS
    return is_of_family and any(str(name).endswith(_CLASSIFIER) for name in names)


def _read_length(config: Mapping[str, Any], told: Mapping[str, Any]) -> tuple[int, str]:
    """Read the longest item, 0 if untold, and the file that says so.

    Args:
        config: config.json; no text is longer than there are positions.
        told: what other files say; the first that says something counts.
    """
    room = _count_positions(config)
    length, file = next(((_whole(told[one]), one) for one in told if _whole(told[one])), (0, ""))
    return (length, file) if 0 < length <= (room or length) else (room, _CONFIG)


def _count_positions(config: Mapping[str, Any]) -> int:
    """Count the tokens that there are positions for; 0 if untold."""
    positions = _whole(_find(config, *_POSITIONS))
    padding_id = config.get("pad_token_id", 1)
    is_offset = config.get("model_type") in _OFFSETS and type(padding_id) is int
    return _whole(positions - padding_id - 1) if is_offset else positions


def _find(config: Mapping[str, Any], *names: str) -> object:
    """Look a number up by the first of its names that is there."""
    return next((config[name] for name in names if name in config), None)


def _refuse(folder: Path, file: str, wish: str, supported: Collection[str]) -> None:
    message = (
        f"{folder.name}/{file} asks for {wish}, which satsuma does not do. "
        f"Supported: {', '.join(supported)}."
    )
    raise UnsupportedModelError(message.encode(errors="backslashreplace").decode())


def _read_json(folder: Path, name: str) -> dict[str, Any]:
    """Read an object; an absent file says nothing."""
    content = _read_content(folder, name)
    if content is not None and not isinstance(content, dict):
        message = f"{folder.name}/{name} is not a JSON object. Replace it with the model's own."
        raise UnsupportedModelError(message)
    return content or {}


def _read_content(folder: Path, name: str) -> Any:
    try:
        return json.loads((folder / name).read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        message = f"{folder.name}/{name} cannot be read: {error.strerror}."
        raise UnsupportedModelError(message) from error
    except (ValueError, RecursionError) as error:
        message = f"{folder.name}/{name} is not JSON: {error}. Replace it with the model's own."
        raise UnsupportedModelError(message) from error


def _whole(value: object) -> int:
    """Take a number for what a model can have, and anything else for nothing."""
    return value if type(value) is int and 0 < value <= _MOST else 0
