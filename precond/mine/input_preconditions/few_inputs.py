"""Relaxation where the inputs are few: by sections and bisection instead of single proofs.

For each number of first layers in turn, from one on, the literals of the last of them are
searched by ``bisection`` over the section that the layers before leave.  A violator that has
them all says that more layers are needed.  The first layer at which that ends well is the
stopping layer, and the pattern found there is what is left of it: every literal excludes a
violator alone, or the pattern without it did not prove within the patience.

The search runs on composed floats.  What it found is then proved on the network as it is, and
its violators are replayed exactly.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from precond.mine.input_preconditions.bisection import Bisection
from precond.mine.input_preconditions.questions import Question
from precond.mine.input_preconditions.section import Section
from precond.mine.violators import Flags
from precond.proof.deadline import Deadline
from precond.proof.prover.plans import polytope_stage
from precond.proof.replay import replay
from precond.proof.verdict import Status, Verdict
from precond.region.pattern import Neuron

Array = NDArray[np.float64]
MOST_INPUTS = 10


@dataclass(frozen=True, eq=False)
class RelaxedLayer:
    """``kept`` (T,), None where the full signature was refuted, with the prover's ``verdict``;
    ``layer``, ``minimal`` and ``witnesses`` as in ``InputPrecondition``."""

    kept: Flags | None
    verdict: Verdict
    layer: str = ""
    minimal: bool = False
    witnesses: Mapping[Neuron, Array] = field(default_factory=dict)


def few_inputs(question: Question) -> bool:
    """Whether so few inputs vary that bisection answers most claims."""
    return int((question.whole.box.width > 0).sum()) <= MOST_INPUTS


def relax(question: Question, order: Callable[[str], Array]) -> RelaxedLayer | None:
    """What is left of the signature; None where another way must be tried: a network that
    cannot be cut at its layers, time spent, or a proof that did not come.

    ``order(layer)`` (m,): smallest first, in which literals are dropped where violators leave
    a choice.
    """
    literals, depths = question.literals, len(question.literals.layers)
    if not question.whole.problem.conjuncts or question.whole.halfspaces is not None:
        return None
    previous: Bisection | None = None  # of one layer less, where it was not decided
    for depth in range(1, depths + 1):
        if question.deadline.passed:
            return None
        section = Section.of(question.whole, literals, depth, deadline=question.deadline)
        if section is None:
            return None
        ranks = order(section.layer).argsort(kind="stable")
        search = Bisection(section, question.whole.property, question.x, order=ranks)
        status = _run(question, search, search.run)
        if status is Status.REFUTED:
            verdict = _refuted(question, depth, search)
            if verdict is None:
                return None
            if depth == depths:
                return RelaxedLayer(kept=None, verdict=verdict)
            previous = None
            continue
        if status is Status.PROVED:
            fewer = previous is not None and not search.kept.any()  # one layer less does prove
            if fewer and previous and _run(question, previous, previous.resume) is Status.PROVED:
                return _proved(question, depth - 1, previous)
            return _proved(question, depth, search)
        previous = search
    return None


def _run(question: Question, search: Bisection, how: Callable[[Deadline, float], Status]) -> Status:
    proofs, batches = search.proofs, search.batches
    status = how(question.deadline, question.each)
    question.proofs += search.proofs - proofs
    question.batches += search.batches - batches
    return status


def _refuted(question: Question, depth: int, search: Bisection) -> Verdict | None:
    claim = question.claim(question.literals.first(depth))
    for point in search.against[:5]:
        result = replay(claim, point)
        if result.counts:
            return Verdict(
                Status.REFUTED,
                "bisection",
                exact=True,
                confirmed=result.in_float32,
                witness=point,
            )
    return None


def _proved(question: Question, depth: int, search: Bisection) -> RelaxedLayer | None:
    """The prover's word on what the search found; None without it."""
    literals = question.literals
    layer = literals.layers[depth - 1]
    start = literals.part[layer].start
    kept = literals.first(depth - 1)
    kept[start : start + len(search.kept)] = search.kept
    verdict = question.ask(kept, first=(polytope_stage(question.device),))
    if verdict.status is not Status.PROVED:
        return None
    if not search.kept.any():  # fewer layers were not refuted, but did not prove either
        before = literals.layers[depth - 2] if depth > 1 else ""
        return RelaxedLayer(kept, verdict, before, minimal=depth == 1)
    witnesses, minimal = {}, search.settled
    for index in np.flatnonzero(search.kept & ~search.needed).tolist():
        weaker = kept.copy()
        weaker[start + index] = False
        claim = question.claim(weaker)
        forcing = search.forcing(index)[:3]
        found = next((point for point in forcing if replay(claim, point).counts), None)
        minimal &= found is not None
        if found is not None:
            witnesses[layer, index] = found
    return RelaxedLayer(kept, verdict, layer, minimal=minimal, witnesses=witnesses)
