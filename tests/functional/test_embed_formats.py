"""`satsuma embed` on all-MiniLM-L6-v2: every format in and out, and the vectors of `Ai`."""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from click.testing import CliRunner, Result
from pyarrow import csv, parquet

from satsuma import Ai
from satsuma.cli.embed import embed
from satsuma.store.manifest import ModelFiles
from satsuma.types import FloatArray

ALL_MINILM = "@hf/sentence-transformers/all-minilm-l6-v2"
TEXTS = ["hello world", 'naïve café, "quoted"', "日本語", "hello world", "a " * 400, "last"]
Embed = Callable[..., Result]


@pytest.fixture
def run(all_minilm_files: ModelFiles, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Embed:
    """Run the command in this process, with the session's packed weights."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(all_minilm_files.graphs_dir.parent.parent.parent))
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str, stdin: bytes | None = None) -> Result:
        wanted = ["--model", ALL_MINILM, *arguments]
        return CliRunner().invoke(embed, wanted, input=stdin, catch_exceptions=False)

    return run


@pytest.fixture(scope="module")
def expected() -> Iterator[FloatArray]:
    """What `Ai` gives: (6, 384)."""
    with Ai() as ai:
        yield ai.run(ALL_MINILM, {"text": TEXTS})["data"]


def table() -> Any:
    """The texts, an id and something to keep."""
    ids = [f"row-{number}" for number in range(len(TEXTS))]
    return pa.table({"text": TEXTS, "key": ids, "n": range(len(TEXTS))})


def write_input(name: str) -> None:
    """Write the texts in the format of a name."""
    kind, _, around = name.partition(".")[2].partition(".")
    if kind == "parquet":
        parquet.write_table(table(), name)
        return
    content = CONTENTS[kind]()
    if around == "gz":
        content = gzip.compress(content)
    if around == "zst":
        content = pa.Codec("zstd").compress(content, asbytes=True)
    Path(name).write_bytes(content)


def to_csv() -> bytes:
    """Write as pyarrow does."""
    buffer = io.BytesIO()
    csv.write_csv(table(), buffer)
    return buffer.getvalue()


def to_tsv() -> bytes:
    """Write without quotes."""
    rows = [table().column_names, *(row.values() for row in table().to_pylist())]
    return "\n".join("\t".join(map(str, row)) for row in rows).encode()


def to_jsonl() -> bytes:
    """Write an object a line."""
    return "\n".join(map(json.dumps, table().to_pylist())).encode()


def to_lines() -> bytes:
    """Write the texts alone."""
    return "\n".join(TEXTS).encode()


CONTENTS = {"csv": to_csv, "tsv": to_tsv, "jsonl": to_jsonl, "txt": to_lines}


def vectors_in(name: str) -> FloatArray:
    """Read an output's vectors."""
    kind = name.rpartition(".")[2]
    if kind == "parquet":
        column = parquet.read_table(name)["vector"]
    elif kind == "arrow":
        column = pa.ipc.open_stream(Path(name).read_bytes()).read_all()["vector"]
    elif kind == "npy":
        return np.load(name)  # type: ignore[no-any-return]
    else:
        member = "values" if kind == "ndjson" else "vector"
        lines = Path(name).read_bytes().splitlines()
        return np.array([json.loads(line)[member] for line in lines], np.float32)
    assert pa.types.is_fixed_size_list(column.type)
    return np.array(column.to_pylist(), np.float32)


@pytest.mark.parametrize(
    "name",
    ["a.parquet", "a.csv", "a.tsv", "a.jsonl", "a.txt", "a.csv.gz", "a.jsonl.zst", "a.txt.gz"],
)
def test_every_input_gives_the_vectors_of_the_library(
    run: Embed, expected: FloatArray, name: str
) -> None:
    """Bit for bit, in the input's order."""
    write_input(name)
    result = run(name, "out.npy")
    told = json.loads(result.stdout)
    assert (told["vectors"], told["embedded"], told["repeated"], told["truncated"]) == (6, 5, 1, 1)
    np.testing.assert_array_equal(np.load("out.npy"), expected)


@pytest.mark.parametrize("name", ["o.parquet", "o.jsonl", "o.npy", "o.arrow", "o.ndjson"])
def test_every_output_holds_the_vectors_of_the_library(
    run: Embed, expected: FloatArray, name: str
) -> None:
    """Bit for bit, as float32."""
    write_input("a.parquet")
    run("a.parquet", name, "--id-column", "key", "--keep", "n")
    np.testing.assert_array_equal(vectors_in(name), expected)


def test_an_output_says_how_it_was_made(run: Embed) -> None:
    """In Parquet and Arrow itself, beside the others."""
    write_input("a.parquet")
    for name in ("o.parquet", "o.jsonl"):
        run("a.parquet", name)
    inside = json.loads(parquet.read_schema("o.parquet").metadata[b"satsuma"])
    beside = json.loads(Path("o.jsonl.meta.json").read_bytes())
    assert {**inside, "options": 0} == {**beside, "options": 0}
    assert inside["model"] == ALL_MINILM
    assert inside["precision"] == "fp32"
    assert inside["pooling"] == "mean"
    assert (inside["dimensions"], inside["vectors"]) == (384, 6)
    assert len(inside["revision"]) == 40
    assert len(inside["weights_sha256"]) == 64
    assert inside["options"]["output_format"] == "parquet"


def test_columns_are_kept_with_their_types(run: Embed) -> None:
    """Of Parquet as they are, of JSON Lines as all values allow."""
    rows = [
        {"text": "a", "id": 7, "n": 1, "x": 1, "any": [1]},
        {"text": "b", "id": 8, "n": None, "x": 0.5, "any": "s"},
    ]
    Path("a.jsonl").write_text("\n".join(map(json.dumps, rows)))
    keeps = [word for name in ("n", "x", "any") for word in ("--keep", name)]
    run("a.jsonl", "o.parquet", "--id-column", "id", *keeps)
    read = parquet.read_table("o.parquet").drop_columns("vector")
    assert read.to_pydict() == {
        "id": [7, 8],
        "n": [1, None],
        "x": [1.0, 0.5],
        "any": ["[1]", "s"],
    }
    assert [str(one.type) for one in read.schema] == ["int64", "int64", "double", "string"]
    run("o.parquet", "o2.parquet", "--column", "any", "--keep", "x", "--id-column", "id")
    assert parquet.read_table("o2.parquet")["x"].to_pylist() == [1.0, 0.5]


def test_jsonl_keeps_values_as_they_came(run: Embed) -> None:
    """Of any kind."""
    Path("a.jsonl").write_text('{"text": "a", "k": {"deep": [1, null]}}\n{"text": "b"}\n')
    run("a.jsonl", "o.jsonl", "--keep", "k")
    lines = [json.loads(line) for line in Path("o.jsonl").read_bytes().splitlines()]
    assert [(line["id"], line["k"]) for line in lines] == [(1, {"deep": [1, None]}), (2, None)]


@pytest.mark.parametrize("name", ["o.jsonl", "o.ndjson", "o.npy", "o.parquet"])
def test_nanoseconds_are_written_as_far_as_the_format_has_them(run: Embed, name: str) -> None:
    """Parquet keeps them; JSON ends at the microsecond, as ids and conditions do."""
    kinds = {"t": pa.timestamp("ns"), "o": pa.time64("ns"), "id": pa.timestamp("ns")}
    times = {column: pa.array([1_000_001_999], kind) for column, kind in kinds.items()}
    parquet.write_table(pa.table({"text": ["a"], **times}), "a.parquet")
    wanted = ("--where", "t is not null", "--id-column", "id", "--keep", "t", "--keep", "o")
    run("a.parquet", name, *wanted)
    if name == "o.parquet":
        read = parquet.read_table(name)
        assert [read[column][0].value for column in kinds] == [1_000_001_999] * 3
        return
    path = Path("o.npy.ids.jsonl" if name == "o.npy" else name)
    line = json.loads(path.read_bytes())
    line = line.get("metadata", line)
    assert (line["t"], line["o"]) == ("1970-01-01T00:00:01.000001", "00:00:01.000001")


def test_vectorize_lines(run: Embed) -> None:
    """Ids are text, what is kept is metadata, and nulls are left out."""
    Path("a.jsonl").write_text('{"text": "a", "k": "x"}\n{"text": "b", "k": null}\n')
    run("a.jsonl", "o.ndjson", "--keep", "k")
    lines = [json.loads(line) for line in Path("o.ndjson").read_bytes().splitlines()]
    assert [(line["id"], line.get("metadata")) for line in lines] == [
        ("1", {"k": "x"}),
        ("2", None),
    ]
    assert len(lines[0]["values"]) == 384


def test_npy_has_its_ids_beside_it(run: Embed) -> None:
    """A line a row, in the same order."""
    write_input("a.csv")
    run("a.csv", "o.npy", "--id-column", "key", "--keep", "n")
    lines = [json.loads(line) for line in Path("o.npy.ids.jsonl").read_bytes().splitlines()]
    assert lines == [{"id": f"row-{n}", "n": str(n)} for n in range(6)]


def test_bad_rows_are_named_and_left_out(run: Embed) -> None:
    """In a file beside the output, which is gone when there are none."""
    Path("a.jsonl").write_bytes(b'{"text":"a"}\n{"text":null}\n{"text":3}\n\xff\n{"text":"b"}\n')
    told = json.loads(run("a.jsonl", "o.npy").stdout)
    assert (told["rows"], told["vectors"], told["bad"]) == (5, 2, 3)
    assert told["errors"] == "o.npy.errors.jsonl"
    errors = [json.loads(line) for line in Path("o.npy.errors.jsonl").read_bytes().splitlines()]
    assert [(one["file"], one["row"]) for one in errors] == [("a.jsonl", row) for row in (2, 3, 4)]
    Path("a.jsonl").write_bytes(b'{"text":"a"}\n')
    told = json.loads(run("a.jsonl", "o.npy", "--overwrite").stdout)
    assert (told["errors"], Path("o.npy.errors.jsonl").exists()) == (None, False)


def test_a_folder_is_one_table(run: Embed, expected: FloatArray) -> None:
    """Rows are told apart by their file."""
    Path("in").mkdir()
    for number in (1, 2):
        Path(f"in/{number}.txt").write_text("\n".join(TEXTS[3 * number - 3 : 3 * number]))
    run("in", "o.npy")
    np.testing.assert_array_equal(np.load("o.npy"), expected)
    ids = [json.loads(line)["id"] for line in Path("o.npy.ids.jsonl").read_bytes().splitlines()]
    assert ids == [f"{file}.txt:{row}" for file in (1, 2) for row in (1, 2, 3)]


def test_options_reach_the_vectors(run: Embed, expected: FloatArray) -> None:
    """Pooling, length and numbers."""
    write_input("a.txt")
    run("a.txt", "cls.npy", "--pooling", "cls")
    run("a.txt", "long.npy", "--no-normalize")
    run("a.txt", "half.npy", "--dtype", "float16")
    with Ai() as ai:
        cls = ai.run(ALL_MINILM, {"text": TEXTS, "pooling": "cls"})["data"]
    np.testing.assert_array_equal(np.load("cls.npy"), cls)
    long = np.load("long.npy")
    lengths = np.linalg.norm(long, axis=1, keepdims=True)
    assert (np.abs(lengths - 1) > 0.1).all()
    np.testing.assert_allclose(long / lengths, expected, atol=1e-6)
    half = np.load("half.npy")
    assert half.dtype == np.float16
    np.testing.assert_array_equal(half, expected.astype(np.float16))


def test_conditions_and_a_limit_choose_rows(run: Embed) -> None:
    """All conditions have to hold."""
    write_input("a.csv")
    wanted = ("--where", "n >= 1", "--where", "text != last", "--limit", "3", "--id-column", "n")
    told = json.loads(run("a.csv", "o.jsonl", *wanted).stdout)
    ids = [json.loads(line)["id"] for line in Path("o.jsonl").read_bytes().splitlines()]
    assert (ids, told["rows"]) == (["1", "2", "3"], 3)


def test_chunks_are_embedded_as_if_alone(run: Embed) -> None:
    """Their characters say which piece of the text they are; nothing is truncated."""
    text = " ".join(f"word{number} and some more of it." for number in range(60))
    Path("a.jsonl").write_text(json.dumps({"text": text, "k": "doc"}) + '\n{"text":"b","k":"c"}\n')
    wanted = ("--chunk", "50", "--overlap", "10", "--id-column", "k")
    told = json.loads(run("a.jsonl", "o.parquet", *wanted).stdout)
    rows = parquet.read_table("o.parquet").to_pylist()
    pieces = [text[row["start"] : row["end"]] for row in rows[:-1]]
    assert told["truncated"] == 0
    assert (len(rows) > 10, rows[-1]["id"], rows[-1]["chunk"]) == (True, "c", 0)
    assert [row["chunk"] for row in rows[:-1]] == list(range(len(rows) - 1))
    assert pieces[0] + text[rows[0]["end"] :] == text
    assert all(b["start"] < a["end"] for a, b in pairwise(rows[:-1]))
    with Ai() as ai:
        alone = ai.run(ALL_MINILM, {"text": pieces})["data"]
    np.testing.assert_array_equal([row["vector"] for row in rows[:-1]], alone)
    run("a.jsonl", "o.ndjson", *wanted)
    ids = [json.loads(line)["id"] for line in Path("o.ndjson").read_bytes().splitlines()]
    assert ids == [f"doc#{n}" for n in range(len(pieces))] + ["c#0"]


def test_a_dry_run_counts_and_writes_nothing(run: Embed) -> None:
    """As the run does, with an estimate of its time."""
    write_input("a.csv")
    told = json.loads(run("a.csv", "o.parquet", "--dry-run").stdout)
    done = json.loads(run("a.csv", "o.jsonl").stdout)
    names = ("rows", "vectors", "bad", "embedded", "repeated", "tokens", "truncated")
    assert [told[name] for name in names] == [done[name] for name in names]
    assert told["tokens_per_s"] > 0
    assert told["estimated_s"] > 0
    assert not list(Path().glob("o.parquet*"))


def test_an_empty_input_has_an_output_without_rows(run: Embed) -> None:
    """With its columns and their width."""
    Path("a.csv").write_text("text\n")
    for name in ("o.parquet", "o.npy", "o.jsonl", "o.arrow"):
        run("a.csv", name)
    assert np.load("o.npy").shape == (0, 384)
    assert parquet.read_schema("o.parquet").names == ["id", "vector"]
    assert Path("o.jsonl").read_bytes() == b""
