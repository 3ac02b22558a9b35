"""Checking a decomposed proof again: every claim by a second kind of engine, and by replay.

``second_proofs`` asks each claim of both halves of the engines that did not prove it;
``replayed`` draws random inputs of A and looks whether each satisfies σ and B.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from precond.apply.decomposition.answer import Decomposition
from precond.network.evaluate import iterate
from precond.proof.claim import Claim
from precond.proof.deadline import Deadline
from precond.proof.prover.confirm import second_proof
from precond.proof.verdict import Status, Verdict

POINTS = 100_000


@dataclass(frozen=True, kw_only=True)
class Again:
    """Second proofs of one half: of ``claims``, how many were ``proved`` again, ``contradicted``,
    and left ``open`` in the time; by which ``engines``."""

    claims: int
    proved: int
    contradicted: int
    open: int
    engines: tuple[str, ...]
    seconds: float


@dataclass(frozen=True)
class Replayed:
    """Of ``points`` random inputs of A: how many satisfy no pattern of σ, and how many miss B."""

    points: int
    outside: int
    violations: int


def second_proofs(
    answer: Decomposition, *, budget: float = 60.0, each: float = 2.0, device: str = "cpu"
) -> tuple[Again, Again]:
    """(A ⇒ σ, σ ⇒ B) once more: ``each`` seconds for a claim, ``budget`` for a half."""
    front = [
        (step.claim, step.verdict)
        for step in answer.steps
        if step.claim is not None and step.verdict is not None
    ]
    back = [(k.claim, k.verdict) for k in answer.lemmas if k.verdict is not None]
    return _again(front, budget=budget, each=each, device=device), _again(
        back, budget=budget, each=each, device=device
    )


def _again(
    proofs: Sequence[tuple[Claim, Verdict]], budget: float, each: float, device: str
) -> Again:
    deadline = Deadline.after(budget)
    counts: Counter[Status] = Counter()
    engines: set[str] = set()
    seconds = 0.0
    for claim, verdict in proofs:
        if not verdict.is_proved or deadline.passed:
            counts[Status.UNKNOWN] += 1
            continue
        second = second_proof(claim, verdict, budget=min(each, deadline.left), device=device)
        counts[second.status] += 1
        engines |= set(second.engines)
        seconds += second.seconds
    return Again(
        claims=len(proofs),
        proved=counts[Status.PROVED],
        contradicted=counts[Status.REFUTED],
        open=counts[Status.UNKNOWN],
        engines=tuple(sorted(engines)),
        seconds=seconds,
    )


def replayed(answer: Decomposition, *, points: int = POINTS, seed: int = 1) -> Replayed:
    """Random inputs of A against σ (its closure, as it is proved) and B, in float64."""
    claim = answer.claim
    network = claim.network
    source = network.pre_activation(answer.layer)
    limits = [p.intervals(network).get(answer.layer) for p in answer.patterns]
    x = claim.box.sample(points, np.random.default_rng(seed))
    outside = violations = 0
    for rows, found in iterate(network, x, [source, network.output]):
        z = found[source].flatten(1).cpu().numpy()
        inside = np.zeros(len(z), dtype=np.bool_)
        for limit in limits:
            if limit is None:
                inside[:] = True
                break
            rest = np.flatnonzero(~inside)
            low, high = limit
            inside[rest] = ((z[rest] >= low) & (z[rest] <= high)).all(1)
        outside += int((~inside).sum())
        y = found[network.output].flatten(1).cpu().numpy()
        violations += int((~claim.property.holds(y, x[rows])).sum())
    return Replayed(points, outside, violations)
