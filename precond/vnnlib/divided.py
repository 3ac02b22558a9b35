"""Claims whose parts are proved by worker processes at the same time.

A claim is proved when all its parts are (``proof.prover.parts``).  The first input that the query
admits ends all workers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from precond.proof.arithmetic import Arithmetic
from precond.proof.claim import Claim
from precond.proof.deadline import Deadline
from precond.proof.prover.parts import claim_parts, joined
from precond.proof.verdict import Verdict
from precond.workers.pool import Pool, ProofJob

PARTS = 4  # for each worker, so that none waits long for another at the end
LARGE = 10_000  # neurons, from which on the first bounds of each part are dear
FIRST_SHARE = 60.0  # seconds for a part, where there is no limit


@dataclass(frozen=True, kw_only=True)
class PartSettings:
    """What holds for every part; as in ``prove``."""

    device: str = "cpu"
    seed: int = 0
    execution: Arithmetic = Arithmetic.REAL


def prove_parts(
    pool: Pool,
    claims: Sequence[Claim],
    deadline: Deadline,
    settings: PartSettings,
    stop: Callable[[int, Verdict], None],
) -> list[Verdict]:
    """The verdicts of ``claims``, by those of their parts; ``stop`` is told of each refuted part,
    by the number of its claim, and may raise to end all."""
    least = PARTS * pool.workers
    divided = [
        [claim]
        if _is_large(claim)
        else claim_parts(claim, least, deadline, execution=settings.execution)
        for claim in claims
    ]
    owners = [k for k, parts in enumerate(divided) for _ in parts]
    tasks = [part for parts in divided for part in parts]

    def jobs() -> Iterator[ProofJob]:
        for drawn, part in enumerate(tasks):
            left = deadline.left
            share = min(left, left * pool.workers / (len(tasks) - drawn))
            yield ProofJob(
                part,
                FIRST_SHARE if math.isinf(left) else share,
                device=settings.device,
                seed=settings.seed,
                execution=settings.execution,
            )

    def done(index: int, verdict: Verdict) -> None:
        if verdict.witness is not None:
            stop(owners[index], verdict)

    verdicts = pool.map(jobs(), done)
    own: list[list[Verdict]] = [[] for _ in claims]
    for k, verdict in zip(owners, verdicts, strict=True):
        own[k].append(verdict)
    return [joined(verdicts, settings.execution) for verdicts in own]


def _is_large(claim: Claim) -> bool:
    network = claim.network
    return sum(network.width(layer) for layer in network.decision_layers) >= LARGE
