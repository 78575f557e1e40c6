"""The asynchronous queue on a cluster: every gateway takes jobs in, answers polls, and works."""

from __future__ import annotations

from satsuma.errors import ConfigurationError
from satsuma.jobs.assembly import Jobs, open_jobs
from satsuma.jobs.worker import Embed
from satsuma.settings import Settings


def check_shared(settings: Settings) -> None:
    """Refuse a queue that the other nodes could not see.

    Raises:
        ConfigurationError: if `queue_url` is a file.
    """
    if settings.queue_url.startswith("sqlite"):
        raise ConfigurationError(
            "A cluster's nodes share one queue, so queue_url must be postgresql://..., not a file."
        )


def open_shared_jobs(settings: Settings, embed: Embed) -> Jobs | None:
    """Open the queue and begin to work on it; called on the event loop that it is to belong to.

    Args:
        settings: where it is, and whether this node works on it.
        embed: answers a request.

    Returns:
        None where no queue is set: one in a file of this node would not be seen from the others.

    Raises:
        ConfigurationError: if `queue_url` cannot be used.
    """
    if not settings.queue_url:
        return None
    check_shared(settings)
    jobs = open_jobs(settings, embed, is_stuck=lambda: False)  # Serve looks after the replicas
    if jobs.worker is not None:
        jobs.worker.start()
    return jobs


async def close_shared_jobs(jobs: Jobs | None) -> None:
    """Keep what is done, and give the rest back."""
    if jobs is None:
        return
    if jobs.worker is not None:
        await jobs.worker.stop()
    jobs.close()
