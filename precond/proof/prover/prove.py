"""``prove``: a claim in, a verdict out, within a budget of seconds.

How the claim is restated and put to engines is said in ``chain``; which engines answer, and in
which order, in ``plans``; how their answers become a verdict in ``run``; which of them run at
the same time in ``racer``; how a proof becomes a certificate in ``certificates``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial

import numpy as np
from numpy.typing import ArrayLike

from precond.basics.arguments import items, number, numbers, require_kind
from precond.errors import QueryError
from precond.network.activation import OutputActivation
from precond.network.device import require_device
from precond.proof.arithmetic import Arithmetic
from precond.proof.claim import Claim
from precond.proof.deadline import Deadline
from precond.proof.ledger.ledger import Ledger
from precond.proof.prover.chain import Chain
from precond.proof.prover.plans import Stage, default_stages, quick_stages
from precond.proof.replay import replay
from precond.proof.restate.logits import through_logits
from precond.proof.restate.restatement import ask
from precond.proof.restate.runs import executed
from precond.proof.verdict import Status, Verdict

__all__ = ["REVISION", "Stage", "default_stages", "prove", "quick_stages"]

REVISION = 2  # of what a verdict rests on: raised when an engine was found to be wrong


def prove(  # noqa: PLR0913 - options of a public function, each by its keyword
    claim: Claim,
    *,
    budget: float = 60.0,
    points: ArrayLike | None = None,
    ledger: Ledger | None = None,
    stages: Sequence[Stage] | None = None,
    device: str = "cpu",
    seed: int = 0,
    keep_trace: bool = False,
    exact: bool = False,
    execution: Arithmetic = Arithmetic.REAL,
) -> Verdict:
    """Answer ``claim`` within ``budget`` seconds.

    A claim about outputs behind a last activation is answered through the logits, QueryError
    where it cannot be; a certificate then is one of ``claim.network.logits``.

    ``points`` (N, n): inputs to try first, as witnesses and as evidence that the region is
    not empty.  With a ``ledger`` an earlier verdict is returned, and a new one is written
    before it is returned.  ``keep_trace``: the verdict says how each conjunct was closed
    (``Verdict.traces``), as far as the engine that closed it can; a ledger has no traces, so
    only an earlier REFUTED is taken from it.

    ``exact``: PROVED and VACUOUS only with a certificate that was checked in exact arithmetic
    (``Verdict.certificate``), else UNKNOWN with the reason.  A ledger has no certificates: of
    what it knows only REFUTED serves, if its witness replays, and UNKNOWN where exactness was
    asked for.

    ``execution``: look first for a proof that also covers runs of the network in these floats,
    on inputs of theirs that lie in the box; where there is none, the claim is proved of real
    numbers, and the reason says why.  ``Verdict.holds_in`` says what was shown.  REFUTED is
    about real numbers whatever is asked for.  A certificate is too.
    """
    points = _checked(claim, budget, points, stages=stages, ledger=ledger)
    require_kind("execution", execution, Arithmetic, fix="Arithmetic.FLOAT32, for example")
    require_device(device)
    if claim.network.output_activation is not OutputActivation.NONE:
        again = partial(
            prove,
            budget=budget,
            points=points,
            ledger=ledger,
            stages=stages,
            device=device,
            seed=seed,
            keep_trace=keep_trace,
            exact=exact,
        )
        return ask(through_logits(claim), again)
    names = "all" if stages is None else ",".join(stage.engine.name for stage in stages)
    if ledger is not None:
        known = recalled(
            claim,
            ledger,
            budget,
            names=names,
            keep_trace=keep_trace,
            exact=exact,
            execution=execution,
        )
        if known is not None:
            return known

    deadline = Deadline.after(budget)
    chain = Chain(
        claim=claim,
        points=points,
        stages=stages,
        device=device,
        seed=seed,
        keep_trace=keep_trace,
        exact=exact,
    )
    if execution is Arithmetic.REAL:
        verdict = chain.of_reals(deadline)
    else:
        both = exact or keep_trace  # which a proof about runs does not give
        of_runs = partial(chain.of_runs, execution)
        verdict = executed(
            claim, execution, deadline, of_runs=of_runs, of_reals=chain.of_reals, both=both
        )
    if ledger is not None:
        place = place_in_ledger(claim, names, exact, execution=execution)
        standing = ledger.remember(*place, verdict, budget)
        return verdict if keep_trace or exact else standing
    return verdict


def _checked(
    claim: Claim,
    budget: float,
    points: ArrayLike | None,
    stages: Sequence[Stage] | None,
    ledger: Ledger | None,
) -> ArrayLike | None:
    """``points`` as rows of numbers; an error for arguments of another kind."""
    require_kind(
        "claim", claim, Claim, fix="prove(Claim(network, box, DecisionPattern(), property))"
    )
    if math.isnan(number("budget", budget)):
        raise QueryError("budget", expected="seconds", got="NaN")
    for stage in items("stages", () if stages is None else stages, "Stage"):
        require_kind(
            "stages", stage, Stage, fix="default_stages(claim.problem) gives those there are"
        )
    if ledger is not None:
        require_kind("ledger", ledger, Ledger, fix="Open one with Ledger(path)")
    if points is None:
        return None
    given, size = numbers("points", points), claim.box.size
    if given.size % size or (given.ndim > 1 and given.size != len(given) * size):
        raise QueryError("points", expected=f"rows of {size} values", got=f"shape {given.shape}")
    if not np.isfinite(given).all():
        raise QueryError("points", expected="finite numbers", got="NaN or infinity")
    return given.reshape(-1, size)


def recalled(
    claim: Claim,
    ledger: Ledger,
    budget: float,
    names: str = "all",
    *,
    keep_trace: bool = False,
    exact: bool = False,
    execution: Arithmetic = Arithmetic.REAL,
) -> Verdict | None:
    """What ``prove`` with these arguments takes from ``ledger``; ``names``: of its engines."""

    def serves(known: Verdict) -> bool:
        """Whether a verdict without traces and certificate is all that was asked for.  A file
        may say anything, so a witness is replayed again."""
        if known.status is Status.EMPIRICAL:
            return False
        if known.status.holds and execution not in known.holds_in:
            return False
        if known.status is Status.REFUTED:
            return known.witness is not None and replay(claim, known.witness).counts
        return known.status is Status.UNKNOWN if exact else not keep_trace

    return ledger.recall(*place_in_ledger(claim, names, exact, execution=execution), budget, serves)


def place_in_ledger(
    claim: Claim, names: str = "all", exact: bool = False, *, execution: Arithmetic
) -> tuple[str, str]:
    """Key and engines by which a ledger knows the claim."""
    how = "" if execution is Arithmetic.REAL else f"{execution.value}:"
    return f"{REVISION}:{claim.key}", f"{how}exact:{names}" if exact else f"{how}{names}"
