"""One file over HTTP into one partial file, going on where an earlier attempt stopped.

huggingface_hub 2 no longer keeps the partial file of a run that ended, so satsuma does this part
itself, under the name that huggingface_hub 1 resumed from. Does not know what the bytes mean.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Literal

import huggingface_hub
from huggingface_hub.utils import (  # type: ignore[attr-defined]  # documented, not re-exported
    build_hf_headers,
    hf_raise_for_status,
)

from satsuma.store.hub_errors import CutShortError, is_transient
from satsuma.store.locks import Notify

# Waits after the first, second, ... attempt in a row that brought nothing, in seconds.
RETRY_WAITS_S = (0.5, 1.0, 2.0, 4.0)


@dataclass(frozen=True, slots=True)
class Transfer:
    """What to fetch, and who wants to know.

    Attributes:
        url: the file's; redirects are followed.
        partial: where its first bytes may already lie.
        size_bytes: None if the hub did not say.
        on_bytes: called with the count of bytes that arrived.
        notify: told when a connection was cut.
    """

    url: str
    partial: Path
    size_bytes: int | None
    on_bytes: Callable[[int], object]
    notify: Notify


def download(transfer: Transfer, retry_waits_s: tuple[float, ...] = RETRY_WAITS_S) -> None:
    """Bring the partial file to its full length; a cut connection is taken up again.

    Attempts that bring bytes are free; the waits count those in a row that bring none. What has
    arrived stays in the partial file, whatever is raised.

    Raises:
        OSError: the disk's, or huggingface_hub's answer from the hub.
        CutShortError: if the hub keeps cutting.
    """
    num_barren = 0
    while True:
        before_bytes = _size_bytes(transfer.partial)
        try:
            return _stream(transfer)
        except Exception as error:
            has_progress = _size_bytes(transfer.partial) > before_bytes
            num_barren = 0 if has_progress else num_barren + 1
            if not is_transient(error) or num_barren > len(retry_waits_s):
                raise
            transfer.notify(f"connection lost ({type(error).__name__}); going on")
            time.sleep(retry_waits_s[max(num_barren - 1, 0)] if retry_waits_s else 0.0)


def _stream(transfer: Transfer) -> None:
    start_bytes = _usable_bytes(transfer)
    if start_bytes == transfer.size_bytes:
        return
    headers = {**build_hf_headers(), "Accept-Encoding": "identity"}
    if start_bytes:
        headers["Range"] = f"bytes={start_bytes}-"
    session = huggingface_hub.get_session()
    timeout_s = huggingface_hub.constants.HF_HUB_DOWNLOAD_TIMEOUT
    with session.stream(
        "GET", transfer.url, headers=headers, timeout=timeout_s, follow_redirects=True
    ) as response:
        hf_raise_for_status(response)
        # A server that ignores Range sends all of it again, with 200.
        is_rest = response.status_code == HTTPStatus.PARTIAL_CONTENT
        _write(transfer, response.iter_bytes(), "ab" if is_rest else "wb")
    _check_complete(transfer)


def _write(transfer: Transfer, chunks: Iterable[bytes], mode: Literal["ab", "wb"]) -> None:
    with transfer.partial.open(mode) as opened:
        for chunk in chunks:
            opened.write(chunk)
            transfer.on_bytes(len(chunk))
        opened.flush()
        os.fsync(opened.fileno())


def _usable_bytes(transfer: Transfer) -> int:
    """Count the bytes to go on from; a partial file that is too long is none."""
    present_bytes = _size_bytes(transfer.partial)
    if transfer.size_bytes is None or present_bytes > transfer.size_bytes:
        transfer.partial.unlink(missing_ok=True)
        return 0
    return present_bytes


def _check_complete(transfer: Transfer) -> None:
    present_bytes = _size_bytes(transfer.partial)
    if transfer.size_bytes is not None and present_bytes < transfer.size_bytes:
        message = f"{present_bytes} of {transfer.size_bytes} bytes arrived"
        raise CutShortError(message)


def _size_bytes(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
