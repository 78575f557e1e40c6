"""One spelling, one order: flags, environment, file, defaults."""

from __future__ import annotations

from pathlib import Path

import pytest

from satsuma.errors import ConfigurationError
from satsuma.settings import describe_settings, load_settings


def write(tmp_path: Path, content: str) -> Path:
    """A configuration file."""
    path = tmp_path / "satsuma.toml"
    path.write_text(content)
    return path


def test_defaults() -> None:
    """What a user gets who sets nothing."""
    settings = load_settings({}, environ={})
    assert (settings.host, settings.port, settings.precision) == ("127.0.0.1", 7768, "fp32")


def test_flags_win_over_environment_over_file(tmp_path: Path) -> None:
    """In that order, each for itself."""
    path = write(tmp_path, 'port = 1\nhost = "file"\ndrain_s = 3')
    environ = {"SATSUMA_PORT": "2", "SATSUMA_HOST": "environment"}
    settings = load_settings({"port": 3, "host": None}, environ=environ, config_file=path)
    assert (settings.port, settings.host, settings.drain_s) == (3, "environment", 3.0)


def test_the_file_is_found_by_variable(tmp_path: Path) -> None:
    """SATSUMA_CONFIG names it."""
    path = write(tmp_path, "port = 5")
    assert load_settings({}, environ={"SATSUMA_CONFIG": str(path)}).port == 5


def test_a_named_file_that_is_missing_is_an_error(tmp_path: Path) -> None:
    """Silence would hide a typing error."""
    with pytest.raises(ConfigurationError, match="nowhere"):
        load_settings({}, environ={"SATSUMA_CONFIG": str(tmp_path / "nowhere.toml")})


def test_several_models() -> None:
    """A flag repeated, or a variable with commas."""
    assert load_settings({"model": ("a", "b")}, environ={}).model == ("a", "b")
    assert load_settings({}, environ={"SATSUMA_MODEL": "a, b"}).model == ("a", "b")


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        ({"SATSUMA_PORT": "many"}, "port cannot be 'many': a whole number"),
        ({"SATSUMA_PORT": "70000"}, "port"),
        ({"SATSUMA_NO_AUTH": "perhaps"}, "no_auth cannot be 'perhaps': true or false"),
        ({"SATSUMA_PRECISION": "fp7"}, "precision cannot be 'fp7': one of fp32"),
        ({"SATSUMA_TOKEN_BUDGET": "-1"}, "token_budget must be 0 or more"),
        ({"SATSUMA_QUEUE_MAX_TEXTS": "0"}, "queue_max_texts must be positive"),
        ({"SATSUMA_DEVICE": "gpu"}, "device cannot be 'gpu': auto, cpu, cuda, cuda:N or mps"),
        ({"SATSUMA_DEVICE": "cuda:x"}, "device cannot be 'cuda:x'"),
        ({"SATSUMA_HTTP_PROCESSES": "0"}, "http_processes must be positive"),
        ({"SATSUMA_HTTP_PROCESSES": "65"}, "http_processes must be at most 64"),
        ({"SATSUMA_DEADLINE_S": "nan"}, "deadline_s must be positive"),
        ({"SATSUMA_THREADS": "-1"}, "threads must be 0 or more"),
        ({"SATSUMA_TLS_KEY": "key.pem"}, "tls_key needs tls_certificate"),
    ],
)
def test_bad_values_are_named(environ: dict[str, str], message: str) -> None:
    """The setting, the value, and what would do."""
    with pytest.raises(ConfigurationError, match=message):
        load_settings({}, environ=environ)


@pytest.mark.parametrize(
    "origin",
    [
        "*", "https://app.example.com", "http://localhost:5173", "http://127.0.0.1:8080",
        "http://[::1]:3000", "chrome-extension://abcdefgh", "https://my_host", "http://a:443",
    ],
)  # fmt: skip
def test_origins(origin: str) -> None:
    """As browsers send them."""
    assert load_settings({"cors_origin": (origin,)}, environ={}).cors_origin == (origin,)


@pytest.mark.parametrize(
    "origin",
    [
        "nonsense", "app.example.com", "https://", "https://app.example.com/", "https://a b",
        "https://a/path", "HTTPS://a", "https://App", "https://a:443", "http://a:80", "http://a:0",
        "http://a:99999", "http://a:", "https://me@a", "https://*.a", "//a", "null",
    ],
)  # fmt: skip
def test_what_no_browser_sends_is_no_origin(origin: str) -> None:
    """It would let nobody in, and say nothing."""
    good = "https://app.example.com"
    with pytest.raises(ConfigurationError, match=r"cors_origin cannot be .* scheme://host"):
        load_settings({"cors_origin": (good, origin)}, environ={})


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("port = 80.9", "port cannot be 80.9: a whole number"),
        ("threads = true", "threads cannot be True: a whole number"),
        ("deadline_s = true", "deadline_s cannot be True: a number"),
        ("host = 5", "host cannot be 5: text"),
        ("model = 5", "model cannot be 5"),
        ("model = [5]", "model cannot be"),
        ("models_dir = 5", "models_dir cannot be 5: a path"),
        ("no_auth = 'x'", "no_auth cannot be 'x': true or false"),
        ("no_auth = 1", "no_auth cannot be 1: true or false"),
        ("precision = 5", "precision cannot be 5: one of"),
    ],
)
def test_wrong_types_in_the_file_are_named(tmp_path: Path, line: str, message: str) -> None:
    """Nothing is rounded, and nothing taken for something else."""
    with pytest.raises(ConfigurationError, match=message):
        load_settings({}, environ={}, config_file=write(tmp_path, line))


def test_right_types_in_the_file_are_taken(tmp_path: Path) -> None:
    """A whole number is a number too."""
    path = write(tmp_path, "no_auth = true\ndrain_s = 3\nmodel = ['a', 'b']\nmodels_dir = '/m'")
    settings = load_settings({}, environ={}, config_file=path)
    assert (settings.no_auth, settings.drain_s, settings.model) == (True, 3.0, ("a", "b"))
    assert settings.models_dir == Path("/m")


def test_an_unknown_key_is_named(tmp_path: Path) -> None:
    """A typing error in the file is not passed over."""
    with pytest.raises(ConfigurationError, match="prot"):
        load_settings({}, environ={}, config_file=write(tmp_path, "prot = 1"))


@pytest.mark.parametrize("content", ["port =", "\x00"])
def test_a_broken_file_is_named(tmp_path: Path, content: str) -> None:
    """With its path."""
    with pytest.raises(ConfigurationError, match=r"satsuma\.toml"):
        load_settings({}, environ={}, config_file=write(tmp_path, content))


def test_every_setting_has_help() -> None:
    """One sentence each."""
    assert all(help_text.endswith(".") for _, _, help_text in describe_settings())
