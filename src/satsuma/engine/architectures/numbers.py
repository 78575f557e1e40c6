"""Reading numbers out of config.json, and saying precisely what is wrong with them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from satsuma.errors import UnsupportedModelError

# Beyond any model that there is; a file that says more would keep this process busy for ever.
_MOST = 1 << 24
_MOST_PARTS = {
    "num_hidden_layers": 4096,
    "num_attention_heads": 4096,
    "num_key_value_heads": 4096,
}

FULL, SLIDING = "full_attention", "sliding_attention"  # kinds of layers, as configs spell them


def positive(config: Mapping[str, Any], key: str, default: int | None = None) -> int:
    """Read a whole number above 0, such as a model can have.

    Raises:
        UnsupportedModelError: if it is missing and has no default, or is something else.
    """
    value = config.get(key, default)
    if type(value) is not int or value < 1:
        raise UnsupportedModelError(f"config.json has {key} {value!r}; a whole number is needed.")
    most = _MOST_PARTS.get(key, _MOST)
    if value > most:
        raise UnsupportedModelError(f"config.json has {key} {value}; {most} is the most.")
    return value


def epsilon(config: Mapping[str, Any], key: str, default: float) -> float:
    """Read a norm's epsilon.

    Raises:
        UnsupportedModelError: if it is no number between 0 and 1.
    """
    value = config.get(key, default)
    if not isinstance(value, float) or not 0 < value < 1:
        raise UnsupportedModelError(f"config.json has {key} {value!r}; {default} is usual.")
    return value


def require(key: str, value: object, supported: tuple[object, ...]) -> None:
    """Refuse a value that is none of the supported ones.

    Raises:
        UnsupportedModelError: if so; the message lists them.
    """
    if value not in supported:
        names = ", ".join(str(name) for name in supported if name is not None) or "none"
        raise UnsupportedModelError(f"{key} {value!r} is not supported; supported: {names}.")


def require_multiple(config: Mapping[str, Any], whole: str, part: str) -> None:
    """Refuse a number that another one does not divide.

    Raises:
        UnsupportedModelError: if so, or if either is no number.
    """
    if positive(config, whole) % positive(config, part):
        raise UnsupportedModelError(
            f"{part} {config[part]} does not divide {whole} {config[whole]}."
        )


def read_theta(
    config: Mapping[str, Any], key: str, default: float, layers: str | None = None
) -> float:
    """Read the base of the rotary angles, where older and where newer configs have it.

    Args:
        config: config.json.
        key: its name in older ones.
        default: where neither says anything.
        layers: the kind of layers, where newer configs tell several apart.

    Raises:
        UnsupportedModelError: if the angles are to be stretched, or the base is no number.
    """
    require("rope_scaling", config.get("rope_scaling"), (None,))
    newer = config.get("rope_parameters") or {}
    newer = (newer.get(layers) or {}) if layers else newer
    require("rope_type", newer.get("rope_type", "default"), ("default",))
    value = newer.get("rope_theta", config.get(key, default))
    if not isinstance(value, int | float) or isinstance(value, bool) or value <= 1:
        raise UnsupportedModelError(f"config.json has {key} {value!r}; a number is needed.")
    return float(value)


def read_windows(config: Mapping[str, Any], usual: Sequence[bool]) -> tuple[bool, ...]:
    """Read which layers have a window.

    Args:
        config: config.json.
        usual: which have one where it does not list them.

    Raises:
        UnsupportedModelError: if it lists others than there are, or of another kind.
    """
    kinds = config.get("layer_types")
    if kinds is None:
        return tuple(usual)
    require("layer_types", len(kinds), (len(usual),))
    for kind in kinds:
        require("layer_types", kind, (FULL, SLIDING))
    return tuple(kind == SLIDING for kind in kinds)
