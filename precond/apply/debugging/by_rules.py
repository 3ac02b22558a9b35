"""Conditions that rules and outputs give: few rules hold, rules of other classes hold, one rule
holds, two classes are close, labels are in doubt.

They cost no forward pass.  Thresholds are ladders; what a quantile is taken of are right inputs
of the finding half.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from precond.apply.debugging.cases import Cases, Flags
from precond.apply.debugging.conditions import (
    Condition,
    DoubtfulLabels,
    FewRules,
    Hesitation,
    RivalRules,
    SharedRule,
)
from precond.apply.debugging.cover import LEAST, PossibleCause
from precond.apply.debugging.doubtful_labels import Suspect
from precond.apply.debugging.rule_book import RuleBook

Array = NDArray[np.float64]
SHARES = (0.01, 0.02, 0.05, 0.1)  # of right inputs with so few rules
STRENGTHS = (0.0, 0.01, 0.02, 0.05, 0.1)
ALONE = 4  # labels in doubt that make a cause of one pair of classes
GAPS = 8  # quantiles of the errors' gaps that are tried as limits


def candidates_of(
    pairs: Sequence[tuple[Condition, Flags]], cases: Cases, alike: int = 1, *, fitted: int = 0
) -> list[PossibleCause]:
    """Those that two errors of the finding half meet or more, of so many tried.

    ``alike``: so many, one after another, are each other's like, as those of all classes are;
    ``fitted``: errors that each was made of.
    """
    wrong = cases.wrong & cases.finding
    shares = np.array([inside[wrong].mean() for _, inside in pairs])
    found = []
    for number, (condition, inside) in enumerate(pairs):
        if int((inside & wrong).sum()) >= LEAST:
            first = number - number % alike
            usual = float(shares[first : first + alike].mean()) if alike > 1 else 0.0
            found.append(PossibleCause(condition, inside, len(pairs), usual=usual, fitted=fitted))
    return found


def label_candidates(suspects: Sequence[Suspect], cases: Cases) -> list[PossibleCause]:
    """Labels in doubt: those of a pair of classes with ``ALONE`` or more, and all others."""
    doubted = np.isin(cases.rows, [suspect.row for suspect in suspects])
    counts = Counter((suspect.label, suspect.likely) for suspect in suspects)
    rest = doubted.copy()
    pairs: list[tuple[Condition, Flags]] = []
    for label, likely in sorted(pair for pair, count in counts.items() if count >= ALONE):
        inside = doubted & (cases.labels == label) & (cases.predicted == likely)
        pairs.append((DoubtfulLabels(label, likely), inside))
        rest &= ~inside
    pairs.append((DoubtfulLabels(label=None, likely=None), rest))
    return candidates_of(pairs, cases)


def strength_candidates(book: RuleBook, cases: Cases) -> list[PossibleCause]:
    """Few rules of the predicted class, and rules of others."""
    if not book.rules:
        return []
    strengths, predicted = book.strengths[cases.rows], cases.predicted
    ruled = np.isin(predicted, np.unique(book.labels))
    own = strengths[np.arange(len(predicted)), predicted]
    others = strengths.copy()
    others[np.arange(len(predicted)), predicted] = 0.0
    right = ~cases.wrong & cases.finding
    general: list[tuple[Condition, Flags]] = []
    single: list[tuple[Condition, Flags]] = []
    classes = np.unique(predicted[right]).tolist()
    for share in SHARES:
        few = np.zeros(len(predicted), dtype=np.bool_)
        for k in classes:
            bar = np.quantile(own[right & (predicted == k)], share)
            mine = ruled & (predicted == k) & (own <= bar)
            single.append((FewRules(k, share), mine))
            few |= mine
        general.append((FewRules(predicted=None, share=share), few))
    rivals = np.unique(book.labels).tolist()
    rival: list[tuple[Condition, Flags]] = []
    for strength in STRENGTHS:
        general.append((RivalRules(rival=None, strength=strength), others.max(axis=1) > strength))
        rival += [(RivalRules(k, strength), others[:, k] > strength) for k in rivals]
    return [
        *candidates_of(general, cases),
        *candidates_of(single, cases, max(1, len(classes))),
        *candidates_of(rival, cases, len(rivals)),
    ]


def rule_candidates(book: RuleBook, cases: Cases) -> list[PossibleCause]:
    """Each rule, for what is predicted as its class."""
    satisfied = book.satisfied(cases.rows) & (book.labels[None] == cases.predicted[:, None])
    pairs: list[tuple[Condition, Flags]] = [
        (SharedRule(number, book.name(number), rule), satisfied[:, number])
        for number, rule in enumerate(book.rules)
    ]
    return candidates_of(pairs, cases, len(pairs))


def hesitation_candidates(scores: Array, cases: Cases) -> list[PossibleCause]:
    """Two classes close in ``scores`` (M, K): a class and any other, and pairs of classes."""
    order = np.argsort(scores, axis=1)
    first, second = order[:, -1], order[:, -2]
    at = np.arange(len(scores))
    gaps = scores[at, first] - scores[at, second]
    errors = cases.wrong & cases.finding
    if not errors.any():
        return []
    limits = np.unique(np.quantile(gaps[errors], np.linspace(0, 1, GAPS + 1)[1:]))
    limits = np.nextafter(limits, np.inf)
    low, high = np.minimum(first, second), np.maximum(first, second)
    classes = np.unique(np.concatenate([low[errors], high[errors]])).tolist()
    both = np.unique(np.stack([low, high], axis=1)[errors], axis=0).tolist()
    alone: list[tuple[Condition, Flags]] = []
    pairs: list[tuple[Condition, Flags]] = []
    for gap in limits.tolist():
        close = gaps < gap
        for k in classes:
            alone.append((Hesitation(k, second=None, gap=gap), close & ((low == k) | (high == k))))
        for a, b in both:
            pairs.append((Hesitation(a, b, gap), close & (low == a) & (high == b)))
    return [
        *candidates_of(alone, cases, len(classes), fitted=1),
        *candidates_of(pairs, cases, len(both), fitted=1),
    ]
