"""Faults of disks: full, read-only, and weights that change before a start or under a server."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from satsuma.store.catalog import bundled_catalog
from satsuma.store.places import package_place
from satsuma.store.record import new_record, write_record
from support.chaos.disks import filled, find_packed, harm, read_only, small_disk
from support.chaos.jobs import Jobs
from support.chaos.load import background_clients
from support.chaos.oracle import Fate
from support.chaos.scene import Scene, Stage
from support.chaos.server import MODEL, ChaosServer, kept_alive

_DISK_BYTES = 2 << 20
_CACHE_BYTES = 400 << 20
_NUM_CLIENTS = 4
_MOST_JOBS = 100


async def play_full_disk(stage: Stage) -> None:
    """Fill the disk of the server's data while it works."""
    folder = stage.folder / "disk"
    with small_disk(folder, _DISK_BYTES) as is_mounted:
        server = stage.server(flags=("--data-dir", str(folder / "data")))
        with kept_alive(server):
            await server.until_ready()
            jobs = Jobs(stage)
            stage.expect(await jobs.send(server, 2) == 2, "no job was taken before")
            with filled(folder, server, is_mounted=is_mounted):
                async with _clients(stage, server):
                    await _send_until_refused(jobs, server)
                    await asyncio.sleep(stage.timing.fault_s)
                stage.expect((await server.readiness())[0], "not ready with a full disk")
            stage.notes["jobs refused meanwhile"] = jobs.num_refused
            stage.expect(jobs.num_refused > 0, "no job was refused meanwhile")
            await jobs.send(server, 2)
            await jobs.collect(server)
            await stage.expect_calm(server)
    await _start_on_full_disk(stage)


async def _send_until_refused(jobs: Jobs, server: ChaosServer) -> None:
    """Put jobs in until there is no room; the first few may fit into what the database has."""
    for _ in range(_MOST_JOBS):
        await jobs.send(server, 1)
        if jobs.num_refused:
            return


async def _start_on_full_disk(stage: Stage) -> None:
    """Start where the weights cannot be packed: an end with a reason, or right answers."""
    folder = stage.folder / "full"
    with small_disk(folder, _DISK_BYTES) as is_mounted:
        if not is_mounted:
            return
        server = stage.server()
        server.environ["XDG_CACHE_HOME"] = str(folder)
        server.environ["TMPDIR"] = str(folder)
        with filled(folder, None, is_mounted=True), kept_alive(server):
            code = await server.ended()
        stage.notes["exit code without room to start"] = code
        stage.expect(code == 1, f"exit code {code}")
        stage.expect(not server.has_said("Traceback"), f"a traceback: {server.tail()}")


async def play_read_only(stage: Stage) -> None:
    """Start with a cache that nobody may write to."""
    cache = stage.folder / "cache"
    with small_disk(cache, _CACHE_BYTES) as is_mounted:
        shutil.copytree(stage.home / ".cache", cache, dirs_exist_ok=True)
        server = stage.server()
        server.environ["XDG_CACHE_HOME"] = str(cache)
        with read_only(cache, is_mounted=is_mounted), kept_alive(server):
            await server.until_ready()
            async with _clients(stage, server):
                await asyncio.sleep(stage.timing.fault_s)
            await stage.expect_calm(server)


async def play_damaged_before(stage: Stage) -> None:
    """Damage the packed weights, then the model's own, before a start."""
    home = stage.folder / "home"
    shutil.copytree(stage.home / ".cache", home / ".cache")
    for harmed in (_flip, _truncate, _spoil_record):
        harmed(find_packed(home))
        server = stage.server(home=home)
        with kept_alive(server):
            await server.until_ready()
            await stage.expect_calm(server)
        is_noticed = server.has_said("are damaged and will be built anew")
        stage.expect(is_noticed, f"{harmed.__name__} went unnoticed")
        server.log.unlink()
    await _start_on_damaged_model(stage, home)


def _flip(packed: Path) -> None:
    harm(packed)


