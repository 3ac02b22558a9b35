"""Patterns proved over the whole network, group of inputs after group, from strict to wide.

Nothing is forgotten by a proof of the whole network (a ``Tail`` cut at the input), but it is
dear, so few patterns are asked.  For the inputs left: make a pattern of every literal that a
share r of them has in common, for shares r from wide to strict; bounds of all of these are
found in one propagation; the proof is asked first where they are nearest to closing and then
for wider patterns, as long as it succeeds.  What was found is made wider by taking in the
inputs nearest to it (``grow``), which also begins from a single input where no share proves.
The inputs that a proved pattern does not hold for are the next group: they have more in common
with each other than with all of the class.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from precond.mine.grow import Growth, Rung
from precond.mine.pool import LiteralPool, affordable
from precond.proof.bounds.batch import pattern_bounds
from precond.proof.claim import Claim
from precond.proof.deadline import Deadline
from precond.proof.prove import prove
from precond.proof.reduce import reduced
from precond.proof.stages import whole_stages
from precond.proof.tail import Tail
from precond.proof.verdict import Status, Verdict
from precond.property import Property
from precond.region.pattern import DecisionPattern
from precond.region.signature import Signatures

SHARES = (0.98, 0.95, 0.9, 0.85, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2)
CLIMBING = 0.25  # of the time left, for one pattern by shares
GROWING = 0.15  # of the time left, to make one pattern wider
STEPS = 20  # of improvement of the bounds that choose where to begin


def ladder(
    tail: Tail,
    property: Property,
    signatures: Signatures,
    *,
    patterns: int,
    least: int,
    each: float,
    deadline: Deadline,
    device: str = "cpu",
    note: Callable[[str], None],
) -> list[Rung]:
    """At most ``patterns`` patterns that imply ``property`` over the tail's box, each adding
    ``least`` inputs or more of ``signatures`` (the class's inputs).  ``each``: seconds for one
    proof."""
    found: list[Rung] = []
    left = np.arange(len(signatures))
    climbs = True
    while len(found) < patterns and len(left) >= least and not deadline.passed:
        rung = None
        if climbs:
            limit = deadline.earlier(CLIMBING * deadline.left)
            rung = _climb(tail, property, signatures, left, least, each, limit, device, note)
            climbs = rung is not None
        rung = Growth(
            tail,
            property,
            signatures,
            left,
            each=each,
            deadline=deadline,
            share=GROWING,
            device=device,
            note=note,
        ).run(rung)
        if rung is None or rung.inside[left].sum() < least:
            break
        found.append(rung)
        left = left[~rung.inside[left]]
        note(f"{len(rung.pattern)} literals proved, {len(left)} inputs of the class left")
    return found


def _climb(
    tail: Tail,
    property: Property,
    signatures: Signatures,
    left: NDArray[np.int64],
    least: int,
    each: float,
    deadline: Deadline,
    device: str,
    note: Callable[[str], None],
) -> Rung | None:
    """The widest pattern among ``SHARES`` of the inputs ``left`` that proves."""
    began = time.monotonic()
    group = signatures.rows(left)
    tried: list[tuple[float, DecisionPattern]] = []
    for share in SHARES:
        if share * len(left) < least:
            break
        pool = LiteralPool.of(group, tail.layers, 1.0 - share)
        pattern = pool.pattern(affordable(pool, share))
        if pattern not in [p for _, p in tried]:
            tried.append((share, pattern))
    claims = [tail.claim(Claim(tail.network, tail.box, p, property)) for _, p in tried]
    problems = [claim.problem for claim in claims if claim is not None]
    if not problems or len(problems) < len(claims):
        return None
    bounds = pattern_bounds(problems, steps=STEPS, device=device, deadline=deadline)
    closed = np.flatnonzero(bounds > 0)
    low, high = 0, len(tried)  # proved from ``high`` on; not proved before ``low``
    best: tuple[DecisionPattern, Verdict] | None = None
    witnesses: list[NDArray[np.float64]] = []
    proofs = 0
    # Start at the first one that bounds alone close, else in the stricter half.
    turn = int(closed[0]) if len(closed) else (len(tried) - 1) * 2 // 3
    while low < high and not deadline.passed:
        share, pattern = tried[turn]
        claim = claims[turn]
        assert claim is not None
        small = reduced(claim)
        verdict = prove(
            small.claim,
            budget=max(0.1, min(each, deadline.left)),
            stages=whole_stages(device),
            device=device,
        )
        proofs += 1
        note(f"{len(pattern)} literals, {share:.0%} of {len(left)} inputs: {verdict.status.value}")
        if verdict.is_proved and verdict.status is not Status.VACUOUS:
            best, high = (pattern, verdict), turn
        else:
            if verdict.witness is not None:
                witnesses.append(small.restore(verdict.witness[None])[0])
            low = turn + 1
        turn = (low + high - 1) // 2 if best is None else high - 1
        turn = min(max(turn, low), len(tried) - 1)
    if best is None:
        return None
    inside = best[0].holds(signatures)
    found = np.array(witnesses).reshape(-1, tail.box.size)
    return Rung(best[0], best[1], inside, proofs, time.monotonic() - began, found)
