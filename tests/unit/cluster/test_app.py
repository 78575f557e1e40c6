"""What the application gives its gateways and replicas.

Needs Ray, so these run in its environment: tests/functional/test_ray_units.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("ray", reason="Ray is in an environment of its own")

from satsuma.cluster import app as application


class Deployment:
    """Stands for one of Serve's, and keeps what it is bound to."""

    flags: Mapping[str, Any]

    def options(self, **_: object) -> Deployment:
        """Be as before."""
        return self

    def bind(self, flags: Mapping[str, Any], *_: object) -> SimpleNamespace:
        """Keep the settings."""
        self.flags = flags
        return SimpleNamespace()


def test_replicas_and_gateways_keep_to_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    """A gateway with a card in sight would load PyTorch for nothing."""
    replicas, gateways = Deployment(), Deployment()
    monkeypatch.setattr(application, "node_cores", lambda: [4])
    monkeypatch.setattr(application, "_replicas", lambda *_: replicas)
    monkeypatch.setattr(application, "_gateways", lambda *_: gateways)
    application.app({"lanes": 2})
    assert gateways.flags == {"device": "cpu", "lanes": 2}
    assert replicas.flags == {"device": "cpu", "lanes": 2, "threads": 4}
