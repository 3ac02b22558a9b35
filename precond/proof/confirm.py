"""A second proof of a claim, by engines that the first did not use.

Engines are of two kinds (``stages.Line``): those that push bounds through the layers, and
solvers of linear, integer and rational systems.  A proof that used one kind is asked again of
the other; one that used both is asked of each alone.  So afterwards every way the property can
fail is excluded twice.  Both kinds read the network's weights by the same route and start from
the same layer bounds of ``bounds``, which are rigorous; what is doubled is the search.

A claim that was proved through a tail (``tail``) is proved again through it: that step is one
propagation of bounds, made anew.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from numpy.typing import ArrayLike

from precond.errors import QueryError
from precond.proof.claim import Claim
from precond.proof.deadline import Deadline
from precond.proof.prove import prove
from precond.proof.reduce import reduced
from precond.proof.stages import Line, line_stages
from precond.proof.tail import Tail
from precond.proof.verdict import Attempt, Status, Verdict

SECOND = "again"  # how a second proof's attempts begin
SOLVERS = ("highs", "z3", "marabou")
PROPAGATION = ("bounds", "bounds-optimised", "input-split", "relu-split")


@dataclass(frozen=True, eq=False)
class Second:
    """What the second proof said: its ``status``, the ``engines`` that closed something in it,
    and ``seconds``.  UNKNOWN where one of the kinds asked did not finish; REFUTED where one
    found a witness of what was asked (of the tail, for a claim through a tail)."""

    status: Status
    engines: tuple[str, ...]
    seconds: float
    reason: str = ""


def second_proof(
    claim: Claim, verdict: Verdict, *, budget: float = 60.0, device: str = "cpu"
) -> Second:
    """Prove ``claim`` (as it was asked: the tail's, where it went through one) once more, by
    the kinds of engine that ``verdict`` does not rest on alone."""
    if not verdict.is_proved:
        raise QueryError("second proof", expected="a claim that is proved", got=verdict.status.value)
    asked = lines_to_ask(verdict)
    deadline = Deadline.after(budget)
    engines: list[str] = []
    seconds, status, reasons = 0.0, Status.PROVED, []
    for turn, line in enumerate(asked):
        answer = prove(
            claim,
            budget=max(0.1, deadline.left / (len(asked) - turn)),
            stages=line_stages(line, device),
            device=device,
        )
        seconds += answer.seconds
        engines += [name for name in closed_by(answer) if name not in engines]
        if answer.status is Status.REFUTED:
            return Second(Status.REFUTED, (answer.engine,), seconds, "a witness was found")
        if answer.status is Status.UNKNOWN:
            status = Status.UNKNOWN
            reasons.append(f"{line.value}: {answer.reason}")
    return Second(status, tuple(engines), seconds, "; ".join(reasons))


def confirm(
    claim: Claim,
    verdict: Verdict,
    *,
    tail: Tail | None = None,
    points: ArrayLike | None = None,
    budget: float = 60.0,
    device: str = "cpu",
) -> Verdict:
    """``verdict`` (PROVED) with its second proof among the attempts.

    Proved twice it is ``confirmed``.  A second engine that finds a witness of what was asked
    takes the verdict back: UNKNOWN, with both said.  ``tail``: the one ``verdict`` was reached
    through.  ``points`` are not needed; they show that the region is not empty.
    """
    asked = claim if tail is None else tail.claim(claim)
    if asked is None:
        second = Second(Status.PROVED, ("bounds",), 0.0, "no value of the cut layer is possible")
    else:
        second = second_proof(reduced(asked).claim, verdict, budget=budget, device=device)
    name = f"{SECOND}: {', '.join(second.engines) or 'no engine'}"
    outcome = {Status.PROVED: "proved", Status.REFUTED: "contradicted"}.get(
        second.status, f"not decided ({second.reason})"
    )
    attempts = (*verdict.attempts, Attempt(name, second.seconds, outcome))
    if second.status is Status.PROVED:
        return replace(verdict, confirmed=True, attempts=attempts)
    if second.status is Status.REFUTED:
        reason = f"{verdict.engine} proved it, {name} has a witness"
        return replace(
            verdict, status=Status.UNKNOWN, confirmed=False, reason=reason, attempts=attempts
        )
    return replace(verdict, attempts=attempts)


def lines_to_ask(verdict: Verdict) -> tuple[Line, ...]:
    """The kinds of engine that did not prove every part of it by themselves."""
    used = closed_by(verdict)
    if used and not set(used) & set(SOLVERS):
        return (Line.SOLVERS,)
    if used and not set(used) & set(PROPAGATION):
        return (Line.PROPAGATION,)
    return (Line.PROPAGATION, Line.SOLVERS)


def closed_by(verdict: Verdict) -> tuple[str, ...]:
    """Engines that excluded at least one way to fail, in the order they were tried."""
    return tuple(
        dict.fromkeys(
            attempt.engine
            for attempt in verdict.attempts
            if attempt.engine in SOLVERS + PROPAGATION
            and not attempt.outcome.startswith("0 infeasible")
        )
    )


def second_of(verdict: Verdict) -> tuple[str, str]:
    """(engines, outcome) of the second proof in a verdict; two empty texts where it has none."""
    for attempt in reversed(verdict.attempts):
        if attempt.engine.startswith(f"{SECOND}: "):
            return attempt.engine.removeprefix(f"{SECOND}: "), attempt.outcome
    return "", ""
