"""Fixtures that several levels of tests share."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.postgres import Cluster, find_binaries, postgres_cluster

from satsuma.engine.load import LoadedModel, load_model
from satsuma.errors import ModelNotInstalledError
from satsuma.settings import load_settings
from satsuma.store.local import ModelStore
from satsuma.store.manifest import ModelFiles

if TYPE_CHECKING:
    from support.workers import WholeFolders
    from xdist.remote import Producer

ALL_MINILM = "@hf/sentence-transformers/all-minilm-l6-v2"


# A shell that runs the tests in the background lets them, and what they start, ignore Ctrl-C.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> WholeFolders:
    """Share the tests out among the workers of `make test`."""
    from support.workers import WholeFolders  # noqa: PLC0415  not every environment has xdist

    return WholeFolders(config, log)


@pytest.fixture(scope="session")
def all_minilm_files(tmp_path_factory: pytest.TempPathFactory) -> ModelFiles:
    """all-MiniLM-L6-v2 from its package, with graphs of this session."""
    folder = tmp_path_factory.mktemp("all_minilm")
    try:
        return ModelStore(folder / "models", cache_dir=folder / "cache").resolve(ALL_MINILM)
    except ModelNotInstalledError as error:
        pytest.skip(f"needs the weights of requirements-weights.txt: {error}")


@pytest.fixture(scope="session")
def all_minilm(all_minilm_files: ModelFiles) -> LoadedModel:
    """all-MiniLM-L6-v2, loaded."""
    return load_model(all_minilm_files, load_settings({}, environ={}))


@pytest.fixture(scope="session")
def postgres() -> Iterator[Cluster]:
    """A private PostgreSQL, started once."""
    pytest.importorskip("psycopg", reason="needs psycopg, of the extra `postgres`")
    binaries = find_binaries()
    if binaries is None:
        pytest.skip("needs PostgreSQL: apt-get install postgresql")
    with postgres_cluster(binaries) as cluster:
        yield cluster


@pytest.fixture(params=["sqlite", "postgres"])
def queue_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database for a queue, of either kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/queue.db"
    cluster: Cluster = request.getfixturevalue("postgres")
    return cluster.new_queue()


@pytest.fixture(autouse=True)
def home_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep every test away from the user's own data, cache and settings."""
    for name in ("XDG_DATA_HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.setenv(name, str(tmp_path / name.lower()))
    monkeypatch.setenv("HOME", str(tmp_path))
