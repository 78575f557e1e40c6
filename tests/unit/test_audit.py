"""`make audit` says how much it has looked at."""

from __future__ import annotations

import pytest
from audit import Verdict, conclude, list_extras, read_verdict


def test_no_extra_is_left_out() -> None:
    """Whatever is installed by name is looked up; `all` installs others of them."""
    assert {"files", "gpu", "otel", "postgres", "ray", "server"} <= set(list_extras())
    assert "all" not in list_extras()


def test_what_nobody_knows_was_not_audited() -> None:
    """A package that the index does not tell of is no good one."""
    told = {
        "dependencies": [
            {"name": "good", "version": "1", "vulns": []},
            {"name": "bad", "version": "2", "vulns": [{"id": "PYSEC-1"}, {"id": "PYSEC-2"}]},
            {"name": "strange", "skip_reason": "not found"},
        ]
    }
    verdict = read_verdict(told)
    assert verdict.num_audited == 2
    assert verdict.vulnerable == ("bad 2: PYSEC-1, PYSEC-2",)
    assert verdict.unknown == ("strange",)


@pytest.mark.parametrize("verdict", [None, Verdict(0, (), ("strange",))])
def test_silence_is_no_good_news(
    verdict: Verdict | None, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where the index does not answer, or knows nothing, that is said, and the exit code too."""
    assert conclude(verdict) == 3
    assert "NOTHING WAS AUDITED" in capsys.readouterr().out


def test_a_known_vulnerability_fails_the_audit(capsys: pytest.CaptureFixture[str]) -> None:
    """With its name; a clean list does not."""
    assert conclude(Verdict(2, ("bad 2: PYSEC-1",), ())) == 1
    assert "bad 2: PYSEC-1" in capsys.readouterr().out
    assert conclude(Verdict(2, (), ("strange",))) == 0
