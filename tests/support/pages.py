"""Pages of Markdown as programs: each block of code is run in its order, or a comment says why not.

A comment before a block says how it is run, where its language alone does not:

    <!-- code: server -->            start it, wait until it says Ready, and let it run
    <!-- code: file: notes.py -->    write it there
    <!-- code: output -->            what the block before prints; ... stands for anything
    <!-- code: not run: REASON -->   leave it out

and in further lines of the comment, `with a server`, `first: COMMAND` and `instead: COMMAND` for
what the page takes for granted, `then: COMMAND` for a look at what it did, `of: COMMAND` for an
output that no block before it prints, `small model` where the page's own is on no package index,
`in: ENVIRONMENT` for other people's packages.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

PAGES_MODEL: Final = "@cf/baai/bge-base-en-v1.5"
SMALL_MODEL: Final = "@hf/sentence-transformers/all-minilm-l6-v2"

_FENCE: Final = re.compile(
    r"(?:^<!-- code:(?P<marker>(?:(?!-->).)*)-->\n)?^```(?P<language>\w*)\n(?P<code>.*?)^```$",
    re.DOTALL | re.MULTILINE,
)
_INDENTED: Final = re.compile(r"(?:\A|\n\n)( {4,}\S.*)")  # Markdown's older way to write code
_PROGRAMS: Final = {"python": ("python", "py"), "js": ("node", "mjs")}
_RUN: Final = frozenset({"sh", *_PROGRAMS})
_KINDS: Final = frozenset({"server", "file", "output", "not run"})
_OPTIONS: Final = frozenset(
    {"with a server", "first", "instead", "then", "of", "small model", "in"}
)
_SERVE: Final = f"satsuma serve --model {SMALL_MODEL}"
_END: Final = "END_OF_THE_BLOCK"
_NUMBER: Final = r"-?\d+\.\d+(?:e-?\d+)?"
_UUID: Final = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_ELSEWHERE: Final = frozenset({"cli.md", "embed.md"})  # written by docs.py; test_embed_docs.py's
_TOLERANCE: Final = 2e-3  # another processor's vectors differ in the seventh digit


class PageError(Exception):
    """A block is neither run nor marked, or its marker says nothing that is known."""


@dataclass(frozen=True)
class Block:
    """A block of code.

    Attributes:
        line: where it begins, from 1.
        language: sh, python, json or the like.
        code: without its fences.
        kind: `run`, or one of the markers.
        given: the marker's words, by name.
    """

    line: int
    language: str
    code: str
    kind: str
    given: Mapping[str, str]

    @property
    def environment(self) -> str:
        """Whose packages it needs; empty for those of the tests."""
        return self.given.get("in", "")

    @property
    def is_run(self) -> bool:
        """Whether it is a part of the script."""
        return self.kind not in {"output", "not run"} or "of" in self.given


def read_blocks(page: str) -> list[Block]:
    """Find a page's blocks.

    Raises:
        PageError: if one has neither a language that is run nor a marker.
    """
    blocks = [_read_block(page, match) for match in _FENCE.finditer(page)]
    if 2 * len(blocks) != len(re.findall(r"^\s*```", page, re.MULTILINE)):
        raise PageError("a fence is indented, or has no end")
    if indented := _INDENTED.search(_FENCE.sub("", page)):
        raise PageError(f"code needs a fence: {indented[1]}")
    if sum(bool(block.given) for block in blocks) != page.count("<!-- code:"):
        raise PageError("a marker stands right before no block")
    return blocks


def _read_block(page: str, match: re.Match[str]) -> Block:
    line = 1 + page.count("\n", 0, match.start("language"))
    given = dict(_read_marker(match["marker"] or ""))
    if unknown := given.keys() - _KINDS - _OPTIONS:
        raise PageError(f"line {line}: nobody knows {', '.join(sorted(unknown))}")
    kinds = given.keys() & _KINDS
    if len(kinds) > 1 or ("not run" in kinds and not given["not run"]):
        raise PageError(f"line {line}: one marker is needed, and a reason where it is not run")
    if not kinds and match["language"] not in _RUN:
        raise PageError(f"line {line}: who runs it? mark it as the others are")
    code = match["code"]
    if "small model" in given:
        code = code.replace(PAGES_MODEL, SMALL_MODEL)
    return Block(line, match["language"], code, min(kinds, default="run"), given)


def _read_marker(marker: str) -> Iterator[tuple[str, str]]:
    for line in filter(None, map(str.strip, marker.splitlines())):
        name, _, words = line.partition(":")
        yield name.strip(), words.strip()


def write_script(
    blocks: Iterable[Block], ports: Mapping[str, int], missing: Container[str] = ()
) -> str:
    """Write the bash script that runs the blocks, and says before each which it is.

    Args:
        blocks: of one page.
        ports: those that the page names -> those that are free.
        missing: environments that are not here; what needs them is left out.
    """
    parts = ["set -eo pipefail"]
    for block in blocks:
        if not block.is_run or block.environment in missing:
            continue
        parts += [f"printf '\\n@@ %s\\n' {block.line}", f"echo '@@ {block.line}' >&2"]
        parts.append(_write_block(_with_ports(block, ports)))
    return "\n".join([*parts, ""])


def _with_ports(block: Block, ports: Mapping[str, int]) -> Block:
    def put(code: str) -> str:
        for port, free in ports.items():
            code = re.sub(rf"\b{port}\b", str(free), code)
        return code

    given = {name: put(words) for name, words in block.given.items()}
    code = given.get("instead", given.get("of", put(block.code))).rstrip("\n") + "\n"
    return replace(block, code=code, given=given)


def _write_block(block: Block) -> str:
    given = block.given
    before = [_start_server(block.line, _SERVE)] if "with a server" in given else []
    before += [given["first"]] if "first" in given else []
    after = [given["then"]] if "then" in given else []
    return "\n".join([*before, *_write_code(block), *after])


def _write_code(block: Block) -> Iterator[str]:
    if block.kind == "file":
        yield _write_file(block.given["file"], block.code)
    elif block.kind == "server":
        yield _start_server(block.line, _with_path(block))
    elif block.language in _PROGRAMS:
        program, ending = _PROGRAMS[block.language]
        name = f"block{block.line}.{ending}"
        yield _write_file(name, block.code)
        yield f"{_program(block, program)} {name}"
    else:
        yield _with_path(block)


def _write_file(name: str, code: str) -> str:
    return f"mkdir -p \"$(dirname {name})\"\ncat > {name} <<'{_END}'\n{code}{_END}"


def _program(block: Block, program: str) -> str:
    return f'PATH="$BIN_{block.environment}:$PATH" {program}' if block.environment else program


def _with_path(block: Block) -> str:
    """Put an environment's commands first, for this block alone."""
    if not block.environment:
        return block.code
    kept = f'kept="$PATH"; PATH="$BIN_{block.environment}:$PATH"'
    return f'{kept}\n{block.code}PATH="$kept"'


