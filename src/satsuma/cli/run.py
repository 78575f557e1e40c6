"""`satsuma run`: texts in, vectors out, on the command line."""

from __future__ import annotations

import os
import secrets
import shutil
import sys
from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import click
import numpy as np
import orjson

from satsuma.ai import Ai
from satsuma.cli.options import setting_options
from satsuma.types import Pooling

_EPILOG = """
\b
Examples:
  satsuma run @hf/sentence-transformers/all-minilm-l6-v2 "hello world"
  satsuma run @cf/baai/bge-base-en-v1.5 --pooling cls "one text" "another"
  cat lines.txt | satsuma run @cf/baai/bge-base-en-v1.5 --format npy --output vectors.npy
"""


@click.command(epilog=_EPILOG)
@click.argument("model")
@click.argument("texts", nargs=-1)
@click.option(
    "--pooling",
    type=click.Choice([mode.value for mode in Pooling]),
    help="[default: the model's own]",
)
@click.option(
    "--format",
    "output_format",
    type=click.Choice(["json", "jsonl", "npy"]),
    default="json",
    show_default=True,
    help="json: the API's result object; jsonl: a vector a line; npy: a NumPy file.",
)
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False), help="File to write.")
@setting_options("threads", "engine", "device", "precision", "skip_self_test", "models_dir")
def run(
    model: str,
    texts: tuple[str, ...],
    pooling: str | None,
    output_format: str,
    output: Path | None,
    **settings: Any,
) -> None:
    """Embed TEXTS with MODEL and print the vectors.

    Without TEXTS, each line of standard input is one text.
    """
    _refuse_binary_terminal(output_format, output)
    if output is not None:
        _check_folder(output)
    inputs: dict[str, Any] = {"text": _checked_arguments(texts) or _read_lines()}
    if pooling is not None:
        inputs["pooling"] = pooling
    with Ai(**settings) as ai:
        content = _encode(ai.run(model, inputs), output_format)
    if output is None:
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()  # a full disk is noticed here, not at exit
    else:
        _write(output, content)


def _checked_arguments(texts: Sequence[str]) -> list[str]:
    """Refuse bytes that are no UTF-8, which Python passes on as lone surrogates."""
    for number, text in enumerate(texts, start=1):
        if not _is_encodable(text):
            raise click.UsageError(f"Text {number} of the arguments is not valid UTF-8.")
    return list(texts)


def _is_encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _read_lines() -> list[str]:
    if sys.stdin.isatty():
        raise click.UsageError("Give TEXTS, or pipe them in, one a line.")
    lines = [_decode(*one) for one in enumerate(sys.stdin.buffer.read().splitlines(), start=1)]
    if not lines:
        raise click.UsageError("Standard input is empty.")
    if not all(lines):
        number = lines.index("") + 1
        raise click.UsageError(f"Line {number} of standard input is empty; a text is needed.")
    return lines


def _decode(number: int, line: bytes) -> str:
    try:
        return line.decode()
    except UnicodeDecodeError as error:
        raise click.UsageError(f"Line {number} of standard input is not valid UTF-8.") from error


def _check_folder(output: Path) -> None:
    """Notice before the work is done that its result could not be kept."""
    folder = output.resolve().parent
    if not folder.is_dir():
        raise click.ClickException(f"{output} cannot be written: there is no folder {folder}.")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise click.ClickException(f"{output} cannot be written: {folder} is not writable.")


def _write(output: Path, content: bytes) -> None:
    """Write all of a file or nothing of it; a pipe or a device is written as it is."""
    target = output.resolve()
    if target.exists() and not target.is_file():
        target.write_bytes(content)
        return
    temporary = target.with_name(f".satsuma-{secrets.token_hex(8)}")
    try:
        temporary.write_bytes(content)
        if target.exists():
            shutil.copymode(target, temporary)
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def _refuse_binary_terminal(output_format: str, output: Path | None) -> None:
    if output_format == "npy" and output is None and sys.stdout.isatty():
        raise click.UsageError("npy is binary: give --output FILE, or pipe it somewhere.")


def _encode(answer: Mapping[str, Any], output_format: str) -> bytes:
    vectors = answer["data"]  # (B, H)
    if output_format == "npy":
        return _npy(vectors)
    if output_format == "jsonl":
        return b"".join(orjson.dumps(row, option=_JSON_LINE) for row in vectors)
    return orjson.dumps(answer, option=_JSON_LINE)


_JSON_LINE = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_APPEND_NEWLINE


def _npy(vectors: Any) -> bytes:
    stream = BytesIO()
    np.save(stream, vectors)
    return stream.getvalue()
