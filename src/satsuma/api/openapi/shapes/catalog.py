"""What the catalog answers, and what is said of a token."""

from __future__ import annotations

from typing import Final

from satsuma.api.listing import INSTALLED_PROPERTY, LICENCE_PROPERTY, POOLING_PROPERTY
from satsuma.api.openapi.shapes.words import COUNT, OBJECT, STRING, listed, record, ref, success
from satsuma.kinds.schemas import Schema

_NAMED: Final = record({"id": STRING, "name": STRING, "description": STRING})

_MODEL: Final = record(
    {
        "id": {"type": "string", "description": "Not the name that requests use, but a uuid."},
        "source": {"type": "integer", "description": "1 `@cf`, 2 `@hf`, 3 `@local`."},
        "name": {"type": "string", "description": "The id that requests use."},
        "description": STRING,
        "task": ref("Task"),
        "tags": listed(STRING),
        "properties": {
            **listed(record({"property_id": STRING, "value": {"type": ["string", "array"]}})),
            "description": (
                f"Cloudflare's, `{INSTALLED_PROPERTY}` (are the weights here?) and, where they "
                f"are known, `{LICENCE_PROPERTY}` and `{POOLING_PROPERTY}` (the usual one)."
            ),
        },
    },
    {"created_at": {"type": "string", "description": "UTC; left out where nobody knows it."}},
)

_RESULT_INFO: Final = record(
    {"count": COUNT, "page": COUNT, "per_page": COUNT, "total_count": COUNT}
)

SHAPES: Final[dict[str, Schema]] = {
    "Task": _NAMED,
    "Author": _NAMED,
    "Model": _MODEL,
    "Models": success(listed(ref("Model")), result_info=_RESULT_INFO),
    "ModelSchemas": success(record({"input": OBJECT, "output": OBJECT})),
    "Tasks": success(listed(ref("Task"))),
    "Authors": success(listed(ref("Author"))),
    "Verified": success(record({"id": STRING, "status": {"const": "active"}})),
}