def _start_server(line: int, command: str) -> str:
    log = f"server{line}.log"
    return f"""{{
{command}
}} > {log} 2>&1 &
until grep -q Ready {log}; do
  kill -0 $! || {{ cat {log} >&2; exit 1; }}
  sleep 0.1
done"""


def outputs_of(stdout: str) -> dict[int, str]:
    """Take apart what the script printed: by the line at which a block begins."""
    parts = re.split(r"^@@ (\d+)\n", stdout, flags=re.MULTILINE)
    return dict(zip(map(int, parts[1::2]), parts[2::2], strict=True))


def check_outputs(blocks: Iterable[Block], outputs: Mapping[int, str]) -> None:
    """Compare what the page shows with what was printed.

    Raises:
        AssertionError: if they differ.
    """
    last = 0
    for block in blocks:
        if block.kind != "output" or "of" in block.given:
            last = block.line
        if block.kind == "output" and last in outputs:
            assert is_shown(block.code, outputs[last]), (
                f"line {block.line} shows\n{block.code}\nand printed was\n{outputs[last]}"
            )


def is_shown(shown: str, printed: str) -> bool:
    """Tell whether the page shows what was printed: numbers nearly, `...` and any uuid."""
    tokens = re.split(rf"(\.\.\.|{_UUID}|{_NUMBER})", shown.strip())
    pattern = "".join(map(_to_pattern, tokens))
    match = re.fullmatch(pattern, printed.strip(), re.DOTALL)
    numbers = [float(token) for token in tokens if re.fullmatch(_NUMBER, token)]
    return match is not None and all(
        abs(number - float(found)) <= _TOLERANCE
        for number, found in zip(numbers, match.groups(), strict=True)
    )


def _to_pattern(token: str) -> str:
    if token == "...":
        return ".*?"
    if re.fullmatch(_UUID, token):
        return _UUID
    return f"({_NUMBER})" if re.fullmatch(_NUMBER, token) else re.escape(token)


def list_pages(root: Path) -> list[Path]:
    """List the pages of which every block is run."""
    found = [root / "README.md", *sorted((root / "docs").rglob("*.md"))]
    return [page for page in found if page.name not in _ELSEWHERE]
