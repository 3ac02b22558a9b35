"""A shorter pattern for less recall: literals that shut inputs out can stand for many others.

Every literal that costs inputs makes the region smaller, so the proof can do without more of
the literals that cost nothing.  From a pattern that proves: add literals, the cheapest in
inputs first, as long as the class keeps the recall asked for; then drop as many of all of them
as bounds allow (``shrink``); then prove what is left.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from precond.mine.pool import Flags, LiteralPool, affordable
from precond.mine.shrink import shrink
from precond.proof.claim import Claim
from precond.proof.deadline import Deadline
from precond.proof.prove import prove
from precond.proof.reduce import reduced
from precond.proof.stages import search_stages
from precond.proof.tail import Tail
from precond.proof.verdict import Verdict
from precond.property import Property
from precond.region.pattern import DecisionPattern
from precond.region.signature import Signatures


@dataclass(frozen=True, eq=False)
class Fewest:
    """``pattern`` with its proof through the tail; ``inside`` (N,): the class's inputs that
    satisfy it; ``seconds`` spent."""

    pattern: DecisionPattern
    verdict: Verdict
    inside: Flags
    seconds: float


def fewest(
    tail: Tail,
    property: Property,
    signatures: Signatures,
    pattern: DecisionPattern,
    recall: float,
    *,
    deadline: Deadline,
    each: float = 5.0,
    device: str = "cpu",
) -> Fewest | None:
    """A pattern with few literals that still proves and holds for at least a share ``recall``
    of the class's inputs (``signatures``, with pre-activations).

    ``pattern``: one that proves through ``tail``, to start from.  None where ``pattern`` itself
    holds for fewer inputs, or where nothing shorter was proved within ``deadline``.
    """
    began = time.monotonic()
    pool = LiteralPool.of(signatures, tail.layers, 1.0 - recall)
    start = np.array([_has(pattern, *literal) for literal in pool.literals], dtype=np.bool_)
    if start.sum() < len(pattern.only(tail.layers)):
        return None  # a literal of it alone costs more
    if pool.shut_out(start).mean() > 1.0 - recall:
        return None
    chosen = affordable(pool, recall, start)

    def claim(choice: Flags) -> Claim | None:
        return tail.claim(Claim(tail.network, tail.box, pool.pattern(choice), property))

    smaller = shrink(chosen, claim, deadline, device=device)
    if smaller.sum() >= len(pattern):
        return None
    asked = claim(smaller)
    if asked is None:
        return None
    asked = reduced(asked).claim
    stages = search_stages(asked.problem, device)
    verdict = prove(asked, budget=each, stages=stages, device=device)
    if not verdict.is_proved:
        return None
    inside = ~pool.shut_out(smaller)
    return Fewest(pool.pattern(smaller), verdict, inside, time.monotonic() - began)


def _has(pattern: DecisionPattern, layer: str, index: int, on: bool) -> bool:
    return (layer, index) in (pattern.on if on else pattern.off)
