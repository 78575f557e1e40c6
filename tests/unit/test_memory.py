"""Freed memory is the system's again, and garbage is looked for seldom."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest
from support.chaos.trends import anonymous_bytes

from satsuma.memory import give_back_memory

BLOCK_BYTES, NUM_BLOCKS = 2_000, 30_000


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc keeps what is freed")
def test_freed_memory_is_given_back() -> None:
    """Also what lies below a block that is still in use, which is where glibc keeps it."""
    blocks = [bytes(BLOCK_BYTES) for _ in range(NUM_BLOCKS)]
    last = blocks.pop()
    blocks.clear()
    before = anonymous_bytes(os.getpid())
    give_back_memory()
    assert before - anonymous_bytes(os.getpid()) > 0.8 * BLOCK_BYTES * NUM_BLOCKS
    assert len(last) == BLOCK_BYTES


def test_it_may_be_called_again() -> None:
    """With nothing to give back, and on any system."""
    give_back_memory()
    give_back_memory()


def test_a_calm_collector_still_collects() -> None:
    """Cycles go, though later; what was there before is not looked at."""
    program = """
import gc, weakref
from satsuma.memory import calm_collector

class Cycle:
    def __init__(self):
        self.me = self

calm_collector()
assert gc.get_freeze_count() > 1000
first = weakref.ref(Cycle())
kept = [[] for _ in range(300_000)]
assert first() is None
"""
    subprocess.run([sys.executable, "-c", program], check=True)
