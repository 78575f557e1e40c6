"""Try to call an address beyond this machine, by each HTTP library that the packages use."""

from __future__ import annotations

import asyncio

import aiohttp
import httpx
import requests
from program import refusal, tell

OUTSIDE = "http://192.0.2.1/"  # of TEST-NET-1, where nobody is


async def by_aiohttp() -> None:
    """Call as llama-index does."""
    async with aiohttp.ClientSession(trust_env=True) as session, session.get(OUTSIDE):
        pass


tell(
    requests=refusal(lambda: requests.get(OUTSIDE, timeout=20)),
    httpx=refusal(lambda: httpx.get(OUTSIDE, timeout=20)),
    aiohttp=refusal(lambda: asyncio.run(by_aiohttp())),
)
