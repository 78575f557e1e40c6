"""`satsuma embed`, killed and run again: what is done is kept, and the bytes are the same."""

from __future__ import annotations

import json
import random
import resource
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.files import Command, random_texts, write_tiny_model
from support.program import environment

from satsuma.bulk.errors import (
    BadRowError,
    JobDiffersError,
    JobLockedError,
    OutputExistsError,
)

WINDOW_TEXTS = 64
NUM_TEXTS = 3000
NUM_PARTS = NUM_TEXTS // WINDOW_TEXTS


@dataclass(frozen=True)
class Work:
    """An input with a bad row, the command for it, and what an uninterrupted run makes of it."""

    source: str
    whole: Path
    command: Command

    def check(self, output: Path) -> None:
        """Compare an output with the uninterrupted one, and see that nothing is left beside it."""
        assert output.read_bytes() == self.whole.read_bytes()
        named = Path(f"{output}.errors.jsonl").read_bytes()
        assert named == Path(f"{self.whole}.errors.jsonl").read_bytes()
        assert not Path(f"{output}.satsuma").exists()


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Work:
    """Run the command once, without interruption."""
    folder = tmp_path_factory.mktemp("killed")
    usual = ("--model", write_tiny_model(folder / "models"), "--keep", "k")
    models = ("--models-dir", str(folder / "models"))
    command = Command(environment(folder), (*usual, *models), WINDOW_TEXTS)
    rows = [{"text": text, "k": number} for number, text in enumerate(random_texts(NUM_TEXTS))]
    rows[100]["text"] = ""
    source = folder / "in.jsonl"
    source.write_text("\n".join(map(json.dumps, rows)))
    told = command.report(str(source), str(folder / "whole.parquet"))
    assert told["embedded"] == len({row["text"] for row in rows if row["text"]})
    return Work(str(source), folder / "whole.parquet", command)


@pytest.fixture
def output(tmp_path: Path) -> Path:
    """Where a test's output goes."""
    return tmp_path / "out.parquet"


@pytest.fixture(scope="module")
def begun(work: Work) -> Path:
    """The folder of a job that was killed."""
    output = work.whole.with_name("begun.parquet")
    with work.command.until(2, work.source, output):
        pass
    return Path(f"{output}.satsuma")


@pytest.mark.parametrize("seed", range(3))
def test_a_killed_job_goes_on_to_the_same_bytes(work: Work, output: Path, seed: int) -> None:
    """SIGKILL at three moments; the fourth run ends it, and repeats nothing that was kept."""
    moments = sorted(random.Random(seed).sample(range(1, NUM_PARTS - 10), 3))  # noqa: S311
    for num_parts in moments:
        with work.command.until(num_parts, work.source, output) as process:
            assert process.poll() is None
        assert not output.exists()
    told = work.command.report(work.source, str(output))
    assert told["rows_before"] >= moments[-1] * WINDOW_TEXTS
    assert (told["rows"], told["vectors"], told["bad"]) == (NUM_TEXTS, NUM_TEXTS - 1, 1)
    work.check(output)


def test_a_kill_before_the_first_part_costs_nothing(work: Work, output: Path) -> None:
    """Not even the right to other options."""
    with work.command.until(0, work.source, output):
        pass
    assert work.command.report(work.source, str(output), "--limit", "10")["vectors"] == 10


def test_ctrl_c_stops_soon_and_says_how_to_go_on(work: Work, output: Path) -> None:
    """Exit code 130, no traceback, and the next run goes on."""
    with work.command.until(5, work.source, output) as process:
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=10)
    assert process.returncode == 130
    assert b"rows are done. The same command goes on from there." in err
    assert b"Traceback" not in err
    assert work.command.report(work.source, str(output))["rows_before"] > 0


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--pooling", "mean"), "pooling was cls and is mean"),
        (("--no-normalize",), "--is_normalized was True and is False"),
        (("--precision", "int8"), "precision was fp32 and is int8"),
        (("--limit", "7"), "--limit was not there and is 7"),
    ],
)
def test_a_job_does_not_go_on_as_another(
    work: Work, begun: Path, output: Path, more: tuple[str, ...], message: str
) -> None:
    """It says what differs, and how to begin anew."""
    shutil.copytree(begun, f"{output}.satsuma")
    with pytest.raises(JobDiffersError, match=f"{message}.* --restart"):
        work.command.report(work.source, str(output), *more)


