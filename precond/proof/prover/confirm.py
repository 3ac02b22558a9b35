"""A second proof of a claim, by engines that the first did not use.

Engines are of two kinds (``attempt.Line``): those that push bounds through the layers, and
solvers of linear, integer and rational systems.  A proof that used one kind is asked again of
the other; one that used both is asked of each alone.  Where a kind is not enough, all engines
are asked that closed nothing in the first proof.  So afterwards every way the property can
fail is excluded twice.  Both kinds read the network's weights by the same route and start from
the same layer bounds of ``bounds``, which are rigorous; what is doubled is the search.

A claim that was proved through a tail (``tail``) is proved again through it: that step is one
propagation of bounds, made anew.

Better than a second engine is no engine at all: a claim about the whole network is first proved
again by those that can say how, and a certificate made of that, which a checker accepts that
shares nothing with them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from precond.errors import QueryError
from precond.network.graph import INPUT
from precond.proof.attempt import Line, SecondProof
from precond.proof.certificates.certify import CERTIFICATE, exact_verdict
from precond.proof.claim import Claim
from precond.proof.deadline import Deadline
from precond.proof.prover.plans import Stage, default_stages, line_stages, whole_stages
from precond.proof.prover.prove import prove
from precond.proof.restate.fixed_neurons import without_fixed_neurons
from precond.proof.restate.restatement import same
from precond.proof.restate.tail import Tail
from precond.proof.verdict import Status, Verdict

KINDS = 0.6  # share of the time for the kinds by themselves
CERTIFYING = 0.9  # share of the time for a certificate, where one is sought
TRACED = 0.9  # of that for the proof it is made of


def second_proof(
    claim: Claim, verdict: Verdict, *, budget: float = 60.0, device: str = "cpu"
) -> SecondProof:
    """Prove ``claim`` (as it was asked: the tail's, where it went through one) once more, by
    the kinds of engine that ``verdict`` does not rest on alone."""
    if not verdict.is_proved:
        raise QueryError(
            "second proof", expected="a claim that is proved", got=verdict.status.value
        )
    deadline = Deadline.after(budget)
    asked = lines_to_ask(verdict)
    engines: list[str] = []
    reasons: list[str] = []
    seconds = 0.0
    for turn, line in enumerate(asked):
        share = KINDS * deadline.left / (len(asked) - turn)
        answer = _prove(claim, line_stages(line, device), share, device=device)
        seconds += answer.seconds
        if answer.status is Status.REFUTED:
            return SecondProof(
                Status.REFUTED, (answer.engine,), seconds, reason="a witness was found"
            )
        if answer.status is Status.UNKNOWN:
            reasons.append(f"{line.value}: {answer.reason}")
            break
        engines += [name for name in closed_by(answer) if name not in engines]
    if not reasons:
        return SecondProof(Status.PROVED, tuple(engines), seconds)
    every = default_stages(claim.problem, device)
    used = set(closed_by(verdict))
    used |= {name for s in every if s.engine.name in used for name in s.names}
    rest = [s for s in every if not used & s.names]
    answer = _prove(claim, rest, deadline.left, device=device)
    seconds += answer.seconds
    if answer.status is Status.REFUTED:
        return SecondProof(Status.REFUTED, (answer.engine,), seconds, reason="a witness was found")
    if answer.status is Status.UNKNOWN:
        reasons.append(f"all others: {answer.reason}")
        return SecondProof(Status.UNKNOWN, closed_by(answer), seconds, reason="; ".join(reasons))
    return SecondProof(Status.PROVED, closed_by(answer), seconds)


def _prove(claim: Claim, stages: Sequence[Stage], budget: float, device: str) -> Verdict:
    return prove(claim, budget=max(0.1, budget), stages=stages, device=device)


def confirm(
    claim: Claim,
    verdict: Verdict,
    *,
    tail: Tail | None = None,
    budget: float = 60.0,
    device: str = "cpu",
) -> Verdict:
    """``verdict`` (PROVED) with its second proof among the attempts.

    With a certificate it is ``exact``; proved twice it is ``confirmed``.  A second engine that
    finds a witness of what was asked takes the verdict back: UNKNOWN, with both said.  ``tail``:
    the one ``verdict`` was reached through.
    """
    deadline = Deadline.after(budget)
    if tail is None or tail.cut == INPUT:
        exact = _certified(claim, CERTIFYING * budget, device)
        if exact.is_proved:
            return certified(verdict, exact)
    restated = same(claim) if tail is None else tail.restated(claim)
    if restated is None:
        second = SecondProof(
            Status.PROVED, ("bounds",), 0.0, reason="no value of the cut layer is possible"
        )
    else:
        asked = restated.then(partial(without_fixed_neurons, deadline=deadline)).claim
        second = second_proof(asked, verdict, budget=deadline.left, device=device)
    if second.status is Status.PROVED:
        return replace(verdict, confirmed=True, second=second)
    if second.status is Status.REFUTED:
        reason = f"{verdict.engine} proved it, again: {second.names} has a witness"
        return replace(
            verdict, status=Status.UNKNOWN, confirmed=False, reason=reason, second=second
        )
    return replace(verdict, second=second)


def certified(verdict: Verdict, exact: Verdict) -> Verdict:
    """``verdict`` with the certificate of ``exact``, a proof of the same claim."""
    second = SecondProof(Status.PROVED, (CERTIFICATE,), exact.seconds)
    return replace(
        verdict, exact=True, confirmed=True, second=second, certificate=exact.certificate
    )


def _certified(claim: Claim, budget: float, device: str) -> Verdict:
    """A proof with its certificate, which takes little beside it; UNKNOWN where there is none."""
    deadline = Deadline.after(max(0.1, budget))
    stages = whole_stages(device)
    found = prove(claim, budget=TRACED * budget, stages=stages, device=device, keep_trace=True)
    return exact_verdict(claim, found, deadline.left) if found.is_proved else found


def lines_to_ask(verdict: Verdict) -> tuple[Line, ...]:
    """The kinds of engine that did not prove every part of it by themselves."""
    used = frozenset[Line]().union(*(a.lines for a in verdict.attempts if a.closes))
    return tuple(line for line in Line if len(used) != 1 or line not in used)


def closed_by(verdict: Verdict) -> tuple[str, ...]:
    """Engines that excluded at least one way to fail, in the order they were tried."""
    return tuple(dict.fromkeys(a.engine for a in verdict.attempts if a.lines and a.closes))
