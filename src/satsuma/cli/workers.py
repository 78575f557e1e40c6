"""`satsuma workers`: let a Worker's `env.AI` be answered by satsuma in development."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from shlex import quote

import click

import satsuma
from satsuma.cli.vendoring import Change, Plan, plan_copy
from satsuma.cli.worker_settings import DEFAULT_URL, check_url, keep_settings, read_settings
from satsuma.cli.wrangler_config import ai_bindings, environment_with_ai, find_config, read_config
from satsuma.errors import ConfigurationError

FOLDER = "satsuma-workers"

_DERIVED = "*.satsuma.jsonc"  # what satsuma-workers/dev.js writes at each start

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
@click.option("--url", metavar="URL", help=f"Where satsuma is.  [default: {DEFAULT_URL}]")
@click.option(
    "--binding", metavar="NAME", help="Name of env.AI, where the configuration has no ai binding."
)
@click.option(
    "--config",
    metavar="FILE",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="The configuration, where it is not DIRECTORY's wrangler.json, .jsonc or .toml.",
)
@click.option("--force", is_flag=True, help="Overwrite files that were changed here.")
@click.option("--dry-run", is_flag=True, help="Say what would be written, and write nothing.")
def init(
    directory: Path, config: Path | None, *, force: bool, dry_run: bool, **said: str | None
) -> None:
    """Write the folder satsuma-workers into a Worker's project, and say how to go on.

    Reads wrangler.json, wrangler.jsonc or wrangler.toml in DIRECTORY and changes none of them.
    Run it again to bring the files up to date; what you changed in them is not overwritten.
    """
    settings = _settings(directory / FOLDER, **said)
    path = config or find_config(directory)
    content = read_config(path)
    names = _check_binding(path, ai_bindings(content), said["binding"], settings.get("binding"))
    plan = plan_copy(package_folder(), directory / FOLDER)
    if not force:
        _refuse_conflicts(plan)
    if not dry_run:
        plan.write()
        keep_settings(plan.folder, settings)
    _report(plan, ignored=_ignore_derived(directory, dry_run=dry_run), dry_run=dry_run)
    if not dry_run:
        environment = None if "binding" in settings else environment_with_ai(content)
        click.echo(f"{path.name} is as it was, and so is `wrangler deploy`.\n")
        click.echo(_next_steps(directory, _flags(directory, config, environment)))
        click.echo(_answered(names, settings))


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


def _settings(folder: Path, *, url: str | None, binding: str | None) -> dict[str, str]:
    """Give what is said now, and what was said before and is not said again."""
    said = {"url": None if url is None else check_url(url, "--url"), "binding": binding}
    return read_settings(folder) | {key: value for key, value in said.items() if value is not None}


def _check_binding(
    config: Path, names: list[str], binding: str | None, kept: str | None
) -> list[str]:
    """Give the names of the bindings that satsuma will answer."""
    if binding is not None and names and binding not in names:
        raise ConfigurationError(
            f"{config.name} calls its ai binding {' and '.join(names)}, not {binding}. "
            "Leave --binding out, or rename it there."
        )
    if not names and kept is None:
        raise ConfigurationError(
            f'{config.name} has no ai binding. Add "ai": {{"binding": "AI"}} to it, which is what '
            "Cloudflare needs too, or, for development alone, give --binding AI."
        )
    return names or [str(kept)]


def _refuse_conflicts(plan: Plan) -> None:
    if conflicts := plan.having(Change.CONFLICT):
        shown = "\n".join(f"  {plan.folder / path}" for path in conflicts)
        raise ConfigurationError(
            f"These files are not as satsuma wrote them:\n{shown}\n"
            "Nothing was written. To overwrite them: satsuma workers init --force"
        )


def _ignore_derived(project: Path, *, dry_run: bool) -> bool:
    """Add the derived configurations to .gitignore, in a git repository; tell whether it was."""
    path = project / ".gitignore"
    if not path.is_file() and not _is_in_git(project.resolve()):
        return False
    text = path.read_bytes() if path.is_file() else b""
    if _DERIVED.encode() in text.splitlines():
        return False
    if not dry_run:
        with path.open("a") as file:
            file.write(("\n" if text and not text.endswith(b"\n") else "") + f"{_DERIVED}\n")
    return True


def _is_in_git(project: Path) -> bool:
    return any((folder / ".git").exists() for folder in (project, *project.parents))


def _report(plan: Plan, *, ignored: bool, dry_run: bool) -> None:
    written = plan.having(Change.CREATE, Change.UPDATE, Change.CONFLICT)
    removed = plan.having(Change.REMOVE)
    if dry_run:
        for path in (*written, *removed):
            click.echo(f"{plan.changes[path]:9}{plan.folder / path}")
    verb = "Would write" if dry_run else "Wrote"
    same = len(plan.having(Change.KEEP))
    click.echo(f"{verb} {_files(len(written))} into {plan.folder}; {same} up to date.")
    if removed:
        verb_removed = "Would remove" if dry_run else "Removed"
        click.echo(f"{verb_removed} {_files(len(removed))} of an older satsuma.")
    if ignored:
        click.echo(f"{verb} {_DERIVED} into .gitignore; such a file is made anew at each start.")


def _files(number: int) -> str:
    return "1 file" if number == 1 else f"{number} files"


def _flags(project: Path, config: Path | None, environment: str | None) -> str:
    """Give the launcher's flags, as a shell takes them."""
    flags = []
    if config is not None:
        flags += ["--config", os.path.relpath(config, project)]
    if environment is not None:
        flags += ["--env", environment]  # the top level has no binding
    return "".join(f" {quote(flag)}" for flag in flags)


def _next_steps(project: Path, flags: str) -> str:
    """Give two commands that can be pasted as they are."""
    here = "" if project.resolve() == Path.cwd() else f"cd {quote(str(project.resolve()))} && "
    return f"""Next, in one terminal, if it is not running:
  {_invocation()} serve
In another, instead of npx wrangler dev:
  {here}node {FOLDER}/dev.js{flags}
"""


def _invocation() -> str:
    """Give the command by which this was called: it need not be on the shell's path."""
    program = Path(sys.argv[0])
    if program.name == "__main__.py":
        return f"{quote(sys.executable)} -m satsuma"
    found = shutil.which(program.name)
    is_on_path = found is not None and Path(found).resolve() == program.resolve()
    return program.name if is_on_path else quote(str(program.absolute()))


def _answered(names: list[str], settings: dict[str, str]) -> str:
    called = " and ".join(f"env.{name}" for name in names)
    verb = "is" if len(names) == 1 else "are"
    return f"""{called} {verb} then answered by {settings.get("url", DEFAULT_URL)}.
SATSUMA_URL names another address, SATSUMA_TOKEN the token where the server asks for one.
Tests (vitest), Miniflare, workerd, plain Node: {FOLDER}/README.md"""
