"""What is installed and converted, and what happens to those for whom it fails."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from satsuma.bench.peers import conversions, environments, setup
from satsuma.bench.peers.catalog import CONVERTERS, NAMES, PEERS, REFERENCE, choose
from satsuma.bench.peers.conversions import Conversion, convert
from satsuma.bench.peers.environments import REQUIREMENTS, Environment, find_environment, install
from satsuma.bench.peers.errors import PeerError
from satsuma.bench.peers.models import PeerModel, prepare_random
from satsuma.bench.peers.setup import Setup
from satsuma.bench.peers.surroundings import child_environ
from satsuma.bench.random_model import ModelShape

PROGRAMS = Path(conversions.__file__).parent
TINY = ModelShape("tiny", 16, 1, 2, 32)


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    """Describe an environment of one package."""
    requirements = tmp_path / "some.txt"
    requirements.write_text("some==1\n")
    return Environment("some", tmp_path / "environments" / "some", requirements)


class Pip:
    """Stands in for `subprocess.run`: notes commands, and answers as it was told."""

    def __init__(self, code: int = 0, stderr: str = "") -> None:
        """Set the answer."""
        self.code, self.stderr = code, stderr
        self.commands: list[Sequence[str]] = []

    def __call__(self, command: Sequence[str], **_: Any) -> subprocess.CompletedProcess[str]:
        """Answer."""
        self.commands.append(command)
        return subprocess.CompletedProcess(command, self.code, "", self.stderr)


def test_an_installed_environment_is_current_until_its_requirements_change(
    environment: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second run installs nothing."""
    monkeypatch.setattr(subprocess, "run", Pip())
    assert not environment.is_current
    install(environment)
    assert environment.is_current
    environment.requirements.write_text("some==2\n")
    assert not environment.is_current