def test_a_job_does_not_go_on_with_another_input(work: Work, output: Path, tmp_path: Path) -> None:
    """The changed file is named; --restart begins anew."""
    copy = tmp_path / "in.jsonl"
    copy.write_bytes(Path(work.source).read_bytes())
    with work.command.until(2, str(copy), output):
        pass
    with copy.open("a") as file:
        file.write('\n{"text": "one more"}')
    with pytest.raises(JobDiffersError, match=f"the size of {copy} was"):
        work.command.report(str(copy), str(output))
    told = work.command.report(str(copy), str(output), "--restart")
    assert (told["rows_before"], told["rows"]) == (0, NUM_TEXTS + 1)


def test_only_one_works_on_an_output(work: Work, output: Path) -> None:
    """The second is refused at once, and disturbs nothing."""
    with work.command.until(1, work.source, output) as first:
        with pytest.raises(JobLockedError, match="Another satsuma embed works on this output"):
            work.command.report(work.source, str(output))
        out, err = first.communicate(timeout=60)
    assert first.returncode == 0, err
    assert json.loads(out)["rows"] == NUM_TEXTS


def limit_files() -> None:
    """Let no file grow beyond 500 kB: the parts stay below that, the output does not."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, resource.RLIM_INFINITY))


def test_no_room_is_explained_and_the_job_goes_on(work: Work, output: Path) -> None:
    """Nothing is half there, and nothing is done twice."""
    with work.command.start(work.source, str(output), before=limit_files) as process:
        _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert b"There is no room left" in err
    assert not output.exists()
    work.command.report(work.source, str(output))
    work.check(output)


def test_an_output_is_replaced_only_when_told(work: Work, output: Path) -> None:
    """And then at the end, all at once."""
    output.write_text("precious")
    with pytest.raises(OutputExistsError, match="is there already"):
        work.command.report(work.source, str(output))
    with work.command.until(3, work.source, output, "--overwrite"):
        pass
    assert output.read_text() == "precious"
    assert work.command.report(work.source, str(output), "--overwrite")["rows_before"] > 0
    work.check(output)


def test_strict_stops_at_a_bad_row_and_keeps_what_is_done(work: Work, output: Path) -> None:
    """Its file and number are named; without --strict the same job goes on."""
    expected = r"in\.jsonl, row 101: 'text' is empty\. --strict stops here\."
    with pytest.raises(BadRowError, match=expected):
        work.command.report(work.source, str(output), "--strict")
    work.command.report(work.source, str(output))
    work.check(output)


@pytest.mark.parametrize("is_done", [True, False])
def test_strict_stops_at_a_bad_row_of_an_earlier_run(
    work: Work, output: Path, *, is_done: bool
) -> None:
    """Killed between two windows or before its output; nothing appears, and all is kept."""
    with work.command.until(NUM_PARTS - 5, work.source, output):
        pass
    if is_done:
        (Path(f"{output}.satsuma") / "done").touch()
    with pytest.raises(BadRowError, match=r"in\.jsonl, row 101: .* --strict stops here\."):
        work.command.report(work.source, str(output), "--strict")
    assert not output.exists()
    assert work.command.report(work.source, str(output))["rows_before"] > 0


def test_a_killed_end_is_made_up_for(work: Work, output: Path) -> None:
    """Killed between the last part and the output: the next run only assembles."""
    code = (
        "import os; from satsuma.bulk import run; "
        "run.publish_output = lambda *_: os._exit(9); "
        "from satsuma.cli.main import main; main()"
    )
    command = [sys.executable, "-c", code, "embed", work.source, str(output)]
    env = dict(work.command.env)
    killed = subprocess.run([*command, *work.command.usual], env=env, check=False)
    assert (killed.returncode, output.exists()) == (9, False)
    told = work.command.report(work.source, str(output))
    assert (told["rows"], told["vectors"]) == (NUM_TEXTS, NUM_TEXTS - 1)
