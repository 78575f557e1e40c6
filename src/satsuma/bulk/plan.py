"""A job's plan: everything that its output depends on. A job goes on only where it is the same."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from satsuma import __version__
from satsuma.asks import check_vectors, choose_prompt
from satsuma.bulk.inputs import InputFile
from satsuma.bulk.options import JobOptions
from satsuma.engine.load import ModelTraits, describe_engine, read_traits
from satsuma.settings import Settings
from satsuma.store.local import ModelStore
from satsuma.store.manifest import ModelFiles
from satsuma.types import Pooling

_MAX_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Model:
    """The model of a job, as its output's metadata names it.

    Attributes:
        files: where it lies.
        traits: its numbers.
        pooling: the mode that is used.
        prompt: what comes before each text.
        engine: what runs it, in words.
        precision: arithmetic of the weights.
    """

    files: ModelFiles
    traits: ModelTraits
    pooling: Pooling
    prompt: str
    engine: str
    precision: str

    def to_json(self) -> dict[str, str]:
        """Spell it as the plan and the output do."""
        return {
            "model": self.files.manifest.id,
            "revision": self.files.manifest.revision,
            "weights_sha256": self.files.weights_sha256,
            "precision": self.precision,
            "pooling": self.pooling.value,
            **({"prompt": self.prompt} if self.prompt else {}),
            "engine": self.engine,
        }


def find_model(options: JobOptions, settings: Settings) -> Model:
    """Look a job's model up; it is not loaded.

    Raises:
        InvalidInputError: if it gives no vectors, or has no such prompt.
        ModelError: if it is not here, or the engine cannot run it.
        StoreError: if its files are damaged.
    """
    files = ModelStore(settings.models_dir).resolve(options.model)
    traits = read_traits(files)
    check_vectors(traits, files.manifest.id)
    return Model(
        files=files,
        traits=traits,
        pooling=options.pooling or traits.pooling,
        prompt=choose_prompt(options.prompt_name, traits, files.manifest.id),
        engine=describe_engine(settings)[1],
        precision=settings.precision.value,
    )


def make_plan(inputs: tuple[InputFile, ...], options: JobOptions, model: Model) -> dict[str, Any]:
    """Write down what a job's output depends on."""
    return {
        **model.to_json(),
        "satsuma": __version__,
        "options": options.to_json(),
        "inputs": [one.identity() for one in inputs],
    }


def output_metadata(plan: Mapping[str, Any]) -> dict[str, Any]:
    """Choose what the output itself says of how it was made."""
    return {name: value for name, value in plan.items() if name != "inputs"}


def differences(begun: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Say how two plans differ, in words."""
    found = list(_differences(begun, now))
    if len(found) > _MAX_SHOWN:
        return [*found[:_MAX_SHOWN], f"and {len(found) - _MAX_SHOWN} more"]
    return found


def _differences(begun: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    old, new = _flatten(begun), _flatten(now)
    for name in dict.fromkeys([*old, *new]):
        if old.get(name) != new.get(name):
            yield f"{name} was {_show(old.get(name))} and is {_show(new.get(name))}"


def _flatten(plan: Mapping[str, Any]) -> dict[str, Any]:
    """Lay a plan out flat: an input is a name of its own, and so is an option."""
    flat = {name: value for name, value in plan.items() if name not in {"inputs", "options"}}
    flat |= {f"--{name}": value for name, value in plan.get("options", {}).items()}
    for one in plan.get("inputs", []):
        flat[f"the size of {one['name']}"] = one["size_bytes"]
        flat[f"the time of {one['name']}"] = one["modified_ns"]
    return flat


def _show(value: Any) -> str:
    return "not there" if value is None else str(value)
