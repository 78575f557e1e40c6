"""One writer at a time for each model's folder, across processes.

Knows lock files; does not know what is written under them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from satsuma.errors import StoreError

Notify = Callable[[str], None]


@contextmanager
def model_lock(models_dir: Path, model_id: str, notify: Notify) -> Iterator[None]:
    """Hold a model's folder; may wait for another process that holds it.

    The operating system frees the lock of a killed process.

    Args:
        models_dir: made if absent.
        model_id: canonical.
        notify: told once, if there is somebody to wait for.

    Raises:
        StoreError: if the models' folder or the lock's file cannot be written.
    """
    path = _lock_file(models_dir, model_id)
    lock = FileLock(path)
    try:
        _acquire(lock, lambda: notify(f"another satsuma is pulling {model_id}; waiting"))
    except OSError as error:
        message = (
            f"{path} cannot be locked: {error.strerror or error}. If another user made it, "
            "ask them to remove it, or choose another folder with --models-dir."
        )
        raise StoreError(message) from error
    try:
        yield
    finally:
        lock.release()


def _acquire(lock: FileLock, tell: Callable[[], None]) -> None:
    try:
        lock.acquire(timeout=0)
    except Timeout:
        tell()
        lock.acquire()


def _lock_file(models_dir: Path, model_id: str) -> Path:
    folder = models_dir / ".locks"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        message = f"{models_dir} cannot be written: {error}. Choose another with --models-dir."
        raise StoreError(message) from error
    return folder / f"{model_id.removeprefix('@').replace('/', '--')}.lock"
