"""A list of queries: one row names a model file, a query file, and perhaps a limit and an answer.

The form of VNN-COMP's ``instances.csv`` is read as it is: no header; network, query, seconds;
what stands in a fourth column is the known answer.  With a header, columns are found by name:
``network`` (or ``onnx``, ``model``), ``query`` (``vnnlib``, ``property``), ``seconds``
(``timeout``), ``answer`` (``known_answer``, ``known``, ``expected``); others are left alone.
Files are looked for beside the list.  A query about several networks names each:
``f=one.onnx;g=two.onnx``.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from precond.errors import QueryError

ANSWERS = ("sat", "unsat")
COLUMNS = {
    "network": ("network", "onnx", "model"),
    "query": ("query", "vnnlib", "property"),
    "seconds": ("seconds", "timeout"),
    "answer": ("answer", "known_answer", "known", "expected"),
}
WITHOUT_HEADER = {"network": 0, "query": 1, "seconds": 2, "answer": 3}


@dataclass(frozen=True)
class Instance:
    """``network``, ``query``: as the list has them, which is how results name them; ``folder``:
    where the list stands; ``seconds``: its limit, infinite where it has none; ``answer``: ``sat``
    or ``unsat`` where it is known, else empty."""

    network: str
    query: str
    folder: Path
    seconds: float = math.inf
    answer: str = ""

    @property
    def name(self) -> tuple[str, str]:
        return self.network, self.query

    @property
    def networks(self) -> tuple[str, ...]:
        """``NAME=FILE`` or one ``FILE``, as ``--network`` takes them; a file may have ``=`` in its
        own name."""
        if (self.folder / self.network).is_file():
            return (str(self.folder / self.network),)
        parts = [part.strip() for part in self.network.split(";")]
        return tuple(self._placed(part) for part in parts)

    @property
    def query_file(self) -> Path:
        return self.folder / self.query

    def _placed(self, part: str) -> str:
        name, equals, file = part.partition("=")
        return f"{name}={self.folder / file}" if equals else str(self.folder / part)


def read_instances(path: Path) -> list[Instance]:
    """The rows of a list, in its order.  QueryError where a row says no network and query."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = [(k, row) for k, row in enumerate(csv.reader(file), 1) if any(row)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise QueryError(f"{path}", expected="a CSV list of queries", got=str(error)) from error
    if not rows:
        raise QueryError(f"{path}", expected="rows NETWORK,QUERY[,SECONDS]", got="no row")
    columns = _header(rows[0][1])
    if columns is None:
        columns = dict(WITHOUT_HEADER)
    else:
        rows = rows[1:]
    return [_instance(path, k, row, columns=columns) for k, row in rows]


def _header(row: Sequence[str]) -> dict[str, int] | None:
    """Where each column stands, if the row is a header."""
    words = [word.strip().lower() for word in row]
    places = {
        column: words.index(name)
        for column, names in COLUMNS.items()
        for name in names
        if name in words
    }
    return places if "network" in places and "query" in places else None


def _instance(path: Path, line: int, row: Sequence[str], columns: Mapping[str, int]) -> Instance:
    cells = {name: row[k].strip() if k < len(row) else "" for name, k in columns.items()}
    if not cells["network"] or not cells["query"]:
        raise QueryError(
            f"{path}, line {line}", expected="NETWORK,QUERY[,SECONDS]", got=repr(",".join(row))
        )
    answer = cells.get("answer", "").lower()
    return Instance(
        network=cells["network"],
        query=cells["query"],
        folder=path.parent,
        seconds=_limit(f"{path}, line {line}", cells.get("seconds", "")),
        answer=answer if answer in ANSWERS else "",
    )


def _limit(where: str, text: str) -> float:
    try:
        seconds = float(text) if text else math.inf
    except ValueError:
        seconds = math.nan
    if not seconds > 0:
        raise QueryError(where, expected="seconds above 0 as the limit", got=repr(text))
    return seconds