def _truncate(packed: Path) -> None:
    os.truncate(packed, packed.stat().st_size // 2)


def _spoil_record(packed: Path) -> None:
    (packed.parent / "packed.json").write_text("[" * 1000)


async def _start_on_damaged_model(stage: Stage, home: Path) -> None:
    """Start with weights that are not those that were pulled, and nowhere to pull them from."""
    models = home / "models"
    folder = copy_model(models)
    server = stage.server(home=home, flags=("--models-dir", str(models)))
    with kept_alive(server):
        await server.until_ready()
        await stage.expect_calm(server)
    harm(folder / "model.safetensors")
    server.environ["PIP_INDEX_URL"] = "http://127.0.0.1:9/"
    server.environ["PIP_RETRIES"] = "0"
    with kept_alive(server):
        code = await server.ended()
    stage.notes["exit code with damaged weights"] = code
    stage.expect(code == 1, f"exit code {code}")
    stage.expect(not server.has_said("Traceback"), f"a traceback: {server.tail()}")


def copy_model(models: Path) -> Path:
    """Lay the package's model down as a pull does."""
    place = package_place(bundled_catalog().find(MODEL))
    assert place is not None
    folder = models.joinpath(*MODEL.removeprefix("@").split("/"))
    for file in place.manifest.files:
        target = folder / file.path
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(place.folder / file.path, target)
    write_record(folder, new_record(place.manifest, "hub http://127.0.0.1:9"))
    return folder


async def play_damaged_under(stage: Stage) -> None:
    """Write into the packed weights of a running server, delete them, cut them off."""
    home = stage.folder / "home"
    shutil.copytree(stage.home / ".cache", home / ".cache")
    server = stage.server(home=home)
    part_s = stage.timing.fault_s / 2
    with kept_alive(server):
        await server.until_ready()
        async with _clients(stage, server):
            harm(find_packed(home))
            noticed_s = await stage.until(lambda: _has_loaded_anew(server))
            stage.notes["damaged weights replaced after s"] = round(noticed_s, 2)
            await asyncio.sleep(part_s)
            shutil.rmtree(find_packed(home).parent)
            await asyncio.sleep(part_s)
        stage.expect(await _has_loaded_anew(server), "the damage was not noticed")
        await stage.expect_calm(server)
        server.send(signal.SIGTERM)
        stage.expect(await server.ended() == 0, "it did not stop well")
        await _cut_off(stage, server)


async def _has_loaded_anew(server: ChaosServer) -> bool:
    """Tell whether the model is there once more, its weights packed anew."""
    _, _, after = server.log.read_text(encoding="utf-8").partition("Loading it anew")
    return "packing the weights" in after and f"loaded {MODEL} in" in after


async def _cut_off(stage: Stage, server: ChaosServer) -> None:
    """Truncate what is mapped: the system ends the process, and the next start mends it."""
    stage.expect(not stage.tally.counts[Fate.CUT], f"cut: {stage.tally.shown}")
    stage.allow(Fate.CUT, Fate.AWAY)
    server.start()
    await server.until_ready()
    async with _clients(stage, server):
        os.truncate(find_packed(server.home), 4096)
        stage.notes["signal after truncation"] = -await server.ended()
    server.start()
    await server.until_ready()
    await stage.expect_calm(server)


def _clients(stage: Stage, server: ChaosServer) -> AbstractAsyncContextManager[None]:
    return background_clients(stage.target(server), stage.tally, stage.dice, _NUM_CLIENTS)


DISK_SCENES = (
    Scene(
        "a full disk",
        "the disk of tokens, queue and usage is filled under load; then a start without room",
        "requests are answered; the queue refuses with 503 until there is room, and loses nothing; "
        "a start that has no room for packed weights ends with 1 and the reason",
        play_full_disk,
    ),
    Scene(
        "a read-only cache",
        "the cache of packed weights cannot be written",
        "the server starts and answers as ever",
        play_read_only,
    ),
    Scene(
        "weights damaged before a start",
        "packed weights overwritten, truncated, their record spoilt; then the model's own file",
        "packed weights are built anew; damaged weights of a model are not served",
        play_damaged_before,
    ),
    Scene(
        "weights damaged under a server",
        "mapped weights are written to, then deleted, then truncated",
        "no wrong vector: they are loaded anew; a truncated file ends the process, and the next "
        "start mends it",
        play_damaged_under,
    ),
)
