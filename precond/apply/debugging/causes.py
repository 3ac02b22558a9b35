"""Causes of errors: wrong inputs that share a rule, and inputs that may be mislabelled.

A *cause* is a rule of the predicted class together with a pair (given label → predicted class):
every wrong input of the pair that satisfies the rule is explained by it.  Causes are chosen
greedily, the one that explains most errors first, each error counted once (greedy set cover),
so the list is ranked by how many errors one cause explains.  Errors of a pair that share no rule
come last: what they have in common is not known.

A wrong input is *suspected to be mislabelled* when it looks as typical of the predicted class
as inputs that are that class: its strength there (``rule_book``) reaches the lower quartile
of the strengths of the training inputs that were predicted right, and no rule of the class it
is labelled as holds for it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from precond.apply.debugging.rule_book import RuleBook

Rows = NDArray[np.int64]
TYPICAL = 0.25  # quantile of the right inputs' strengths that a suspect reaches


@dataclass(frozen=True, eq=False, kw_only=True)
class Cause:
    """Errors labelled ``label`` and predicted ``predicted`` that satisfy rule ``rule`` (a number
    in the book; None where the errors of the pair share no rule).

    ``rows``: the errors explained, each by one cause only.  ``pair``: errors of the pair in
    all.  ``right``: training inputs that satisfy the rule and carry its class.
    """

    label: int
    predicted: int
    rule: int | None
    rows: Rows
    pair: int
    right: int


@dataclass(frozen=True, kw_only=True)
class Suspect:
    """``row`` is labelled ``label`` but looks like ``likely``: it satisfies ``rules`` of that
    class's rules with strength ``strength``; ``typical`` is what a suspect must reach."""

    row: int
    label: int
    likely: int
    strength: float
    typical: float
    rules: int


def causes(book: RuleBook, wrong: Rows, labels: Rows) -> tuple[Cause, ...]:
    """Causes of the errors ``wrong`` (row numbers), most errors first.

    ``labels`` (N,) are the given labels of all rows.
    """
    predicted = book.signatures.predicted
    satisfied = book.satisfied(wrong) & (book.labels[None] == predicted[wrong][:, None])
    pairs = labels[wrong] * book.network.classes.count + predicted[wrong]
    sizes = {int(p): int((pairs == p).sum()) for p in np.unique(pairs)}
    left = np.ones(len(wrong), dtype=np.bool_)
    found: list[Cause] = []

    def add(pair: int, rule: int | None, inside: NDArray[np.bool_]) -> None:
        label, said = divmod(pair, book.network.classes.count)
        right = 0
        if rule is not None:
            train = book.train[book.holds(rule)[book.train]]
            right = int(((labels[train] == said) & (predicted[train] == said)).sum())
        found.append(
            Cause(
                label=label,
                predicted=said,
                rule=rule,
                rows=wrong[inside],
                pair=sizes[pair],
                right=right,
            )
        )

    counts = {p: (satisfied & (pairs == p)[:, None]).sum(axis=0) for p in sizes}
    while len(book.rules):
        pair = max(sizes, key=lambda p: (int(counts[p].max()), -p))
        rule = int(counts[pair].argmax())
        if counts[pair][rule] == 0:
            break
        inside = satisfied[:, rule] & (pairs == pair) & left
        add(pair, rule, inside)
        left &= ~inside
        counts[pair] = (satisfied & ((pairs == pair) & left)[:, None]).sum(axis=0)
    for pair in sizes:
        inside = (pairs == pair) & left
        if inside.any():
            add(pair, rule=None, inside=inside)
    return tuple(sorted(found, key=lambda c: (c.rule is None, -len(c.rows), c.label, c.predicted)))


def suspects(book: RuleBook, wrong: Rows, labels: Rows) -> tuple[Suspect, ...]:
    """Errors that look mislabelled, the surest first."""
    strengths, predicted = book.strengths, book.signatures.predicted
    right = book.train[predicted[book.train] == labels[book.train]]
    bars = {
        k: float(np.quantile(strengths[right[predicted[right] == k], k], TYPICAL))
        for k in np.unique(predicted[right]).tolist()
    }
    counts = book.satisfied(wrong)
    found = []
    for position, row in enumerate(wrong.tolist()):
        label, likely = int(labels[row]), int(predicted[row])
        strength = float(strengths[row, likely])
        own = strengths[row, label] if label < strengths.shape[1] else 0.0
        bar = bars.get(likely)
        if bar is None or strength <= 0 or strength < bar or own > 0:
            continue
        held = int((counts[position] & (book.labels == likely)).sum())
        found.append(
            Suspect(row=row, label=label, likely=likely, strength=strength, typical=bar, rules=held)
        )
    return tuple(sorted(found, key=lambda s: (-s.strength / max(s.typical, 1e-12), s.row)))
