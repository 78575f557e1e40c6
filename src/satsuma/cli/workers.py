"""`satsuma workers`: let a Worker's `env.AI` be answered by satsuma in development."""

from __future__ import annotations

import json
from pathlib import Path

import click

import satsuma
from satsuma.cli.vendoring import Change, Plan, plan_copy
from satsuma.cli.wrangler_config import ai_bindings, find_config, read_config
from satsuma.errors import ConfigurationError

FOLDER = "satsuma-workers"

_DERIVED = "wrangler.satsuma.jsonc"  # what satsuma-workers/dev.js writes at each start
_SETTINGS = "satsuma.json"
_DEFAULT_URL = "http://127.0.0.1:7768"

_EPILOGUE = """\b
Examples:
  satsuma workers init                      in the Worker's folder
  satsuma workers init apps/search --dry-run
  satsuma workers init --url http://gpu-box:7768
Then:
  satsuma serve                             in one terminal
  node satsuma-workers/dev.js               in another, instead of: npx wrangler dev
"""


@click.group(epilog=_EPILOGUE)
def workers() -> None:
    """Answer a Worker's env.AI with satsuma in wrangler dev, vitest and Miniflare.

    The configuration that `wrangler deploy` reads is never touched.
    """


@workers.command(epilog=_EPILOGUE)
@click.argument(
    "directory", default=".", type=click.Path(path_type=Path, exists=True, file_okay=False)
)
@click.option("--url", metavar="URL", help=f"Where satsuma is.  [default: {_DEFAULT_URL}]")
@click.option(
    "--binding", metavar="NAME", help="Name of env.AI, where the configuration has no ai binding."
)
@click.option("--force", is_flag=True, help="Overwrite files that were changed here.")
@click.option("--dry-run", is_flag=True, help="Say what would be written, and write nothing.")
def init(
    directory: Path, url: str | None, binding: str | None, *, force: bool, dry_run: bool
) -> None:
    """Write the folder satsuma-workers into a Worker's project, and say how to go on.

    Reads wrangler.json, wrangler.jsonc or wrangler.toml in DIRECTORY and changes none of them.
    Run it again to bring the files up to date; what you changed in them is not overwritten.
    """
    _check_url(url)
    config = find_config(directory)
    names = _check_binding(config, binding)
    plan = plan_copy(package_folder(), directory / FOLDER)
    if not force:
        _refuse_conflicts(plan)
    if not dry_run:
        plan.write()
        _keep_settings(plan.folder, url, binding)
    ignored = _ignore_derived(directory, dry_run=dry_run)
    _report(plan, ignored=ignored, dry_run=dry_run)
    if not dry_run:
        click.echo(_next_steps(directory, config.name, names, plan.folder))


def package_folder() -> Path:
    """Find the npm package: in an installed wheel, else in the clone that this is run from.

    Raises:
        ConfigurationError: if it is in neither.
    """
    inside = Path(satsuma.__file__).parent
    for folder in (inside / "_workers", inside.parent.parent / "workers"):
        if (folder / "package.json").is_file():
            return folder
    message = f"This installation of satsuma lacks the files of {FOLDER}; install it again."
    raise ConfigurationError(message)


def _check_binding(config: Path, binding: str | None) -> list[str]:
    """Give the names of the bindings that satsuma will answer."""
    names = ai_bindings(read_config(config))
    if binding is not None and names and binding not in names:
        raise ConfigurationError(
            f"{config.name} calls its ai binding {' and '.join(names)}, not {binding}. "
            "Leave --binding out, or rename it there."
        )
    if not names and binding is None:
        raise ConfigurationError(
            f'{config.name} has no ai binding. Add "ai": {{"binding": "AI"}} to it, which is what '
            "Cloudflare needs too, or, for development alone, give --binding AI."
        )
    return names or [str(binding)]


def _check_url(url: str | None) -> None:
    if url is not None and not url.startswith(("http://", "https://")):
        raise ConfigurationError(f"--url must look like {_DEFAULT_URL}, and is {url}")


def _refuse_conflicts(plan: Plan) -> None:
    if conflicts := plan.having(Change.CONFLICT):
        shown = "\n".join(f"  {plan.folder / path}" for path in conflicts)
        raise ConfigurationError(
            f"These files are not as satsuma wrote them:\n{shown}\n"
            "Nothing was written. To overwrite them: satsuma workers init --force"
        )


def _keep_settings(folder: Path, url: str | None, binding: str | None) -> None:
    """Keep what was said on the command line; what was said before stays."""
    said = {key: value for key, value in (("url", url), ("binding", binding)) if value is not None}
    if said:
        text = json.dumps(_read_settings(folder) | said, indent=2)
        (folder / _SETTINGS).write_text(text + "\n", encoding="utf-8")


def _read_settings(folder: Path) -> dict[str, str]:
    path = folder / _SETTINGS
    settings: dict[str, str] = json.loads(path.read_text("utf-8")) if path.is_file() else {}
    return settings


def _ignore_derived(project: Path, *, dry_run: bool) -> bool:
    """Add the derived configuration to .gitignore, in a git repository; tell whether it was."""
    path = project / ".gitignore"
    if not path.is_file() and not _is_in_git(project.resolve()):
        return False
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    if _DERIVED in text.splitlines():
        return False
    if not dry_run:
        path.write_text(text + ("\n" if text and text[-1] != "\n" else "") + f"{_DERIVED}\n")
    return True


def _is_in_git(project: Path) -> bool:
    return any((folder / ".git").exists() for folder in (project, *project.parents))


def _report(plan: Plan, *, ignored: bool, dry_run: bool) -> None:
    written = plan.having(Change.CREATE, Change.UPDATE, Change.CONFLICT)
    verb = "Would write" if dry_run else "Wrote"
    if dry_run:
        for path in written:
            click.echo(f"{plan.changes[path]:9}{plan.folder / path}")
    same = len(plan.changes) - len(written)
    click.echo(f"{verb} {len(written)} files into {plan.folder}; {same} were up to date.")
    if ignored:
        click.echo(f"{verb} {_DERIVED} into .gitignore; it is made anew at each start.")


def _next_steps(project: Path, config: str, names: list[str], folder: Path) -> str:
    url = _read_settings(folder).get("url", _DEFAULT_URL)
    called = " and ".join(f"env.{name}" for name in names)
    here = "" if project.resolve() == Path.cwd() else f"cd {project} && "
    return f"""{config} is as it was, and so is `wrangler deploy`.

Next:
  satsuma serve                            in one terminal, if it is not running
  {here}node {FOLDER}/dev.js{"":14}in another, instead of: npx wrangler dev

{called} is then answered by {url}.
SATSUMA_URL names another address, SATSUMA_TOKEN the token where the server asks for one.
Tests (vitest), Miniflare, workerd, plain Node: {FOLDER}/README.md"""
