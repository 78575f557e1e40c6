"""The queue's tables, for SQLite and PostgreSQL alike. Times are seconds since 1970."""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    literal_column,
)

from satsuma.jobs.states import RequestState

# Another layout than this one's is refused; a change of columns counts it up.
LAYOUT: Final = 1

METADATA: Final = MetaData()


def _count(name: str) -> Column[int]:
    return Column(name, Integer, nullable=False, default=0)


LAYOUTS: Final = Table("satsuma_job_layout", METADATA, Column("layout", Integer, primary_key=True))

JOBS: Final = Table(
    "satsuma_jobs",
    METADATA,
    Column("request_id", String(36), primary_key=True),
    Column("account", String(64), nullable=False),
    Column("model", Text, nullable=False),
    Column("created_at_s", Double, nullable=False),
    Column("begun_at_s", Double),
    Column("finished_at_s", Double),
    Column("expires_at_s", Double),
    _count("num_requests"),
    _count("num_texts"),
    _count("num_finished"),
    _count("num_failed"),
    _count("num_truncated"),
    Column("prompt_tokens", BigInteger, nullable=False, default=0),
)

# One row a server that works on the queue; it says until when its work is its own.
SERVERS: Final = Table(
    "satsuma_job_servers",
    METADATA,
    Column("server", String(36), primary_key=True),
    Column("alive_until_s", Double, nullable=False),
    Column("name", Text, nullable=False),  # host and process, for people
)

REQUESTS: Final = Table(
    "satsuma_job_requests",
    METADATA,
    Column("request_id", String(36), primary_key=True),
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("model", Text, nullable=False),
    Column("created_at_s", Double, nullable=False),  # its job's
    Column("ready_at_s", Double, nullable=False),  # not to be taken before
    Column("state", String(8), nullable=False),
    Column("server", String(36)),  # whose it is while it runs
    Column("is_alone", Boolean, nullable=False, default=False),
    Column("inputs", LargeBinary),  # JSON; its texts are gone once it is finished
    Column("external_reference", LargeBinary, nullable=False),  # JSON
    _count("num_texts"),
    _count("num_tokens"),
    _count("num_errors"),
    _count("num_losses"),
    _count("num_lone_losses"),
    Column("vectors", LargeBinary),  # num_texts rows of float32, little-endian; scores too
    Column("pooling", String(16)),
    Column("precision", String(16)),
    Column("error_code", String(64)),
    Column("reason", Text),
)

# Written out, since neither database trusts a parameter to be what a partial index asks for.
IS_WAITING: Final = REQUESTS.c.state == literal_column(f"'{RequestState.WAITING}'")
IS_RUNNING: Final = REQUESTS.c.state == literal_column(f"'{RequestState.RUNNING}'")

ORDER: Final = (REQUESTS.c.created_at_s, REQUESTS.c.request_id, REQUESTS.c.position)

Index("satsuma_jobs_finished", JOBS.c.finished_at_s, JOBS.c.num_texts)  # sums need no more
Index("satsuma_jobs_expires", JOBS.c.expires_at_s)

# In words that both databases know: SQLAlchemy's own would load the dialects of both.
PARTIAL_INDEXES: Final = (
    (
        "CREATE INDEX IF NOT EXISTS satsuma_job_requests_waiting ON satsuma_job_requests "
        f"(created_at_s, request_id, position) WHERE state = '{RequestState.WAITING}'"
    ),
    (
        "CREATE INDEX IF NOT EXISTS satsuma_job_requests_running ON satsuma_job_requests "
        f"(server) WHERE state = '{RequestState.RUNNING}'"
    ),
)
