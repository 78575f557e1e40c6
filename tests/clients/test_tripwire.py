"""No client can call anything beyond this machine: its telemetry, say, or Cloudflare itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def test_python_calls_end_at_the_dead_proxy(run_python: Callable[..., Any]) -> None:
    """At once, whichever HTTP library a package uses; nothing waits for a timeout."""
    seen = run_python("current", "call_out.py")
    raised = {library: refusal["class"] for library, refusal in seen.items()}
    assert raised == {
        "requests": "ProxyError",
        "httpx": "ConnectError",
        "aiohttp": "ClientProxyConnectionError",
    }


def test_node_calls_end_at_the_dead_proxy(run_node: Callable[..., Any]) -> None:
    """Node's fetch heeds the proxy, too."""
    seen = run_node("call_out.mjs")
    assert seen["fetch"]["class"] == "TypeError"
    assert "127.0.0.1:9" in seen["fetch"]["message"]
