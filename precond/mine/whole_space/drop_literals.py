"""A pattern with fewer literals, by bounds alone: many drops weighed in one propagation.

Each round bounds the pattern without each of its literals, drops as many as it can of those
that still prove, the least missed first, and goes on until none can be spared.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from precond.mine.whole_space.candidates import Flags
from precond.proof.bounds.batch import pattern_bounds
from precond.proof.claim import Claim
from precond.proof.deadline import Deadline

STEPS = 20  # of improvement, for the pattern that is kept


def shrink(
    chosen: Flags,
    claim: Callable[[Flags], Claim | None],
    deadline: Deadline,
    *,
    device: str = "cpu",
) -> Flags:
    """``chosen`` (C,) without literals that the bounds can do without; ``chosen`` itself where
    bounds do not prove it.  ``claim`` makes the claim of a choice (None: an empty region)."""

    def bounds(choices: Sequence[Flags], steps: int) -> NDArray[np.float64]:
        claims = [claim(choice) for choice in choices]
        values = np.full(len(claims), np.inf)
        known = [k for k, made in enumerate(claims) if made is not None]
        if known:
            problems = [made.problem for made in claims if made is not None]
            values[known] = pattern_bounds(problems, steps=steps, device=device, deadline=deadline)
        return values

    if not bounds([chosen], STEPS)[0] > 0:
        return chosen
    needed = np.zeros_like(chosen)
    while not deadline.passed:
        candidates = np.flatnonzero(chosen & ~needed)
        if not len(candidates):
            break
        without = [_dropped(chosen, candidates[k : k + 1]) for k in range(len(candidates))]
        values = bounds(without, 0)
        needed[candidates[~(values > 0)]] = True
        spare = candidates[np.argsort(-values, kind="stable")]
        spare = spare[~needed[spare]]
        size = len(spare)
        while size and not bounds([_dropped(chosen, spare[:size])], STEPS)[0] > 0:
            size //= 2
        if size:
            chosen = _dropped(chosen, spare[:size])
        elif len(spare):
            needed[spare[0]] = True
    return chosen


def _dropped(chosen: Flags, which: NDArray[np.int64]) -> Flags:
    smaller = chosen.copy()
    smaller[which] = False
    return smaller
