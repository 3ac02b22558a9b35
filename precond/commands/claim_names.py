"""``precond check --names``: what the file of a claim calls classes and columns.

A certificate speaks of x0, x1, … and y0, y1, … and holds no names: nothing can be proved of a
name.  The file that an analysis wrote may have them.  They are printed apart from the statement,
in quotation marks, as that file's words.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from precond.errors import QueryError

if TYPE_CHECKING:
    from precond.checker.certificate import Statement
    from precond.network.graph import Network
    from precond.study.store import Stored


def names_for(path: Path, statement: Statement, network: Network) -> list[str]:
    """Lines about what ``statement`` speaks of; QueryError where the file is about another network
    or names nothing."""
    from precond.study.store import read_preconditions

    stored = read_preconditions(path)
    hashes = {network.hash, network.logits.hash}
    if stored.network_hash not in hashes or statement.network not in hashes:
        raise QueryError(
            f"--names {path}",
            expected="a file about the network of the certificate",
            got=f"one about a network with hash {stored.network_hash[:12]}…",
            fix="Name the preconditions.json that was made from this model",
        )
    named = [*_classes(stored, statement, network), *_columns(stored)]
    if not named:
        raise QueryError(
            f"--names {path}",
            expected="names of classes or columns",
            got="none: its data had no names",
            fix="Analyze a table with a header, or give --classes",
        )
    return [f"names that {path.name!r} gives, and that no proof speaks of:", *named]


def _classes(stored: Stored, statement: Statement, network: Network) -> Iterator[str]:
    """Of the outputs in the property; one output tells two classes apart."""
    spoken = {k for clause in statement.clauses for one in clause for k, _ in one.outputs}
    if network.classes.binary and spoken and stored.classes:
        yield f"  {network.classes.words()}"
        yield from (f"  class {k} is {name!r}" for k, name in enumerate(stored.classes))
        return
    for k in sorted(spoken):
        if k < len(stored.classes):
            yield f"  y{k} is class {stored.classes[k]!r}"


def _columns(stored: Stored) -> Iterator[str]:
    yield from (f"  x{k} is column {name!r}" for k, name in enumerate(stored.columns))
