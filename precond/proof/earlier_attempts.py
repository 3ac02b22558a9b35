"""Attempts as ledgers and result files of earlier versions have them: ``[engine, seconds, text]``.

Their text said what ``Attempt`` and ``SecondProof`` say as data now, and an engine's line was
known by its name.  This is the one place where such text is read; nothing writes it any more.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from precond.printable import printable
from precond.proof.attempt import PROPAGATION, SOLVERS, Attempt, Outcome, SecondProof
from precond.proof.status import Status

Row = tuple[str, float, str]
LINES = (
    dict.fromkeys(("highs", "lp-split", "tighten-lp", "z3", "marabou"), SOLVERS)
    | dict.fromkeys(
        ("bounds", "bounds-optimised", "input-split", "polytope-split", "relu-split"), PROPAGATION
    )
    | {"tighten-split": PROPAGATION | SOLVERS}
)
COUNTS = re.compile(r"(\d+) infeasible, (\d+) witness, (\d+) undecided")
AGAIN = re.compile("again: (.*)", re.DOTALL)
NOT_DECIDED = re.compile(r"not decided \((.*)\)", re.DOTALL)
STATUS = {"proved": Status.PROVED, "contradicted": Status.REFUTED}


def read(rows: Sequence[Sequence[object]]) -> tuple[tuple[Attempt, ...], SecondProof | None]:
    """The attempts of a verdict, and the last second proof among them."""
    attempts: list[Attempt] = []
    second: SecondProof | None = None
    for engine, seconds, text in rows:
        row = (printable(str(engine)), float(str(seconds)), printable(str(text)))
        again = AGAIN.fullmatch(row[0])
        if again is None:
            attempts.append(_attempt(row))
        else:
            second = _second(again[1], row)
    return tuple(attempts), second


def _attempt(row: Row) -> Attempt:
    engine, seconds, text = row
    found = COUNTS.fullmatch(text)
    if found is None:
        return Attempt(engine, seconds, note=text)
    counts = dict(zip(Outcome, map(int, found.groups()), strict=True))
    return Attempt(engine, seconds, counts=counts, lines=LINES.get(engine, frozenset()))


def _second(names: str, row: Row) -> SecondProof:
    _, seconds, text = row
    engines = () if names == "no engine" else tuple(names.split(", "))
    left_open = NOT_DECIDED.fullmatch(text)
    reason = "" if left_open is None else left_open[1]
    return SecondProof(STATUS.get(text, Status.UNKNOWN), engines, seconds, reason=reason)
