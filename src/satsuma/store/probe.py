"""Can the hub be asked from here? For `satsuma doctor`; fetches nothing."""

from __future__ import annotations

import httpx
from huggingface_hub import constants

_TIMEOUT_S = 5.0


def probe_hub() -> tuple[str, str]:
    """Ask the hub for a page.

    Returns:
        Its address, and what keeps it from being asked; empty if it answers.
    """
    address = constants.ENDPOINT
    if constants.HF_HUB_OFFLINE:
        return address, "HF_HUB_OFFLINE is set"
    try:
        httpx.head(address, timeout=_TIMEOUT_S, follow_redirects=True)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return address, str(error) or type(error).__name__
    return address, ""
