"""Bodies of the run route, and in which words each is refused."""

from __future__ import annotations

P = "oneOf at '/' not met, 0 matches: "
T = "required properties at '/' are 'text'"
R = "required properties at '/' are 'requests'"
IN_LIST = "Type mismatch of '/text', 'string' not in 'array', "
IN_BINARY = "Type mismatch of '/text', 'string' not in 'array','binary', "
NOT_ARRAY = "Type mismatch of '/text', 'array' not in 'string', "

# Recorded from @cloudflare/cabidela 0.2.4 on the published schema; the contract's table, and more.
PUBLISHED = [
    ({}, P + T + ", " + R),
    ({"prompt": "x"}, P + T + ", " + R),
    ([], P + T + ", " + R),
    ([{"text": "a"}], P + T + ", " + R),
    ("text", P + T + ", " + R),
    (5, P + T + ", " + R),
    (None, P + T + ", " + R),
    ({"pooling": "mean"}, P + T + ", " + R),
    ({"text": ""}, f"{P}Length of '/text' must be >= 1 not met, {NOT_ARRAY}{T}, {R}"),
    ({"text": 5}, f"{P}Type mismatch of '/text', 'string' not in 'number','integer', {T}, {R}"),
    ({"text": 5.0}, f"{P}Type mismatch of '/text', 'string' not in 'number','integer', {T}, {R}"),
    ({"text": 5.5}, f"{P}Type mismatch of '/text', 'string' not in 'number', {T}, {R}"),
    ({"text": None}, f"{P}Type mismatch of '/text', 'string' not in 'null', {T}, {R}"),
    ({"text": True}, f"{P}Type mismatch of '/text', 'string' not in 'boolean', {T}, {R}"),
    ({"text": {}}, f"{P}Type mismatch of '/text', 'string' not in 'object', {T}, {R}"),
    (
        {"text": {"a": 1}},
        (
            f"{P}Type mismatch of '/text', 'string' not in 'object', "
            f"Type mismatch of '/text/a', 'string' not in 'number','integer', {T}, {R}"
        ),
    ),
    (
        {"text": [True]},
        f"{P}{IN_LIST}Type mismatch of '/text/0', 'string' not in 'boolean', {T}, {R}",
    ),
    (
        {"text": ["a", {}]},
        f"{P}{IN_LIST}Type mismatch of '/text/1', 'string' not in 'object', {T}, {R}",
    ),
    (
        {"text": ["", True]},
        f"{P}{IN_LIST}Length of '/text/0' must be >= 1 not met, {T}, {R}",
    ),
    (
        {"text": [["a"]]},
        f"{P}{IN_LIST}Type mismatch of '/text/0', 'string' not in 'array','binary', {T}, {R}",
    ),
    (
        {"text": [[None, [5]]]},
        f"{P}{IN_LIST}Type mismatch of '/text/0', 'string' not in 'array','binary', {T}, {R}",
    ),
    ({"text": "a", "pooling": "max"}, f"{P}{NOT_ARRAY}enum max not in mean,cls at '/pooling', {R}"),
    ({"text": "a", "pooling": None}, f"{P}{NOT_ARRAY}enum null not in mean,cls at '/pooling', {R}"),
    ({"text": "a", "pooling": 5.0}, f"{P}{NOT_ARRAY}enum 5 not in mean,cls at '/pooling', {R}"),
    (
        {"text": "a", "pooling": [["x"], None, True, {}]},
        f"{P}{NOT_ARRAY}enum x,,true,[object Object] not in mean,cls at '/pooling', {R}",
    ),
    ({"pooling": "max"}, f"{P}enum max not in mean,cls at '/pooling', {R}"),
    (
        {"text": "a", "requests": [{"text": "a"}]},
        (
            "oneOf at '/' not met, 2 matches: Type mismatch of '/text', 'array' not in 'string', "
            "Type mismatch of '/requests/0/text', 'array' not in 'string'"
        ),
    ),
    ({"requests": [{}]}, f"{P}{T}, required properties at '/requests/0' are 'text'"),
    ({"requests": {}}, P + T + ", " + R),
    ({"requests": "x"}, f"{P}{T}, Type mismatch of '/requests', 'array' not in 'string'"),
    ({"requests": None}, P + T + ", " + R),
    (
        {"requests": [{"text": "a"}, {"text": "", "pooling": "max"}]},
        (
            f"{P}{T}, Type mismatch of '/requests/0/text', 'array' not in 'string', "
            "Length of '/requests/1/text' must be >= 1 not met, "
            "Type mismatch of '/requests/1/text', 'array' not in 'string', "
            "enum max not in mean,cls at '/requests/1/pooling'"
        ),
    ),
]

# Cloudflare's validator accepts these; what its model layer then says is not known.
STRICTER = [
    ({"text": []}, f"{P}{IN_BINARY}'/text' must NOT have fewer than 1 items, {T}, {R}"),
    ({"text": [""]}, f"{P}{IN_BINARY}Length of '/text/0' must be >= 1 not met, {T}, {R}"),
    ({"text": ["a", ""]}, f"{P}{IN_BINARY}Length of '/text/1' must be >= 1 not met, {T}, {R}"),
    (
        {"text": [5]},
        f"{P}{IN_BINARY}Type mismatch of '/text/0', 'string' not in 'number','integer', {T}, {R}",
    ),
    (
        {"text": ["a", None]},
        f"{P}{IN_BINARY}Type mismatch of '/text/1', 'string' not in 'null', {T}, {R}",
    ),
    (
        {"text": ["a"] * 101},
        f"{P}{IN_BINARY}'/text' must NOT have more than 100 items, {T}, {R}",
    ),
    (
        {"text": {"0": "a"}},
        (
            f"{P}Type mismatch of '/text', 'string' not in 'object', "
            f"Type mismatch of '/text', 'array' not in 'object', {T}, {R}"
        ),
    ),
]
