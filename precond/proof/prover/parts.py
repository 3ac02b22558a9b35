"""A claim divided into parts that can be proved apart.

A claim holds where it holds for each way to violate it, and in each half of its box.  So a part
is a claim of its own, about one clause and one of the boxes; the parts of a claim leave nothing
out.  A box is cut where the linear bound over it says that it matters most, as long as few inputs
vary.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from precond.proof.arithmetic import Arithmetic
from precond.proof.bounds.many_boxes import box_bounds, many_boxes
from precond.proof.claim import Claim
from precond.proof.deadline import Deadline
from precond.proof.engines.input_split.search import InputSplitEngine
from precond.proof.restate.runs import refusal
from precond.proof.verdict import Status, Verdict
from precond.property import Property
from precond.region.box import Box

Array = NDArray[np.float64]


def claim_parts(claim: Claim, least: int, deadline: Deadline, execution: Arithmetic) -> list[Claim]:
    """``claim`` in ``least`` parts or more, if its box can be cut; else by its clauses."""
    clauses = [
        replace(claim, property=Property((clause,), claim.property.name))
        for clause in claim.property.clauses
    ]
    plain = claim.halfspaces is None and not claim.problem.intervals
    bisection = InputSplitEngine().unsupported(claim.problem) is None
    if not (clauses and plain and bisection and refusal(claim.problem, execution) is None):
        return clauses
    problems = [replace(clause.problem, execution=execution) for clause in clauses]
    forms = [box_bounds(many_boxes([p], "cpu"), "cpu", deadline).form[0] for p in problems]
    parts = list(zip(clauses, forms, strict=True))
    while len(parts) < least:
        parts = [(half, form) for part, form in parts for half in _halves(part, form)]
    return [part for part, _ in parts]


def _halves(part: Claim, form: Array) -> tuple[Claim, Claim]:
    """The part's box cut in two, where ``form`` says that it matters most; both have the middle."""
    box = part.box
    weight = np.abs(np.nan_to_num(form)) * box.width
    axis = int((weight if weight.any() else box.width).argmax())
    upper, lower = box.upper.copy(), box.lower.copy()
    upper[axis] = lower[axis] = (box.lower[axis] + box.upper[axis]) / 2
    return replace(part, box=Box(box.lower, upper)), replace(part, box=Box(lower, box.upper))


def joined(verdicts: Sequence[Verdict], execution: Arithmetic) -> Verdict:
    """Of a claim whose parts have ``verdicts``: PROVED if each part holds, and as well founded as
    the weakest of them; else UNKNOWN, also where a part is refuted by an input that was not
    accepted."""
    attempts = tuple(attempt for verdict in verdicts for attempt in verdict.attempts)
    seconds = sum(verdict.seconds for verdict in verdicts)
    open_ = [verdict for verdict in verdicts if not verdict.status.holds]
    if open_:
        reasons = "; ".join(dict.fromkeys(v.reason for v in open_ if v.reason))
        reason = f"{len(open_)} of {len(verdicts)} parts were not proved: {reasons}"
        return Verdict(Status.UNKNOWN, seconds=seconds, reason=reason, attempts=attempts)
    shown = execution.covers.intersection(*(verdict.holds_in for verdict in verdicts))
    return Verdict(
        Status.PROVED,
        engine=verdicts[-1].engine if verdicts else "no clauses",
        seconds=seconds,
        confirmed=all(verdict.confirmed for verdict in verdicts),
        reason="; ".join(dict.fromkeys(v.reason for v in verdicts if v.reason)),
        attempts=attempts,
        holds_in=shown,
    )
