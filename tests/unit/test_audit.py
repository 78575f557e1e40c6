"""`make audit` says how much it has looked at."""

from __future__ import annotations

from audit import read_verdict


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
