"""What this machine can do, what is missing, and what to do about it.

Looks and measures; changes nothing. `cli/doctor.py` prints what it finds.
"""

from __future__ import annotations

import os
import platform
import shutil
import socket
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from importlib.metadata import version
from pathlib import Path

from satsuma import __version__
from satsuma.auth.exposure import open_access
from satsuma.auth.tokens import TOKENS_FILE, TokenStore
from satsuma.engine.load import count_threads, describe_engine, find_trouble, plan_lanes
from satsuma.engine.machine import detect_cores, instruction_sets, total_memory_bytes
from satsuma.errors import EngineError, SatsumaError
from satsuma.settings import Settings
from satsuma.store.local import ModelStore
from satsuma.store.places import ModelState
from satsuma.store.probe import probe_hub
from satsuma.types import Engine

_GIB = 2**30
_ROOM_FOR_BASE_BYTES = 1_300_000_000  # weights, and their packed copy


class Verdict(StrEnum):
    """How a finding bears on serving."""

    OK = "ok"
    NOTE = "note"  # works, with less
    PROBLEM = "problem"  # keeps satsuma from working


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        topic: what.
        verdict: how it is.
        text: what was found.
        advice: what to do about it; empty if nothing.
    """

    topic: str
    verdict: Verdict
    text: str
    advice: str = ""


Check = Callable[[Settings], Iterator[Finding]]


def examine(settings: Settings) -> Iterator[Finding]:
    """Look at everything, one finding after another; a check that fails is a finding too."""
    for check in _CHECKS:
        try:
            yield from check(settings)
        except SatsumaError as error:
            topic = check.__name__.removeprefix("_check_")
            yield Finding(topic, Verdict.PROBLEM, str(error))


def _check_machine(_: Settings) -> Iterator[Finding]:
    memory = f"{total_memory_bytes() / _GIB:.1f} GiB"
    text = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, {memory}"
    yield Finding("machine", Verdict.OK, f"{text}, {' '.join(instruction_sets())}")


def _check_software(_: Settings) -> Iterator[Finding]:
    packages = ("onnxruntime", "tokenizers", "numpy")
    shown = ", ".join(f"{name} {version(name)}" for name in packages)
    ours = f"satsuma {__version__}"  # may run from its sources, without being installed
    yield Finding("software", Verdict.OK, f"Python {sys.version.split()[0]}, {ours}, {shown}")


def _check_engine(settings: Settings) -> Iterator[Finding]:
    try:
        engine, text = describe_engine(settings)
    except EngineError as error:
        yield Finding("engine", Verdict.PROBLEM, str(error))
        return
    shown = f"{text}, {settings.precision}"
    trouble = find_trouble(settings)
    if trouble:
        yield Finding("engine", Verdict.PROBLEM, f"{text} has no {settings.precision}", trouble)
    elif engine in {settings.engine, Engine.NATIVE, Engine.TORCH}:
        yield Finding("engine", Verdict.OK, shown)
    else:
        advice = (
            "It is slower and has no int8; a wheel of satsuma, or Zig at installation, mends it."
        )
        yield Finding("engine", Verdict.NOTE, shown, advice)


def _check_cores(settings: Settings) -> Iterator[Finding]:
    cores, threads = detect_cores(), count_threads(settings)
    quota = "no quota" if cores.quota is None else f"a quota of {cores.quota:g}"
    text = f"{threads} used of {cores.machine}; {quota}, {cores.affinity or 'any'} by affinity"
    if threads > cores.usable:
        advice = f"More threads than cores slow everything down; leave --threads at {cores.usable}."
        yield Finding("cores", Verdict.NOTE, text, advice)
    else:
        yield Finding("cores", Verdict.OK, text)


def _check_lanes(settings: Settings) -> Iterator[Finding]:
    try:
        plan = plan_lanes(settings)
    except EngineError:  # which the engine's own check has told
        return
    if plan.is_on_cards:
        where = "on the device"
    else:
        least, most = min(plan.threads), max(plan.threads)
        sizes = f"{most}" if least == most else f"{least} to {most}"
        where = f"with {sizes} thread{'s' if most > 1 else ''} each"
    text = f"{plan.num_lanes} at once, {where}; about {plan.token_budget} tokens a microbatch"
    yield Finding("lanes", Verdict.OK, text)


def _check_folders(settings: Settings) -> Iterator[Finding]:
    for topic, folder in (
        ("models folder", settings.models_dir),
        ("data folder", settings.data_dir),
    ):
        there = _nearest(folder)
        free_bytes = shutil.disk_usage(there).free
        text = f"{folder}, {free_bytes / _GIB:.1f} GiB free"
        if not os.access(there, os.W_OK):
            advice = f"Make it writable, or choose another with --{topic.split()[0]}-dir."
            yield Finding(topic, Verdict.PROBLEM, f"{text}, not writable", advice)
        elif free_bytes < _ROOM_FOR_BASE_BYTES:
            yield Finding(
                topic, Verdict.NOTE, text, "bge-base-en-v1.5 needs 1.3 GB, packed copy included."
            )
        else:
            yield Finding(topic, Verdict.OK, text)


def _nearest(folder: Path) -> Path:
    """The folder, or the closest parent that exists."""
    return next(one for one in (folder, *folder.absolute().parents) if one.exists())


def _check_models(settings: Settings) -> Iterator[Finding]:
    for status in ModelStore(settings.models_dir).list():
        model_id = status.manifest.id
        if status.state is ModelState.DAMAGED:
            advice = f"satsuma models verify {model_id}"
            yield Finding("model", Verdict.PROBLEM, f"{model_id} is damaged", advice)
        elif status.state is ModelState.NOT_INSTALLED:
            advice = f"To serve it: satsuma models pull {model_id}"
            yield Finding("model", Verdict.NOTE, f"{model_id} is not installed", advice)
        else:
            yield Finding("model", Verdict.OK, f"{model_id} is ready to be served")


def _check_hub(_: Settings) -> Iterator[Finding]:
    address, trouble = probe_hub()
    if trouble:
        advice = "Set HF_ENDPOINT to a mirror, or copy model folders (docs/models.md)."
        yield Finding("hub", Verdict.NOTE, f"{address} cannot be asked: {trouble}", advice)
    else:
        yield Finding("hub", Verdict.OK, f"{address} answers")


def _check_port(settings: Settings) -> Iterator[Finding]:
    where = f"{settings.host}:{settings.port}"
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        socket.create_server((settings.host, settings.port), family=family).close()
    except OSError as error:
        advice = "Stop what listens there, or choose another --port."
        yield Finding("port", Verdict.NOTE, f"{where} cannot be used: {error.strerror}", advice)
    else:
        yield Finding("port", Verdict.OK, f"{where} is free")


def _check_access(settings: Settings) -> Iterator[Finding]:
    tokens = TokenStore(settings.data_dir / TOKENS_FILE)
    if not open_access(settings, tokens):
        yield Finding("access", Verdict.OK, f"{len(tokens.list())} tokens")
        return
    advice = "" if settings.no_auth else "To ask for tokens: satsuma token create --account ID"
    yield Finding("access", Verdict.OK, "every token is accepted, and none is needed", advice)


_CHECKS: tuple[Check, ...] = (
    _check_machine,
    _check_software,
    _check_engine,
    _check_cores,
    _check_lanes,
    _check_folders,
    _check_models,
    _check_hub,
    _check_port,
    _check_access,
)
