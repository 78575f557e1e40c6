from __future__ import annotations

import json
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from support.worker_project import CONFIG, Init

from satsuma.cli.workers import FOLDER
from satsuma.cli.wrangler_config import ai_bindings, find_config, read_config
from satsuma.errors import ConfigurationError


def test_the_url_is_kept(project: Path, init: Init) -> None:
    """--url is written down, shown, and stays when it is not given again."""
    assert "answered by http://gpu-box:7768." in init("--url", "http://gpu-box:7768")
    assert "answered by http://gpu-box:7768." in init()
    settings = json.loads((project / FOLDER / "satsuma.json").read_text())
    assert settings == {"url": "http://gpu-box:7768"}


@pytest.mark.parametrize(
    "url",
    [
        "gpu-box:7768", "http://", "http://x:99999", "http://x:a", "http://x/v1", "http://x/?a=b",
        "http://x/#a", "http://x y", "ftp://x", "http://u@x", "http://1.2.3.999", "http://[1", "",
    ],
)  # fmt: skip
def test_what_is_no_address_is_refused(project: Path, init: Init, url: str) -> None:
    """It would fail only later, in the Worker; nothing is written."""
    with pytest.raises(ConfigurationError, match="--url must look like"):
        init("--url", url)
    assert not (project / FOLDER).exists()


def test_a_password_is_not_repeated(init: Init) -> None:
    """An address with one is refused, without showing it."""
    with pytest.raises(ConfigurationError, match="no user") as caught:
        init("--url", "http://me:hunter2@gpu-box:7768")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("url", ["http://gpu-box:7768/client/v4/", "http://GPU-box:7768/"])
def test_an_addresses_path_is_left_out(init: Init, url: str) -> None:
    """The base URL of an SDK will do."""
    assert "answered by http://gpu-box:7768." in init("--url", url)


@pytest.mark.parametrize("text", ["{", "[]", '{"url": 5}', '{"url": "gpu-box"}'])
def test_broken_settings(project: Path, init: Init, text: str) -> None:
    """The error names the file, and comes before anything is written."""
    (project / FOLDER).mkdir()
    (project / FOLDER / "satsuma.json").write_text(text)
    with pytest.raises(ConfigurationError, match=r"satsuma\.json"):
        init()
    assert [path.name for path in (project / FOLDER).iterdir()] == ["satsuma.json"]


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
    assert "env.AI and env.BRAIN are then answered" in init()


def test_a_binding_of_an_environment_alone(project: Path, init: Init) -> None:
    """The printed command selects that environment: without it there is no binding."""
    config = {"env": {"plain": {}, "my staging": {"ai": {"binding": "AI"}}}}
    (project / "wrangler.json").write_text(json.dumps(config))
    assert "dev.js --env 'my staging'\n" in init()
    assert "--env" not in init("--binding", "AI")


def test_another_configuration(project: Path, init: Init) -> None:
    """--config names it, and the printed command does, too."""
    (project / "wrangler.json").unlink()
    (project / "other one.toml").write_text('[ai]\nbinding = "BRAIN"\n')
    printed = init("--config", str(project / "other one.toml"))
    assert "dev.js --config 'other one.toml'\n" in printed
    assert "env.BRAIN is then answered" in printed


@pytest.mark.parametrize("is_on_path", [True, False])
def test_the_printed_commands_can_be_pasted(tmp_path: Path, *, is_on_path: bool) -> None:
    """Whatever the folder is called, and wherever the command lies."""
    program = tmp_path / "my clone" / "satsuma"
    program.parent.mkdir()
    program.symlink_to(Path(sys.executable).parent / "satsuma")
    project = tmp_path / "it's mine"
    project.mkdir()
    (project / "wrangler.json").write_text(CONFIG)
    env = {"PATH": str(program.parent) if is_on_path else "/nowhere"}
    command = [str(program), "workers", "init", str(project)]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=True)
    serve, dev = [line[2:] for line in done.stdout.splitlines() if line.startswith("  ")]
    assert shlex.split(serve) == ["satsuma" if is_on_path else str(program), "serve"]
    assert shlex.split(dev) == ["cd", str(project), "&&", "node", f"{FOLDER}/dev.js"]


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
