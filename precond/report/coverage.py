"""Which held-out inputs preconditions cover.

An input is *covered* by a layer rule when it has the rule's pattern, and by a proved input
precondition when it moreover lies in the box the proof is about.  The inputs of a class are
those labelled with it; without labels, those whose output has the class's property.  With the
property ``misclassified`` the classes are ``correct`` and ``misclassified``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from precond.errors import DataError
from precond.proof.precondition import Kind, Precondition
from precond.proof.verdict import Status
from precond.region.box import Box
from precond.region.pattern import DecisionPattern
from precond.region.signature import Signatures
from precond.report.plot.bars import ClassCoverage, Series
from precond.study.analysis import Analysis, DomainKind
from precond.study.goals import GoalKind

Mask = NDArray[np.bool_]
CORRECT, MISCLASSIFIED = "correct", "misclassified"  # classes of a run about correctness


@dataclass(frozen=True, eq=False)
class Match:
    """Held-out inputs of one precondition, masks (held out,).

    ``pattern``: they satisfy it; ``inside``: they also lie in the claim's box.
    ``problem`` says why nothing could be matched (a layer that was not recorded).
    """

    pattern: Mask
    inside: Mask
    problem: str = ""


def holding(pattern: DecisionPattern, signatures: Signatures) -> tuple[Mask, str]:
    """Which recorded inputs satisfy ``pattern``; none, and why, where it was not recorded."""
    try:
        return pattern.holds(signatures), ""
    except DataError as error:
        return np.zeros(len(signatures), dtype=np.bool_), str(error)


def match_held_out(analysis: Analysis) -> list[Match]:
    """One ``Match`` per precondition, in order."""
    held_out = analysis.data.held_out
    signatures = analysis.signatures.rows(held_out)
    rows = held_out_rows(analysis)
    in_domain = _contained(analysis.domain.box, rows)
    found = []
    for item in analysis.preconditions:
        mask, problem = holding(item.pattern, signatures)
        if item.domain is None:
            inside = mask & in_domain
        else:
            inside = mask.copy()
            inside[mask] = _contained(item.domain, rows[mask])
        found.append(Match(mask, inside, problem))
    return found


def held_out_rows(analysis: Analysis) -> NDArray[np.floating]:
    """Held-out inputs, flat (held out, n)."""
    held_out = analysis.data.held_out
    return np.asarray(analysis.data.inputs[held_out]).reshape(
        len(held_out), analysis.network.input_size
    )


def _contained(box: Box, rows: NDArray[np.floating]) -> Mask:
    return box.contains(rows) if len(rows) else np.zeros(0, dtype=np.bool_)


def members(analysis: Analysis, label: str, preconditions: Sequence[Precondition]) -> Mask:
    """Which held-out inputs belong to the class ``label``; all of them where nothing tells."""
    data, held_out = analysis.data, analysis.data.held_out
    if not len(held_out):
        return np.zeros(0, dtype=np.bool_)
    if data.labels is not None and analysis.goal is GoalKind.CORRECTNESS:
        right = analysis.signatures.predicted[held_out] == data.labels[held_out]
        return np.asarray(right if label == CORRECT else ~right)
    if data.labels is not None and label.isdecimal():
        return np.asarray(data.labels[held_out] == int(label))
    outputs = analysis.signatures.outputs[held_out]
    for item in preconditions:
        if item.property is not None:
            return item.property.holds(outputs, held_out_rows(analysis))
    classes = analysis.network.classes
    if label.isdecimal() and classes.count > int(label):
        return np.asarray(classes.predicted(outputs) == int(label))
    return np.ones(len(held_out), dtype=np.bool_)


def class_names(analysis: Analysis) -> list[str]:
    """Labels of the preconditions and, where the run asked for all classes, those without one."""
    names = {item.label for item in analysis.preconditions}
    if analysis.goal is GoalKind.CORRECTNESS:
        names |= {CORRECT, MISCLASSIFIED}
    elif analysis.goal is GoalKind.CLASSES and analysis.data.labels is not None:
        names |= {str(k) for k in np.unique(analysis.data.labels)}
    return sorted(names, key=lambda name: (not name.isdecimal(), name.zfill(12)))


def class_meaning(analysis: Analysis) -> str:
    """What makes an input one of a class, in words (see ``members``)."""
    if analysis.goal is GoalKind.CORRECTNESS:
        return "whether the network's answer is its true label"
    if not all(name.isdecimal() for name in class_names(analysis)):
        return "its output has the property"
    return "its true label" if analysis.data.labels is not None else "the network's own answer"


def chart_series(analysis: Analysis) -> tuple[Series, ...]:
    """What the coverage chart compares: only what there is, and what can cover held-out inputs.

    A ball around one input is not meant to hold others, so proofs over balls are left out.
    """
    rules = any(item.kind is Kind.LAYER for item in analysis.preconditions)
    proofs = any(item.kind is not Kind.LAYER for item in analysis.preconditions)
    ball = analysis.domain.kind is DomainKind.BALL
    found = [(Series.RULES, rules), (Series.PROOFS, proofs and not ball)]
    return tuple(series for series, there in found if there)


def class_coverage(analysis: Analysis, matches: Sequence[Match]) -> list[ClassCoverage]:
    """Coverage of every class by its own layer rules and proved input preconditions."""
    grouped: dict[str, list[tuple[Precondition, Match]]] = {n: [] for n in class_names(analysis)}
    for item, match in zip(analysis.preconditions, matches, strict=True):
        grouped[item.label].append((item, match))
    result = []
    for label, pairs in grouped.items():
        mask = members(analysis, label, [item for item, _ in pairs])
        total = int(mask.sum())
        rules = [m.pattern for item, m in pairs if item.kind is Kind.LAYER]
        proved = [
            m.inside
            for item, m in pairs
            if item.kind is not Kind.LAYER and item.verdict.status is Status.PROVED
        ]

        def share(masks: list[Mask], within: Mask = mask, count: int = total) -> float | None:
            if not count:
                return None
            return int((union(masks, len(within)) & within).sum()) / count

        result.append(
            ClassCoverage(
                label,
                inputs=total,
                rules=len(rules),
                by_rules=share(rules),
                proved=len(proved),
                by_proofs=share(proved),
            )
        )
    return result


def union(masks: Sequence[Mask], count: int) -> Mask:
    """Inputs in at least one of ``masks``."""
    return np.logical_or.reduce(masks) if masks else np.zeros(count, dtype=np.bool_)


def rules_overall(
    analysis: Analysis, matches: Sequence[Match]
) -> tuple[float | None, float | None]:
    """Coverage and precision of all layer rules on held-out inputs.

    From the curve's most inclusive point, so that page and curve agree; without a curve,
    coverage by any rule and the share of (rule, input) pairs whose label is right.
    """
    if analysis.curve:
        last = max(analysis.curve, key=lambda point: (point.rules, -point.threshold))
        return last.coverage, last.precision
    rules = [
        (item, match)
        for item, match in zip(analysis.preconditions, matches, strict=True)
        if item.kind is Kind.LAYER
    ]
    count = len(analysis.data.held_out)
    if not rules or not count:
        return None, None
    covered = float(union([match.pattern for _, match in rules], count).mean())
    pairs = sum(item.support.held_out for item, _ in rules)
    right = sum((item.support.precision or 0.0) * item.support.held_out for item, _ in rules)
    return covered, right / pairs if pairs else None
