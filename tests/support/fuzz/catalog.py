"""All targets."""

from __future__ import annotations

from typing import Final

from support.fuzz.file_targets import FILE_TARGETS
from support.fuzz.server_targets import SERVER_TARGETS

TARGETS: Final = (*SERVER_TARGETS, *FILE_TARGETS)
