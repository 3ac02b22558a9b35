"""The answers to a list of queries, one row each, in a file that a run can go on from.

A row is written when its answer is known.  A later run keeps the rows whose answer it could
not better: ``sat`` and ``unsat``, and others that had at least the time it would give.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path

from precond.basics.plain import FOREIGN
from precond.basics.whole_files import write_whole
from precond.errors import OutputError, QueryError
from precond.printable import printable
from precond.vnnlib.suite.instances import ANSWERS, Instance

UNKNOWN = "unknown"
ERROR = "error"


@dataclass(frozen=True, kw_only=True)
class ResultRow:
    """``result``: ``sat``, ``unsat``, ``unknown``, ``timed-out`` or ``error``.  ``seconds`` by the
    clock and ``cpu_seconds`` in the worker (infinite where it was killed), both with reading the
    files; ``limit``: the seconds it had; ``certificates``: how many of its claims' proofs were
    checked exactly; ``note``: why."""

    network: str
    query: str
    result: str
    seconds: float
    cpu_seconds: float
    limit: float
    certificates: int = 0
    note: str = ""

    @property
    def name(self) -> tuple[str, str]:
        return self.network, self.query

    def serves(self, limit: float, *, exact: bool) -> bool:
        """Whether a run with ``limit`` seconds has nothing to gain over this row."""
        if self.result == "unsat":
            return not exact or self.certificates > 0
        return self.result == "sat" or (self.result != ERROR and self.limit >= limit)

    def contradicts(self, instance: Instance) -> bool:
        return bool(instance.answer) and self.result in ANSWERS and self.result != instance.answer


COLUMNS = tuple(one.name for one in fields(ResultRow))


class ResultsFile:
    """Rows by name, on disk as they come."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows = _read(path) if path.exists() else {}

    def add(self, row: ResultRow) -> None:
        """Take a row; the file has it when this returns."""
        self.rows[row.name] = row
        self._write()

    def in_order(self, instances: Sequence[Instance]) -> None:
        """The rows of ``instances`` first, in their order."""
        listed = [self.rows[one.name] for one in instances if one.name in self.rows]
        self.rows = {row.name: row for row in [*listed, *self.rows.values()]}
        self._write()

    def _write(self) -> None:
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(_cells(row) for row in self.rows.values())
        write_whole(self.path, text.getvalue(), name="--out")


def _cells(row: ResultRow) -> list[str]:
    return [f"{v:.6g}" if isinstance(v, float) else printable(str(v)) for v in astuple(row)]


def _read(path: Path) -> dict[tuple[str, str], ResultRow]:
    """The rows of an earlier run; what is no such file is refused, not overwritten."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            if tuple(reader.fieldnames or ()) != COLUMNS:
                raise QueryError(
                    f"--out {path}",
                    expected=f"a file of results with the columns {', '.join(COLUMNS)}",
                    got="another file",
                    fix="Name a new file",
                )
            rows = [_row(path, cells) for cells in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise OutputError(f"--out {path}", expected="a file of results", got=str(error)) from error
    return {row.name: row for row in rows}


def _row(path: Path, cells: dict[str, str]) -> ResultRow:
    try:
        numbers = [float(cells[name]) for name in ("seconds", "cpu_seconds", "limit")]
        if any(math.isnan(number) for number in numbers):
            raise ValueError("not a number")
        return ResultRow(
            network=cells["network"],
            query=cells["query"],
            result=cells["result"],
            seconds=numbers[0],
            cpu_seconds=numbers[1],
            limit=numbers[2],
            certificates=int(cells["certificates"]),
            note=cells["note"],
        )
    except FOREIGN as error:
        raise QueryError(
            f"--out {path}", expected="rows of results", got=f"a row that is none ({error})"
        ) from error
