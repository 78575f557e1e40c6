"""Which tests the workers of a parallel run must not tear apart."""

from __future__ import annotations

from xdist.scheduler import LoadFileScheduling

# What these folders' tests share is dear: one server and what every client saw of it, one browser.
_WHOLE = ("tests/clients", "tests/browser")


class WholeFolders(LoadFileScheduling):
    """Gives a worker a file at a time, and some folders whole."""

    def _split_scope(self, nodeid: str) -> str:
        """Name what a test belongs to; xdist documents this method as the one to override."""
        return unit_of(nodeid)


def unit_of(nodeid: str) -> str:
    """Name the file or the folder of a test that one worker runs as a whole."""
    file, _, _ = nodeid.partition("::")
    return next((one for one in _WHOLE if file.startswith(f"{one}/")), file)
