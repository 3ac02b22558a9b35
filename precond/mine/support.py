"""How data supports rules: Wilson intervals, held-out support, the precision–coverage curve.

Wilson's interval for k of n at z = 1.96 (95 %):
(k + z²/2 ± z √(k (n − k)/n + z²/4)) / (n + z²)   (Wilson 1927; Brown, Cai, DasGupta 2001).
Its lower end on the training inputs is a rule's *confidence*: a rule that was chosen because
it is pure is less pure on new inputs, the more so the fewer inputs it was chosen on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from precond.errors import DataError
from precond.mine.labels import NO_LABEL, check_labels
from precond.proof.precondition import Support
from precond.region.channels import ChannelPattern
from precond.region.pattern import DecisionPattern
from precond.region.signature import Signatures

Rows = NDArray[np.int64]
Z95 = 1.959963984540054
CURVE_POINTS = 25


class LabelledRule(Protocol):
    """What the curve needs of a rule."""

    @property
    def label(self) -> int: ...
    @property
    def pattern(self) -> DecisionPattern | ChannelPattern: ...
    @property
    def support(self) -> int: ...
    @property
    def confidence(self) -> float: ...


@dataclass(frozen=True)
class CurvePoint:
    """The rules with confidence ≥ ``threshold``: how many, and on held-out inputs the share
    that satisfies one (``coverage``) and the share of those with the voted label."""

    threshold: float
    rules: int
    coverage: float
    precision: float | None


def wilson(successes: int, trials: int) -> tuple[float, float]:
    """Wilson's interval for a share, at 95 %; (0, 1) without trials."""
    z = Z95
    if not 0 <= successes <= trials:
        raise DataError("share", expected="0 ≤ k ≤ n", got=f"k = {successes}, n = {trials}")
    if trials == 0:
        return (0.0, 1.0)
    middle = successes + z * z / 2
    half = z * sqrt(successes * (trials - successes) / trials + z * z / 4)
    total = trials + z * z
    low = 0.0 if successes == 0 else max(0.0, (middle - half) / total)
    high = 1.0 if successes == trials else min(1.0, (middle + half) / total)
    return (low, high)


def measure(
    pattern: DecisionPattern,
    label: int,
    labels: Rows,
    signatures: Signatures,
    train: Rows,
    held_out: Rows,
) -> Support:
    """Support of ``pattern`` for ``label``.

    ``signatures`` and ``labels`` (N,) cover all inputs; ``train`` and ``held_out`` are row
    numbers.  Precision and recall are of the held-out part, with 95 % Wilson intervals.
    """
    every = check_labels(labels, len(signatures))
    holds = pattern.holds(signatures)
    inside_train, inside = holds[train], holds[held_out]
    carries = every[held_out] == label
    covered, total, hits = int(inside.sum()), int(carries.sum()), int((inside & carries).sum())
    trained = int(inside_train.sum())
    trained_hits = int((inside_train & (every[train] == label)).sum())
    return Support(
        train=trained,
        held_out=covered,
        precision=hits / covered if covered else None,
        recall=hits / total if total else None,
        precision_interval=wilson(hits, covered) if covered else None,
        recall_interval=wilson(hits, total) if total else None,
        train_precision=trained_hits / trained if trained else None,
    )


def voted(rules: Sequence[LabelledRule], signatures: Signatures) -> Rows:
    """The label the rules give each input, (N,); ``NO_LABEL`` where none holds.

    Where rules of several labels hold, the label wins whose rules have the larger training
    support in all (the smaller label on a tie).
    """
    classes = sorted({rule.label for rule in rules})
    votes = np.zeros((len(signatures), max(1, len(classes))), dtype=np.int64)
    for rule in rules:
        votes[:, classes.index(rule.label)] += rule.support * rule.pattern.holds(signatures)
    names = np.array(classes or [NO_LABEL], dtype=np.int64)
    return np.where(votes.any(axis=1), names[votes.argmax(axis=1)], NO_LABEL)


def curve(
    rules: Sequence[LabelledRule], labels: Rows, signatures: Signatures, held_out: Rows
) -> tuple[CurvePoint, ...]:
    """Precision and joint coverage on the held-out rows, from all rules to the surest few.

    ``signatures`` and ``labels`` (N,) cover all inputs.  At most ``CURVE_POINTS`` thresholds,
    spread evenly over the rules' distinct confidences, in ascending order.
    """
    every = check_labels(labels, len(signatures))[held_out]
    part = signatures.rows(held_out)
    found = np.unique([rule.confidence for rule in rules])
    picks = np.unique(np.linspace(0, len(found) - 1, CURVE_POINTS).round().astype(int))
    points = []
    for threshold in found[picks] if len(found) else ():
        kept = [rule for rule in rules if rule.confidence >= threshold]
        given = voted(kept, part)
        covered = given != NO_LABEL
        points.append(
            CurvePoint(
                float(threshold),
                len(kept),
                float(covered.mean()) if len(covered) else 0.0,
                precision=float((given == every)[covered].mean()) if covered.any() else None,
            )
        )
    return tuple(points)
