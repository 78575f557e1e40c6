"""Where Serve listens already, asked of a Serve that is a stand-in.

Needs Ray, so these run in its environment: tests/functional/test_ray_units.py.
"""

from __future__ import annotations

from types import SimpleNamespace

import pytest

pytest.importorskip("ray", reason="Ray is in an environment of its own")

from ray.serve import context

from satsuma.cluster import deploy
from satsuma.errors import ClusterError
from satsuma.settings import Settings


def let_serve_listen(monkeypatch: pytest.MonkeyPatch, host: str, port: int) -> None:
    """Let Serve run there."""
    client = SimpleNamespace(http_config=SimpleNamespace(host=host, port=port))
    monkeypatch.setattr(context, "_get_global_client", lambda: client)


@pytest.mark.parametrize("serves", ["127.0.0.1", "localhost"])
@pytest.mark.parametrize("wanted", ["127.0.0.1", "localhost"])
def test_where_serve_listens_is_taken(
    serves: str, wanted: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By either of its names."""
    let_serve_listen(monkeypatch, serves, 7768)
    deploy._check_place(Settings(host=wanted, port=7768))


@pytest.mark.parametrize(("host", "port"), [("0.0.0.0", 7768), ("127.0.0.1", 8000)])  # noqa: S104
def test_another_place_is_refused(host: str, port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the flags that would do."""
    let_serve_listen(monkeypatch, host, port)
    with pytest.raises(ClusterError, match=f"Give --host {host} --port {port}"):
        deploy._check_place(Settings(host="127.0.0.1", port=7768))


def test_a_ray_that_does_not_tell_is_put_up_with(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What tells is Ray's own affair; without it, the place is not checked, and that is said."""
    monkeypatch.delattr(context, "_get_global_client")
    deploy._check_place(Settings(host="127.0.0.1", port=7768))
    assert "does not tell where Serve listens" in caplog.text
