"""Clusters: inputs grouped by the layer preconditions they share.

A cluster is a layer rule: the inputs that satisfy it.  An input that satisfies several goes to
the one that is best supported in training, so that clusters part the inputs; inputs without a
rule are left over.  The *purity* of a cluster is the share of its commonest label; its *medoid*
is the member whose summed distance to the members is least (L2 on inputs), a real input that
stands for it.  Clusters of one class show its variants: two ways of writing a seven.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from precond.apply.debugging.rule_book import RuleBook
from precond.basics.notebook import NotebookPage

Array = NDArray[np.float64]
Rows = NDArray[np.int64]
MEDOID = 2000  # members that a medoid is chosen among


@dataclass(frozen=True, eq=False, kw_only=True)
class Cluster:
    """``rule``: number in the book.  ``members``: rows that are in this cluster; ``satisfying``:
    how many rows satisfy the rule, in whichever cluster they are.

    ``label``: the members' commonest label, ``purity`` its share, and ``held_out_purity`` its
    share among held-out members (None without any).  ``medoid``: a row; ``spread``: the
    members' mean distance from it.  ``odd``: members of another label, far ones first.
    """

    rule: int
    members: Rows
    satisfying: int
    label: int
    purity: float
    held_out_purity: float | None
    medoid: int
    spread: float
    odd: Rows


@dataclass(frozen=True, eq=False)
class Clustering(NotebookPage):
    """``clusters``, largest first; ``rest``: rows that satisfy no rule; ``assigned`` (N,): the
    cluster of every row, −1 for the rest."""

    book: RuleBook
    labels: Rows
    clusters: tuple[Cluster, ...]
    rest: Rows
    assigned: Rows

    def __repr__(self) -> str:
        return f"Clustering({len(self.clusters)} clusters, {len(self.rest)} inputs in none)"

    @property
    def purity(self) -> float:
        """The share of clustered inputs that carry their cluster's commonest label."""
        inside = sum(len(c.members) for c in self.clusters)
        hits = sum(round(c.purity * len(c.members)) for c in self.clusters)
        return hits / inside if inside else 0.0


def cluster(
    book: RuleBook, labels: Rows, held_out: Rows, *, smallest: int = 2, seed: int = 0
) -> Clustering:
    """Group all rows of ``book`` by its rules.

    ``labels`` (N,): true classes, or predicted ones where there are none.  Groups of fewer than
    ``smallest`` members are dissolved into the rest.
    """
    count = len(book.signatures)
    owner = np.full(count, -1, dtype=np.int64)
    sizes = np.zeros(len(book.rules), dtype=np.int64)
    supports = [rule.support for rule in book.rules]
    for number in np.argsort(-np.array(supports), kind="stable").tolist():
        holds = book.holds(number)
        sizes[number] = int(holds.sum())
        owner[holds & (owner < 0)] = number
    late = np.zeros(count, dtype=np.bool_)
    late[held_out] = True
    found = []
    for number in range(len(book.rules)):
        members = np.flatnonzero(owner == number)
        if len(members) < smallest:
            continue
        found.append(
            _cluster(
                book,
                labels,
                late,
                number=number,
                members=members,
                satisfying=int(sizes[number]),
                seed=seed,
            )
        )
    found.sort(key=lambda c: (-len(c.members), c.rule))
    assigned = np.full(count, -1, dtype=np.int64)
    for position, one in enumerate(found):
        assigned[one.members] = position
    return Clustering(
        book, labels, clusters=tuple(found), rest=np.flatnonzero(assigned < 0), assigned=assigned
    )


def _cluster(
    book: RuleBook,
    labels: Rows,
    late: NDArray[np.bool_],
    number: int,
    members: Rows,
    satisfying: int,
    seed: int,
) -> Cluster:
    values, counts = np.unique(labels[members], return_counts=True)
    label = int(values[counts.argmax()])
    own = labels[members] == label
    seen = late[members]
    medoid = medoid_of(book.inputs, members[own], seed)
    point = np.asarray(book.inputs[medoid], dtype=np.float64)
    away = np.linalg.norm(book.inputs[members] - point, axis=1)
    odd = np.flatnonzero(~own)
    return Cluster(
        rule=number,
        members=members,
        satisfying=satisfying,
        label=label,
        purity=float(own.mean()),
        held_out_purity=float(own[seen].mean()) if seen.any() else None,
        medoid=medoid,
        spread=float(away.mean()),
        odd=members[odd[np.argsort(-away[odd], kind="stable")]],
    )


def medoid_of(inputs: NDArray[np.floating], members: Rows, seed: int = 0) -> int:
    """The row of ``members`` with the least summed L2 distance to them; of more than ``MEDOID``
    members a sample stands for all."""
    if len(members) > MEDOID:
        members = np.sort(np.random.default_rng(seed).choice(members, MEDOID, replace=False))
    points = np.asarray(inputs[members], dtype=np.float64)
    squares = (points**2).sum(axis=1)
    gaps = squares[:, None] + squares[None] - 2 * points @ points.T
    return int(members[np.sqrt(np.maximum(gaps, 0.0)).sum(axis=1).argmin()])
