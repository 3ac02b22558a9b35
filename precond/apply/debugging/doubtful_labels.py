"""Labels in doubt: wrong inputs that look as typical of the predicted class as its own.

A wrong input is *suspected to be mislabelled* when its strength for the predicted class
(``rule_book``) reaches the lower quartile of the strengths of the training inputs that were
predicted right, and no rule of the class it is labelled as holds for it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from precond.apply.debugging.rule_book import RuleBook

Rows = NDArray[np.int64]
TYPICAL = 0.25  # quantile of the right inputs' strengths that a suspect reaches


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
