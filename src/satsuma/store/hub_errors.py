"""What a failure of the hub or of the disk means to the person who pulls.

The one table from huggingface_hub's exceptions to satsuma's; it makes no request itself.
"""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path

from huggingface_hub.errors import (
    DisabledRepoError,
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from satsuma.errors import (
    DiskFullError,
    HubForbiddenError,
    HubNotFoundError,
    HubUnreachableError,
    StoreError,
)

# httpx in huggingface_hub 1, httpx2 in 2: the base of what either raises on the wire.
TRANSPORT_ERROR: type[BaseException] = HfHubHTTPError.__mro__[1]

_DISK_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_TRANSIENT_STATUSES = frozenset({408, 429, 500, 502, 503, 504})
_RESUMES = "Run the same command again: it goes on where it stopped."


class CutShortError(ConnectionError):
    """The hub ended a transfer, politely, before the file's end."""


@contextmanager
def hub_errors(what: str, disk: Path) -> Iterator[None]:
    """Turn what huggingface_hub and the disk raise into satsuma's own errors.

    Args:
        what: what is being fetched, for the message.
        disk: where it is written, for the message of a full disk.

    Raises:
        StoreError: one of its subclasses.
    """
    try:
        yield
    except (OSError, UnicodeEncodeError, HFValidationError, TRANSPORT_ERROR) as error:
        raise to_store_error(error, what, disk) from error


def to_store_error(error: BaseException, what: str, disk: Path) -> StoreError:
    """Choose the error whose message says what to do next."""
    if isinstance(error, LocalEntryNotFoundError) and error.__cause__ is not None:
        return to_store_error(error.__cause__, what, disk)  # its own message hides the reason
    if isinstance(error, OSError) and error.errno in _DISK_FULL:
        return disk_full(what, None, disk)
    if isinstance(error, OfflineModeIsEnabled):
        message = f"{what} is not in the cache, and HF_HUB_OFFLINE forbids asking the hub. Unset it"
        return HubUnreachableError(f"{message}, or copy the model's folder from another machine.")
    if isinstance(error, UnicodeEncodeError):  # the only text of the user's in a header
        message = f"HF_TOKEN has {error.object[error.start]!r}, which no token has."
        return HubForbiddenError(f"{message} Copy it anew.")
    if isinstance(error, (PermissionError, NotADirectoryError, FileExistsError)):
        return StoreError(f"{what} cannot be written: {error}. See HF_HOME and --models-dir.")
    return _answered(error, what) or _unreachable(error, what)


def disk_full(what: str, needed_bytes: int | None, disk: Path) -> DiskFullError:
    """Say how much is needed and free, and where.

    Args:
        what: what is being fetched.
        needed_bytes: None if it is not known how much is missing.
        disk: a folder that exists, or will.
    """
    free = in_megabytes(free_bytes(disk))
    needed = "more" if needed_bytes is None else in_megabytes(needed_bytes)
    message = f"{what} needs {needed} on the disk of {disk}, where {free} are free."
    return DiskFullError(f"{message} Make room, or move HF_HOME or --models-dir. {_RESUMES}")


def free_bytes(folder: Path) -> int:
    """Count the free bytes of the disk that a folder lies, or will lie, on."""
    existing = next(p for p in (folder, *folder.parents) if p.exists())
    return shutil.disk_usage(existing).free


def in_megabytes(num_bytes: int) -> str:
    """Spell a size for people, in decimal megabytes as the hub does."""
    megabytes = num_bytes / 1e6
    return f"{megabytes:.0f} MB" if megabytes >= 10 else f"{megabytes:.1f} MB"


def is_transient(error: BaseException) -> bool:
    """Tell whether asking again soon may help."""
    if isinstance(error, HfHubHTTPError):
        return error.response.status_code in _TRANSIENT_STATUSES
    return isinstance(error, (TRANSPORT_ERROR, CutShortError))


def _answered(error: BaseException, what: str) -> StoreError | None:
    """Translate what the hub said, if it said anything."""
    status = error.response.status_code if isinstance(error, HfHubHTTPError) else 0
    if isinstance(error, (GatedRepoError, DisabledRepoError)) or _is_refusal(error, status):
        message = f"The hub refuses {what} ({status}). Accept its terms on the hub if it has any"
        return HubForbiddenError(f"{message}, and set HF_TOKEN to a token that may read it.")
    if isinstance(error, RepositoryNotFoundError):
        message = f"The hub has no repository for {what}. If it is private, set HF_TOKEN."
        return HubNotFoundError(message)
    if isinstance(error, RevisionNotFoundError):
        return HubNotFoundError(f"The hub has no such revision of {what}.")
    if isinstance(error, (EntryNotFoundError, HFValidationError)) or status == HTTPStatus.NOT_FOUND:
        return HubNotFoundError(f"The hub has no {what}. Check the name and HF_ENDPOINT.")
    return None


def _is_refusal(error: BaseException, status: int) -> bool:
    # A missing repository, too, is a 401 to those without a token.
    is_missing = isinstance(error, RepositoryNotFoundError)
    return not is_missing and status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}


def _unreachable(error: BaseException, what: str) -> HubUnreachableError:
    reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    message = f"The hub did not deliver {what}: {reason.rstrip('.')}. {_RESUMES}"
    return HubUnreachableError(message)
