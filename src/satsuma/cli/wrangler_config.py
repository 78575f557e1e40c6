"""Reading a Worker's configuration, as far as its `ai` binding goes."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any

from satsuma.errors import ConfigurationError

NAMES = ("wrangler.json", "wrangler.jsonc", "wrangler.toml")  # wrangler's own order

_STRING = r'"(?:\\.|[^"\\])*"'
_COMMENT = re.compile(rf"({_STRING})|//[^\n]*|/\*.*?\*/", re.DOTALL)
_TRAILING_COMMA = re.compile(rf"({_STRING})|,(?=\s*[}}\]])")


def find_config(project: Path) -> Path:
    """Find a project's configuration.

    Raises:
        ConfigurationError: if there is none.
    """
    for name in NAMES:
        if (project / name).is_file():
            return project / name
    message = (
        f"No {', '.join(NAMES[:-1])} or {NAMES[-1]} in {project}. "
        "Name the Worker's folder: satsuma workers init path/to/worker, "
        "or its file with --config"
    )
    raise ConfigurationError(message)


def read_config(path: Path) -> dict[str, Any]:
    """Read JSON with comments, or TOML.

    Raises:
        ConfigurationError: if it cannot be read as such.
    """
    try:
        text = path.read_text(encoding="utf-8")
        content = tomllib.loads(text) if path.suffix == ".toml" else _loads_jsonc(text)
    except (OSError, ValueError) as error:
        message = f"{path} cannot be read: {error}"
        raise ConfigurationError(message) from error
    if not isinstance(content, dict):
        message = f"{path} is not an object"
        raise ConfigurationError(message)
    return content


def ai_bindings(config: dict[str, Any]) -> list[str]:
    """List the names of the `ai` bindings, of the top level and of the environments, each once."""
    environments = config.get("env")
    levels = [config, *(environments.values() if isinstance(environments, dict) else ())]
    bindings = [level.get("ai") for level in levels if isinstance(level, dict)]
    names = [one.get("binding") for one in bindings if isinstance(one, dict)]
    return list(dict.fromkeys(name for name in names if isinstance(name, str)))


def environment_with_ai(config: dict[str, Any]) -> str | None:
    """Name the first environment that has an `ai` binding, where the top level has none."""
    environments = config.get("env")
    if ai_bindings({"ai": config.get("ai")}) or not isinstance(environments, dict):
        return None
    named = (name for name, own in environments.items() if ai_bindings({"env": {name: own}}))
    return next(named, None)


def _loads_jsonc(text: str) -> Any:
    """Parse JSON with comments and trailing commas; neither is looked for inside strings."""
    without_comments = _COMMENT.sub(lambda found: found[1] or " ", text)
    return json.loads(_TRAILING_COMMA.sub(lambda found: found[1] or "", without_comments))
