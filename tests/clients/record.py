"""docs/clients.json: what the tests ran, with which versions. Written, or compared with.

The table of docs/compatibility.md is made from that file, so what it says was seen by a test.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FILE = Path(__file__).parent.parent.parent / "docs" / "clients.json"

_LISTS = ("calls", "errors", "remarks")
_DIFFERS = "docs/clients.json does not say what the tests saw; run: make clients\n"

Row = dict[str, Any]
Key = tuple[str, str, str]


@dataclass
class ClientRecord:
    """The rows of one run of the tests.

    Attributes:
        is_recording: the rows are to be written, rather than compared.
        file: where the rows are kept.
        is_partial: some client's tests did not run, so a row may lack something.
    """

    is_recording: bool = False
    file: Path = FILE
    is_partial: bool = False
    rows: dict[Key, Row] = field(default_factory=dict)

    def __call__(
        self,
        *,
        client: str,
        language: str,
        version: str,
        address: str,
        calls: Iterable[str] = (),
        errors: Iterable[str] = (),
        remarks: Iterable[str] = (),
    ) -> None:
        """Note what a test saw; call it last, when everything has been compared.

        Args:
            client: the package's name, as its registry has it.
            language: what the program is written in.
            version: as the program told it when it ran.
            address: how the client is told where the server is.
            calls: what was called, whose values were right.
            errors: what was refused, and as what it reached the caller.
            remarks: what a reader must know.
        """
        row = self.rows.setdefault(
            (language, client, version),
            {"client": client, "language": language, "version": version, "address": address}
            | {name: [] for name in _LISTS},
        )
        assert row["address"] == address, "one client has one way to change its address"
        for name, added in zip(_LISTS, (calls, errors, remarks), strict=True):
            row[name] = sorted({*row[name], *added})
        if not self.is_recording:
            assert _is_within(row, self._committed()), _DIFFERS + json.dumps(row, indent=1)

    def finish(self) -> None:
        """Write the rows of a whole run, or compare them with the file."""
        rows = [self.rows[key] for key in sorted(self.rows)]
        if self.is_recording:
            assert not self.is_partial, "not everything ran, so docs/clients.json was left alone"
            self.file.write_text(
                json.dumps(rows, indent=1, ensure_ascii=False) + "\n", encoding="utf-8"
            )
        elif not self.is_partial:
            assert rows == self._committed(), _DIFFERS

    def _committed(self) -> list[Row]:
        rows: list[Row] = json.loads(self.file.read_bytes()) if self.file.is_file() else []
        return rows


def _is_within(row: Row, committed: list[Row]) -> bool:
    """Tell whether the file has all that a row has so far."""
    return any(
        all(set(row[name]) <= set(one[name]) for name in _LISTS)
        and all(row[name] == one[name] for name in row if name not in _LISTS)
        for one in committed
    )
