"""`satsuma bench`: what this machine and satsuma do, and other libraries beside them."""

from __future__ import annotations

import importlib
import importlib.util
from typing import Any

import click

from satsuma.bench.endings import ending_on_sigterm

_PLAIN = "engine"  # what `satsuma bench` does without a subcommand

# Loaded when called; a part that is not there is not offered.
_COMMANDS = {
    "engine": ("satsuma.bench.__main__:main", "The engine and the server beside the ceiling."),
    "growth": ("satsuma.bench.growth:growth", "Ten to a hundred thousand texts in the queue."),
    "http": ("satsuma.bench.http_command:http", "A running server under load."),
    "targets": ("satsuma.bench.targets.command:targets", "What satsuma promises of its own speed."),
    "peers": ("satsuma.bench.peers.command:peers", "Other embedding libraries beside satsuma."),
}


class _Commands(click.Group):
    """A group that imports a subcommand when it is called, and has one that it runs by default."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Take flags without a subcommand as those of the default one."""
        is_flag = bool(args) and args[0].startswith("-") and args[0] not in ctx.help_option_names
        if not args or is_flag:
            args = [_PLAIN, *args]
        return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the subcommand; none leaves a server behind that it started."""
        with ending_on_sigterm():
            return super().invoke(ctx)

    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        return [name for name, (where, _) in _COMMANDS.items() if _exists(where)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.list_commands(ctx):
            return None
        module, attribute = _COMMANDS[cmd_name][0].split(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        names = self.list_commands(ctx)
        with formatter.section("Commands"):
            formatter.write_dl([(name, _COMMANDS[name][1]) for name in names])


def _exists(where: str) -> bool:
    return importlib.util.find_spec(where.partition(":")[0]) is not None


@click.command(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
def bench() -> None:
    """Measure speed on this machine. Without a subcommand: engine."""
