"""`satsuma config show`: every setting, its value, its origin."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from satsuma.cli.config import config
from satsuma.errors import ConfigurationError
from satsuma.settings import describe_settings


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder without a file, and no variable."""
    monkeypatch.chdir(tmp_path)
    for name, _, _ in describe_settings():
        monkeypatch.delenv(f"SATSUMA_{name.upper()}", raising=False)
    monkeypatch.delenv("SATSUMA_CONFIG", raising=False)
    return tmp_path


def show(*flags: str) -> dict[str, dict[str, object]]:
    """Run it, and give its rows by name."""
    done = CliRunner().invoke(config, ["show", "--json", *flags])
    assert done.exit_code == 0, done.output
    return {row["name"]: row for row in map(json.loads, done.stdout.splitlines())}


def test_every_setting_is_listed() -> None:
    """All of them have their default at first."""
    rows = show()
    assert list(rows) == [name for name, _, _ in describe_settings()]
    assert {row["source"] for row in rows.values()} == {"default"}


def test_origins(empty_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable is named, and so is the file."""
    (empty_folder / "satsuma.toml").write_text('port = 1\nhost = "::1"\nmodel = ["a", "b"]')
    monkeypatch.setenv("SATSUMA_PORT", "8000")
    rows = show("--changed")
    file = str(empty_folder / "satsuma.toml")
    assert rows == {
        "host": {"name": "host", "value": "::1", "source": file},
        "port": {"name": "port", "value": 8000, "source": "SATSUMA_PORT"},
        "model": {"name": "model", "value": ["a", "b"], "source": file},
    }


def test_lines_for_people(monkeypatch: pytest.MonkeyPatch) -> None:
    """Name, value, origin."""
    monkeypatch.setenv("SATSUMA_NO_AUTH", "yes")
    (line,) = CliRunner().invoke(config, ["show", "--changed"]).output.splitlines()
    assert line.split() == ["no_auth", "true", "SATSUMA_NO_AUTH"]


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://me:s3cret@host/name", "postgresql://me:****@host/name"),
        ("postgresql://h/db?user=u&password=s3cret", "postgresql://h/db?user=u&password=****"),
        ("u:s3 cret@h", "****"),
        ("host=h password=s3cret", "****"),
    ],
)
def test_passwords_are_masked(url: str, shown: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """For people and for programs, in whatever form."""
    monkeypatch.setenv("SATSUMA_QUEUE_URL", url)
    assert show("--changed")["queue_url"]["value"] == shown
    (line,) = CliRunner().invoke(config, ["show", "--changed"]).output.splitlines()
    assert line.split() == ["queue_url", shown, "SATSUMA_QUEUE_URL"]


def test_other_settings_are_shown_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """An `@` or a colon makes no secret."""
    monkeypatch.setenv("SATSUMA_MODEL", "@cf/baai/bge-m3,@local/mine")
    monkeypatch.setenv("SATSUMA_CORS_ORIGIN", "https://a.example:8443")
    rows = show("--changed")
    assert rows["model"]["value"] == ["@cf/baai/bge-m3", "@local/mine"]
    assert rows["cors_origin"]["value"] == ["https://a.example:8443"]


def test_a_refused_address_is_masked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Browsers write no user, but people may."""
    monkeypatch.setenv("SATSUMA_CORS_ORIGIN", "https://me:s3cret@b.example")
    with pytest.raises(ConfigurationError, match=r"https://me:\*{4}@b\.example") as caught:
        CliRunner().invoke(config, ["show"], catch_exceptions=False)
    assert "s3cret" not in str(caught.value)
