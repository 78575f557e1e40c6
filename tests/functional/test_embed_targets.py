"""`satsuma embed`: what it writes falls upon nothing that is not its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.files import Command, write_tiny_model
from support.program import environment

from satsuma.bulk import run
from satsuma.bulk.errors import JobError, OutputExistsError

GOOD, BAD = "text\na\n", 'text\na\n""\n'


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    """The command with a tiny model, in a folder of its own."""
    models = tmp_path / "models"
    usual = ("--model", write_tiny_model(models), "--models-dir", str(models))
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return Command(environment(tmp_path), usual)


def write(name: str, content: str) -> None:
    """Write a file, and the folder for it."""
    Path(name).parent.mkdir(exist_ok=True)
    Path(name).write_text(content)


@pytest.mark.parametrize("content", [GOOD, BAD])
@pytest.mark.parametrize("errors", ["in.csv", "./in.csv", "o.jsonl", "o.jsonl.meta.json"])
def test_errors_are_not_written_over_the_jobs_own_files(
    command: Command, content: str, errors: str
) -> None:
    """Neither its input nor its output, with --overwrite either; nothing is deleted."""
    write("in.csv", content)
    with pytest.raises(OutputExistsError, match="write elsewhere"):
        command.report("in.csv", "o.jsonl", "--errors", errors, "--overwrite")
    assert Path("in.csv").read_text() == content
    assert [one.name for one in Path().iterdir()] == ["in.csv"]


@pytest.mark.parametrize("content", [GOOD, BAD])
@pytest.mark.parametrize("output", ["o.npy", "-"])
def test_a_file_is_no_place_for_errors_unless_told(
    command: Command, content: str, output: str
) -> None:
    """With bad rows or without; told to, its content is this run's."""
    write("in.csv", content)
    write("notes.txt", "precious")
    wanted = ("in.csv", output, "--to", "npy", "--errors", "notes.txt")
    assert b"notes.txt is there already" in command.run(*wanted).stderr
    assert Path("notes.txt").read_text() == "precious"
    assert command.run(*wanted, "--overwrite").returncode == 0
    assert Path("notes.txt").read_text().count("\n") == (content == BAD)


@pytest.mark.parametrize("suffix", [".errors.jsonl", ".meta.json", ".ids.jsonl"])
@pytest.mark.parametrize("content", [GOOD, BAD])
def test_neighbours_are_replaced_only_when_told(
    command: Command, content: str, suffix: str
) -> None:
    """As the output itself."""
    write("in.csv", content)
    write(f"o.npy{suffix}", "precious")
    with pytest.raises(OutputExistsError, match=rf"o\.npy{suffix} is there already"):
        command.report("in.csv", "o.npy")
    assert Path(f"o.npy{suffix}").read_text() == "precious"
    command.report("in.csv", "o.npy", "--overwrite")
    path = Path(f"o.npy{suffix}")
    assert not path.exists() or path.read_text() != "precious"


def test_errors_may_go_to_a_device(command: Command) -> None:
    """It stays one."""
    write("in.csv", BAD)
    os.mkfifo("pipe")
    with subprocess.Popen(["/bin/cat", "pipe"], stdout=subprocess.PIPE) as reader:
        try:
            assert command.run("in.csv", "o.npy", "--errors", "pipe").returncode == 0
            assert b'"row":2' in reader.communicate(timeout=30)[0]
        finally:
            reader.kill()
    assert Path("pipe").is_fifo()


@pytest.mark.parametrize("name", ["sub/../in.csv", "link.csv", "hard.csv"])
def test_an_input_is_known_by_any_name(command: Command, name: str) -> None:
    """It is not replaced through another spelling or a link."""
    write("in.csv", GOOD)
    Path("sub").mkdir()
    Path("link.csv").symlink_to("in.csv")
    Path("hard.csv").hardlink_to("in.csv")
    with pytest.raises(OutputExistsError, match="is the input"):
        command.report("in.csv", name, "--to", "jsonl", "--overwrite")
    assert Path("in.csv").read_text() == GOOD


def test_the_folder_for_errors_is_looked_at_first(command: Command) -> None:
    """Before hours of work."""
    write("in.csv", BAD)
    with pytest.raises(JobError, match=r"nodir/e\.jsonl cannot be written: there is no folder"):
        command.report("in.csv", "o.npy", "--errors", "nodir/e.jsonl")
    assert not Path("o.npy.satsuma").exists()


def test_what_came_meanwhile_is_not_replaced(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job of another folder may have been quicker; told to, this one goes on and replaces it."""
    write("in.csv", GOOD)
    with monkeypatch.context() as patch:
        patch.setattr(run, "check_unchanged", lambda _: write("o.jsonl", "precious"))
        with pytest.raises(OutputExistsError, match=r"o\.jsonl is there already"):
            command.report("in.csv", "o.jsonl")
    assert Path("o.jsonl").read_text() == "precious"
    assert command.report("in.csv", "o.jsonl", "--overwrite")["rows_before"] == 1


@pytest.mark.parametrize("output", ["in/o.jsonl", "in/o.npy"])
@pytest.mark.parametrize("moment", ["before", "after"])
def test_an_output_in_the_inputs_folder_is_no_input(
    command: Command, output: str, moment: str
) -> None:
    """Killed before or after it appeared, the job goes on; told to replace it, a run does so."""
    write("in/a.jsonl", '{"text": "a"}\n{"text": ""}\n')
    more = ("--errors", "in/bad.jsonl") if output == "in/o.npy" else ()
    killed = subprocess.run(
        [sys.executable, "-c", KILLED[moment], "embed", "in", output, *more, *command.usual],
        env=dict(command.env),
        check=False,
    )
    named = Path(more[-1]) if more else Path(f"{output}.errors.jsonl")
    assert (killed.returncode, Path(output).exists()) == (9, moment == "after")
    assert named.exists()
    assert command.report("in", output, *more)["rows"] == 2
    if not more:
        assert command.report("in", output, "--overwrite")["rows"] == 2


KILLED = {
    "before": """
import os
from satsuma.bulk import assembling
whole = assembling.publish
def publish(target, *rest):
    if target.name.endswith(("o.jsonl", "o.npy")):
        os._exit(9)
    whole(target, *rest)
assembling.publish = publish
from satsuma.cli.main import main
main()
""",
    "after": """
import os
from satsuma.bulk.state import JobState
JobState.remove = lambda _: os._exit(9)
from satsuma.cli.main import main
main()
""",
}
