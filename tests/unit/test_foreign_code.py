"""Nothing that satsuma reads is ever run: what could do that is named nowhere in it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import satsuma

ROOT = Path(satsuma.__file__).parent
PEERS = ROOT / "bench" / "peers"  # runs other libraries, in environments that are made for them
OWN_MESSAGES = ROOT / "fronts" / "frames.py"  # between a server's own processes, see there
RUNNING_MODULES = {"pickle", "cloudpickle", "dill", "joblib", "marshal", "shelve", "runpy", "code"}
RUNNING_NAMES = {"eval", "exec", "compile", "__import__"}
RUNNING_FLAGS = {"allow_pickle", "trust_remote_code", "shell"}


def test_nothing_that_runs_what_it_reads_is_used() -> None:
    """No pickle, no eval, no shell, no remote code."""
    sources = [path for path in ROOT.rglob("*.py") if PEERS not in path.parents]
    sources.remove(OWN_MESSAGES)
    found = {
        str(path.relative_to(ROOT)): names
        for path in sources
        if (names := running_names(path.read_text(encoding="utf-8")))
    }
    assert found == {}


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("import pickle", "pickle"),
        ("from marshal import loads", "marshal"),
        ("import os, shelve", "shelve"),
        ("eval('1')", "eval"),
        ("np.load(file, allow_pickle=True)", "allow_pickle"),
        ("subprocess.run(line, shell=True)", "shell"),
    ],
)
def test_the_look_finds_what_it_looks_for(source: str, name: str) -> None:
    """Else the test above would say little."""
    assert running_names(source) == [name]


def running_names(source: str) -> list[str]:
    """Find what could run what it reads."""
    return [name for node in ast.walk(ast.parse(source)) for name in _names(node)]


def _names(node: ast.AST) -> Iterator[str]:
    match node:
        case ast.Import(names=names):
            yield from (one.name for one in names if one.name.split(".")[0] in RUNNING_MODULES)
        case ast.ImportFrom(module=str(module)) if module.split(".")[0] in RUNNING_MODULES:
            yield module
        case ast.Call(func=ast.Name(id=name)) if name in RUNNING_NAMES:
            yield name
        case ast.keyword(arg=str(flag), value=ast.Constant(value=True)) if flag in RUNNING_FLAGS:
            yield flag
