from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Protocol

import pytest

from satsuma.cli.workers import FOLDER, package_folder, workers
from satsuma.cli.wrangler_config import ai_bindings, find_config, read_config
from satsuma.errors import ConfigurationError

CONFIG = '{ "name": "w", "ai": { "binding": "AI" } }'


class Init(Protocol):
    """Runs `satsuma workers init` in the project."""

    def __call__(self, *flags: str) -> str:
        """Give what it printed."""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Give a Worker's folder."""
    (tmp_path / "wrangler.json").write_text(CONFIG)
    return tmp_path


@pytest.fixture
def init(project: Path, capsys: pytest.CaptureFixture[str]) -> Init:
    """Run the command in this process."""

    def run(*flags: str) -> str:
        workers.main(["init", str(project), *flags], standalone_mode=False)
        return capsys.readouterr().out

    return run


def test_init_writes_every_file_of_the_package(project: Path, init: Init) -> None:
    """What lies in the project is the package, byte by byte, and the configuration is untouched."""
    printed = init()
    files = [path for path in package_folder().rglob("*") if path.is_file()]
    assert len(files) >= 12
    for file in files:
        copy = project / FOLDER / file.relative_to(package_folder())
        assert copy.read_bytes() == file.read_bytes()
    assert (project / "wrangler.json").read_text() == CONFIG
    assert f"Wrote {len(files)} files" in printed


def test_init_again_writes_nothing(project: Path, init: Init) -> None:
    """The second time all is up to date."""
    init()
    before = {path: path.stat().st_mtime_ns for path in (project / FOLDER).rglob("*.js")}
    assert "Wrote 0 files" in init()
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_a_dry_run_writes_nothing(project: Path, init: Init) -> None:
    """It lists the files and leaves the project alone."""
    (project / ".gitignore").write_text("node_modules\n")
    assert "satsuma-workers/dev.js" in init("--dry-run")
    assert sorted(path.name for path in project.iterdir()) == [".gitignore", "wrangler.json"]
    assert (project / ".gitignore").read_text() == "node_modules\n"


def test_changed_files_are_not_overwritten(project: Path, init: Init) -> None:
    """One change by hand stops all of it, says where, and --force overrides."""
    init()
    changed, removed = project / FOLDER / "dev.js", project / FOLDER / "proxy.js"
    changed.write_text("mine")
    removed.unlink()
    with pytest.raises(ConfigurationError, match=r"(?s)dev\.js.*Nothing was written.*--force"):
        init()
    assert not removed.exists()
    assert changed.read_text() == "mine"
    init("--force")
    assert changed.read_bytes() == (package_folder() / "dev.js").read_bytes()


def test_files_of_an_older_satsuma_are_updated(project: Path, init: Init) -> None:
    """What satsuma wrote and nobody changed is replaced without asking."""
    init()
    older = project / FOLDER / "proxy.js"
    older.write_text("older")
    record = project / FOLDER / ".written.json"
    digests = json.loads(record.read_text())
    digests["proxy.js"] = hashlib.sha256(b"older").hexdigest()
    record.write_text(json.dumps(digests))
    assert "Wrote 1 files" in init()
    assert older.read_bytes() == (package_folder() / "proxy.js").read_bytes()


def test_the_url_is_kept(project: Path, init: Init) -> None:
    """--url is written down, shown, and stays when it is not given again."""
    assert "answered by http://gpu-box:7768." in init("--url", "http://gpu-box:7768")
    assert "answered by http://gpu-box:7768." in init()
    settings = json.loads((project / FOLDER / "satsuma.json").read_text())
    assert settings == {"url": "http://gpu-box:7768"}


def test_a_url_without_scheme_is_refused(project: Path, init: Init) -> None:
    """It would fail only later, in the Worker; nothing is written."""
    with pytest.raises(ConfigurationError, match="must look like"):
        init("--url", "gpu-box:7768")
    assert not (project / FOLDER).exists()


def test_the_derived_configuration_is_ignored_by_git(project: Path, init: Init) -> None:
    """One line is added to .gitignore, once, and what was there stays."""
    (project / ".gitignore").write_text("node_modules")
    init()
    init()
    assert (project / ".gitignore").read_text() == "node_modules\nwrangler.satsuma.jsonc\n"


def test_without_git_no_gitignore_is_made(project: Path, init: Init) -> None:
    """Nothing but the folder appears."""
    init()
    assert sorted(path.name for path in project.iterdir()) == [FOLDER, "wrangler.json"]


def test_a_folder_without_configuration(tmp_path: Path) -> None:
    """The error names the files that were looked for, and what to type."""
    with pytest.raises(ConfigurationError, match=r"No wrangler\.json.* satsuma workers init path"):
        find_config(tmp_path)


def test_a_configuration_without_ai(project: Path, init: Init) -> None:
    """It is an error that says what to add, unless a name is given."""
    (project / "wrangler.json").write_text('{"name": "w"}')
    with pytest.raises(ConfigurationError, match=r"no ai binding\. Add"):
        init()
    assert "env.BRAIN is then answered" in init("--binding", "BRAIN")
    assert json.loads((project / FOLDER / "satsuma.json").read_text()) == {"binding": "BRAIN"}


def test_another_binding_than_the_configurations(init: Init) -> None:
    """--binding cannot rename what the configuration names."""
    with pytest.raises(ConfigurationError, match="calls its ai binding AI, not BRAIN"):
        init("--binding", "BRAIN")


def test_each_environments_binding_is_shown(project: Path, init: Init) -> None:
    """Environments may use names of their own; all of them are answered."""
    config = {"ai": {"binding": "AI"}, "env": {"a": {"ai": {"binding": "BRAIN"}}, "b": {}}}
    (project / "wrangler.json").write_text(json.dumps(config))
    assert "env.AI and env.BRAIN is then answered" in init()


def test_comments_and_trailing_commas(tmp_path: Path) -> None:
    """JSONC as wrangler takes it; what looks like a comment inside a string is none."""
    path = tmp_path / "wrangler.jsonc"
    path.write_text(
        '{ // a "comment"\n "url": "https://x//y /* no */ ,}", /* , */'
        ' "ai": {"binding": "A\\"I",}, }'
    )
    config = read_config(path)
    assert config == {"url": "https://x//y /* no */ ,}", "ai": {"binding": 'A"I'}}
    assert ai_bindings(config) == ['A"I']


def test_toml(tmp_path: Path) -> None:
    """The older format is read too."""
    path = tmp_path / "wrangler.toml"
    path.write_text('name = "w"\n[ai]\nbinding = "AI"\n[env.x.ai]\nbinding = "AI"\n')
    assert ai_bindings(read_config(find_config(tmp_path))) == ["AI"]


@pytest.mark.parametrize("text", ['{"ai": ', "[]", '{"ai": "AI" // }'])
def test_an_unreadable_configuration(tmp_path: Path, text: str) -> None:
    """The error names the file."""
    path = tmp_path / "wrangler.jsonc"
    path.write_text(text)
    with pytest.raises(ConfigurationError, match=r"wrangler\.jsonc"):
        read_config(path)
