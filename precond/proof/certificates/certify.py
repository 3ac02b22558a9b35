"""``certify``: a certificate for a proved claim, checked before it is given out.

The tree and the multipliers come from the verdict's traces; what no trace tells is searched
for anew (``maker``).  Machine words are tried first; small networks, where these are too short
(badly scaled weights, bounds that hold with equality), then by their phases (``phase_trees``), and
in numbers of any length.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from precond.checker.certificate import Certificate, Invalid, Linear, PreActivationBound, Statement
from precond.logit_property import require_kept
from precond.network.layers import Affine, Conv2d
from precond.proof.bounds.magnitudes import beyond_floats
from precond.proof.certificates.judges import ExactJudge, FastJudge, Judge
from precond.proof.certificates.maker import Maker
from precond.proof.certificates.mending import NotCertified
from precond.proof.certificates.phase_trees import PhaseTrees
from precond.proof.claim import Claim
from precond.proof.deadline import Deadline
from precond.proof.trace import Trace, parts_of
from precond.proof.verdict import Attempt, Status, Verdict

CERTIFICATE = "certificate"  # in a verdict's attempts
PHASES = "phases in fractions"  # the engine of a verdict that rests on its certificate alone
SMALL, FEW = 40_000, 200  # weights, and splits, for which long numbers are worth a try
SHARE = 0.6  # of the time left, for each way but the last
_Way = tuple[str, Callable[[Deadline], Certificate]]


def certify(claim: Claim, verdict: Verdict, seconds: float = 60.0) -> Certificate:
    """A checked certificate of a PROVED or VACUOUS verdict; NotCertified if none is found.

    ``verdict.traces`` is used as far as it goes, so ``prove(..., keep_trace=True)`` makes this
    fast.  ``seconds``: to spend at most, roughly.
    """
    if not verdict.status.holds:
        raise NotCertified(f"a verdict of {verdict.status.value} is nothing to certify")
    deadline = Deadline.after(seconds)
    require_kept(claim.network, claim.property)
    claim = replace(claim, network=claim.network.logits)
    network = claim.network
    layers = [node.layer for node in network.nodes]
    weights = sum(layer.weight.size for layer in layers if isinstance(layer, Affine | Conv2d))
    splits = sum(_splits(trace, FEW) for trace in verdict.traces.values())
    small = weights <= SMALL and splits < FEW
    beyond = beyond_floats(claim.problem)
    if beyond is not None and not small:  # machine words are floats
        raise NotCertified(beyond.reason)
    statement = statement_of(claim, verdict.status is Status.VACUOUS)
    told = len(verdict.traces) >= len(statement.conjuncts)

    def by(kind: type[Judge], part: Deadline) -> Certificate:
        return Maker(claim, kind(network, statement), part).run(verdict.traces)

    def by_phases(part: Deadline) -> Certificate:
        return PhaseTrees(claim, ExactJudge(network, statement), part).run()

    in_words: _Way = (FastJudge.name, partial(by, FastJudge))
    at_length: _Way = (ExactJudge.name, partial(by, ExactJudge))
    phases: _Way = (PHASES, by_phases)
    ways = [in_words]
    if small:  # what no search has told is often true by a hair
        ways = [in_words, phases, at_length] if told else [phases, in_words, at_length]
    if beyond is not None:
        ways.remove(in_words)
    reasons = []
    for name, way in ways:
        part = deadline if name == ways[-1][0] else deadline.earlier(SHARE * deadline.left)
        try:
            return way(part)
        except (Invalid, NotCertified) as error:
            reasons.append(f"in {name}: {error}")
    raise NotCertified("; ".join(reasons))


def by_phases_alone(claim: Claim, found: Verdict, seconds: float) -> Verdict:
    """Of a small claim that engines left UNKNOWN: PROVED or VACUOUS by a certificate that splits
    its phases (``phase_trees``), or ``found`` as it is."""
    deadline = Deadline.after(seconds)
    begun = time.monotonic()
    require_kept(claim.network, claim.property)
    claim = replace(claim, network=claim.network.logits)
    made: Certificate | None = None
    status = Status.UNKNOWN
    for vacuous in (False, True):
        try:
            judge = ExactJudge(claim.network, statement_of(claim, vacuous))
            made = PhaseTrees(claim, judge, deadline).run()
        except (Invalid, NotCertified):
            break
        status = Status.VACUOUS if vacuous else Status.PROVED
    spent = time.monotonic() - begun
    if made is None:
        return found
    leaves = sum(len(tree.weights) for tree in made.trees)
    note = Attempt(CERTIFICATE, spent, note=f"{leaves} leaves, valid")
    return Verdict(
        status,
        engine=PHASES,
        seconds=found.seconds + spent,
        exact=True,
        attempts=(*found.attempts, note),
        certificate=made,
    )


def exact_verdict(claim: Claim, verdict: Verdict, seconds: float = 60.0) -> Verdict:
    """The verdict as it stands in exact arithmetic.

    PROVED and VACUOUS stay, as ``exact`` and with their certificate, only if there is one,
    else they are UNKNOWN; other verdicts are returned as they are (REFUTED is exact by its
    replay).
    """
    if not verdict.status.holds:
        return verdict
    begun = time.monotonic()
    try:
        made = certify(claim, verdict, seconds)
    except NotCertified as error:
        spent = time.monotonic() - begun
        reason = f"{verdict.status.value} by {verdict.engine}, but no certificate: {error}"
        return replace(
            verdict,
            status=Status.UNKNOWN,
            seconds=verdict.seconds + spent,
            reason=reason,
            attempts=(*verdict.attempts, Attempt(CERTIFICATE, spent, note="none found")),
        )
    spent = time.monotonic() - begun
    leaves = sum(len(tree.weights) for tree in made.trees)
    note = verdict.reason if verdict.confirmed else f"{verdict.reason}, before it was certified"
    return replace(
        verdict,
        exact=True,
        confirmed=True,
        seconds=verdict.seconds + spent,
        reason=note,
        attempts=(*verdict.attempts, Attempt(CERTIFICATE, spent, note=f"{leaves} leaves, valid")),
        certificate=made,
    )


def statement_of(claim: Claim, vacuous: bool = False) -> Statement:
    """What a certificate of ``claim`` states."""
    pattern, half = claim.pattern, claim.halfspaces
    literals = [
        PreActivationBound(layer, index, above=True, value=0.0) for layer, index in pattern.on
    ]
    literals += [
        PreActivationBound(layer, index, above=False, value=0.0) for layer, index in pattern.off
    ]
    literals += [
        PreActivationBound(layer, index, above=True, value=value)
        for layer, index, value in pattern.above
    ]
    literals += [
        PreActivationBound(layer, index, above=False, value=value)
        for layer, index, value in pattern.below
    ]
    clauses = tuple(
        tuple(Linear(i.outputs, i.inputs, i.bound, strict=i.strict) for i in clause)
        for clause in claim.property.clauses
    )
    return Statement(
        network=claim.network.logits.hash,
        origin=Path(claim.network.origin).name,
        lower=claim.box.lower,
        upper=claim.box.upper,
        literals=tuple(sorted(set(literals), key=lambda t: (t.layer, t.index, t.above, t.value))),
        clauses=clauses,
        matrix=np.zeros((0, claim.box.size)) if half is None else half.matrix,
        bound=np.zeros(0) if half is None else half.bound,
        vacuous=vacuous,
    )


def _splits(trace: Trace, most: int) -> int:
    """How many splits a trace has, counted up to ``most``."""
    stack, count = [trace], 0
    while stack and count < most:
        parts = parts_of(stack.pop())
        count += len(parts) == 2
        stack.extend(parts)
    return count