def test_workers_find_their_protocol_in_the_environment(
    environment: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sources of satsuma are linked there; its dependencies are not."""
    monkeypatch.setattr(subprocess, "run", Pip())
    install(environment)
    (link,) = environment.folder.glob("lib/python*/site-packages/satsuma")
    assert (link / "bench" / "peers" / "protocol.py").is_file()


def test_a_refusal_of_pip_is_one_line_and_leaves_no_stamp(
    environment: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pip's own verdict is the reason."""
    said = "WARNING: slow\nERROR: No matching distribution found for some==1\nhelp: ask\n"
    monkeypatch.setattr(subprocess, "run", Pip(1, said))
    with pytest.raises(PeerError, match=r"^not installed: No matching distribution"):
        install(environment)
    assert not environment.is_current


def test_an_install_that_hangs_is_given_up(
    environment: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Compiling may never end."""

    def run(command: Sequence[str], *, timeout: float, **_: Any) -> None:
        raise subprocess.TimeoutExpired(command, timeout)

    monkeypatch.setattr(subprocess, "run", run)
    with pytest.raises(PeerError, match="more than 20 minutes"):
        install(environment)


def test_a_conversion_is_done_once(
    environment: Environment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its stamp lies in the model's folder."""
    pip = Pip()
    monkeypatch.setattr(subprocess, "run", pip)
    conversion = Conversion("onnx", "int8", environment, tmp_path)
    convert(conversion, threads=2)
    assert conversion.is_current
    assert pip.commands[0][-2:] == [str(tmp_path), "int8"]


def test_a_failed_conversion_says_its_last_words(
    environment: Environment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And is tried again the next time."""
    monkeypatch.setattr(subprocess, "run", Pip(1, "Traceback\nValueError: odd\n"))
    conversion = Conversion("gguf", "fp32", environment, tmp_path)
    with pytest.raises(PeerError, match="no fp32 for gguf: ValueError: odd"):
        convert(conversion, threads=2)
    assert not conversion.is_current


def model(folder: Path) -> PeerModel:
    """Describe a model that nothing reads."""
    return PeerModel("tiny", "random weights", folder, TINY, 512, "cls")


def test_one_failure_costs_only_those_who_need_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the converter of ONNX, three libraries are out, and it is tried once."""
    told: list[str] = []

    def fail(environment: Environment) -> None:
        if environment.name == "sentence-transformers-onnx":
            raise PeerError("not installed: no such package")

    monkeypatch.setattr(setup, "install", fail)
    monkeypatch.setattr(setup, "convert", lambda *_: None)
    ready, failures = Setup(tmp_path, 1, told.append).prepare(PEERS, model(tmp_path))
    out = {one.contender for one in failures}
    assert out == {"sentence-transformers-onnx", "fastembed", "onnxruntime"}
    assert {peer.name for peer in ready} == set(NAMES) - out
    assert sum("sentence-transformers-onnx" in line for line in told) == 1


def test_nothing_is_installed_when_that_is_not_wanted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only satsuma needs no environment."""
    monkeypatch.setattr(setup, "install", lambda _: pytest.fail("it was installed"))
    plan = Setup(tmp_path, 1, lambda _: None, may_install=False)
    ready, failures = plan.prepare(PEERS, model(tmp_path))
    assert {peer.name for peer in ready} == {"satsuma", "satsuma-http"}
    assert len(failures) == len(PEERS) - len(ready)


def test_int8_is_made_from_fp32() -> None:
    """The order of conversions."""
    (fp32, int8) = choose(("onnxruntime",), ())
    assert fp32.conversions == ("fp32",)
    assert int8.conversions == ("fp32", "int8")


def test_every_contender_has_its_programs_and_packages() -> None:
    """Workers, converters and requirement files exist, and none lies about unused."""
    workers = {path.stem for path in (PROGRAMS / "workers").glob("[!_]*.py")}
    converters = {path.stem for path in (PROGRAMS / "converters").glob("[!_]*.py")}
    requirements = {path.stem for path in REQUIREMENTS.glob("*.txt")}
    assert {peer.worker for peer in PEERS} == workers
    assert set(CONVERTERS) == converters
    assert {peer.environment for peer in PEERS if peer.environment} == requirements
    assert set(CONVERTERS.values()) <= requirements
    assert REFERENCE in PEERS


def test_choice_by_name_and_precision() -> None:
    """Nothing chosen is everything."""
    assert choose((), ()) == list(PEERS)
    assert [peer.label for peer in choose(("infinity", "fastembed"), ("fp32",))] == [
        "fastembed fp32",
        "infinity fp32",
    ]


def test_children_get_the_same_threads_and_no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """The user's own variables for satsuma would favour or harm one of them."""
    monkeypatch.setenv("SATSUMA_THREADS", "9")
    monkeypatch.setenv("OMP_NUM_THREADS", "9")
    monkeypatch.setenv("PYTHONPATH", "somewhere")
    environ = child_environ(3)
    assert environ["OMP_NUM_THREADS"] == environ["RAYON_NUM_THREADS"] == "3"
    assert not {"SATSUMA_THREADS", "PYTHONPATH"} & set(environ)


def test_a_model_folder_suits_every_library(tmp_path: Path) -> None:
    """The tokenizer's files are complete, and none of them pads or cuts."""
    made = prepare_random(tmp_path, TINY)
    names = {path.name for path in made.folder.iterdir()}
    assert {"vocab.txt", "tokenizer_config.json", "special_tokens_map.json"} <= names
    tokenizer = (made.folder / "tokenizer.json").read_text()
    assert '"truncation": null' in tokenizer
    assert '"padding": null' in tokenizer
    assert (made.max_tokens, made.pooling) == (512, "cls")


def test_environments_lie_beside_this_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """In .venv/peers, or in the user's cache where there is no environment."""
    monkeypatch.setattr(sys, "prefix", "/somewhere/.venv")
    assert environments.default_folder() == Path("/somewhere/.venv/peers")
    monkeypatch.setattr(sys, "base_prefix", "/somewhere/.venv")
    assert environments.default_folder().name == "environments"
    assert find_environment("x", Path("/e")).python == Path("/e/x/bin/python")
