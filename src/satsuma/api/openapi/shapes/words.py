"""What the component schemas are written in: small builders, and shapes that have no name."""

from __future__ import annotations

from typing import Final

from satsuma.kinds.schemas import Schema

STRING: Final[Schema] = {"type": "string"}
INTEGER: Final[Schema] = {"type": "integer"}
OBJECT: Final[Schema] = {"type": "object"}
COUNT: Final[Schema] = {"type": "integer", "minimum": 0}
ONE_TEXT: Final[Schema] = {"type": "string", "minLength": 1}
MODEL_ID: Final[Schema] = {**ONE_TEXT, "description": "Any of a model's ids."}


def ref(name: str) -> dict[str, str]:
    """Point at a component schema."""
    return {"$ref": f"#/components/schemas/{name}"}


def record(required: dict[str, Schema], optional: dict[str, Schema] | None = None) -> Schema:
    """Describe an object by its members."""
    properties = {**required, **(optional or {})}
    return {"type": "object", "properties": properties, "required": list(required)}


def listed(items: Schema, **limits: int) -> Schema:
    """Describe a list."""
    return {"type": "array", "items": items, **limits}


def success(result: Schema, **more: Schema) -> Schema:
    """Describe Cloudflare's envelope around a result."""
    nothing = listed(OBJECT, maxItems=0)
    messages = listed(OBJECT)
    members = {"result": result, "success": {"const": True}, "errors": nothing}
    return record({**members, "messages": messages, **more})


def optional(schema: Schema) -> Schema:
    """Allow null, which counts as left out."""
    return {"anyOf": [schema, {"type": "null"}]}


READ_TOKENS: Final = record({"prompt_tokens": INTEGER, "total_tokens": INTEGER})
