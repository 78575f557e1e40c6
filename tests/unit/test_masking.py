"""What is secret in an address is not shown, however it is written."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from satsuma.masking import mask_url

SECRET = "s3cret"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql://me:s3cret@host/name", "postgresql://me:****@host/name"),
        ("postgresql+psycopg://me:s3:c#ret@host:5432", "postgresql+psycopg://me:****@host:5432"),
        ("postgresql://:s3cret@host", "postgresql://:****@host"),
        ("postgresql://me:s3cret@a:1,[::1]:2/db", "postgresql://me:****@a:1,[::1]:2/db"),
        ("postgresql://h/db?user=u&password=s3cret", "postgresql://h/db?user=u&password=****"),
        (
            "postgresql://h/db?sslpassword=s3@cret&port=1",
            "postgresql://h/db?sslpassword=****&port=1",
        ),
        ("postgresql://h/db?passw%6Frd=s3cret", "****"),
        (
            "postgresql://h/db?options=s3cret&sslmode=require",
            "postgresql://h/db?****&sslmode=require",
        ),
        ("postgresql://me@/db?host=/var/run/pg", "postgresql://me@/db?host=/var/run/pg"),
        ("sqlite:///folder/queue.db", "sqlite:///folder/queue.db"),
        ("sqlite:////my folder/me@home.db", "sqlite:////my folder/me@home.db"),
        ("sqlite+pysqlcipher://:s3cret@/file.db", "sqlite+pysqlcipher://:****@/file.db"),
        ("https://app.example.com", "https://app.example.com"),
        ("", ""),
    ],
)
def test_an_address_is_shown_without_its_secrets(text: str, shown: str) -> None:
    """All that helps to tell one from another stays."""
    assert mask_url(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "postgresql://u:p@s3cret@h/db",
        "postgresql://u:p@s3cret/word@h/db",
        "postgresql://u:s3/cret@h/db",
        "postgresql://u:p@s3?cret@h",
        "postgresql://u:p@h:s3cret/db",
        "postgresql://u:s3cret",
        "postgresql://u:3/s3cret?u=@h/db",
        "postgresql://u:s3 cret@h/db",
        "postgresql://h/db?password=s3#cret",
        "postgresql://h/db?password=s3 cret",
        "u:s3cret word@h",
        "u:s3cret@h",
        "host=h password=s3cret",
        "s3cret",
    ],
)
def test_what_is_not_clear_is_not_shown(text: str) -> None:
    """Nobody knows where a password ends that has an `@` or a `/` of its own."""
    assert mask_url(text) == "****"


@given(
    before=st.text("s3:@/?#& %.,[]=u", max_size=8), after=st.text("s3:@/?#& %.,[]=u", max_size=8)
)
def test_no_password_before_a_host_is_shown(before: str, after: str) -> None:
    """Whatever else is in it, and however wrongly it is written."""
    assert SECRET not in mask_url(f"postgresql://me:{before}{SECRET}{after}@host/name")
