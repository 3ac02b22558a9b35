"""``prove``: a claim in, a verdict out, within a budget of seconds.

Which engines answer, and in which order, is said in ``stages``; how their answers become a
verdict in ``attempt``; which of them run at the same time in ``race``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from numpy.typing import ArrayLike

from precond.proof.attempt import Run
from precond.proof.claim import Claim
from precond.proof.ledger import Ledger
from precond.proof.stages import Stage, default_stages, quick_stages
from precond.proof.verdict import Status, Verdict

__all__ = ["REVISION", "Stage", "default_stages", "prove", "quick_stages"]

REVISION = 1  # of what a verdict rests on: raised when an engine was found to be wrong


def prove(
    claim: Claim,
    *,
    budget: float = 60.0,
    points: ArrayLike | None = None,
    ledger: Ledger | None = None,
    stages: Sequence[Stage] | None = None,
    device: str = "cpu",
    seed: int = 0,
    keep_trace: bool = False,
) -> Verdict:
    """Answer ``claim`` within ``budget`` seconds.

    ``points`` (N, n): inputs to try first, as witnesses and as evidence that the region is
    not empty.  With a ``ledger`` an earlier verdict is returned, and a new one is written
    before it is returned.  ``keep_trace``: the verdict says how each conjunct was closed
    (``Verdict.traces``), as far as the engine that closed it can; a ledger has no traces, so
    only an earlier REFUTED is taken from it.
    """
    key = f"{REVISION}:{claim.key}"
    names = "all" if stages is None else ",".join(stage.engine.name for stage in stages)
    if ledger is not None:
        known = ledger.recall(key, names, budget)
        if known is not None and (not keep_trace or known.status is Status.REFUTED):
            return known
    problem = replace(claim.problem, keep_trace=keep_trace)
    chosen = default_stages(problem, device, seed) if stages is None else stages
    verdict = Run(claim, problem, budget, points, chosen, device, seed).run()
    if ledger is not None:
        standing = ledger.remember(key, names, verdict, budget)
        return verdict if keep_trace else standing
    return verdict
