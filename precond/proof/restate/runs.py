"""A claim about the network's run in floats, beside the same claim about real numbers.

What a proof covers is every run that computes the layers as they stand here: on inputs of the
format that lie in the box, by sums of products in any order (``arithmetic``).  A run that is
another program is refused (a batch normalisation that was read as one factor and one shift, a
conversion to another number type), and so is one whose numbers may overflow.

The proof about runs comes first, since it is one about real numbers as well; what it leaves is
proved of real numbers alone.  Where a run rounds nothing (``exact_run``), that is enough.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace

import numpy as np
import torch

from precond.network.activation import OutputActivation
from precond.network.graph import Network
from precond.network.operators import operators
from precond.proof.arithmetic import Arithmetic
from precond.proof.bounds.layer_passes import INTERVALS
from precond.proof.bounds.point_runs import NOTE, exceeds_margin
from precond.proof.bounds.region import refine
from precond.proof.claim import Array, Claim, Problem
from precond.proof.deadline import Deadline
from precond.proof.restate.exact_run import runs_exactly
from precond.proof.verdict import Attempt, Status, Verdict

DRAWN = 15  # inputs looked at first
SHARE = 0.7  # of the budget, for the proof about runs
ROOM = 4.0  # below the largest number, for partial sums


def executed(
    claim: Claim,
    execution: Arithmetic,
    deadline: Deadline,
    of_runs: Callable[[float], Verdict],
    of_reals: Callable[[Deadline], Verdict],
    *,
    both: bool = False,
) -> Verdict:
    """The verdict that ``of_runs`` gives in its share of the time; where that is none, the
    one of ``of_reals``, with the reason why it says nothing of runs.  ``both``: ask for both."""
    reason = refusal(claim.problem, execution)
    if reason is None and runs_exactly(claim.network, claim.box, execution):
        verdict = of_reals(deadline)
        return replace(verdict, holds_in=verdict.holds_in | execution.covers)
    if reason is not None:
        return _joined(of_reals(deadline), Verdict(Status.UNKNOWN, reason=reason), execution)
    problem = replace(claim.problem, execution=execution)
    if exceeds_margin(problem, _some(claim)):
        first = Verdict(Status.UNKNOWN, reason=NOTE)
    else:
        first = of_runs(SHARE * deadline.left)
    if first.status is not Status.UNKNOWN and not both:
        return first
    return _joined(of_reals(deadline), first, execution)


def _some(claim: Claim) -> Array:
    """Inputs of the box: its middle, and a few drawn."""
    low, high = claim.box.lower, claim.box.upper
    shares = np.random.default_rng(0).random((DRAWN, len(low)))
    return np.concatenate([[(low + high) / 2], low + shares * (high - low)])


def _joined(verdict: Verdict, first: Verdict, execution: Arithmetic) -> Verdict:
    """``verdict`` about real numbers, with what ``first`` said of runs."""
    reason = verdict.reason
    if verdict.status.holds and not first.status.holds:
        known = f"not shown for {execution.value}: {first.reason}"
        reason = f"{reason}; {known}" if reason else known
    said = Attempt(f"about {execution.value}", first.seconds, note=first.status.value)
    return replace(
        verdict,
        seconds=verdict.seconds + first.seconds,
        attempts=(said, *verdict.attempts),
        holds_in=verdict.holds_in | first.holds_in,
        reason=reason,
    )


def refusal(problem: Problem, execution: Arithmetic) -> str | None:
    """Why nothing is said about runs of ``problem.network`` in ``execution``, or None."""
    if execution is Arithmetic.REAL:
        return None
    network = problem.network
    if network.other_arithmetic:
        return f"the model has {network.other_arithmetic[0]}, whose run in floats is another"
    none = OutputActivation.NONE
    if network.output_activation is not none or network.logits_of is not none:
        return "the model's last activation rounds too, and that is not counted"
    largest = _largest(problem, execution)
    if not largest <= execution.largest / ROOM:
        return f"values may exceed the range of {execution.value} (up to {largest:.3g})"
    return None


def _largest(problem: Problem, execution: Arithmetic) -> float:
    """A bound of every number of a run: constants, products, partial sums."""
    ops = operators(problem.network, "cpu", torch.float64)
    lower, upper = (torch.tensor(side)[None] for side in (problem.box.lower, problem.box.upper))
    with torch.no_grad():
        region = refine(ops, lower, upper, passes=INTERVALS, execution=execution).region
    sizes = [float(size.max()) for size in region.sizes.values()]
    inputs = max(float(lower.abs().max()), float(upper.abs().max()))
    return float(np.max([inputs, _constant(problem.network), *sizes]))  # NaN stays NaN


def _constant(network: Network) -> float:
    numbers = [
        np.abs(np.asarray(getattr(node.layer, item.name), dtype=np.float64)).max(initial=0.0)
        for node in network.nodes
        for item in fields(node.layer)
        if item.name in ("weight", "bias", "factor", "shift", "coefficients", "fill", "scale")
    ]
    return float(max(numbers, default=0.0))
