"""What a job writes besides its output, and what none of it may fall upon."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from satsuma.bulk.errors import OutputExistsError
from satsuma.bulk.formats import OutputFormat
from satsuma.bulk.inputs import InputFile
from satsuma.bulk.locations import Location
from satsuma.bulk.state import is_done, state_folder

ERRORS_SUFFIX, METADATA_SUFFIX, IDS_SUFFIX = ".errors.jsonl", ".meta.json", ".ids.jsonl"
TELLS_ITSELF = frozenset({OutputFormat.PARQUET, OutputFormat.ARROW})  # has a place for metadata


def neighbours(output: Location, kind: OutputFormat) -> tuple[Location, ...]:
    """Name what tells of an output beside it, where its format has no place for that."""
    suffixes = () if kind in TELLS_ITSELF else (METADATA_SUFFIX,)
    ids = (IDS_SUFFIX,) if kind is OutputFormat.NPY else ()
    return tuple(map(output.beside, (*suffixes, *ids)))


def own_files(
    output: Location, errors: Location | None, kind: OutputFormat, state: Path | None
) -> tuple[Location, ...]:
    """Name what earlier runs of a job may have left in the folder of its input.

    The output is taken for theirs only where something beside it says so, since a file of that
    name may as well be an input that the job must not replace.

    Args:
        output: where the vectors go.
        errors: where rows without a vector are named; None chooses.
        kind: the output's format.
        state: where the job is kept; None chooses.
    """
    beside = (output.beside(ERRORS_SUFFIX), *neighbours(output, kind))
    if is_done(state or state_folder(output)):
        return (output, *beside) if errors is None else (output, errors, *beside)
    return (output, *beside) if output.beside(METADATA_SUFFIX).exists() else beside


def refuse_clashes(targets: Sequence[Location], inputs: Iterable[InputFile]) -> None:
    """Refuse targets that are one file, or an input.

    Raises:
        OutputExistsError: names it.
    """
    for number, one in enumerate(targets):
        if any(map(one.is_same, targets[:number])):
            raise OutputExistsError(f"{one.name} would be written twice; write elsewhere.")
    there = [one for one in targets if one.exists()]
    for place in (one.location for one in inputs if there and one.location is not None):
        for one in filter(place.is_same, there):
            raise OutputExistsError(f"{one.name} is the input; write elsewhere.")


def refuse_existing(targets: Iterable[Location]) -> None:
    """Refuse targets that are there already.

    Raises:
        OutputExistsError: names the first.
    """
    for one in targets:
        if one.exists():
            raise OutputExistsError(f"{one.name} is there already. Replace it with --overwrite.")
