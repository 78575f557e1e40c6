"""What is made up: JSON that nobody would write, bytes that were whole once, heads of requests."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

_ODD_NUMBERS = (0, -1, 1, 2**31, 2**53 + 1, 2**63, 2**64, -(2**63), 10**30, 0.5, 1e308, -0.0)
_ODD_TEXTS = (
    "",
    "\0",
    "..",
    "../../etc/passwd",
    "/etc/passwd",
    "\ud800",
    "\u202e",
    "e\u0301" * 50,
    "\U0001f600" * 50,
    "[CLS]",
    "[SEP] [MASK]",
    "a" * 5000,
    "\u2028",
    "NaN",
    "__proto__",
)
_ODD_BYTES = (b"\0", b"\xff", b"\r\n", b"\n", b'"', b"{", b"[" * 1000, b"\xed\xa0\x80", b"9" * 400)

ODD: SearchStrategy[Any] = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from(_ODD_NUMBERS),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.sampled_from(_ODD_TEXTS),
    st.text(max_size=20),
)


def any_json(max_leaves: int = 12) -> SearchStrategy[Any]:
    """Make any value that JSON has, and some that it has not, such as lone surrogates."""
    return st.recursive(
        ODD,
        lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=8), inner),
        max_leaves=max_leaves,
    )


def changed_json(whole: Sequence[Mapping[str, Any]]) -> SearchStrategy[bytes]:
    """Make documents that are good but for a few members."""
    keys = sorted({key for one in whole for key in one})
    changes = st.dictionaries(st.sampled_from(keys) | st.text(max_size=8), any_json(), max_size=4)
    left_out = st.sets(st.sampled_from(keys), max_size=2)
    written = st.builds(_write, st.sampled_from(list(whole)), changes, left_out)
    return written | changed_bytes([json.dumps(one).encode() for one in whole]) | deep_json()


def _write(whole: Mapping[str, Any], changes: Mapping[str, Any], left_out: set[str]) -> bytes:
    members = {key: value for key, value in {**whole, **changes}.items() if key not in left_out}
    return json.dumps(members).encode()


def deep_json() -> SearchStrategy[bytes]:
    """Make documents that are nothing but depth."""
    depths = st.integers(1, 60_000)
    openings = st.sampled_from((b"[", b'{"a":', b'[{"text":', b'{"text":['))
    return st.builds(lambda opening, depth: opening * depth, openings, depths)


@st.composite
def changed_bytes(draw: DrawFn, wholes: Sequence[bytes]) -> bytes:
    """Make contents that were whole, until something happened to them."""
    content = draw(st.sampled_from(list(wholes)))
    for _ in range(draw(st.integers(1, 6))):
        place = draw(st.integers(0, len(content)))
        end = min(len(content), place + draw(st.integers(0, 12)))
        piece = draw(st.sampled_from(_ODD_BYTES) | st.binary(max_size=8))
        kind = draw(st.sampled_from(("insert", "replace", "cut", "end", "repeat")))
        content = {
            "insert": content[:place] + piece + content[place:],
            "replace": content[:place] + piece + content[end:],
            "cut": content[:place] + content[end:],
            "end": content[:place],
            "repeat": content[:end] + content[place:],
        }[kind]
    return content


_LINES = (
    b"GET / HTTP/1.1",
    b"POST /run?version=3 HTTP/1.1",
    b"POST /v1/embeddings HTTP/1.1",
    b"POST /client/v4/accounts/me/ai/run/@cf/baai/bge-base-en-v1.5 HTTP/1.1",
    b"GET /client/v4/accounts/%2e%2e/ai/run/x HTTP/1.0",
    b"POST /v1/models/../../../etc/passwd HTTP/1.1",
    b"OPTIONS * HTTP/1.1",
    b"PRI * HTTP/2.0",
    b"Host: here",
    b"Host: here\r\n there",
    b"Content-Length: 5",
    b"Content-Length: -1",
    b"Content-Length: 99999999999999999999",
    b"Content-Length: 5, 6",
    b"Transfer-Encoding: chunked",
    b"Transfer-Encoding: chunked, identity",
    b"Transfer-Encoding : chunked",
    b"Expect: 100-continue",
    b"Upgrade: h2c\r\nConnection: Upgrade",
    b"Connection: close",
    b"Content-Encoding: gzip",
    b"Authorization: Bearer " + b"x" * 300,
    b"X-Auth-Key: \xff\xfe",
    b"cf-consn-model-id: \xff",
    b"X-Long: " + b"x" * 9000,
    b": nothing",
    b"",
    b"5\r\nhello",
    b"0",
    b"FFFFFFFFFFFFFFFF\r\nx",
    b'{"text": "a"}',
)


def raw_requests() -> SearchStrategy[bytes]:
    """Make what might come in over a socket: lines of heads and bodies in any order, and junk."""
    lines = st.lists(st.sampled_from(_LINES) | st.binary(max_size=40), max_size=8)
    ends = st.sampled_from((b"\r\n", b"\n", b"\r\n\r\n", b"\r"))
    return st.builds(lambda some, end: end.join(some) + end, lines, ends)
